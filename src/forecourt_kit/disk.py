"""The disk port: whole files and append-only files, and what of them survives a power cut."""

import os
from pathlib import Path
from typing import Protocol


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
