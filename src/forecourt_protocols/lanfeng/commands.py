"""The command codes and small vocabularies of the protocol."""

from enum import IntEnum, IntFlag


class Command(IntEnum):
    """Codes up to 0xB8 are published; 0xC1 … 0xC4 are this project's own, for what twelve bytes lack."""

    CONTROL = 0xA0
    RELEASE = 0xA1
    PRESET_AMOUNT = 0xA2
    PRESET_QUANTITY = 0xA3
    SET_PRICE = 0xA4
    SET_PRE_VALVE = 0xA6
    CLEAR_SHIFT_SUM = 0xA8
    QUERY_SHIFT_SUM = 0xA9
    QUERY_TOTAL_AMOUNT = 0xAC
    QUERY_TOTAL_QUANTITY = 0xAD
    UNCONTROL = 0xB0
    STOP = 0xB1
    QUERY_STATE = 0xB8
    QUERY_SALE = 0xC1
    CLEAR_SALE = 0xC2
    QUERY_SEQUENCE = 0xC3
    QUERY_PRICE = 0xC4


COMMAND_CODES = frozenset(int(command) for command in Command)


class GunState(IntEnum):
    """What a gun says it does, by the field's (IFSF) names. Codes assumed; 0 would look like our own echo."""

    IDLE = 1
    CALLING = 2  # Lifted, asks to be released.
    AUTHORISED = 3  # Released, still hung up.
    STARTED = 4  # Released and lifted, nothing has flowed.
    FUELLING = 5
    SUSPENDED = 6  # Stopped by command or fault, still lifted.
    ERROR = 7
    CLOSED = 8


class Fault(IntFlag):
    """Fault bits of the state answer. Assumed."""

    NONE = 0
    STUCK = 1  # The valve is open and nothing flows.
    LEAK = 2
    METER = 4
    POWER_LOST = 8  # The power failed since the last sale was cleared.
    MEMORY_FULL = 16  # No room for another unsent sale: no release under control.


class Result(IntEnum):
    """How a command went, in Data9 of its answer. Assumed; 0 would look like our own echo."""

    DONE = 1
    WRONG_STATE = 2
    OUT_OF_RANGE = 3
    FAULTY = 4
    NOT_THE_SALE = 5


class PresetKind(IntEnum):
    NONE = 0
    AMOUNT = 1
    QUANTITY = 2


class EndReason(IntEnum):
    """Why a fill ended. Assumed."""

    HUNG_UP = 0
    PRESET_REACHED = 1
    STOPPED = 2
    FAULT = 3
    POWER_LOST = 4
    FULL = 5
