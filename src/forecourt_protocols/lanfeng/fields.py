"""How a value lies in the eight data bytes: packed decimal, a byte, some bits of a byte."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from forecourt_protocols.lanfeng.framing import DATA_SIZE_BYTES


class Field(Protocol):
    """A named value at a place among Data2 … Data9 (place 0 … 7)."""

    @property
    def name(self) -> str: ...
    def read(self, data: bytes) -> Any: ...  # ValueError when the bytes are no such value.
    def write(self, data: bytearray, value: Any) -> None: ...  # ValueError when the value does not fit.


@dataclass(frozen=True, slots=True)
class Bcd:
    """Packed decimal, highest digits first (the published table: 2356.47 is 23 56 47)."""

    name: str
    at: int
    size: int

    def read(self, data: bytes) -> int:
        digits = data[self.at : self.at + self.size].hex()
        if not digits.isdecimal():
            raise ValueError(f"{self.name}: {digits} is not decimal")
        return int(digits)

    def write(self, data: bytearray, value: int) -> None:
        digits = f"{value:0{2 * self.size}d}"
        if value < 0 or len(digits) > 2 * self.size:
            raise ValueError(f"{self.name}: {value} does not fit {2 * self.size} digits")
        data[self.at : self.at + self.size] = bytes.fromhex(digits)


@dataclass(frozen=True, slots=True)
class Byte:
    """One byte, read as `kind` (an int or an enum of ints)."""

    name: str
    at: int
    kind: Callable[[int], int]

    def read(self, data: bytes) -> int:
        return self.kind(data[self.at])

    def write(self, data: bytearray, value: int) -> None:
        data[self.at] = value


@dataclass(frozen=True, slots=True)
class LowBits:
    """The lowest `bits` of a byte, read as `kind`."""

    name: str
    at: int
    kind: Callable[[int], int]
    bits: int

    def read(self, data: bytes) -> int:
        return self.kind(data[self.at] & (1 << self.bits) - 1)

    def write(self, data: bytearray, value: int) -> None:
        data[self.at] |= value


@dataclass(frozen=True, slots=True)
class Bit:
    """One bit of a byte."""

    name: str
    at: int
    bit: int

    def read(self, data: bytes) -> bool:
        return bool(data[self.at] >> self.bit & 1)

    def write(self, data: bytearray, value: bool) -> None:  # noqa: FBT001 - the value of a field
        data[self.at] |= value << self.bit


def read_fields(fields: tuple[Field, ...], data: bytes) -> dict[str, Any]:
    """Every field's value; ValueError when one is malformed or a byte that no field names is not 00."""
    values = {each.name: each.read(data) for each in fields}
    again = bytearray(DATA_SIZE_BYTES)
    for each in fields:
        each.write(again, values[each.name])
    if bytes(again) != data:
        raise ValueError(f"unused bytes are not 00: {data.hex(' ')}")
    return values


def write_fields(fields: tuple[Field, ...], message: object) -> bytes:
    """The eight data bytes of a message."""
    data = bytearray(DATA_SIZE_BYTES)
    for each in fields:
        each.write(data, getattr(message, each.name))
    return bytes(data)
