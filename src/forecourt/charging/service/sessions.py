"""The course of one session: readings, its limit, and its end as one delivery."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from forecourt.charging import queries, rules
from forecourt.charging.service import showing
from forecourt.charging.service.showing import Live, Shown, nobody
from forecourt.charging.types import (
    E4_PER_WH,
    ChargePointRef,
    Sample,
    Stop,
    Transaction,
    TransactionState,
)
from forecourt.core.db import WriteSession
from forecourt.deliveries import service as deliveries
from forecourt.deliveries.types import DeliveryReport, NozzleState, Source
from forecourt.devices import service as devices
from forecourt.devices.types import CommandKind
from forecourt_kit.ids import to_public
from forecourt_kit.limits import QUANTITY_E4_MAX
from forecourt_kit.quantity import Unit

SAMPLES_MAX = 2_000  # Kept of one session; later ones still move the live figure.
UNKNOWN_NOZZLE = 0  # No nozzle of a station has this number: the delivery is held, not put to another.
STOP_COMMAND_LIFE = timedelta(minutes=10)


async def ask_stop(session: WriteSession, transaction: Transaction) -> None:
    """Have the charge point stop a session; its own StopTransaction ends it."""
    await devices.queue_command(
        session,
        device_id=transaction.device_id,
        kind=CommandKind.REMOTE_STOP,
        subject=f"transaction:{transaction.transaction_id}",
        body={"transaction_id": transaction.transaction_id},
        expires_at=session.now() + STOP_COMMAND_LIFE,
    )
    await queries.update_transaction(
        session, transaction.operator_id, transaction.id, transaction.state, {"stop_asked_at": session.now()}
    )


async def end(
    session: WriteSession, transaction: Transaction, told: Stop, *, ended_by: str | None, live: Live = nobody
) -> None:
    """The session becomes one delivery. `transaction` is locked."""
    await add_samples(session, transaction, told.samples)
    samples = await queries.samples_of(session, transaction.operator_id, transaction.id)
    recorded = await deliveries.record_many(session, [_report(transaction, told, samples)])
    after = rules.TRANSACTION_TRANSITIONS[transaction.state, rules.TransactionEvent.STOP]
    ended = await queries.update_transaction(
        session,
        transaction.operator_id,
        transaction.id,
        transaction.state,
        {
            "state": after,
            "stop_key": rules.stop_key(told),
            "meter_stop_wh": told.meter_stop_wh,
            "ended_at": told.ended_at,
            "stop_reason": told.reason,
            "delivery_id": recorded[0],
            "ended_by": ended_by,
        },
    )
    assert ended, "the session is locked"
    if transaction.nozzle_number is not None and transaction.state is TransactionState.OPEN:
        ref = ref_of(transaction)
        nozzle = await showing.nozzle_of(session, ref, transaction.connector_number)
        if nozzle is not None:
            quantity_e4 = rules.delivered_e4(transaction.meter_start_wh, told.meter_stop_wh)
            await showing.show(session, ref, [Shown(nozzle, NozzleState.ENDED, quantity_e4)], live)


async def add_samples(session: WriteSession, transaction: Transaction, samples: Sequence[Sample]) -> int:
    """Keep what there is room for; gives the register's latest good value."""
    readings = [each.energy_wh for each in samples if each.energy_wh is not None]
    plausible_wh = transaction.meter_start_wh + QUANTITY_E4_MAX // E4_PER_WH
    last_wh = max([transaction.meter_last_wh, *(each for each in readings if each <= plausible_wh)])
    room = SAMPLES_MAX - await queries.sample_count(session, transaction.operator_id, transaction.id)
    new = await queries.add_samples(session, transaction, samples[: max(0, room)])
    if new or last_wh != transaction.meter_last_wh:
        counted = SAMPLES_MAX - room + new
        values = {"meter_last_wh": last_wh, "samples": counted}
        await queries.update_transaction(
            session, transaction.operator_id, transaction.id, transaction.state, values
        )
    return last_wh


async def supersede(session: WriteSession, transaction: Transaction) -> None:
    after = rules.TRANSACTION_TRANSITIONS[transaction.state, rules.TransactionEvent.SUPERSEDE]
    await queries.update_transaction(
        session, transaction.operator_id, transaction.id, transaction.state, {"state": after}
    )


def _report(transaction: Transaction, told: Stop, samples: Sequence[Sample]) -> DeliveryReport:
    soc = [each.soc_percent for each in samples if each.soc_percent is not None]
    detail: dict[str, Any] = {
        "connector": transaction.connector_number,
        "transaction_id": transaction.transaction_id,
        "id_tag": transaction.id_tag,
        "verdict": transaction.verdict.value,
        **({"member": to_public(transaction.member_id)} if transaction.member_id is not None else {}),
        "stop_reason": told.reason,
        **({"soc_start_percent": soc[0], "soc_end_percent": soc[-1]} if soc else {}),
    }
    return DeliveryReport(
        operator_id=transaction.operator_id,
        station_id=transaction.station_id,
        source=Source(
            device_id=transaction.device_id,
            incarnation=transaction.start_key,
            message_id=transaction.transaction_id,
        ),
        nozzle_number=UNKNOWN_NOZZLE if transaction.nozzle_number is None else transaction.nozzle_number,
        quantity_e4=rules.delivered_e4(transaction.meter_start_wh, told.meter_stop_wh),
        unit=Unit.KWH,
        started_at=transaction.started_at,
        ended_at=told.ended_at,
        totalizer_before_e4=transaction.meter_start_wh * E4_PER_WH,
        totalizer_after_e4=told.meter_stop_wh * E4_PER_WH,
        device_sequence=transaction.transaction_id,
        authorisation_id=transaction.authorisation_id,
        detail=detail,
        segments=rules.segments(
            transaction.started_at, transaction.meter_start_wh, told.ended_at, told.meter_stop_wh, samples
        ),
    )


def ref_of(transaction: Transaction) -> ChargePointRef:
    return ChargePointRef(
        operator_id=transaction.operator_id,
        station_id=transaction.station_id,
        device_id=transaction.device_id,
    )
