from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_kit.disk import Disk, MemoryDisk, OsDisk
from forecourt_kit.random import SeededRandom


@pytest.fixture(params=["os", "memory"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return OsDisk() if request.param == "os" else MemoryDisk()


class TestEveryDisk:
    def test_replaces_whole_files(self, disk: Disk, tmp_path: Path) -> None:
        file = tmp_path / "state"
        disk.replace(file, b"old")
        disk.replace(file, b"new")
        assert disk.read(file) == b"new"
        assert disk.names(tmp_path) == ["state"]

    def test_appends_across_openings(self, disk: Disk, tmp_path: Path) -> None:
        for data in (b"one", b"two"):
            file = disk.open_append(tmp_path / "journal")
            file.append(data)
            file.sync()
            file.close()
            file.close()
        assert disk.read(tmp_path / "journal") == b"onetwo"

    def test_renames_and_removes(self, disk: Disk, tmp_path: Path) -> None:
        disk.make_directory(tmp_path / "a")
        disk.make_directory(tmp_path / "a")
        disk.replace(tmp_path / "a" / "x", b"1")
        disk.rename(tmp_path / "a" / "x", tmp_path / "y")
        assert not disk.exists(tmp_path / "a" / "x")
        assert disk.read(tmp_path / "y") == b"1"
        disk.remove(tmp_path / "y")
        assert not disk.exists(tmp_path / "y")
        assert disk.free_bytes(tmp_path) > 0

    def test_misses_loudly(self, disk: Disk, tmp_path: Path) -> None:
        for ask in (disk.read, disk.remove):
            with pytest.raises(FileNotFoundError):
                ask(tmp_path / "absent")


def test_a_replaced_file_has_its_mode_and_a_left_over_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".key.new").write_bytes(b"half")
    OsDisk().replace(tmp_path / "key", b"k", mode=0o600)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@given(st.lists(st.tuples(st.binary(max_size=9), st.booleans()), max_size=20), st.integers())
def test_a_power_cut_keeps_all_that_was_synced_and_only_a_prefix_of_the_rest(
    writes: list[tuple[bytes, bool]], seed: int
) -> None:
    disk, path = MemoryDisk(), Path("journal")
    file = disk.open_append(path)
    written = synced = b""
    for data, sync in writes:
        file.append(data)
        written += data
        if sync:
            file.sync()
            synced = written
    disk.power_cut(SeededRandom(seed))
    left = disk.read(path)
    assert left.startswith(synced)
    assert written.startswith(left)
