"""x"""


async def measure(engine):
    return []
