import subprocess
import sys
from pathlib import Path

import forecourt_kit

KIT = Path(forecourt_kit.__file__).parent


def test_the_kit_loads_no_event_loop_no_socket_and_nothing_from_outside() -> None:
    modules = sorted(f"forecourt_kit.{file.stem}" for file in KIT.glob("*.py") if file.stem != "__init__")
    assert len(modules) >= 12
    ask = (
        f"import sys, {', '.join(modules)}\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*sorted(loaded & {'asyncio', 'socket', 'ssl', 'selectors'}),"
        " *sorted(n for n in loaded if n not in sys.stdlib_module_names and n != 'forecourt_kit'"
        " and not n.startswith('_')))"
    )
    env = {"PYTHONPATH": str(KIT.parent)}
    answer = subprocess.run(
        [sys.executable, "-S", "-c", ask], capture_output=True, text=True, check=True, env=env
    )
    assert answer.stdout.split() == []
