"""A vehicle at a gun: lift, wait to be released, squeeze until there is enough, hang up."""

from dataclasses import dataclass
from enum import StrEnum

from forecourt_protocols.lanfeng.commands import GunState
from forecourt_simulators.station.gun import Gun
from forecourt_simulators.station.meter import US_PER_S

PATIENCE_US = 120 * US_PER_S  # Not released, or nothing flows, for this long: the driver gives up.
DWELL_US = 2 * US_PER_S  # From the last drop to the gun in its holder.


class VisitEnd(StrEnum):
    SERVED = "served"
    NOT_RELEASED = "not_released"
    NOTHING_FLOWED = "nothing_flowed"
    INTERRUPTED = "interrupted"  # The gun went back to idle by itself: power was lost.


@dataclass(slots=True)
class Visit:
    """`want_fen` or `want_e2` is where the driver lets go of the trigger; None: until the vessel is full."""

    gun: Gun
    want_fen: int | None = None
    want_e2: int | None = None
    patience_us: int = PATIENCE_US
    dwell_us: int = DWELL_US
    waited_us: int = 0
    seen_e2: int = 0
    released: bool = False

    def arrive(self) -> bool:
        """Lift the gun; False when it cannot be lifted."""
        self.gun.trigger = True
        return self.gun.lift()

    def advance(self, elapsed_us: int) -> VisitEnd | None:
        """Let time pass; how the visit ended, once it has."""
        self.waited_us += elapsed_us
        if self.gun.state is GunState.IDLE:
            return VisitEnd.INTERRUPTED
        if not self.released and self.gun.state is not GunState.CALLING:
            self.released, self.waited_us = True, 0
        if not self.released:
            return self._leave(VisitEnd.NOT_RELEASED) if self.waited_us >= self.patience_us else None
        return self._fill()

    def _fill(self) -> VisitEnd | None:
        meter = self.gun.meter
        if meter is not None and meter.quantity_e2 > self.seen_e2:
            self.seen_e2, self.waited_us = meter.quantity_e2, 0
        if self._enough():
            self.gun.trigger = False
            return self._leave(VisitEnd.SERVED) if self.waited_us >= self.dwell_us else None
        if self.waited_us >= self.patience_us:
            return self._leave(VisitEnd.SERVED if self.seen_e2 else VisitEnd.NOTHING_FLOWED)
        return None

    def _enough(self) -> bool:
        meter = self.gun.meter
        if meter is None or self.gun.satisfied or self.gun.state is GunState.SUSPENDED:
            return True
        if self.want_fen is not None and meter.amount_fen >= self.want_fen:
            return True
        return self.want_e2 is not None and meter.quantity_e2 >= self.want_e2

    def _leave(self, end: VisitEnd) -> VisitEnd:
        self.gun.hang_up()
        return end
