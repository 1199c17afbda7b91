"""The first administrator: a one-time code, because there is no default account."""

from forecourt.access import service as access
from forecourt.cli.migrate import migrate
from forecourt.core.host import Ports, open_host
from forecourt.core.settings import Settings

CODE_BYTES = 12


async def make_code(settings: Settings, ports: Ports) -> str:
    """A code that `POST /api/v1/bootstrap` takes once; printed here and stored only as its hash."""
    async with open_host(settings, ports) as host:
        await migrate(host.database)
        code = ports.random.token(CODE_BYTES)
        await host.database.transact(access.make_bootstrap_code, code)
    return code
