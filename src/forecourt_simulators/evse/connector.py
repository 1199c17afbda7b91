"""One connector: its states as OCPP 1.6 names them (section 4.9), and the energy that runs through it."""

from dataclasses import dataclass
from enum import StrEnum

from forecourt_protocols.ocpp.v16.types import ChargePointStatus as Status
from forecourt_simulators.evse.setup import ConnectorSetup

US_PER_HOUR = 3_600_000_000
REGISTER_WH_MAX = 2**31 - 1


class Event(StrEnum):
    PLUG = "plug"
    UNPLUG = "unplug"
    START = "start"
    FULL = "full"  # The car takes no more.
    STOP = "stop"
    FAIL = "fail"
    REPAIR = "repair"
    DISABLE = "disable"
    ENABLE = "enable"


NEXT: dict[tuple[Status, Event], Status] = {
    (Status.AVAILABLE, Event.PLUG): Status.PREPARING,
    (Status.PREPARING, Event.UNPLUG): Status.AVAILABLE,
    (Status.PREPARING, Event.START): Status.CHARGING,
    (Status.CHARGING, Event.FULL): Status.SUSPENDED_EV,
    (Status.CHARGING, Event.STOP): Status.FINISHING,
    (Status.SUSPENDED_EV, Event.STOP): Status.FINISHING,
    (Status.FINISHING, Event.UNPLUG): Status.AVAILABLE,
    (Status.FINISHING, Event.START): Status.CHARGING,
    (Status.AVAILABLE, Event.DISABLE): Status.UNAVAILABLE,
    (Status.UNAVAILABLE, Event.ENABLE): Status.AVAILABLE,
    **{(status, Event.FAIL): Status.FAULTED for status in Status if status is not Status.FAULTED},
    (Status.FAULTED, Event.REPAIR): Status.AVAILABLE,
}


@dataclass(slots=True, eq=False)
class Session:
    """One charging session as the charge point remembers it; the id comes when the platform has answered."""

    connector: int
    id_tag: str
    meter_start_wh: int
    began_offline: bool
    transaction_id: int | None = None
    refused: bool = False
    unknown_id: bool = False  # Its fault: the id of the platform is forgotten.


@dataclass(slots=True, eq=False)
class Connector:
    number: int
    setup: ConnectorSetup
    register_uwh: int  # Micro-watt-hours: a tick's energy is never rounded away.
    status: Status = Status.AVAILABLE
    session: Session | None = None
    plugged: bool = False
    want_wh: int | None = None  # What the car that is plugged in takes; None: no end.

    @classmethod
    def installed(cls, number: int, setup: ConnectorSetup) -> "Connector":
        return cls(number, setup, setup.register_wh * 1_000_000)

    @property
    def register_wh(self) -> int:
        return self.register_uwh // 1_000_000 % REGISTER_WH_MAX

    @property
    def drawn_wh(self) -> int:
        return self.register_wh - self.session.meter_start_wh if self.session else 0

    def go(self, event: Event) -> bool:
        """Follow the table; False when it has no such row, and nothing changes."""
        after = NEXT.get((self.status, event))
        if after is None:
            return False
        self.status = after
        return True

    def flow(self, elapsed_us: int) -> None:
        """Let energy flow; a car that wants so much and no more stops taking there, to the watt-hour."""
        if self.status is not Status.CHARGING or self.session is None:
            return
        flowed_uwh = self.setup.power_w * elapsed_us * 1_000_000 // US_PER_HOUR
        if self.want_wh is not None:
            end_uwh = (self.session.meter_start_wh + self.want_wh) * 1_000_000
            if self.register_uwh + flowed_uwh >= end_uwh:
                self.register_uwh = max(end_uwh, self.register_uwh)
                self.go(Event.FULL)
                return
        self.register_uwh += flowed_uwh
