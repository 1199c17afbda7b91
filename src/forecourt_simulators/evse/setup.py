"""What a virtual charge point is made of, and what may go wrong with it."""

from dataclasses import dataclass, field, fields

from forecourt_kit.limits import whole

CONNECTORS_MAX = 16
POWER_W_MAX = 1_000_000
PERCENT_MAX = 100
SECONDS_MAX = 30 * 86_400
STORM_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Chances in per cent of sessions, unless the name says otherwise; all 0 is a sound charge point."""

    offline_percent: int = 0  # The link is cut while the session runs; what happened is told later.
    offline_s: int = 20  # How long such a cut lasts.
    unknown_ids_percent: int = 0  # A session begun without a link is stopped under an id of its own making.
    duplicate_stop_percent: int = 0  # StopTransaction is sent twice.
    lost_answer_percent: int = 0  # Of transaction messages: the link breaks before the answer; sent again.
    meter_backwards_percent: int = 0  # The register at the end lies below the one at the start.
    clock_off_s: int = 0  # The charge point's clock is off by so much, and stays so. May be negative.
    reconnect_storm: int = 0  # So many connections are dropped at once before one is kept.

    def __post_init__(self) -> None:
        for each in fields(self):
            low, high = 0, PERCENT_MAX
            if each.name.endswith("_s"):
                low, high = (-SECONDS_MAX if each.name == "clock_off_s" else 0), SECONDS_MAX
            elif each.name == "reconnect_storm":
                high = STORM_MAX
            whole(each.name, getattr(self, each.name), low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSetup:
    power_w: int = 60_000
    register_wh: int = 0

    def __post_init__(self) -> None:
        whole("power_w", self.power_w, 1, POWER_W_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePointSetup:
    """`code` is the last part of the URL and the user name; connectors are numbered from 1."""

    code: str
    password: str = field(default="", repr=False)
    connectors: tuple[ConnectorSetup, ...] = (ConnectorSetup(),)
    vendor: str = "forecourt"
    model: str = "virtual EVSE"
    sample_s: int = 10
    faults: Faults = Faults()

    def __post_init__(self) -> None:
        if not 1 <= len(self.connectors) <= CONNECTORS_MAX:
            raise ValueError(f"{self.code}: 1..{CONNECTORS_MAX} connectors")


def parse_faults(text: str) -> Faults:
    """Read `offline=20,duplicate_stop=10,clock_off_s=3600`; `_percent` may be left out of a name.

    Raises:
        ValueError: no such fault, or a value out of its range.
    """
    names = {each.name for each in fields(Faults)}
    found: dict[str, int] = {}
    for pair in filter(None, text.split(",")):
        name, _, value = pair.partition("=")
        full = name if name in names else f"{name}_percent"
        if full not in names:
            raise ValueError(f"no such fault: {name}; there are: {', '.join(sorted(names))}")
        found[full] = int(value)
    return Faults(**found)
