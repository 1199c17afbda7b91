"""Tables of these tests alone, apart from the product's metadata."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import MetaData, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Code, Database, Json, Key, Model, Text, UtcTime
from forecourt.core.db.model import NAMES


class Toy(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=NAMES)


class Colour(StrEnum):
    RED = "red"
    DEEP_BLUE = "deep-blue"


class ToyValue(Toy):
    __tablename__ = "toy_value"

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    words: Mapped[str | None] = mapped_column(Text(40))
    number: Mapped[str | None] = mapped_column(Key(40), unique=True)
    colour: Mapped[Colour | None] = mapped_column(Code(Colour))
    at: Mapped[datetime | None] = mapped_column(UtcTime())
    document: Mapped[Any | None] = mapped_column(Json())


class ToyWallet(Toy):
    __tablename__ = "toy_wallet"

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    balance_fen: Mapped[int] = mapped_column(Big())


class ToyEntry(Toy):
    __tablename__ = "toy_entry"
    __table_args__ = (UniqueConstraint("wallet_id", "reference"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    wallet_id: Mapped[int] = mapped_column(Big())
    reference: Mapped[str] = mapped_column(Key(40))
    amount_fen: Mapped[int] = mapped_column(Big())
    claim: Mapped[int | None] = mapped_column(Big(), index=True)


class ToyTask(Toy):
    __tablename__ = "toy_task"

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    done: Mapped[int] = mapped_column(Big())
    lease_owner: Mapped[str | None] = mapped_column(Key(40))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime())
    tries: Mapped[int] = mapped_column(Big())


TOYS = (ToyValue, ToyWallet, ToyEntry, ToyTask)


async def balance_of(database: Database, wallet_id: int) -> int:
    async with database.read() as session:
        return int(await session.scalar(select(ToyWallet.balance_fen).where(ToyWallet.id == wallet_id)))


async def open_wallet(database: Database, wallet_id: int, balance_fen: int) -> None:
    async with database.write() as session:
        await session.insert_many(ToyWallet, [{"id": wallet_id, "balance_fen": balance_fen}])
