"""Money: whole fen, `amount_fen`. Text is for people and channels; nothing here is ever a float."""

import re
from collections.abc import Sequence

from forecourt_kit.limits import (
    AMOUNT_FEN_MAX,
    QUANTITY_E4_MAX,
    SPLIT_PARTS_MAX,
    TEXT_NUMBER_CHARS_MAX,
    whole,
)

YUAN = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,2}))?")


def yuan_text(amount_fen: int) -> str:
    """20000 -> "200.00"; a refund or a difference may be below zero: -5 -> "-0.05"."""
    yuan, fen = divmod(abs(whole("amount_fen", amount_fen, -AMOUNT_FEN_MAX, AMOUNT_FEN_MAX)), 100)
    return f"{'-' if amount_fen < 0 else ''}{yuan}.{fen:02d}"


def parse_yuan(text: str) -> int:
    """Fen of "200", "200.0" or "200.00": 20000.

    Raises:
        TypeError: it is not text; a JSON number has been a float on its way.
        ValueError: a sign, an exponent, a third decimal, a blank or anything else but plain digits.
    """
    if type(text) is not str:
        raise TypeError(f"an amount in yuan is read from text, not from {type(text).__name__}")
    match = YUAN.fullmatch(text) if len(text) <= TEXT_NUMBER_CHARS_MAX else None
    if match is None:
        raise ValueError(f"not an amount in yuan such as 200.00: {text!r:.40}")
    yuan, fen = match.groups()
    return whole("amount_fen", int(yuan) * 100 + int((fen or "").ljust(2, "0")), 0, AMOUNT_FEN_MAX)


def split_fen(total_fen: int, weights: Sequence[int]) -> list[int]:
    """Share a whole by weights: parts >= 0, their sum is the whole, each within a fen of its exact share.

    Largest remainder; among equals the earlier part gets the fen, so the same input gives the same parts.

    Raises:
        ValueError: no weights, a negative one, or only zeros for a total above zero.
    """
    whole("total_fen", total_fen, 0, AMOUNT_FEN_MAX)
    whole("number of parts", len(weights), 1, SPLIT_PARTS_MAX)
    for weight in weights:
        whole("weight", weight, 0, AMOUNT_FEN_MAX * QUANTITY_E4_MAX)
    sum_of_weights = sum(weights)
    if sum_of_weights == 0:
        if total_fen:
            raise ValueError("weights that are all zero cannot share an amount above zero")
        return [0] * len(weights)
    shares = [divmod(total_fen * weight, sum_of_weights) for weight in weights]
    parts = [share for share, _ in shares]
    by_remainder = sorted(range(len(shares)), key=lambda at: (-shares[at][1], at))
    for at in by_remainder[: total_fen - sum(parts)]:
        parts[at] += 1
    return parts
