"""Servers of one test alone: own port, own folder, so that it may kill, restart and reconfigure them.

Each is started from the packages of the machine. A program that is not installed skips the test loudly, or
fails it when FORECOURT_REQUIRE_SERVICES=1.
"""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
from tests import services

START_TIMEOUT_S = 60
POLL_S = 0.05


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(service: str, *names: str) -> str:
    """The first of `names` on this machine, PATH first, then where Debian keeps it."""
    for name in names:
        debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
        for found in (shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), *map(str, debian)):
            if found:
                return found
    services.unavailable(service, f"{names[0]} is not installed")
    raise AssertionError("unreachable")


class PrivateServer:
    """One server process of a test. `start` waits until it answers; `kill` is kill -9; `stop` cleans up."""

    service: str
    user: str | None = None  # Servers that refuse to run as root run as their own user then.

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"forecourt-{self.service}-"))
        self._process: subprocess.Popen[bytes] | None = None
        if (user := self._as_user()) is not None:
            shutil.chown(self.folder, user, user)

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    async def prepare(self) -> None:
        """Make the data folder, once."""

    async def start(self) -> None:
        assert self._process is None
        if not any(self.folder.iterdir()):
            await self.prepare()
        log = (self.folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            self.command(),
            stdout=log,
            stderr=log,
            user=self._as_user(),
            env={**os.environ, **self.environment()},
            cwd=self.folder,
            start_new_session=True,
        )
        log.close()
        await self._wait_until_it_answers()

    async def kill(self) -> None:
        """Send SIGKILL: what a power cut leaves of the process (not of the disk)."""
        self._signal(signal.SIGKILL)

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    async def stop(self) -> None:
        if self._process is not None:
            self._signal(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async def run(self, *command: str) -> None:
        """Run a tool of the server to its end, as the server's user."""
        process = await asyncio.create_subprocess_exec(
            *command,
            user=self._as_user(),
            env={**os.environ, **self.environment()},
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode(errors="replace")

    def _as_user(self) -> str | None:
        if self.user is None or os.geteuid() != 0:
            return None
        pwd.getpwnam(self.user)
        return self.user

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait()
        self._process = None

    async def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await self.answers():
            code = self._process.poll()
            if code is not None or time.monotonic() > deadline:
                said = (self.folder / "server.log").read_text(errors="replace")[-4000:]
                pytest.fail(f"{self.service} did not start ({code}):\n{said}")
            await asyncio.sleep(POLL_S)


class PrivateMariaDB(PrivateServer):
    service = "mariadb"
    user = "mysql"

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/test"

    async def prepare(self) -> None:
        await self.run(
            program("mariadb", "mariadb-install-db", "mysql_install_db"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal",
        )
        (self.folder / "data" / "test").mkdir(exist_ok=True)
        if (user := self._as_user()) is not None:
            shutil.chown(self.folder / "data" / "test", user, user)

    def command(self) -> Sequence[str]:
        return (
            program("mariadb", "mariadbd", "mysqld"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
            "--innodb-flush-log-at-trx-commit=1",
            "--skip-name-resolve",
        )


class PrivatePostgreSQL(PrivateServer):
    service = "postgresql"
    user = "postgres"

    @property
    def url(self) -> str:
        return f"postgresql://test@127.0.0.1:{self.port}/postgres"

    async def prepare(self) -> None:
        await self.run(
            program("postgresql", "initdb"),
            f"--pgdata={self.folder / 'data'}",
            "--username=test",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
        )

    def command(self) -> Sequence[str]:
        return (
            program("postgresql", "postgres"),
            "-D",
            str(self.folder / "data"),
            "-p",
            str(self.port),
            "-h",
            "127.0.0.1",
            "-k",
            str(self.folder),
            "-c",
            "shared_buffers=32MB",
        )

    async def answers(self) -> bool:
        """It accepts connections while it still recovers; ask it, as its own tool does."""
        ask = await asyncio.create_subprocess_exec(
            program("postgresql", "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)
        )
        return await ask.wait() == 0


class PrivateRabbitMQ(PrivateServer):
    service = "rabbitmq"

    def __init__(self) -> None:
        super().__init__()
        self._distribution_port = free_port()
        self.plugins: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"forecourt{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    async def prepare(self) -> None:
        (self.folder / "plugins").write_text(f"[{','.join(self.plugins)}].")
        (self.folder / "rabbitmq.conf").write_text("")

    def command(self) -> Sequence[str]:
        # Debian's script of the same name in /usr/sbin changes to the broker's own user.
        inner = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        return (str(inner) if inner.exists() else program("rabbitmq", "rabbitmq-server"),)

    async def answers(self) -> bool:
        """It listens before it serves; a protocol header gets an answer once it does."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"AMQP\x00\x00\x09\x01")
        try:
            return bool(await reader.read(1))
        except OSError:
            return False
        finally:
            writer.close()


class PrivateRedis(PrivateServer):
    service = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        return (
            program("redis", "redis-server"),
            "--bind",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--dir",
            str(self.folder),
            "--save",
            "",
        )
