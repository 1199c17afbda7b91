"""What a vehicle wants, and how its driver pays; drawn from a seed."""

from dataclasses import dataclass
from enum import StrEnum

from forecourt_kit.quantity import E4
from forecourt_kit.random import Random, pick

PERCENT = 100
AMOUNTS_YUAN = (50, 100, 100, 200, 200, 200, 300)
ENERGY_WH = (3_000, 8_000, 15_000, 30_000)

ROOM = {  # What a vehicle's vessel takes, in whole units: from, to.
    "diesel-0": (60, 400),
    "lng": (80, 350),
    "cng": (8, 120),
    "hydrogen-35": (2, 25),
}
ROOM_OTHER = (15, 60)


class Tender(StrEnum):
    CASH = "cash"
    WALLET = "wallet"
    WECHAT = "wechat"


@dataclass(frozen=True, slots=True)
class Wish:
    """`amount_fen` None: a full vessel. With `keypad` the wish is keyed in, so that the meter stops there."""

    room_e4: int
    amount_fen: int | None = None
    keypad: bool = False


def draw_wish(random: Random, product: str) -> Wish:
    low, high = ROOM.get(product, ROOM_OTHER)
    room_e4 = (low + random.below(high - low)) * E4
    if random.below(PERCENT) < 40:
        return Wish(room_e4)
    return Wish(room_e4, pick(random, AMOUNTS_YUAN) * 100, keypad=random.below(PERCENT) < 70)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenderMix:
    """Shares in per cent; what is left of a hundred leaves the sale to others (a person at the pillar)."""

    wechat_percent: int = 55
    wallet_percent: int = 20
    cash_percent: int = 25

    def __post_init__(self) -> None:
        shares = (self.wechat_percent, self.wallet_percent, self.cash_percent)
        if min(shares) < 0 or sum(shares) > PERCENT:
            raise ValueError("shares of tenders are 0 … 100 per cent together")


def draw_tender(random: Random, mix: TenderMix, *, members: bool) -> Tender | None:
    """None: nobody of ours pays this one. Without members the wallet's share goes to WeChat."""
    drawn = random.below(PERCENT)
    if drawn < mix.wechat_percent:
        return Tender.WECHAT
    if drawn < mix.wechat_percent + mix.wallet_percent:
        return Tender.WALLET if members else Tender.WECHAT
    if drawn < mix.wechat_percent + mix.wallet_percent + mix.cash_percent:
        return Tender.CASH
    return None
