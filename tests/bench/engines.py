"""The engines that are measured, each as a server of this run alone on a real disk, syncing every commit."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from tests.private_servers import PrivateMariaDB, PrivatePostgreSQL

ENGINES = ("postgresql", "mariadb", "sqlite")


@dataclass(frozen=True, slots=True)
class Engine:
    name: str
    url: str
    pid: int | None  # Of the server; SQLite works inside the process that uses it.

    @property
    def judged(self) -> bool:
        """Aims hold on the engines of large deployments; SQLite's figures are told beside them."""
        return self.name != "sqlite"


class BenchPostgreSQL(PrivatePostgreSQL):
    """With room in memory for the whole run and its commits on disk."""

    def command(self) -> Sequence[str]:
        more = ("shared_buffers=256MB", "max_wal_size=2GB", "synchronous_commit=on", "fsync=on")
        return (*super().command(), *(word for each in more for word in ("-c", each)))


class BenchMariaDB(PrivateMariaDB):
    def command(self) -> Sequence[str]:
        sizes = ("--innodb-buffer-pool-size=256M", "--innodb-log-file-size=256M")
        return (*super().command(), *sizes, "--character-set-server=utf8mb4")


@asynccontextmanager
async def running(name: str) -> AsyncIterator[Engine]:
    """An empty database on the engine, gone afterwards."""
    if name == "sqlite":
        folder = Path(tempfile.mkdtemp(prefix="forecourt-bench-"))
        try:
            yield Engine(name, f"sqlite:///{folder / 'bench.db'}", None)
        finally:
            rmtree(folder, ignore_errors=True)
        return
    server = BenchPostgreSQL() if name == "postgresql" else BenchMariaDB()
    async with server:
        assert server._process is not None
        yield Engine(name, server.url, server._process.pid)
