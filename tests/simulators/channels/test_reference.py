"""The reference page names what the code has, and a seed gives the same run again."""

from pathlib import Path

import pytest
from starlette.routing import Route
from tests.simulators.channels.conftest import CODEPAY, REFUNDS, MakeMerchant

from forecourt_kit.disk import OsDisk
from forecourt_simulators.channels.main import parser
from forecourt_simulators.channels.wechat.faults import PARAMS, FaultKind, Operation
from forecourt_simulators.channels.wechat.seal import Forgery

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "reference" / "wechat-simulator.md").read_text("utf-8")


@pytest.mark.parametrize("kind", FaultKind)
def test_each_fault_is_told_with_its_fields(kind: FaultKind) -> None:
    [line] = [
        line for line in PAGE.splitlines() if line.startswith("| `") and f"`{kind}`" in line.split("|")[1]
    ]
    assert [name for name in PARAMS[kind] if f"`{name}`" not in line] == []


def test_operations_forgeries_and_options_are_told() -> None:
    options = [option for action in parser()._actions for option in action.option_strings if "--" in option]
    wanted = [*Operation, *Forgery, *(option for option in options if option != "--help")]
    assert [name for name in wanted if name not in PAGE] == []


async def test_each_control_path_is_told(make_merchant: MakeMerchant) -> None:
    routes = [route for route in make_merchant().simulator.app.routes if isinstance(route, Route)]
    paths = {route.path for route in routes if route.path.startswith("/_control/")}
    assert len(paths) > 10
    assert [path for path in sorted(paths) if f"{path}`" not in PAGE and f"{path}`," not in PAGE] == []


@pytest.mark.parametrize("page", ["use-real-wechat-pay.md", "use-real-wechat-pay.zh-CN.md"])
def test_each_field_of_the_merchant_file_is_told(page: str, make_merchant: MakeMerchant) -> None:
    text = (DOCS / "how-to" / page).read_text("utf-8")
    assert [
        name for name in make_merchant().file if f"`{name}`" not in text and f'"{name}"' not in text
    ] == []


async def test_one_seed_gives_one_history(make_merchant: MakeMerchant, tmp_path: Path) -> None:
    histories = []
    for run in ("first", "second"):
        merchant = make_merchant(disk=OsDisk(), journal=tmp_path / run)
        await merchant.do("faults", kind="notice_lose", percent=50, times=None)
        await merchant.pay()
        await merchant.ask("POST", REFUNDS, merchant.refund())
        await merchant.ask("POST", CODEPAY, merchant.codepay())
        await merchant.inbox.wait_for(2)
        await merchant.simulator.close()
        histories.append((tmp_path / run).read_bytes())

    assert histories[0] == histories[1]
    assert b'"SUCCESS"' in histories[0]
