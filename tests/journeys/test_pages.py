"""The pages in headless Chromium, against the real centre: no script error, no other origin, axe content.

The scripts are `apps/e2e/journeys/*.mjs`; they tell each step as a line of JSON.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import services
from tests.journeys.rig import PASSWORD, Rig, until

APPS = Path(__file__).parents[2] / "apps"
PAGES_PATIENCE_S = 120
CHROMIUM = os.environ.get("FORECOURT_CHROMIUM") or shutil.which("chromium")

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("rig", ["embedded"], indirect=True)]


@pytest.fixture(autouse=True)
def _browser() -> None:
    if CHROMIUM is None:
        services.unavailable("chromium", "no `chromium` on the PATH (apt-get install chromium)")
    if not (APPS / "node_modules" / "playwright-core").exists():
        services.unavailable("front ends", "apps/node_modules is missing (make web)")


class Page:
    """One journey of a browser, step by step."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.steps: list[dict[str, Any]] = []

    def until(self, step: str) -> dict[str, Any]:
        """Read on until the journey tells `step`."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            self.steps.append(told)
            assert told["step"] != "failed", told
            if told["step"] == step:
                return told
        raise AssertionError(f"the journey ended before {step!r}: {self.steps}")


@contextlib.contextmanager
def browsing(rig: Rig, journey: str, **settings: str) -> Iterator[Page]:
    url = f"http://127.0.0.1:{rig.ports['http']}"
    env = {
        **os.environ,
        "FORECOURT_URL": url,
        "FORECOURT_WAIT_MS": str(PAGES_PATIENCE_S * 1000),
        "FORECOURT_PICTURES": str(rig.folder / "pictures"),
        "FORECOURT_CHROMIUM": str(CHROMIUM),
        **{f"FORECOURT_{name}": value for name, value in settings.items()},
    }
    words = ["node", f"e2e/journeys/{journey}.mjs"]
    with subprocess.Popen(words, cwd=APPS, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Page(process)
            assert process.wait(PAGES_PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.mark.timeout(300)
def test_log_in_watch_a_sale_appear_open_its_timeline_and_pay_it(rig: Rig) -> None:
    with browsing(rig, "console", ACCOUNT="anna", PASSWORD=PASSWORD, TENDER="cash") as page:
        page.until("sales")
        rig.station(do="fill", gun=1, quantity_e4=3_0000, keypad=True)
        appeared = page.until("sale_appeared")
        timeline = page.until("timeline")
        assert {"device_message", "delivery", "price"} <= set(timeline["kinds"])
        page.until("paid")
        done = page.until("done")

    assert (done["axe"], done["faults"]) == ([], [])
    assert rig.sale(appeared["sale_id"])["state"] == "paid"
    rig.verify()


@pytest.mark.timeout(300)
def test_a_driver_pays_on_the_pillar(rig: Rig) -> None:
    made = rig.post(f"/devices/{rig.facts['pillar_id']}/enrolment-code", {})
    assert made.status_code in {200, 201}, made.text
    with browsing(rig, "pillar", ENROLMENT_CODE=made.json()["code"]) as page:
        page.until("enrolled")
        rig.station(do="fill", gun=3, amount_fen=60_00, keypad=True)
        page.until("to_pay")
        qr = page.until("qr")
        text = qr["qr_text"] or rig.get(f"/payments/{qr['payment_id']}")["qr_text"]
        rig.scan(text)
        page.until("paid")
        done = page.until("done")

    assert (done["axe"], done["faults"]) == ([], [])
    paid = rig.get(f"/payments/{qr['payment_id']}")
    until(lambda: rig.sale(paid["sale_ids"][0])["state"] == "paid", "the sale is paid")
    rig.verify()
