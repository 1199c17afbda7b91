"""Messages are kept raw, each once; what nobody understands is parked and holds up nobody."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.devices.conftest import OURS, THEIRS, message

from forecourt.core.actor import System
from forecourt.core.db import Database, WriteSession
from forecourt.core.errors import Unavailable
from forecourt.devices import jobs, queries, rules, service
from forecourt.devices.errors import DeviceNotFound
from forecourt.devices.types import TAKEN, DoorOutcome, InboxMessage
from forecourt_kit.clock import ManualClock


class Recorder:
    """A door that remembers, and trips over the bodies it is told to."""

    def __init__(self, *, trips: bytes = b"", parks: bytes = b"") -> None:
        self.trips = trips
        self.parks = parks
        self.taken: list[InboxMessage] = []
        self.calls = 0

    async def deliver_many(
        self, session: WriteSession, messages: Sequence[InboxMessage]
    ) -> Sequence[DoorOutcome]:
        del session
        self.calls += 1
        for each in messages:
            if self.trips and each.body == self.trips:
                raise RuntimeError("cannot read this")
        self.taken += [each for each in messages if not self.parks or each.body != self.parks]
        return [
            DoorOutcome("what is this") if self.parks and each.body == self.parks else TAKEN
            for each in messages
        ]


async def drain(db: Database, door: Recorder, limit: int = 500) -> int:
    total = 0
    while step := await jobs.drain_inbox(db, door, owner="worker-1", limit=limit):
        total += step
    return total


async def counts(db: Database) -> tuple[int, int]:
    async with db.read() as session:
        found = await queries.count_inbox(session, System())
    return found.new, found.parked


class TestStore:
    async def test_every_byte_and_microsecond_comes_back(
        self, database: Database, clock: ManualClock
    ) -> None:
        clock.advance(0.000001)
        sent = [
            message(database, 1, body=bytes(range(256))),
            message(database, 2**62, body=b""),
            message(database, 3, epoch=b"\x00\x00\x00\x01", body=b"%s ? :x $1 \x00'\""),
        ]
        await database.transact(service.store_messages, sent)
        door = Recorder()
        assert await drain(database, door) == 3
        assert sorted(door.taken, key=lambda each: each.mid) == sorted(sent, key=lambda each: each.mid)

    async def test_a_duplicate_is_free_and_changes_nothing(self, database: Database) -> None:
        await database.transact(service.store_messages, [message(database, 1, body=b"first")])
        again = [message(database, 1, body=b"second"), message(database, 2), message(database, 2)]
        await database.transact(service.store_messages, again)
        await database.transact(service.store_messages, again)
        door = Recorder()
        await drain(database, door)
        assert [(each.mid, each.body) for each in door.taken] == [(1, b"first"), (2, b"\x00\xff' \\")]
        await database.transact(service.store_messages, again)
        assert await counts(database) == (0, 0)

    async def test_identity_is_device_incarnation_and_number(self, database: Database) -> None:
        sent = [
            message(database, 1),
            message(database, 1, device_id=8),
            message(database, 1, epoch=b"abce"),
            message(database, 1, epoch=b"ABCD"),
            message(database, 1, epoch=b"abcd "),
            message(database, 1, epoch=b""),
        ]
        await database.transact(service.store_messages, sent)
        assert await counts(database) == (6, 0)

    async def test_two_gateways_at_once_store_each_message_once(self, database: Database) -> None:
        sets = [[message(database, mid) for mid in range(start, start + 60)] for start in (0, 30, 15, 45)]
        sets[1].reverse()
        await asyncio.gather(*(database.transact(service.store_messages, each) for each in sets))
        assert await counts(database) == (105, 0)

    async def test_nothing_is_stored_when_the_transaction_fails(self, database: Database) -> None:
        async def store_and_fail(session: WriteSession) -> None:
            await service.store_messages(session, [message(database, 1)])
            raise LookupError

        with pytest.raises(LookupError):
            await database.transact(store_and_fail)
        assert await counts(database) == (0, 0)

    async def test_no_messages_are_no_statement(self, sqlite_database: Database) -> None:
        await sqlite_database.transact(service.store_messages, [])


class TestDrain:
    async def test_each_device_is_read_in_its_own_order(self, database: Database) -> None:
        sent = [message(database, mid, device_id=device) for mid in (3, 1, 2) for device in (8, 7)]
        await database.transact(service.store_messages, sent)
        door = Recorder()
        await drain(database, door)
        assert [(each.device_id, each.mid) for each in door.taken] == [
            (7, 1), (7, 2), (7, 3), (8, 1), (8, 2), (8, 3)
        ]  # fmt: skip
        assert door.calls == 1

    async def test_two_workers_share_the_work_and_take_nothing_twice(self, database: Database) -> None:
        sent = [message(database, mid, device_id=mid // 40 + 1) for mid in range(200)]
        await database.transact(service.store_messages, sent)
        door = Recorder()
        steps = await asyncio.gather(
            *(jobs.drain_inbox(database, door, owner=f"worker-{number}", limit=40) for number in range(5))
        )
        assert sum(steps) + await drain(database, door) == 200
        assert sorted(each.mid for each in door.taken) == list(range(200))

    async def test_what_the_door_parks_is_kept_with_its_reason(self, database: Database) -> None:
        await database.transact(
            service.store_messages, [message(database, 1), message(database, 2, body=b"odd")]
        )
        door = Recorder(parks=b"odd")
        await drain(database, door)
        assert [each.mid for each in door.taken] == [1]
        async with database.read() as session:
            parked = await queries.list_parked(session, OURS.scope, limit=5)
            assert await queries.list_parked(session, THEIRS.scope, limit=5) == []
        assert [(each.message.mid, each.reason) for each in parked] == [(2, "what is this")]

    async def test_a_poison_message_is_parked_after_five_tries_and_blocks_nobody(
        self, database: Database, clock: ManualClock
    ) -> None:
        bad = message(database, 2, body=b"poison")
        await database.transact(service.store_messages, [message(database, 1), bad, message(database, 3)])
        door = Recorder(trips=b"poison")
        await drain(database, door)
        assert [each.mid for each in door.taken] == [1, 3]
        for _ in range(rules.INBOX_TRIES_MAX):
            assert (await counts(database))[1] == 0 or (await counts(database)) == (0, 1)
            clock.advance(120)
            await drain(database, door)
        async with database.read() as session:
            parked = await queries.list_parked(session, OURS.scope, limit=5)
        assert [(each.message.mid, each.reason, each.tries) for each in parked] == [
            (2, "RuntimeError: cannot read this", rules.INBOX_TRIES_MAX)
        ]
        assert [each.mid for each in door.taken] == [1, 3]

    async def test_a_parked_message_gets_another_try_from_its_own_operator_only(
        self, database: Database
    ) -> None:
        await database.transact(service.store_messages, [message(database, 2, body=b"odd")])
        await drain(database, Recorder(parks=b"odd"))
        async with database.read() as session:
            parked = (await queries.list_parked(session, OURS.scope, limit=5))[0]
        with pytest.raises(DeviceNotFound):
            await database.transact(service.replay, THEIRS, parked.id)
        await database.transact(service.replay, OURS, parked.id)
        with pytest.raises(DeviceNotFound):
            await database.transact(service.replay, OURS, parked.id)
        door = Recorder()
        await drain(database, door)
        assert [each.mid for each in door.taken] == [2]

    async def test_a_worker_that_dies_leaves_its_messages_to_the_next(
        self, database: Database, clock: ManualClock
    ) -> None:
        await database.transact(service.store_messages, [message(database, 1)])
        held = await database.transact(queries.lease_messages_many, "dead", 10)
        assert len(held) == 1
        door = Recorder()
        assert await drain(database, door) == 0
        clock.advance(61)
        assert await drain(database, door) == 1

    async def test_two_workers_keep_the_order_of_a_device(self, database: Database) -> None:
        """While one holds messages of a device, the other takes no later ones of it."""
        await database.transact(service.store_messages, [message(database, mid) for mid in (1, 2, 3, 4)])
        first = await database.transact(queries.lease_messages_many, "first", 2)
        assert len(first) == 2
        assert await database.transact(queries.lease_messages_many, "second", 10) == []
        door = Recorder()
        await database.transact(jobs._deliver, door, "first", first)
        second = await database.transact(queries.lease_messages_many, "second", 10)
        await database.transact(jobs._deliver, door, "second", second)
        assert [each.mid for each in door.taken] == [1, 2, 3, 4]

    async def test_a_worker_that_was_late_has_no_effect(self, database: Database, clock: ManualClock) -> None:
        await database.transact(service.store_messages, [message(database, 1)])
        held = await database.transact(queries.lease_messages_many, "late", 10)
        clock.advance(61)
        await drain(database, Recorder())
        late = Recorder()
        await database.transact(jobs._deliver, late, "late", held)
        assert late.calls == 0

    async def test_a_store_that_is_away_is_not_the_messages_fault(self, sqlite_database: Database) -> None:
        class Away(Recorder):
            async def deliver_many(
                self, session: WriteSession, messages: Sequence[InboxMessage]
            ) -> Sequence[DoorOutcome]:
                raise Unavailable

        await sqlite_database.transact(service.store_messages, [message(sqlite_database, 1)])
        with pytest.raises(Unavailable):
            await jobs.drain_inbox(sqlite_database, Away(), owner="w")
        assert await counts(sqlite_database) == (1, 0)

    async def test_frames_of_synchronous_doors_are_kept_as_done_or_parked(self, database: Database) -> None:
        await database.transact(service.keep_many, [message(database, 1)])
        await database.transact(service.park_many, [(message(database, 2), "no such connector")])
        await database.transact(service.store_messages, [message(database, 1), message(database, 2)])
        assert await counts(database) == (0, 1)
        async with database.read() as session:
            parked = await queries.list_parked(session, OURS.scope, limit=5)
        assert parked[0].reason == "no such connector"

    async def test_what_was_taken_is_forgotten_after_a_week(
        self, database: Database, clock: ManualClock
    ) -> None:
        await database.transact(service.store_messages, [message(database, mid) for mid in range(3)])
        await drain(database, Recorder(parks=b""))
        assert await jobs.forget_done(database) == 0
        clock.advance(8 * 24 * 3600)
        assert await jobs.forget_done(database) == 3
