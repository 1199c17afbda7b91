"""One gun: orders in, answers out, time let pass. No clock, no line: the caller brings both."""

from dataclasses import asdict, dataclass, field
from typing import Any

from forecourt_kit.price import Preset, PresetKind
from forecourt_protocols.lanfeng import commands
from forecourt_protocols.lanfeng.commands import Command, EndReason, Fault, GunState, Result
from forecourt_protocols.lanfeng.messages import (
    Acknowledgement,
    Answer,
    ClearSale,
    NoSale,
    Order,
    PresetAmount,
    PresetQuantity,
    PriceAnswer,
    QuerySale,
    Request,
    SequenceAnswer,
    SetPreValve,
    SetPrice,
    ShiftSum,
    StateAnswer,
    TotalAmount,
    TotalQuantity,
    acknowledge,
)
from forecourt_protocols.lanfeng.session import Sale, split_sale
from forecourt_simulators.station.meter import US_PER_S, Meter
from forecourt_simulators.station.setup import E2_TO_E4, GunSetup
from forecourt_simulators.station.state import NEXT, RUNNING, Event

SALES_WAITING_MAX = 200
SEQUENCE_MAX = 99_999_999
AMOUNT_DIGITS = 10
KPA_PER_MPA_E2 = 10


@dataclass(slots=True)
class Gun:
    """State of one gun. `register_*` are the totalizers, in the line's units."""

    setup: GunSetup
    state: GunState = GunState.IDLE
    controlled: bool = True
    unit_price_e2: int = 0
    register_e2: int = 0
    register_fen: int = 0
    last_sequence: int = 0
    faults: Fault = Fault.NONE
    stuck: bool = False
    deaf_to_price: bool = False
    trigger: bool = True  # The customer squeezes as soon as the gun is released.
    keypad: Preset | None = None  # Keyed in at the dispenser for the next fill without a limit.
    room_e2: int = 999_999
    meter: Meter | None = None
    before_e2: int = 0
    stopped: bool = False
    waiting: list[Sale] = field(default_factory=list)
    shift_e2: int = 0
    shift_fen: int = 0

    @classmethod
    def installed(cls, setup: GunSetup) -> "Gun":
        return cls(
            setup=setup,
            controlled=setup.controlled,
            unit_price_e2=setup.unit_price_e4 // E2_TO_E4,
            register_e2=setup.totalizer_e4 // E2_TO_E4,
            register_fen=setup.totalizer_amount_fen,
        )

    @property
    def register_modulus_e2(self) -> int:
        return int(10**self.setup.totalizer_digits)

    # What people do.

    def lift(self) -> bool:
        """Take the gun out. False when it is out already or the gun is closed."""
        if not self._go(Event.LIFT):
            return False
        if self.state is GunState.CALLING and not self.controlled:
            self._release(None)
        return True

    def hang_up(self) -> bool:
        """Put the gun back; what ran becomes a sale. False when it hangs already."""
        running = self.state in RUNNING
        if not self._go(Event.HANG_UP):
            return False
        if running:
            self._end(self._end_reason())
        return True

    def close(self) -> bool:
        return self._go(Event.CLOSE)

    def open(self) -> bool:
        return self._go(Event.OPEN)

    def lose_power(self) -> None:
        """The running fill ends where it is; price, totalizers and sales are kept."""
        if self.state in RUNNING:
            self._end(EndReason.POWER_LOST)
        self.meter = None
        self.state = GunState.IDLE
        self.faults |= Fault.POWER_LOST

    def jump_totalizer(self, by_e2: int) -> None:
        self.register_e2 = (self.register_e2 + by_e2) % self.register_modulus_e2

    # Time.

    def advance(self, elapsed_us: int) -> None:
        """Let time pass: product flows while the gun is released, lifted and squeezed."""
        if self.meter is None or self.state not in (GunState.STARTED, GunState.FUELLING):
            return
        self.meter.duration_us += elapsed_us
        self.faults = self.faults | Fault.STUCK if self.stuck else self.faults & ~Fault.STUCK
        if self.stuck or not self.trigger:
            return
        if pulses := self.meter.flow(elapsed_us):
            self.register_e2 = (self.register_e2 + pulses) % self.register_modulus_e2
            self._go(Event.FLOW)

    @property
    def satisfied(self) -> bool:
        """The preset is reached or the vessel is full: nothing more will flow."""
        return self.meter is not None and (self.meter.at_preset or self.meter.full)

    # The line.

    def answer(self, request: Request) -> Answer | None:
        """What the gun says to a question; None when it stays silent."""
        match request:
            case Order(command):
                return self._answer_order(command)
            case QuerySale(page):
                return self._page(page)
            case SetPrice() if self.deaf_to_price:
                return None
            case PresetAmount(amount_fen=value):
                result = self._order_release(Preset(PresetKind.AMOUNT, value) if value else None)
            case PresetQuantity(quantity_e2=value):
                preset = Preset(PresetKind.QUANTITY, value * E2_TO_E4) if value else None
                result = self._order_release(preset)
            case SetPrice(unit_price_e2=price):
                result = self._set_price(price)
            case ClearSale(sequence):
                result = self._clear(sequence)
            case SetPreValve():
                result = Result.DONE
        return acknowledge(request, result)

    def _answer_order(self, command: Command) -> Answer:
        match command:
            case Command.QUERY_STATE:
                return self._state_answer()
            case Command.QUERY_SHIFT_SUM:
                return ShiftSum(self.shift_e2, self.shift_fen)
            case Command.QUERY_TOTAL_AMOUNT:
                return TotalAmount(self.register_fen)
            case Command.QUERY_TOTAL_QUANTITY:
                return TotalQuantity(self.register_e2)
            case Command.QUERY_SEQUENCE:
                return SequenceAnswer(self.last_sequence, len(self.waiting))
            case Command.QUERY_PRICE:
                return PriceAnswer(self.unit_price_e2)
        return self._acknowledged(command)

    def _acknowledged(self, command: Command) -> Acknowledgement:
        result = Result.DONE
        match command:
            case Command.RELEASE:
                result = self._order_release(None, limited=False)
            case Command.STOP:
                result = self._order_stop()
            case Command.CONTROL:
                self.controlled = True
            case Command.UNCONTROL:
                self.controlled = False
            case Command.CLEAR_SHIFT_SUM:
                self.shift_e2 = self.shift_fen = 0
        return acknowledge(Order(command), result)

    def _state_answer(self) -> StateAnswer:
        faults = self.faults
        if len(self.waiting) >= SALES_WAITING_MAX:
            faults |= Fault.MEMORY_FULL
        return StateAnswer(
            state=self.state,
            controlled=self.controlled,
            sale_waiting=bool(self.waiting),
            quantity_e2=self.meter.quantity_e2 if self.meter else 0,
            amount_fen=self.meter.amount_fen if self.meter else 0,
            faults=faults,
        )

    def _order_release(self, preset: Preset | None, *, limited: bool = True) -> Result:
        by_amount = preset is not None and preset.kind is PresetKind.AMOUNT
        if (limited and preset is None) or (by_amount and not self.unit_price_e2):
            return Result.OUT_OF_RANGE
        if len(self.waiting) >= SALES_WAITING_MAX:
            return Result.FAULTY
        if (self.state, Event.RELEASE) not in NEXT:
            return Result.WRONG_STATE
        self._release(preset)
        return Result.DONE

    def _order_stop(self) -> Result:
        if not self._go(Event.STOP):
            return Result.WRONG_STATE
        self.stopped = True
        return Result.DONE

    def _set_price(self, unit_price_e2: int) -> Result:
        if self.state not in (GunState.IDLE, GunState.CALLING, GunState.CLOSED):
            return Result.WRONG_STATE
        self.unit_price_e2 = unit_price_e2
        return Result.DONE

    def _clear(self, sequence: int) -> Result:
        if not self.waiting or self.waiting[0].sequence != sequence:
            return Result.NOT_THE_SALE
        del self.waiting[0]
        if not self.waiting:
            self.faults &= ~Fault.POWER_LOST
        return Result.DONE

    def _page(self, page: int) -> Answer | None:
        if not self.waiting:
            return NoSale()
        pages = split_sale(self.waiting[0])
        return pages[page - 1] if 1 <= page <= len(pages) else None

    # Inside.

    def _go(self, event: Event) -> bool:
        after = NEXT.get((self.state, event))
        if after is None:
            return False
        self.state = after
        return True

    def _release(self, preset: Preset | None) -> None:
        self.meter = Meter(
            setup=self.setup,
            unit_price_e4=self.unit_price_e2 * E2_TO_E4,
            preset=preset or self.keypad,
            room_e2=self.room_e2,
        )
        self.keypad, self.stopped = None, False
        self.before_e2 = self.register_e2
        self._go(Event.RELEASE)

    def _end_reason(self) -> EndReason:
        assert self.meter is not None
        if self.stuck:
            return EndReason.FAULT
        if self.meter.at_preset:
            return EndReason.PRESET_REACHED
        if self.stopped:
            return EndReason.STOPPED
        return EndReason.FULL if self.meter.full else EndReason.HUNG_UP

    def _end(self, reason: EndReason) -> None:
        assert self.meter is not None
        meter = self.meter
        self.last_sequence = self.last_sequence % SEQUENCE_MAX + 1
        self.register_fen = (self.register_fen + meter.amount_fen) % 10**AMOUNT_DIGITS
        self.shift_e2 += meter.quantity_e2
        self.shift_fen += meter.amount_fen
        kind, value = _preset_on_line(meter.preset)
        self.waiting.append(
            Sale(
                gun=self.setup.gun,
                sequence=self.last_sequence,
                quantity_e2=meter.quantity_e2,
                amount_fen=meter.amount_fen,
                unit_price_e2=meter.unit_price_e4 // E2_TO_E4,
                totalizer_before_e2=self.before_e2,
                totalizer_after_e2=self.register_e2,
                preset_kind=kind,
                preset_value=value,
                duration_s=meter.duration_us // US_PER_S,
                end_reason=reason,
                pressure_start_mpa_e2=self.setup.pressure_start_kpa // KPA_PER_MPA_E2,
                pressure_end_mpa_e2=self._pressure_end_kpa() // KPA_PER_MPA_E2,
                temperature_k_e1=self.setup.temperature_k_e1,
            )
        )
        self.faults &= ~Fault.STUCK

    def _pressure_end_kpa(self) -> int:
        """The vessel's pressure climbs with what it took, to the station's limit when it is full."""
        assert self.meter is not None
        span_kpa = self.setup.pressure_full_kpa - self.setup.pressure_start_kpa
        room_e2 = max(1, min(self.meter.room_e2, 5_000))
        return self.setup.pressure_start_kpa + span_kpa * min(self.meter.quantity_e2, room_e2) // room_e2

    # What outlives the process.

    def kept(self) -> dict[str, Any]:
        """What a dispenser keeps without power, as JSON."""
        return {
            "unit_price_e2": self.unit_price_e2,
            "register_e2": self.register_e2,
            "register_fen": self.register_fen,
            "last_sequence": self.last_sequence,
            "shift_e2": self.shift_e2,
            "shift_fen": self.shift_fen,
            "waiting": [asdict(sale) for sale in self.waiting],
        }

    def restore(self, kept: dict[str, Any]) -> None:
        for name in (
            "unit_price_e2",
            "register_e2",
            "register_fen",
            "last_sequence",
            "shift_e2",
            "shift_fen",
        ):
            setattr(self, name, int(kept[name]))
        self.waiting = [
            Sale(
                **{
                    **sale,
                    "preset_kind": commands.PresetKind(sale["preset_kind"]),
                    "end_reason": EndReason(sale["end_reason"]),
                }
            )
            for sale in kept["waiting"]
        ]


def _preset_on_line(preset: Preset | None) -> tuple[commands.PresetKind, int]:
    if preset is None or preset.kind is PresetKind.FULL:
        return commands.PresetKind.NONE, 0
    if preset.kind is PresetKind.AMOUNT:
        return commands.PresetKind.AMOUNT, preset.value
    return commands.PresetKind.QUANTITY, preset.value // E2_TO_E4
