"""The power goes at every frame that the station sends, before and after the dispenser heard it."""

from pathlib import Path

import pytest
from tests.edge.rig import PowerCut, Rig, authorisations, until_quiet

from forecourt_protocols.lanfeng.commands import GunState

FREE, GUARDED = 1, 2
FRAMES_STEP = 5
ORDERS = (
    ("authorise", GUARDED, "c1", {"authorisation_id": "A", "limit_fen": 30_00}),
    ("price.set", FREE, "c2", {"unit_price_e4": 80_000}),
)


async def send_all(rig: Rig, expires_at: str) -> None:
    """The centre sends every command again until its result came: at least once."""
    for command, nozzle, command_id, facts in ORDERS:
        extra = {"expires_at": expires_at} if command == "authorise" else {}
        if command_id not in rig.results():
            await rig.command(command, nozzle, command_id, **facts, **extra)


async def story(rig: Rig, expires_at: str) -> None:
    """One free fill, one authorised fill, one price, beside each other."""
    await rig.visit()
    if rig.station.gun(FREE).last_sequence == 0 and FREE not in rig.station.visits:
        rig.arrive(FREE, amount_fen=20_00)
    await send_all(rig, expires_at)
    hangs = rig.station.gun(GUARDED).state in (GunState.IDLE, GunState.AUTHORISED)
    if hangs and rig.station.gun(GUARDED).last_sequence == 0:
        rig.arrive(GUARDED)
    await rig.pass_time(45)


def at_rest(rig: Rig) -> bool:
    guns = [rig.station.gun(number) for number in rig.nozzles]
    return not rig.station.visits and all(gun.state.name == "IDLE" and not gun.waiting for gun in guns)


async def frames_of_the_story(directory: Path) -> int:
    rig = Rig(directory)
    rig.start(frames=1_000_000)
    await story(rig, "2026-01-01T00:05:00Z")
    await rig.stop()
    assert rig.wire.frames_left is not None
    return 1_000_000 - rig.wire.frames_left


@pytest.mark.parametrize("cut_before_delivery", [True, False])
async def test_whenever_the_power_goes_nothing_is_lost_or_doubled(
    tmp_path: Path, cut_before_delivery: bool
) -> None:
    frames = await frames_of_the_story(tmp_path / "whole")
    assert frames > 200
    cuts = 0
    for cut_at in range(0, frames, FRAMES_STEP):
        rig = Rig(tmp_path / f"cut{cut_at}")
        expires_at = "2026-01-01T00:05:00Z"
        rig.start(frames=cut_at, cut_before_delivery=cut_before_delivery)
        try:
            await story(rig, expires_at)
        except PowerCut:
            cuts += 1
        rig.start()  # The old process is gone where it stood; its files are as they were.
        await story(rig, expires_at)
        await until_quiet(rig, lambda rig=rig: at_rest(rig))  # type: ignore[misc]
        rig.check_nothing_lost_or_doubled()
        assert authorisations(rig.told("delivery.ended")) == ["A"], f"cut at frame {cut_at}"
        assert len(rig.told("command.result")) == 2
        assert rig.station.gun(FREE).unit_price_e2 == 800
        assert [body["acknowledged"] for body in rig.told("price.acknowledged")] == [True]
        await rig.stop()
    assert cuts > 40


async def live(rig: Rig, expires_at: str, *, arrive: bool) -> None:
    while True:
        if arrive and FREE not in rig.station.visits:
            rig.arrive(FREE, amount_fen=15_00)
        await send_all(rig, expires_at)
        await rig.pass_time(1)


async def test_the_power_may_go_again_and_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    expires_at = "2026-01-01T00:05:00Z"
    for life in range(60):
        rig.start(frames=4 + life * 7 % 23, cut_before_delivery=bool(life % 2))
        with pytest.raises(PowerCut):
            await live(rig, expires_at, arrive=life % 10 == 0)
    rig.start()
    await send_all(rig, expires_at)
    await until_quiet(rig, lambda: at_rest(rig))
    rig.check_nothing_lost_or_doubled()
    assert rig.station.gun(FREE).last_sequence >= 3
    await rig.stop()
