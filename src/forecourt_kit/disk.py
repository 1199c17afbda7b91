"""The disk port: whole files and append-only files, and what of them survives a power cut."""

import os
from pathlib import Path
from typing import Protocol

from forecourt_kit.random import Random


class AppendFile(Protocol):
    def append(self, data: bytes) -> None:
        """Add to the end. A power cut may lose it, or keep a part of it, until `sync` returns."""
        ...

    def sync(self) -> None:
        """Return when all that was appended survives a power cut."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    def read(self, path: Path) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        ...

    def replace(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Make the file hold exactly this, durably: after a power cut it is old or new, never half."""
        ...

    def open_append(self, path: Path) -> AppendFile: ...

    def rename(self, old: Path, new: Path) -> None:
        """Durably; an existing `new` is replaced."""
        ...

    def remove(self, path: Path) -> None:
        """Durably. Raises FileNotFoundError."""
        ...

    def exists(self, path: Path) -> bool: ...

    def names(self, directory: Path) -> list[str]:
        """Sorted names in a directory."""
        ...

    def make_directory(self, path: Path, mode: int = 0o755) -> None:
        """With its parents; one that exists is fine."""
        ...

    def free_bytes(self, directory: Path) -> int: ...


class OsAppendFile:
    __slots__ = ("_descriptor",)

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        _sync_directory(path.parent)

    def append(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class OsDisk:
    """The machine's own file system (Linux)."""

    __slots__ = ()

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def replace(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        beside = path.with_name(f".{path.name}.new")
        beside.unlink(missing_ok=True)  # Left over from a cut: its mode would outlive this one.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.rename(beside, path)

    def open_append(self, path: Path) -> OsAppendFile:
        return OsAppendFile(path)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)
        _sync_directory(new.parent)
        if old.parent != new.parent:
            _sync_directory(old.parent)

    def remove(self, path: Path) -> None:
        path.unlink()
        _sync_directory(path.parent)

    def exists(self, path: Path) -> bool:
        return path.exists()

    def names(self, directory: Path) -> list[str]:
        return sorted(entry.name for entry in directory.iterdir())

    def make_directory(self, path: Path, mode: int = 0o755) -> None:
        path.mkdir(mode=mode, parents=True, exist_ok=True)

    def free_bytes(self, directory: Path) -> int:
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize


def _sync_directory(directory: Path) -> None:
    """A name is durable only when its directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class MemoryDisk:
    """A disk in memory that can lose power: tests and simulation."""

    __slots__ = ("_durable", "_free_bytes", "_live")

    def __init__(self, free_bytes: int = 2**40) -> None:
        self._live: dict[Path, bytearray] = {}
        self._durable: dict[Path, bytes] = {}
        self._free_bytes = free_bytes

    def read(self, path: Path) -> bytes:
        return bytes(self._file(path))

    def replace(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        del mode
        self._live[path] = bytearray(data)
        self._durable[path] = data

    def open_append(self, path: Path) -> "MemoryAppendFile":
        self._live.setdefault(path, bytearray())
        self._durable.setdefault(path, b"")
        return MemoryAppendFile(self, path)

    def rename(self, old: Path, new: Path) -> None:
        self._live[new] = self._file(old)
        self._durable[new] = self._durable[old]
        del self._live[old], self._durable[old]

    def remove(self, path: Path) -> None:
        self._file(path)
        del self._live[path], self._durable[path]

    def exists(self, path: Path) -> bool:
        return path in self._live

    def names(self, directory: Path) -> list[str]:
        return sorted(path.name for path in self._live if path.parent == directory)

    def make_directory(self, path: Path, mode: int = 0o755) -> None:
        """Directories need no making here."""

    def free_bytes(self, directory: Path) -> int:
        del directory
        return self._free_bytes

    def append(self, path: Path, data: bytes) -> None:
        self._file(path).extend(data)

    def sync(self, path: Path) -> None:
        self._durable[path] = bytes(self._file(path))

    def power_cut(self, chance: Random) -> None:
        """Lose what was not synced: of each file any part of the unsynced end may have reached the plate."""
        for path, live in self._live.items():
            safe = self._durable[path]
            kept = chance.below(len(live) - len(safe) + 1)
            self._durable[path] = safe + bytes(live[len(safe) : len(safe) + kept])
        self._live = {path: bytearray(data) for path, data in self._durable.items()}

    def _file(self, path: Path) -> bytearray:
        if path not in self._live:
            raise FileNotFoundError(path)
        return self._live[path]


class MemoryAppendFile:
    __slots__ = ("_disk", "_path")

    def __init__(self, disk: MemoryDisk, path: Path) -> None:
        self._disk = disk
        self._path = path

    def append(self, data: bytes) -> None:
        self._disk.append(self._path, data)

    def sync(self) -> None:
        self._disk.sync(self._path)

    def close(self) -> None:
        """Closing does not sync."""
