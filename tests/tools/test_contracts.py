"""Each import contract reports a planted violation: the real configuration and classes, on a tiny tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import matches

ROOT = Path(__file__).resolve().parents[2]

TREE = {
    "forecourt/cli/main.py": "import forecourt_simulators.station\nimport forecourt_edge.uplink\n",
    "forecourt/cli/registry.py": "from forecourt.sales import models\n",
    "forecourt/api/main.py": "from forecourt.sales import routes\nfrom forecourt.core import db\n",
    "forecourt/gateway/main.py": "import forecourt.devices.service\nimport forecourt.deliveries.doors\n",
    "forecourt/worker/main.py": "from forecourt.sales import jobs\n",
    "forecourt/channels/wechat/client.py": "import httpx\nfrom forecourt.payments.types import Channel\n",
    "forecourt/reports/turnover.py": "from forecourt.sales import models\n",
    "forecourt/sales/types.py": "from forecourt_kit import price\n",
    "forecourt/sales/rules.py": "from forecourt.sales import types\n",
    "forecourt/sales/errors.py": "from forecourt.core.errors import Refusal\n",
    "forecourt/sales/models.py": "import sqlalchemy\nfrom forecourt.sales import types\n",
    "forecourt/sales/queries.py": "import sqlalchemy, forecourt.core.db, forecourt.sales.models\n",
    "forecourt/sales/service.py": "import forecourt.ledger.service, forecourt.sales.queries\n",
    "forecourt/sales/flows.py": "import httpx\nfrom forecourt.sales import service\n",
    "forecourt/sales/schemas.py": "import pydantic\n",
    "forecourt/sales/routes.py": "import fastapi\nfrom forecourt.sales import schemas, service\n",
    "forecourt/sales/jobs.py": "from forecourt.sales import service\n",
    "forecourt/deliveries/doors.py": "from forecourt.deliveries import service\n",
    "forecourt/deliveries/service.py": "from forecourt.ledger.types import Entry\n",
    "forecourt/payments/types.py": "from typing import Protocol\n\n\nclass Channel(Protocol): ...\n",
    "forecourt/ledger/types.py": "class Entry: ...\n",
    "forecourt/ledger/rules.py": "",
    "forecourt/ledger/service.py": "from forecourt.ledger import rules, types\n",
    "forecourt/devices/service.py": "",
    "forecourt/core/actor.py": "from forecourt.core import errors\n",
    "forecourt/core/errors.py": "class Refusal(Exception): ...\n",
    "forecourt/core/event.py": "",
    "forecourt/core/db/types.py": "import sqlalchemy\n",
    "forecourt/core/http/client.py": "import httpx\n",
    "forecourt_kit/price.py": "import re\n",
    "forecourt_protocols/slp/framing.py": "import struct\nfrom forecourt_kit import price\n",
    "forecourt_edge/uplink/link.py": "import socket\nfrom forecourt_protocols.slp import framing\n",
    "forecourt_simulators/station/main.py": "import asyncio\nfrom forecourt_kit import price\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, text in TREE.items():
        write(tmp_path, path, text)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def write(tree: Path, path: str, text: str) -> None:
    file = tree / "src" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    for folder in file.relative_to(tree / "src").parents:
        if folder != Path():
            (tree / "src" / folder / "__init__.py").touch()
    file.write_text(text)


def module_file(line: str) -> str | None:
    """The file of the module of ours that an import line names; None for libraries and folders."""
    module = line.removeprefix("from ").removeprefix("import ").replace(" import ", ".")
    path = module.replace(".", "/")
    is_folder = any(known.startswith(f"{path}/") for known in TREE)
    return None if is_folder or not module.startswith("forecourt") else f"{path}.py"


def lint(tree: Path) -> tuple[int, str]:
    """The exit code, and the report on one line (the tool breaks lines at the terminal's width)."""
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": f"{tree / 'src'}:{ROOT / 'tools'}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, " ".join((run.stdout + run.stderr).split())


def test_a_clean_tree_keeps_every_contract(tree: Path) -> None:
    code, report = lint(tree)
    assert "0 broken" in report
    assert code == 0


PLANTED = [
    # (contract, file, what it imports, what the report names)
    ("1.", "forecourt/ledger/service.py", "from forecourt.payments import types", "forecourt.payments"),
    ("1.", "forecourt/api/more.py", "import forecourt.worker.main", "forecourt.worker"),
    ("1.", "forecourt/core/db/more.py", "import forecourt.operators", "forecourt.operators"),
    ("1.", "forecourt/plates/types.py", "from forecourt.promotions import types", "forecourt.promotions"),
    ("1.", "forecourt/billing/types.py", "", "- forecourt.billing"),
    ("1.", "forecourt/main.py", "", "- forecourt.main"),
    ("1b.", "forecourt/channels/wechat/client.py", "import forecourt.ledger.types", "forecourt.ledger.types"),
    ("2.", "forecourt/sales/service.py", "from forecourt.sales import flows", "forecourt.sales.flows"),
    ("2.", "forecourt/sales/jobs.py", "from forecourt.sales import routes", "forecourt.sales.routes"),
    ("2.", "forecourt/sales/helpers.py", "", "- forecourt.sales.helpers"),
    ("2.", "forecourt/ledger/lots/types.py", "", "- forecourt.ledger.lots"),
    ("3.", "forecourt/sales/service.py", "from forecourt.ledger import rules", "forecourt.ledger.rules"),
    (
        "3.",
        "forecourt/sales/models.py",
        "import forecourt.ledger.models.lots",
        "forecourt.ledger.models.lots",
    ),
    ("3.", "forecourt/gateway/main.py", "from forecourt.sales import jobs", "forecourt.sales.jobs"),
    ("3.", "forecourt/reports/turnover.py", "from forecourt.ledger import rules", "forecourt.ledger.rules"),
    ("3.", "forecourt/cli/main.py", "from forecourt.sales import models", "forecourt.sales.models"),
    ("4.", "forecourt/sales/rules.py", "import asyncio", "forecourt.sales.rules -> asyncio"),
    ("4.", "forecourt/sales/types.py", "from forecourt.core.db import types", "sqlalchemy"),
    ("4.", "forecourt/core/errors.py", "import fastapi", "forecourt.core.errors"),
    ("4.", "forecourt_kit/price.py", "import socket", "forecourt_kit.price -> socket"),
    (
        "4.",
        "forecourt_protocols/slp/framing.py",
        "import asyncio",
        "forecourt_protocols.slp.framing -> asyncio",
    ),
    ("5.", "forecourt/sales/service.py", "import httpx", "httpx"),
    (
        "5.",
        "forecourt/sales/queries/deep.py",
        "from forecourt.core.http import client",
        "forecourt.core.http",
    ),
    ("5.", "forecourt/sales/service.py", "from forecourt.devices import flows", "forecourt.devices.flows"),
    ("6.", "forecourt/gateway/main.py", "from forecourt.sales import service", "forecourt.sales.service"),
    ("7a.", "forecourt_edge/uplink/link.py", "import forecourt.core.errors", "forecourt.core.errors"),
    ("7a.", "forecourt_edge/uplink/link.py", "import forecourt_simulators.station", "forecourt_simulators"),
    ("7b.", "forecourt_simulators/station/main.py", "import forecourt_edge.uplink", "forecourt_edge.uplink"),
    ("7c.", "forecourt_protocols/slp/framing.py", "import forecourt_edge.uplink", "forecourt_edge.uplink"),
    ("7d.", "forecourt_kit/price.py", "import pydantic", "pydantic"),
    ("7e.", "forecourt/worker/main.py", "import forecourt_simulators.station", "forecourt_simulators"),
]


@pytest.mark.parametrize(
    ("contract", "path", "line", "named"), PLANTED, ids=[f"{p[0]} {p[1]} {p[2]}" for p in PLANTED]
)
def test_a_planted_violation_is_reported(tree: Path, contract: str, path: str, line: str, named: str) -> None:
    if (target := module_file(line)) and not (tree / "src" / target).exists():
        write(tree, target, "")
    write(tree, path, f"{TREE.get(path, '')}{line}\n")
    code, report = lint(tree)
    assert code == 1
    kept_and_broken, _, told = report.partition("Broken contracts")
    assert f" {contract} " in f" {told} "
    assert named in told
    assert "broken" in kept_and_broken


@pytest.mark.parametrize(
    ("module", "pattern", "expected"),
    [
        ("forecourt.sales.service", "forecourt.*.service", True),
        ("forecourt.sales.service.voids", "forecourt.*.service", True),
        ("forecourt.sales.services", "forecourt.*.service", False),
        ("forecourt.core", "forecourt.core.db", False),
        ("forecourt_kit", "forecourt", False),
        ("forecourt", "forecourt.*", False),
    ],
)
def test_a_pattern_names_a_module_and_all_below_it(module: str, pattern: str, *, expected: bool) -> None:
    assert matches(module, pattern) is expected
