import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from forecourt_edge.journal.sqlite import JournalLimits, SqliteJournal, open_journal
from forecourt_edge.journal.types import FORMAT_JSON, JournalFull, Pressure, RecordClass
from forecourt_kit.clock import ManualClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import SeededRandom

Opener = Callable[..., SqliteJournal]
MONEY, RELIABLE, TELEMETRY = RecordClass.MONEY, RecordClass.RELIABLE, RecordClass.TELEMETRY


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opener]:
    made: list[SqliteJournal] = []

    def open_(path: Path = tmp_path / "journal.db", seed: int = 1, **limits: int) -> SqliteJournal:
        made.append(
            open_journal(
                path,
                random=SeededRandom(seed),
                clock=ManualClock(),
                disk=OsDisk(),
                limits=JournalLimits(**{"gather_ms": 0, **limits}),
                commit_inline=True,
            )
        )
        return made[-1]

    yield open_
    for journal in made:
        await journal.close()


async def add(
    journal: SqliteJournal, body: bytes, class_: int = MONEY, unique: str | None = None
) -> int | None:
    return await journal.append(class_, 1, FORMAT_JSON, body, unique=unique)


def bodies(journal: SqliteJournal) -> list[bytes]:
    return [each.body for each in journal.unsent(0, 1_000)]


class TestAppend:
    async def test_what_was_appended_is_there_after_opening_again(self, opened: Opener) -> None:
        journal = opened()
        assert [await add(journal, b"a"), await add(journal, b"b")] == [1, 2]
        again = opened()
        assert bodies(again) == [b"a", b"b"]
        assert again.incarnation == journal.incarnation

    async def test_a_unique_name_is_taken_once_even_after_discard(self, opened: Opener) -> None:
        journal = opened()
        first = await add(journal, b"a", unique="3:100:7")
        assert first == 1
        assert await add(journal, b"a", unique="3:100:7") is None
        await journal.discard(first)
        assert await add(opened(), b"a", unique="3:100:7") is None

    async def test_two_of_one_name_in_one_commit_give_one_record(self, opened: Opener) -> None:
        journal = opened()
        mids = await asyncio.gather(*(add(journal, b"a", unique="x") for _ in range(5)))
        assert sorted(mid for mid in mids if mid is not None) == [1]
        assert bodies(journal) == [b"a"]

    async def test_many_at_once_keep_their_order(self, opened: Opener) -> None:
        journal = opened()
        mids = await asyncio.gather(*(add(journal, b"%d" % n) for n in range(200)))
        assert mids == list(range(1, 201))
        assert bodies(journal) == [b"%d" % n for n in range(200)]

    async def test_commits_on_a_thread_give_the_same(self, tmp_path: Path) -> None:
        journal = open_journal(tmp_path / "j.db", random=SeededRandom(1), clock=ManualClock(), disk=OsDisk())
        mids = await asyncio.gather(*(add(journal, b"%d" % n) for n in range(50)))
        assert mids == list(range(1, 51))
        await journal.close()

    async def test_notes_and_record_are_one_fact(self, opened: Opener) -> None:
        journal = opened()
        await journal.remember({"authorisation:3": b"A", "authorisation:4": b"B", "price:3": b"P"})
        await journal.append(MONEY, 3, FORMAT_JSON, b"sale", unique="s", notes={"authorisation:3": None})
        assert opened().recall("authorisation:") == {"authorisation:4": b"B"}

    async def test_a_caller_that_goes_away_does_not_stop_the_others(self, opened: Opener) -> None:
        journal = opened()
        gone = asyncio.create_task(add(journal, b"gone"))
        stays = asyncio.create_task(add(journal, b"stays"))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == 2
        assert bodies(journal) == [b"gone", b"stays"]


