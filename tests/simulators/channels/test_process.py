"""The simulator in its own process: keys on disk, books over restarts, a foreign SDK as its merchant."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.channels.conftest import REFUNDS, MakeMerchant
from tests.simulators.channels.running import control, serving
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.core import Core

from forecourt_kit.disk import OsDisk
from forecourt_simulators.channels.main import run
from forecourt_simulators.channels.wechat.keys import MadeKeys, read_platform, write_keys

INITIALISE: Callable[[Any], None] = Core._init_certificates  # Fetches from the host it has by then.


def sdk(file: dict[str, Any], url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`wechatpayv3` with its hard-coded host replaced, in the mode that the file says."""

    def here(core: Any) -> None:
        core._gate_way = url
        INITIALISE(core)

    monkeypatch.setattr(Core, "_init_certificates", here)
    made = WeChatPay(
        wechatpay_type=WeChatPayType.NATIVE,
        mchid=file["mchid"],
        private_key=file["merchant_private_key_pem"],
        cert_serial_no=file["merchant_serial"],
        appid=file["appid"],
        apiv3_key=file["api_v3_key"],
        notify_url="http://127.0.0.1:9/notices",
        timeout=(5, 20),
        public_key=file["platform_public_key_pem"] or None,
        public_key_id=file["platform_public_key_id"] or None,
    )
    made._core._gate_way = url
    return made


@pytest.fixture(scope="module", params=["public_key", "certificate"])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys") / str(request.param)
    argv = ["--write-keys", str(directory), "--signs-with", request.param, "--merchants", "2", "--seed", "1"]
    assert run(argv) == 0
    return directory


class TestKeys:
    def test_they_are_for_their_owner_alone(self, keys: Path) -> None:
        files = sorted(path.name for path in keys.iterdir())

        assert files == ["merchant-2.json", "merchant.json", "platform.json"]
        for name in files:
            assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(keys.stat().st_mode) == 0o700

    def test_the_merchants_file_holds_no_platform_secret(self, keys: Path) -> None:
        merchant = json.loads((keys / "merchant.json").read_text())
        platform = json.loads((keys / "platform.json").read_text())

        assert platform["private_key_pem"] not in merchant.values()
        assert merchant["merchant_private_key_pem"] not in (keys / "platform.json").read_text()

    def test_what_was_written_is_read_back(self, simulated_keys: MadeKeys, tmp_path: Path) -> None:
        write_keys(OsDisk(), tmp_path, simulated_keys)
        read = read_platform(OsDisk(), tmp_path)

        assert read.public_key_id == simulated_keys.platform.public_key_id
        assert read.merchants.keys() == simulated_keys.platform.merchants.keys()
        assert [one.serial for one in read.certificates] == [
            one.serial for one in simulated_keys.platform.certificates
        ]

    def test_without_keys_it_says_how_to_make_them(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            run(["--keys", str(tmp_path)])
        assert "--write-keys" in capsys.readouterr().err

    @pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "[::]", "example.org"])
    def test_it_listens_on_loopback_unless_told(
        self, host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            run(["--keys", str(tmp_path), "--listen", f"{host}:1"])
        assert "--allow-remote" in capsys.readouterr().err


class TestTheSdkAsMerchant:
    def test_a_whole_story(self, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with serving(keys) as url:
            merchant = sdk(json.loads((keys / "merchant.json").read_text()), url, monkeypatch)
            status, told = merchant.pay("LNG", "sale-000001", {"total": 255_13})
            assert status == 200
            control(url, "pay", code_url=json.loads(told)["code_url"])
            status, told = merchant.query(out_trade_no="sale-000001")
            assert (status, json.loads(told)["trade_state"]) == (200, "SUCCESS")
            status, _ = merchant.refund(
                "refund-1", {"refund": 13, "total": 255_13, "currency": "CNY"}, out_trade_no="sale-000001"
            )
            assert status == 200
            status, told = merchant.query_refund("refund-1")
            assert (status, json.loads(told)["amount"]["refund"]) == (200, 13)
            merchant.pay("LNG", "sale-000002", {"total": 1})
            assert merchant.close("sale-000002")[0] == 204
            status, told = merchant.query(out_trade_no="sale-000002")
            assert json.loads(told)["trade_state"] == "CLOSED"
            status, told = merchant.pay(
                "LNG",
                "code-000001",
                {"total": 1},
                payer={"auth_code": "134567890123456789"},
                pay_type=WeChatPayType.CODEPAY,
            )
            assert (status, json.loads(told)["trade_state"]) == (200, "SUCCESS")

    def test_another_merchants_key_is_refused(self, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = json.loads((keys / "merchant.json").read_text())
        other = json.loads((keys / "merchant-2.json").read_text())
        with serving(keys) as url:
            right = sdk(file, url, monkeypatch)
            wrong = sdk(file, url, monkeypatch)
            wrong._core._private_key = sdk(other, url, monkeypatch)._core._private_key

            assert right.query(out_trade_no="sale-000001")[0] == 404
            status, told = wrong.query(out_trade_no="sale-000001")
            assert (status, json.loads(told)["code"]) == (401, "SIGN_ERROR")


class TestBooks:
    def test_orders_outlive_a_restart(
        self, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = json.loads((keys / "merchant.json").read_text())
        with serving(keys, "--books", str(tmp_path / "books")) as url:
            merchant = sdk(file, url, monkeypatch)
            merchant.pay("LNG", "sale-000001", {"total": 100})
            control(url, "pay", out_trade_no="sale-000001")
        with serving(keys, "--books", str(tmp_path / "books")) as url:
            _, told = sdk(file, url, monkeypatch).query(out_trade_no="sale-000001")

        assert json.loads(told)["trade_state"] == "SUCCESS"

    async def test_what_was_under_way_is_taken_up(self, make_merchant: MakeMerchant, tmp_path: Path) -> None:
        journal = tmp_path / "books.jsonl"
        before = make_merchant(disk=OsDisk(), journal=journal)
        await before.do("faults", kind="notice_hold")
        await before.pay("sale-000002")  # Held: stays held.
        before.inbox.statuses = [500]
        before.simulator.notifier._delay_scale = 1.0
        await before.pay("sale-000001")
        await before.inbox.wait_for(1)
        await before.ask("POST", REFUNDS, before.refund())
        await before.simulator.close()
        after = make_merchant(disk=OsDisk(), journal=journal)
        async with after.simulator:
            await after.inbox.wait_for(2)

        assert {one["number"] for one in (await after.see("notices"))["notices"] if one["is_over"]} == {
            "sale-000001"
        }
        [refund] = (await after.see("refunds"))["refunds"]
        assert refund["status"] == "SUCCESS"

    async def test_a_line_that_was_cut_off_is_left_out(
        self, make_merchant: MakeMerchant, tmp_path: Path
    ) -> None:
        journal = tmp_path / "books.jsonl"
        before = make_merchant(disk=OsDisk(), journal=journal)
        await before.place("sale-000001")
        await before.place("sale-000002")
        await before.simulator.close()
        journal.write_bytes(journal.read_bytes()[:-20])
        after = make_merchant(disk=OsDisk(), journal=journal)

        assert [order.out_trade_no for order in after.simulator.book.orders.values()] == ["sale-000001"]


def test_it_stands_on_kit_and_protocols_only() -> None:
    program = (
        "import sys, forecourt_simulators.channels.main;"
        "print([name for name in sys.modules if name.split('.')[0] in ('forecourt', 'forecourt_edge')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
