"""The driver over real sockets: it is given a base URL and keys, nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.simulators.channels.running import control, serving

from forecourt.channels.wechat import WeChatChannel, read_merchant_json
from forecourt.payments.types import Order, Outcome
from forecourt_kit.clock import SystemClock
from forecourt_kit.random import SystemRandom
from forecourt_simulators.channels.main import run


async def test_a_fill_is_paid_over_http(tmp_path: Path) -> None:
    assert run(["--write-keys", str(tmp_path)]) == 0
    config = read_merchant_json((tmp_path / "merchant.json").read_text())
    order = Order(
        out_trade_no="sale-000001",
        amount_fen=200_00,
        description="92# 汽油",
        expires_at=datetime.now(UTC) + timedelta(minutes=5),
        notify_url="http://127.0.0.1:9/notices",
    )
    with serving(tmp_path) as url:
        channel = WeChatChannel(replace(config, base_url=url), SystemClock(), SystemRandom())
        assert (await channel.check()).is_ok
        placed = await channel.create(order)
        control(url, "pay", code_url=placed.qr)
        answer = await channel.query(order.out_trade_no)
        await channel.close_connections()

    assert (answer.outcome, answer.amount_fen) == (Outcome.PAID, 200_00)


async def test_the_backup_address_is_used_when_the_first_is_dead(tmp_path: Path) -> None:
    assert run(["--write-keys", str(tmp_path)]) == 0
    config = read_merchant_json((tmp_path / "merchant.json").read_text())
    with serving(tmp_path) as url:
        twice = replace(config, base_url="http://127.0.0.1:9", backup_url=url)
        channel = WeChatChannel(twice, SystemClock(), SystemRandom())
        assert (await channel.query("sale-000001")).outcome is Outcome.NOT_FOUND
        await channel.close_connections()
