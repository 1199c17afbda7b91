"""What a benchmark says: one figure beside its limit and its baseline, from the same run."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Less is better for every unit here, so `ratio` is limit / value and `speedup` is baseline / value."""

    name: str
    value: float
    unit: str
    limit: float
    baseline: float | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        speedup = None if self.baseline is None else round(self.baseline / self.value, 2)
        return {
            "name": self.name,
            "value": round(self.value, 2),
            "unit": self.unit,
            "limit": round(self.limit, 2),
            "ratio": round(self.limit / self.value, 3),
            "baseline": None if self.baseline is None else round(self.baseline, 2),
            "speedup": speedup,
            "conditions": {**self.conditions, "machine": machine()},
        }

    def line(self) -> str:
        """The same for people."""
        told = self.as_json()
        text = (
            f"{self.name:<24} {told['value']:>10} {self.unit}  limit {told['limit']}  ratio {told['ratio']}"
        )
        if self.baseline is not None:
            text += f"  baseline {told['baseline']}  speedup {told['speedup']}"
        facts = (f"{name}={_short(value)}" for name, value in self.conditions.items())
        return text + "\n    " + "  ".join(facts)


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def _short(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else str(value)