class TestMid:
    async def test_a_mid_is_never_given_again(self, opened: Opener) -> None:
        journal = opened()
        for _ in range(3):
            await add(journal, b"a")
        await journal.discard(3)
        assert (journal.oldest_mid(), journal.next_mid()) == (4, 4)
        again = opened()
        assert again.next_mid() == 4
        assert await add(again, b"b") == 4
        assert again.oldest_mid() == 4

    async def test_discard_leaves_what_is_above(self, opened: Opener) -> None:
        journal = opened()
        for n in range(5):
            await add(journal, b"%d" % n)
        await journal.discard(2)
        assert [each.mid for each in journal.unsent(0, 10)] == [3, 4, 5]
        assert [each.mid for each in journal.unsent(3, 1)] == [4]

    async def test_an_epoch_is_never_given_again(self, opened: Opener) -> None:
        epochs = [opened().next_epoch() for _ in range(4)]
        assert epochs == [1, 2, 3, 4]

    async def test_an_epoch_can_be_taken_while_others_append(self, opened: Opener) -> None:
        journal = opened()
        adding = asyncio.gather(*(add(journal, b"a") for _ in range(20)))
        await asyncio.sleep(0)
        assert journal.next_epoch() == 1
        assert len(await adding) == 20

    async def test_an_epoch_can_be_told_to_jump(self, opened: Opener) -> None:
        journal = opened()
        assert [journal.next_epoch(), journal.next_epoch(70), journal.next_epoch(5)] == [1, 70, 71]
        assert opened().next_epoch() == 72

    async def test_a_reader_is_woken_when_its_record_is_on_disk(self, opened: Opener) -> None:
        journal = opened()
        await add(journal, b"a")
        await journal.grown(0)
        second = asyncio.create_task(journal.grown(1))
        await journal.remember({"x": b"y"})
        await asyncio.sleep(0)
        assert not second.done()
        await add(journal, b"b")
        await second


class TestHold:
    async def test_a_held_journal_takes_money_and_begins_nothing(self, opened: Opener) -> None:
        journal = opened()
        journal.hold()
        assert journal.pressure is Pressure.HELD
        assert await add(journal, b"sale") == 1


class TestLimits:
    async def test_telemetry_goes_first_then_news_and_money_stays(self, opened: Opener) -> None:
        journal = opened(bytes_max=10 * (100 + 64))
        for n in range(4):
            await add(journal, b"t%d" % n + bytes(98), TELEMETRY)
            await add(journal, b"r%d" % n + bytes(98), RELIABLE)
        for n in range(8):
            await add(journal, b"m%d" % n + bytes(98), MONEY)
        kept = [body[:2] for body in bodies(journal)]
        assert kept == [b"r2", b"r3", *(b"m%d" % n for n in range(8))]
        assert journal.dropped == 6

    async def test_news_is_refused_when_only_money_is_left_and_money_is_still_taken(
        self, opened: Opener
    ) -> None:
        journal = opened(bytes_max=500)
        for _ in range(4):
            await add(journal, bytes(100), MONEY)
        with pytest.raises(JournalFull):
            await add(journal, bytes(100), RELIABLE)
        assert await add(journal, bytes(100), MONEY) == 5

    async def test_pressure_is_told_before_the_end_and_falls_again(self, opened: Opener) -> None:
        journal = opened(bytes_max=1_000)
        seen = []
        for _ in range(8):
            await add(journal, bytes(64), MONEY)
            seen.append(journal.pressure)
        assert seen == [Pressure.LOW] * 6 + [Pressure.HIGH, Pressure.FULL]
        assert opened(bytes_max=1_000).pressure is Pressure.FULL
        await journal.discard(8)
        assert journal.pressure is Pressure.LOW

    async def test_a_full_disk_fails_the_append_and_not_the_journal(self, opened: Opener) -> None:
        journal = opened()
        await add(journal, b"before")
        pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]
        journal._writer.execute(f"PRAGMA max_page_count = {pages}")
        outcomes = await asyncio.gather(
            *(add(journal, bytes(9_000), unique="big") for _ in range(3)), return_exceptions=True
        )
        assert {type(each) for each in outcomes} == {JournalFull}
        journal._writer.execute("PRAGMA max_page_count = 1000000")
        assert await add(journal, b"after", unique="big") is not None
        assert bodies(journal)[0] == b"before"
        assert bodies(journal)[-1] == b"after"


