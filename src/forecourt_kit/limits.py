"""Limits that every part shares, each with its unit in its name and the reason beside it."""

QUANTITY_E4_MAX = 10**11
"""Ten million L, kg, Nm3 or kWh in one delivery: far above a ship, far below a register that went mad."""

UNIT_PRICE_E4_MAX = 10**8
"""Ten thousand yuan a unit. With QUANTITY_E4_MAX it bounds every product to AMOUNT_FEN_MAX."""

AMOUNT_FEN_MAX = 10**13
"""A hundred thousand million yuan: below 2**53, so JSON and JavaScript carry it exactly."""

DISPLAY_STEP_E4_MAX = 10_000
"""The coarsest step a meter shows: whole units."""

TOTALIZER_MODULUS_E4_MAX = 10**18
"""Fits a signed 64-bit column."""

SPLIT_PARTS_MAX = 10_000
"""Parts one amount may be split into."""

ID_MAX = 2**63 - 1
"""Ids fit a signed 64-bit column and are positive."""

TEXT_NUMBER_CHARS_MAX = 24
"""Longest text read as a number; longer is refused before it is looked at."""

RANDOM_BYTES_MAX = 1024 * 1024
"""Most random bytes in one call."""

LOG_VALUE_CHARS_MAX = 4096
"""Longest text value in a log line; the rest is cut, and the cut is told."""

LOG_DEPTH_MAX = 6
"""Deepest nesting of a logged value."""

LOG_ITEMS_MAX = 100
"""Most items of one logged list or mapping."""

SETTINGS_FILE_BYTES_MAX = 256 * 1024
"""Largest settings or secret file."""


def whole(name: str, value: object, low: int, high: int) -> int:
    """Give `value` back when it is an int (never a bool or float) within low..high.

    Raises:
        TypeError: it is not an int. NaN and 1.0 are floats, "1" is text, True is a bool: all refused.
        ValueError: it is out of range.
    """
    if type(value) is not int:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}: {value!r:.80}")
    if not low <= value <= high:
        raise ValueError(
            f"{name} must be within {low}..{high}, not {value if abs(value) < 10**40 else 'huge'}"
        )
    return value
