"""Contract 8: clock, chance, sockets, files and threads are touched in named adapters only.

So the whole money path runs under a seeded clock, network and disk in one process and one thread.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch

from house_rules.base import PROCESSES, Source, rule

CLOCK, CHANCE, NET, DISK, THREADS = "clock", "chance", "network", "disk", "threads"
EVERYTHING = frozenset({CLOCK, CHANCE, NET, DISK, THREADS})

WIRES = "a process wires the real parts together"

ADAPTERS: dict[str, tuple[frozenset[str], str]] = {
    "src/forecourt_kit/clock.py": (frozenset({CLOCK}), "the clock port's adapter"),
    "src/forecourt_kit/random.py": (frozenset({CHANCE}), "the random port's adapter"),
    "src/forecourt_kit/disk.py": (frozenset({DISK}), "the disk port's adapter"),
    "src/forecourt_kit/settings.py": (
        frozenset({DISK}),
        "reads the settings file once, before anything runs",
    ),
    "src/forecourt/core/db/sqlite.py": (frozenset({DISK, THREADS}), "the store; moves COMMIT to a thread"),
    "src/forecourt/core/http/server.py": (frozenset({NET}), "binds the listening sockets of a process"),
    "src/forecourt/core/http/static.py": (frozenset({DISK}), "reads the built front ends, once"),
    "src/forecourt/core/passwords.py": (frozenset({THREADS}), "argon2 takes tens of ms: off the loop"),
    "src/forecourt/channels/*/client.py": (
        frozenset({NET}),
        "asks the channel; its transport is replaceable",
    ),
    "src/forecourt_edge/drivers/ports.py": (frozenset({NET, DISK}), "serial and TCP lines to dispensers"),
    "src/forecourt/gateway/udp.py": (frozenset({NET}), "the gateway's datagram socket"),
    "src/forecourt/gateway/tcp.py": (frozenset({NET}), "the gateway's listening socket"),
    "src/forecourt_edge/uplink/links.py": (frozenset({NET}), "the uplink's sockets"),
    "src/forecourt_edge/journal/schema.py": (frozenset({DISK}), "opens the journal's SQLite file"),
    "src/forecourt_edge/journal/sqlite.py": (frozenset({THREADS}), "moves the journal's fsync off the loop"),
    "src/forecourt_simulators/channels/wechat/notifier.py": (frozenset({NET}), "calls notify URLs"),
    "src/forecourt_simulators/evse/link.py": (frozenset({NET}), "the charge point's WebSocket"),
    "src/forecourt_simulators/*/control.py": (frozenset({NET}), "the simulator's control socket"),
    "src/forecourt_simulators/station/ports.py": (frozenset({NET}), "pty and TCP lines of the dispensers"),
    **{f"src/forecourt/{process}/main.py": (EVERYTHING, WIRES) for process in PROCESSES},
    "src/forecourt/cli/demo.py": (frozenset({NET, THREADS}), "starts the processes around the demo"),
    "src/forecourt_edge/main.py": (EVERYTHING, WIRES),
    "src/forecourt_simulators/main.py": (EVERYTHING, WIRES),
    "src/forecourt_simulators/*/main.py": (EVERYTHING, WIRES),
}
"""File -> what it may touch, and why. A new adapter is a decision: add it here with its reason."""

BANNED = {
    CLOCK: {
        "time",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
    },
    CHANCE: {"random", "secrets", "uuid", "os.urandom", "os.getrandom"},
    NET: {
        "socket",
        "socketserver",
        "select",
        "selectors",
        "serial",
        "httpx.AsyncClient",
        "httpx.AsyncHTTPTransport",
        "httpx.Client",
        "httpx.HTTPTransport",
        "httpx.get",
        "httpx.post",
        "httpx.request",
        "httpx.stream",
        "requests",
        "websockets.asyncio",
        "websockets.client.connect",
        "websockets.connect",
        "websockets.serve",
        "websockets.sync",
        "uvicorn",
        "http.client",
        "http.server",
        "urllib.request",
        "smtplib",
        "ftplib",
        "asyncio.open_connection",
        "asyncio.open_unix_connection",
        "asyncio.start_server",
        "asyncio.start_unix_server",
    },
    DISK: {
        "open",
        "io.open",
        "os.open",
        "os.fdopen",
        "os.remove",
        "os.unlink",
        "os.rename",
        "os.replace",
        "os.mkdir",
        "os.makedirs",
        "os.listdir",
        "os.scandir",
        "os.walk",
        "os.stat",
        "os.path.exists",
        "os.path.getsize",
        "sqlite3.connect",
        "apsw",
        "tempfile",
        "shutil",
        "glob",
        "fileinput",
        "mmap",
    },
    THREADS: {
        "threading",
        "_thread",
        "concurrent",
        "multiprocessing",
        "subprocess",
        "os.fork",
        "os.system",
        "os.popen",
        "asyncio.to_thread",
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
    },
}
BANNED_METHODS = {
    "read_text": DISK,
    "write_text": DISK,
    "read_bytes": DISK,
    "write_bytes": DISK,
    "iterdir": DISK,
    "rglob": DISK,
    "run_in_executor": THREADS,
    "create_datagram_endpoint": NET,
    "create_connection": NET,
    "create_unix_connection": NET,
    "create_server": NET,
    "create_unix_server": NET,
    "sock_recv": NET,
    "sock_recvfrom": NET,
    "sock_sendall": NET,
    "sock_sendto": NET,
    "add_reader": NET,
}
HARMLESS = {"uuid.UUID", "time.struct_time", "socket.AddressFamily", "concurrent.futures.Future"}


def touched(name: str) -> str | None:
    """Which of the outside's parts a full name stands for."""
    if name in HARMLESS:
        return None
    for part, banned in BANNED.items():
        if any(name == one or name.startswith(f"{one}.") for one in banned):
            return part
    return None


def allowed(path: str) -> frozenset[str]:
    """What the adapters' table lets this file touch."""
    return frozenset[str]().union(*(parts for glob, (parts, _) in ADAPTERS.items() if fnmatch(path, glob)))


@rule(
    "outside",
    "Take the Clock, Random, IdSource, Disk or network port of forecourt_kit as an argument; only adapters "
    "named in tools/house_rules/purity.py touch the machine, so that the money path runs under a seed",
)
def outside(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src:
        return
    may = allowed(source.path)
    told: set[str] = set()  # One finding a file and part: the first place says enough.
    found = sorted((line, part, name) for node in source.nodes for line, part, name in _touches(source, node))
    for line, part, name in found:
        if part not in may | told and not source.excused(line, "outside"):
            told.add(part)
            yield line, f"`{name}` touches the {part}"


def _touches(source: Source, node: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, part, name) of what one node touches."""
    line = getattr(node, "lineno", 0)
    for name in _names(source, node):
        if (part := touched(name)) is not None:
            yield line, part, name
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        method = node.func.attr
        if method in BANNED_METHODS:
            yield line, BANNED_METHODS[method], f".{method}()"


def _names(source: Source, node: ast.AST) -> list[str]:
    """Full names that a node imports or uses; a local variable that happens to be called `random` is none."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{one.name}" for one in node.names]
    if isinstance(node, ast.Attribute):
        root: ast.AST = node
        while isinstance(root, ast.Attribute):
            root = root.value
        known = isinstance(root, ast.Name) and root.id in source.imported
        return [source.dotted(node) or ""] if known else []
    if isinstance(node, ast.Name) and node.id == "open" and "open" not in source.imported:
        return ["open"]
    return []
