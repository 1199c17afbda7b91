"""CPU of processes, from /proc: what an operation costs whatever else the machine does."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def _parent_and_cpu_s(pid: int) -> tuple[int, float] | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS_PER_S  # Of reaped children too.


def tree_cpu_s(root: int) -> float:
    """User and system seconds of a process and everything below it."""
    found = {int(each.name): _parent_and_cpu_s(int(each.name)) for each in Path("/proc").glob("[0-9]*")}
    known = {pid: facts for pid, facts in found.items() if facts is not None}
    tree = {root}
    while grown := {pid for pid, (parent, _) in known.items() if parent in tree} - tree:
        tree |= grown
    return sum(known[pid][1] for pid in tree if pid in known)


def machine_cpu_s() -> float:
    """Busy seconds of all cores since boot, without idling and waiting."""
    fields = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / TICKS_PER_S


class Meter:
    """`with Meter(service=pid, database=pid) as meter`: CPU by part, wall time, and what others used."""

    def __init__(self, **pids: int | None) -> None:
        self._pids = {name: pid for name, pid in pids.items() if pid is not None}
        self.cpu_s: Mapping[str, float] = {}
        self.wall_s = 0.0
        self.foreign_cores = 0.0

    def __enter__(self) -> Self:
        self._before = {name: tree_cpu_s(pid) for name, pid in self._pids.items()}
        self._busy_s = machine_cpu_s()
        self._started_s = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall_s = time.perf_counter() - self._started_s
        self.cpu_s = {name: tree_cpu_s(pid) - self._before[name] for name, pid in self._pids.items()}
        others_s = machine_cpu_s() - self._busy_s - sum(self.cpu_s.values())
        self.foreign_cores = max(0.0, others_s / self.wall_s)

    def cpu_us(self, operations: int, *parts: str) -> float:
        """CPU microseconds an operation, of these parts."""
        return sum(self.cpu_s.get(part, 0.0) for part in parts) / operations * 1e6
