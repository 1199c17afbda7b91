"""The channel simulator as a process, for whoever needs one."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def serving(keys: Path, *more: str) -> Iterator[str]:
    """The base URL of a running process."""
    program = [sys.executable, "-c", "from forecourt_simulators.main import main; raise SystemExit(main())"]
    options = ["--listen", "127.0.0.1:0", "--keys", str(keys), "--notify-delay-scale", "0.001"]
    process = subprocess.Popen([*program, "channels", *options, *more], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["listening"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def control(url: str, path: str, **content: Any) -> dict[str, Any]:
    request = urllib.request.Request(f"{url}/_control/{path}", json.dumps(content).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
