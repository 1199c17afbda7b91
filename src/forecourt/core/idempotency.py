"""One effect per client-made key: key plus hash of the input, stored in the transaction of the effect.

Same key and same input replays the stored answer; same key, other input is refused (409).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Json, Key, Model, UtcTime, WriteSession, insert_new, update_many
from forecourt.core.db.types import dump_json
from forecourt.core.errors import IdempotencyKeyReused

KEPT_DAYS = 40  # At least 30 are promised.
KEY_CHARS_MIN, KEY_CHARS_MAX = 8, 64


class IdempotencyRow(Model):
    __tablename__ = "idempotency"
    __table_args__ = (UniqueConstraint("operator_id", "key"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    key: Mapped[str] = mapped_column(Key(96))
    input_hash: Mapped[str] = mapped_column(Key(64))
    answer: Mapped[Any] = mapped_column(Json(), nullable=True)
    claim: Mapped[int] = mapped_column(Big(), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime(), index=True)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that must have one effect. `what` names the verb, so that keys of two verbs never meet."""

    operator_id: int
    what: str
    key: str
    input_hash: str

    @property
    def stored_key(self) -> str:
        return f"{self.what}:{self.key}"

    @property
    def row_id(self) -> int:
        """The row's number follows from its key, so that a set of answers is stored by number."""
        name = f"{self.operator_id}/{self.stored_key}".encode()
        return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1


def hash_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a request's meaning (path ids and body), hexadecimal."""
    return hashlib.sha256(dump_json(value).encode()).hexdigest()


async def begin_many(
    session: WriteSession, asks: Sequence[Ask]
) -> dict[Ask, Any | IdempotencyKeyReused | None]:
    """Claim keys. For each ask: None, go on; `IdempotencyKeyReused`; or the stored answer to give again.

    Concurrent transactions that hold the same key wait here for each other: the second sees the answer of the
    first, or, when that rolled back, goes on itself. The caller keeps equal keys of one call apart.
    """
    rows = [
        {
            "id": ask.row_id,
            "operator_id": ask.operator_id,
            "key": ask.stored_key,
            "input_hash": ask.input_hash,
            "answer": None,
            "created_at": session.now(),
        }
        for ask in asks
    ]
    new = await insert_new(session, IdempotencyRow, rows, key=("operator_id", "key"))
    old = [ask for ask in asks if (ask.operator_id, ask.stored_key) not in new]
    found: dict[tuple[int, str], tuple[str, Any]] = {}
    if old:
        columns = IdempotencyRow.__table__.c
        wanted = (
            select(columns["operator_id"], columns["key"], columns["input_hash"], IdempotencyRow.answer)
            .where(columns["key"].in_({ask.stored_key for ask in old}))
            .where(columns["operator_id"].in_({ask.operator_id for ask in old}))
        )
        found = {(row[0], row[1]): (row[2], row[3]) for row in await session.all(wanted)}
    answers: dict[Ask, Any | IdempotencyKeyReused | None] = {}
    for ask in asks:
        stored = found.get((ask.operator_id, ask.stored_key))
        if stored is None:
            answers[ask] = None
        elif stored[0] != ask.input_hash or stored[1] is None:
            answers[ask] = IdempotencyKeyReused(key=ask.key)
        else:
            answers[ask] = stored[1]
    return answers


async def finish_many(session: WriteSession, answers: Mapping[Ask, Any]) -> None:
    """Store the answers that later callers of the same keys get."""
    rows = [{"id": ask.row_id, "answer": answer} for ask, answer in answers.items()]
    await update_many(session, IdempotencyRow, rows, key="id")


async def begin(session: WriteSession, ask: Ask) -> Any | None:
    """`begin_many` for one: the stored answer, or None to go on. Raises `IdempotencyKeyReused`."""
    answer = (await begin_many(session, [ask]))[ask]
    if isinstance(answer, IdempotencyKeyReused):
        raise answer
    return answer


async def finish(session: WriteSession, ask: Ask, answer: Any) -> None:
    await finish_many(session, {ask: answer})


async def forget_old(session: WriteSession) -> int:
    """Delete keys past their time; a clock job. Gives how many went."""
    limit = session.now() - timedelta(days=KEPT_DAYS)
    return await session.run(delete(IdempotencyRow).where(IdempotencyRow.created_at < limit))


async def forget_many(session: WriteSession, asks: Sequence[Ask]) -> None:
    """Free the keys of refused requests: a refusal is no effect, and the same may succeed later."""
    if asks:
        await session.run(
            delete(IdempotencyRow).where(
                IdempotencyRow.key.in_([ask.stored_key for ask in asks]),
                IdempotencyRow.operator_id.in_({ask.operator_id for ask in asks}),
                IdempotencyRow.answer.is_(None),
            )
        )
