"""Named points at which a test may end the process as a power cut would; nothing happens unless named."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

CRASH_VARIABLE = "FORECOURT_EDGE_CRASH_AT"
EXIT_CODE = 137  # What a shell reports of a process ended by SIGKILL.

POINTS = frozenset(
    {
        "before_journal_commit",
        "after_journal_commit",
        "after_sale_journalled",
        "after_sale_cleared",
        "after_authorisation_noted",
        "after_release_sent",
        "after_price_noted",
        "after_command_result",
    }
)


@dataclass(slots=True)
class CrashPoints:
    """`at`: a point, or `point:n` for the n-th time it is passed."""

    at: str = ""
    _passed: int = 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "CrashPoints":
        return cls(environment.get(CRASH_VARIABLE, ""))

    def passed(self, point: str) -> None:
        """End the process here, without any clean-up, if this is the point and the time."""
        assert point in POINTS, f"no crash point {point}"
        if not self.at:
            return
        name, _, times = self.at.partition(":")
        if name != point:
            return
        self._passed += 1
        if self._passed >= int(times or 1):
            os._exit(EXIT_CODE)
