"""Tables of customers."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Bytes, Key, Model, Text, UtcTime


class MemberRow(Model):
    """The telephone number is sealed for `member:<id>:phone`; `phone_index` finds it, within one operator."""

    __tablename__ = "member"
    __table_args__ = (
        UniqueConstraint("operator_id", "phone_index"),
        Index("ix_member_operator", "operator_id", "id"),
        Index("ix_member_plate", "operator_id", "plate"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    name: Mapped[str] = mapped_column(Text(80))
    phone_sealed: Mapped[bytes] = mapped_column(Bytes(96))
    phone_index: Mapped[str] = mapped_column(Key(64))
    phone_masked: Mapped[str] = mapped_column(Key(16))
    plate: Mapped[str | None] = mapped_column(Key(16))
    claim: Mapped[int] = mapped_column(Big(), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime())
