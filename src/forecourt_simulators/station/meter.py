"""The meter of one fill: flow with a ramp, counted in pulses of 0.01, stopped at preset or full vessel."""

from dataclasses import dataclass

from forecourt_kit.price import Preset, PresetKind, amount_fen, preset_quantity_e4
from forecourt_simulators.station.setup import E2_TO_E4, GunSetup

US_PER_S = 1_000_000
US_PER_MS = 1_000
SLOW_SHARE = 8  # The small valve passes an eighth of the full flow.


@dataclass(slots=True)
class Meter:
    """Integer pulses; what flowed between two pulses is carried over, so nothing is lost to rounding."""

    setup: GunSetup
    unit_price_e4: int
    preset: Preset | None = None
    room_e2: int = 999_999  # What the vessel still takes, in pulses.
    quantity_e2: int = 0
    flowing_us: int = 0
    duration_us: int = 0
    carry: int = 0  # In 1e-4 of the unit times microseconds.

    @property
    def amount_fen(self) -> int:
        """What the display shows. At an amount preset it shows that amount, not the pulses' product."""
        if self.preset is not None and self.preset.kind is PresetKind.AMOUNT and self.at_preset:
            return self.preset.value
        return amount_fen(self.quantity_e2 * E2_TO_E4, self.unit_price_e4)

    @property
    def preset_e2(self) -> int | None:
        if self.preset is None or self.preset.kind is PresetKind.FULL:
            return None
        stop_e4 = preset_quantity_e4(self.preset, self.unit_price_e4, E2_TO_E4)
        return None if stop_e4 is None else max(1, stop_e4 // E2_TO_E4)

    @property
    def at_preset(self) -> bool:
        return self.preset_e2 is not None and self.quantity_e2 >= self.preset_e2

    @property
    def full(self) -> bool:
        return self.quantity_e2 >= self.room_e2

    def flow(self, elapsed_us: int) -> int:
        """Let it flow; how many pulses were counted."""
        stop_e2 = min(self.room_e2, self.preset_e2 if self.preset_e2 is not None else self.room_e2)
        self.flowing_us += elapsed_us
        left_e4 = (stop_e2 - self.quantity_e2) * E2_TO_E4
        ramp_us = self.setup.ramp_ms * US_PER_MS
        rate = self.setup.flow_e4_per_s * min(self.flowing_us, ramp_us) // ramp_us
        if self.preset_e2 is not None and left_e4 <= self.setup.slow_e4:
            rate = max(1, rate // SLOW_SHARE)
        self.carry += rate * elapsed_us
        pulses, self.carry = divmod(self.carry, E2_TO_E4 * US_PER_S)
        counted = min(pulses, stop_e2 - self.quantity_e2)
        self.quantity_e2 += counted
        return counted