class TestDamage:
    async def test_a_flipped_byte_anywhere_is_found_or_harmless(self, opened: Opener, tmp_path: Path) -> None:
        """The file is either refused and kept aside, or every record in it is what was written."""
        journal = opened()
        for n in range(20):
            await add(journal, b"record %03d" % n + bytes(200))
        await journal.close()
        sound = (tmp_path / "journal.db").read_bytes()
        expected = [b"record %03d" % n + bytes(200) for n in range(20)]
        outcomes = set()
        for at in range(0, len(sound), 1_499):
            copy = tmp_path / f"copy{at}" / "journal.db"
            copy.parent.mkdir()
            copy.write_bytes(sound[:at] + bytes((sound[at] ^ 0x41,)) + sound[at + 1 :])
            again = opened(copy, seed=2)
            if again.quarantined is None:
                assert bodies(again) == expected
            else:
                assert again.quarantined.exists()
                assert bodies(again) == []
                assert again.incarnation != journal.incarnation
            outcomes.add(again.quarantined is None)
        assert outcomes == {True, False}

    async def test_a_record_that_does_not_fit_its_checksum_is_damage(
        self, opened: Opener, tmp_path: Path
    ) -> None:
        await add(opened(), b"amount 20000")
        raw = sqlite3.connect(tmp_path / "journal.db")
        raw.execute("UPDATE record SET body = ?", (b"amount 90000",))
        raw.commit()
        raw.close()
        assert opened(seed=2).quarantined is not None

    async def test_a_file_that_is_no_database_is_kept_aside_whole(
        self, opened: Opener, tmp_path: Path
    ) -> None:
        path = tmp_path / "journal.db"
        path.write_bytes(b"not a database, but somebody's only copy" * 100)
        journal = opened()
        assert await add(journal, b"a") == 1
        assert journal.quarantined is not None
        assert b"only copy" in journal.quarantined.read_bytes()


class TestPowerCut:
    """A cut leaves a prefix of what was written to the log; SQLite's frames carry checksums."""

    async def test_a_log_cut_at_any_length_keeps_a_prefix_and_never_doubles(
        self, opened: Opener, tmp_path: Path
    ) -> None:
        journal = opened()
        log = tmp_path / "journal.db-wal"
        durable_at: list[int] = [log.stat().st_size]  # The log's length when the n-th append was answered.
        for n in range(12):
            await add(journal, b"sale %02d" % n, unique=f"sale {n}")
            durable_at.append(log.stat().st_size)
        main, whole = (tmp_path / "journal.db").read_bytes(), log.read_bytes()
        copy = tmp_path / "cut" / "journal.db"
        copy.parent.mkdir()
        for length in sorted(
            {*range(0, len(whole), 1_777), *durable_at, *(at - 1 for at in durable_at if at)}
        ):
            copy.write_bytes(main)
            copy.with_name("journal.db-wal").write_bytes(whole[:length])
            copy.with_name("journal.db-shm").unlink(missing_ok=True)
            again = opened(copy, seed=2)
            acknowledged = sum(at <= length for at in durable_at[1:])
            held = bodies(again)
            assert held[:acknowledged] == [b"sale %02d" % n for n in range(acknowledged)]
            assert len(held) == acknowledged
            for n in range(12):  # The dispenser still holds every sale that was not cleared: offer all again.
                await add(again, b"sale %02d" % n, unique=f"sale {n}")
            assert bodies(again) == [b"sale %02d" % n for n in range(12)]
            assert [each.mid for each in again.unsent(0, 100)] == list(range(1, 13))
            await again.close()

    async def test_garbage_at_the_end_of_the_log_is_not_believed(
        self, opened: Opener, tmp_path: Path
    ) -> None:
        journal = opened()
        for n in range(5):
            await add(journal, b"sale %d" % n)
        copy = tmp_path / "torn" / "journal.db"
        copy.parent.mkdir()
        shutil.copy(tmp_path / "journal.db", copy)
        whole = (tmp_path / "journal.db-wal").read_bytes()
        copy.with_name("journal.db-wal").write_bytes(whole + SeededRandom(3).bytes(9_000))
        assert bodies(opened(copy, seed=2)) == [b"sale %d" % n for n in range(5)]
