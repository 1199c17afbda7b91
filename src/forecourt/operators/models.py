"""Tables of operators."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Key, Model, Text, UtcTime


class OperatorRow(Model):
    __tablename__ = "operator"
    __table_args__ = (UniqueConstraint("code"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(Key(16))
    name: Mapped[str] = mapped_column(Text(80))
    claim: Mapped[int] = mapped_column(Big(), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime())
