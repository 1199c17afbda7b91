"""Each house rule finds what it bans, and leaves alone what only looks like it."""

from pathlib import Path

import pytest

import house
from house_rules.base import RULES
from house_rules.purity import ADAPTERS, NET
from house_rules.shape import MARKER_WORDS, PROCESS_LOOPS
from house_rules.tree import tree_findings

ROOT = Path(__file__).resolve().parents[2]
SERVICE = "src/forecourt/sales/service.py"
QUERIES = "src/forecourt/sales/queries.py"
MODELS = "src/forecourt/sales/models.py"
TEST = "tests/sales/test_service.py"
EDGE = "src/forecourt_edge/uplink/link.py"

BANNED: list[tuple[str, str, str]] = [
    # Money.
    ("float-near-money", SERVICE, "fee_fen = amount_fen * 0.006"),
    ("float-near-money", SERVICE, "share = sale.gross_fen / 3"),
    ("float-near-money", SERVICE, "gross_fen /= 2"),
    ("float-near-money", SERVICE, "gross_fen *= 1.1"),
    ("float-near-money", SERVICE, "def pay(amount_fen: float) -> None: ..."),
    ("float-near-money", SERVICE, "def pay(amount_fen: int | float) -> None: ..."),
    ("float-near-money", SERVICE, "from decimal import Decimal\ndef pay(amount_fen: Decimal) -> None: ..."),
    ("float-near-money", SERVICE, "def fee_fen() -> float: ..."),
    ("float-near-money", SERVICE, "quantity_e4: float = 1"),
    ("float-near-money", SERVICE, "quantity_e4 = 1.5"),
    ("float-near-money", SERVICE, "quantity_e4: int = 1.5"),
    ("float-near-money", SERVICE, "open_sale(amount_fen=200.0)"),
    ("float-near-money", SERVICE, "if amount_fen > 0.5: ..."),
    ("float-near-money", SERVICE, "yuan = float(amount_fen)"),
    ("float-near-money", SERVICE, "import math\nfen = math.floor(unit_price_e4)"),
    ("float-near-money", EDGE, "litres = round(quantity_e4, 2)"),
    # Time.
    ("naive-datetime", SERVICE, "from datetime import datetime\nday = datetime(2026, 1, 1)"),
    ("naive-datetime", SERVICE, "import datetime as dt\nday = dt.datetime(2026, 1, 1)"),
    ("naive-datetime", SERVICE, "from datetime import datetime\nat = datetime.strptime(text, '%Y')"),
    ("naive-datetime", SERVICE, "from datetime import datetime\nat = datetime.fromtimestamp(0)"),
    ("naive-datetime", SERVICE, "from datetime import datetime\nat = datetime.combine(day, noon)"),
    ("naive-datetime", SERVICE, "at = at.replace(tzinfo=None)"),
    # The outside.
    ("outside", SERVICE, "from datetime import UTC, datetime\nat = datetime.now(UTC)"),
    ("outside", SERVICE, "import time\nat = time.time()"),
    ("outside", SERVICE, "from time import monotonic as m\nat = m()"),
    ("outside", SERVICE, "from datetime import date\nday = date.today()"),
    ("outside", SERVICE, "import random"),
    ("outside", SERVICE, "from uuid import uuid4"),
    ("outside", SERVICE, "import secrets as s\nkey = s.token_bytes(16)"),
    ("outside", SERVICE, "import os\nkey = os.urandom(16)"),
    ("outside", SERVICE, "from dataclasses import field\nimport os\nx = field(default_factory=os.urandom)"),
    ("outside", EDGE, "import socket"),
    ("outside", EDGE, "import asyncio\nasync def f() -> None:\n    await asyncio.open_connection('h', 1)"),
    ("outside", EDGE, "await loop.create_datagram_endpoint(f)"),
    ("outside", SERVICE, "import httpx\nclient = httpx.AsyncClient()"),
    ("outside", SERVICE, "file = open('x')"),
    ("outside", SERVICE, "text = path.read_text()"),
    ("outside", SERVICE, "import sqlite3\ndb = sqlite3.connect('x')"),
    ("outside", SERVICE, "import threading"),
    ("outside", SERVICE, "from concurrent.futures import ThreadPoolExecutor"),
    ("outside", SERVICE, "import asyncio\nasync def f() -> None:\n    await asyncio.to_thread(g)"),
    ("outside", SERVICE, "import subprocess"),
    ("outside", "src/forecourt_kit/clock.py", "import random"),
    # Scope.
    (
        "scope",
        QUERIES,
        "async def find(session: ReadSession, id: int) -> Sale:\n    return await session.first(x)",
    ),
    (
        "scope",
        QUERIES,
        "async def void(session: WriteSession, id: int) -> None:\n    await session.run(update(S))",
    ),
    (
        "scope",
        "src/forecourt/sales/queries/voids.py",
        "async def _of(session, id):\n    await session.all(x)",
    ),
    ("scope", QUERIES, "async def n(session: ReadSession) -> int:\n    return await session.scalar(x)"),
    # SQL.
    ("bare-column", MODELS, "class S(Model):\n    name: Mapped[str]"),
    ("bare-column", MODELS, "class S(Model):\n    at: Mapped[datetime] = mapped_column()"),
    ("bare-column", MODELS, "class S(Model):\n    of: Mapped[int] = mapped_column(ForeignKey('sale.id'))"),
    ("bare-column", MODELS, "class S(Model):\n    of: Mapped[int] = mapped_column('of', nullable=True)"),
    ("free-type", MODELS, "from sqlalchemy import Enum"),
    ("free-type", MODELS, "from sqlalchemy.types import DateTime"),
    ("free-type", MODELS, "import sqlalchemy as sa\nx = sa.Float()"),
    ("relationship", MODELS, "from sqlalchemy.orm import relationship\nlines = relationship('Line')"),
    ("sql-clock", QUERIES, "from sqlalchemy import func\nx = func.now()"),
    ("sql-clock", QUERIES, "import sqlalchemy as sa\nx = sa.func.current_timestamp()"),
    ("sql-clock", QUERIES, "x = text('SELECT now()')"),
    ("sql-clock", MODELS, "class S(Model):\n    at: Mapped[int] = mapped_column(Big(), server_default='0')"),
    ("sql-clock", MODELS, "x = mapped_column(UtcTime(), onupdate=f)"),
    ("insert-ignore", QUERIES, "x = 'INSERT IGNORE INTO sale'"),
    ("insert-ignore", QUERIES, "x = 'insert or ignore into sale'"),
    ("insert-ignore", QUERIES, "x = insert(S).prefix_with('IGNORE')"),
    ("dialect", QUERIES, "x = update(S).values(a=1).returning(S.id)"),
    ("dialect", QUERIES, "from sqlalchemy.dialects.mysql import insert"),
    ("dialect", QUERIES, "x = 'ON DUPLICATE KEY UPDATE a = a'"),
    ("sql-place", SERVICE, "from sqlalchemy import select\nx = select(S)"),
    ("sql-place", "src/forecourt/api/main.py", "import sqlalchemy as sa\nx = sa.text('SELECT 1')"),
    ("sql-place", SERVICE, "async def f(session):\n    await session.commit()"),
    # Shape.
    ("function-size", SERVICE, "def f() -> None:\n" + "    x = 1\n" * 70),
    ("function-size", TEST, "def test_f() -> None:\n" + "    x = 1\n" * 70),
    ("file-size", SERVICE, "x = 1\n" * 501),
    ("module-file", "src/forecourt/sales/pricing.py", ""),
    ("module-file", "src/forecourt/sales/lines/types.py", ""),
    ("vague-name", "src/forecourt_edge/uplink/utils.py", ""),
    ("face", "src/forecourt/sales/__init__.py", ""),
    ("face", "src/forecourt/sales/__init__.py", '"""Sales.\n\nAnd more.\n"""'),
    ("face", "src/forecourt/sales/__init__.py", '"""Sales."""\nfrom forecourt.sales import service'),
    ("face", "src/forecourt_edge/uplink/__init__.py", "from forecourt_edge.uplink import link"),
    *[("leftover", SERVICE, f"x = 1  # {word}: later") for word in MARKER_WORDS],
    ("leftover", SERVICE, "def f() -> None:\n    raise NotImplementedError"),
    ("broad-except", SERVICE, "try:\n    f()\nexcept Exception:\n    pass"),
    ("broad-except", SERVICE, "try:\n    f()\nexcept (ValueError, BaseException) as e:\n    g(e)"),
    ("broad-except", EDGE, "try:\n    f()\nexcept:\n    raise ValueError from None"),
    ("broad-except", SERVICE, "import contextlib\nwith contextlib.suppress(Exception):\n    f()"),
    # Tests.
    ("timed-assert", TEST, "def test_x() -> None:\n    assert elapsed_ms < 50"),
    ("timed-assert", TEST, "import time\ndef test_x() -> None:\n    assert time.monotonic() - start <= 1"),
    ("quiet-skip", TEST, "import pytest\n@pytest.mark.skip\ndef test_x() -> None: ..."),
    ("quiet-skip", TEST, "import pytest\ndef test_x() -> None:\n    pytest.skip('no')"),
    ("quiet-skip", TEST, "import pytest\nx = pytest.importorskip('x')"),
    ("mock", TEST, "from unittest.mock import patch"),
    ("mock", TEST, "from unittest import mock\nimport unittest.mock"),
    # Excuses.
    ("excuse", SERVICE, "x = 1  # house: outside: nothing here is outside"),
    ("excuse", SERVICE, "import random  # house: outside: because"),
]

FINE: list[tuple[str, str]] = [
    (SERVICE, "fee_fen = amount_fen * 6 // 1000"),
    (SERVICE, "ratio = 0.5\nx = jitter() / 2"),
    (SERVICE, "limit_fen = pick(chance, 0.5)"),
    (SERVICE, "def f(wait_s: float, amount_fen: int) -> float: ..."),
    (SERVICE, "fence = 1.5\nself.offence = 0.5"),
    ("tests/kit/test_price.py", "assert amount_fen / 2 == 1.0"),
    (SERVICE, "from datetime import UTC, datetime\nday = datetime(2026, 1, 1, tzinfo=UTC)"),
    (SERVICE, "from datetime import UTC, datetime\nat = datetime.fromtimestamp(0, UTC)"),
    (SERVICE, "from datetime import time, timedelta\nnoon = time(12)"),
    (SERVICE, "at = clock.now()\nn = random.below(3)\nb = random.bytes(4)"),
    (SERVICE, "from forecourt_kit.random import Random, SeededRandom"),
    (SERVICE, "import asyncio\nasync def f() -> None:\n    await asyncio.sleep(1)"),
    (SERVICE, "from uuid import UUID"),
    (SERVICE, "import sqlite3\nbad = sqlite3.OperationalError"),
    (SERVICE, "import httpx\ndef f(transport: httpx.AsyncBaseTransport) -> None: ..."),
    (SERVICE, "Database.open(url)\nsession.open()"),
    (SERVICE, "import random  # house: outside: the examples of this page need it"),
    (TEST, "import time, random, socket"),
    *[(glob.replace("*", "x"), "import socket") for glob, (parts, _) in ADAPTERS.items() if NET in parts],
    (QUERIES, "async def find(session, actor, id):\n    return await session.first(where(actor))"),
    (QUERIES, "async def of_station(session, operator_id: int):\n    return await session.all(x)"),
    (QUERIES, "async def due(session, system: System):\n    return await session.all(x)"),
    (QUERIES, "async def due_many(session, at):\n    return await session.all(x)"),
    (QUERIES, "async def check_sums(session):\n    return await session.all(x)"),
    (QUERIES, "async def add(session, row):\n    await session.insert_many(S, [row])"),
    (QUERIES, "from sqlalchemy import insert\nasync def add(session):\n    await session.run(insert(S))"),
    (QUERIES, "from sqlalchemy import select\ndef _mine(id: int) -> Select:\n    return select(S)"),
    (SERVICE, "async def f(session):\n    await session.all(x)"),
    (MODELS, "class S(Model):\n    id: Mapped[int] = mapped_column(Big(), primary_key=True)"),
    (MODELS, "class S(Model):\n    of: Mapped[int] = mapped_column(Big(), ForeignKey('sale.id'))"),
    (MODELS, "from sqlalchemy import CheckConstraint, Index, UniqueConstraint"),
    (QUERIES, "from sqlalchemy import func\nx = func.sum(S.amount_fen)"),
    (QUERIES, "x = 'nothing now (really)'"),
    ("src/forecourt/core/db/claim.py", "from sqlalchemy.dialects import mysql\nx = i.returning(S.id)"),
    (QUERIES, '"""About INSERT IGNORE."""'),
    (SERVICE, "def f() -> None:\n" + "    x = 1\n" * 69),
    ("src/forecourt/sales/service/voids.py", ""),
    ("src/forecourt/core/http/problems.py", ""),
    ("src/forecourt/sales/__init__.py", '"""Sales: what was sold and what is to pay."""'),
    ("src/forecourt_protocols/slp/__init__.py", '"""SLP/1."""\nimport forecourt_protocols.slp.framing'),
    (SERVICE, "class Port(Protocol):\n    def f(self) -> None: ..."),
    (SERVICE, "try:\n    f()\nexcept BaseException:\n    tidy()\n    raise"),
    *[(path, "try:\n    f()\nexcept Exception:\n    log()") for path in PROCESS_LOOPS],
    (TEST, "def test_x() -> None:\n    assert elapsed_ms == 50"),
    (TEST, "def test_x() -> None:\n    assert clock.monotonic_s() >= 5"),
    ("tests/services.py", "import pytest\npytest.skip('no MariaDB')"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "text"), BANNED)
def test_what_is_banned_is_found(name: str, path: str, text: str) -> None:
    found = house.check_text(path, text)
    assert name in {finding.rule for finding in found}


@pytest.mark.parametrize(("path", "text"), FINE)
def test_what_is_fine_is_left_alone(path: str, text: str) -> None:
    assert house.check_text(path, text) == []


def test_every_rule_has_a_test_and_a_message_that_teaches() -> None:
    assert {rule.name for rule in RULES} == {name for name, _, _ in BANNED} - {"excuse"}
    assert all(len(rule.teaching.split()) >= 8 for rule in RULES)
    assert all(len(reason.split()) >= 3 for _, reason in ADAPTERS.values())


def test_a_finding_says_where_what_and_what_to_do_instead() -> None:
    (found,) = house.check_text(SERVICE, "\n\nfee_fen = amount_fen * 0.006")
    assert str(found).startswith(f"{SERVICE}:3: float-near-money: a float meets `fee_fen`. Money is int fen")


def test_one_line_has_one_finding_a_part_and_file() -> None:
    text = "import time\nimport random\na = time.time()\nb = time.time()\n"
    assert [finding.line for finding in house.check_text(SERVICE, text)] == [1, 2]


class TestTree:
    def plant(self, root: Path, path: str, text: str = "") -> None:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        self.plant(tmp_path, ".importlinter", "[importlinter]\nroot_packages =\n    forecourt\n")
        self.plant(tmp_path, "src/forecourt/__init__.py", '"""The centre."""')
        return tmp_path

    def rules(self, root: Path) -> list[str]:
        return [finding.rule for finding in tree_findings(root)]

    def test_a_folder_without_a_face_escapes_no_contract(self, root: Path) -> None:
        assert self.rules(root) == []
        self.plant(root, "src/forecourt/sales/types.py")
        assert self.rules(root) == ["package"]

    def test_a_new_package_is_declared_to_the_contracts(self, root: Path) -> None:
        self.plant(root, "src/forecourt_vision/__init__.py")
        assert self.rules(root) == ["package"]

    @pytest.mark.parametrize(
        "target", ["../shifts/store", "@/features/shifts/store", "../../features/shifts/x.vue"]
    )
    def test_features_do_not_import_each_other(self, root: Path, target: str) -> None:
        self.plant(root, "apps/console/src/features/sales/List.vue", f"import {{ a }} from '{target}'\n")
        assert self.rules(root) == ["feature"]

    @pytest.mark.parametrize(
        "target", ["./store", "@/features/sales/store", "../../common/x", "vue", "@/ui/Button"]
    )
    def test_a_feature_imports_itself_and_what_is_shared(self, root: Path, target: str) -> None:
        self.plant(
            root, "apps/console/src/features/sales/deep/List.vue".replace("deep/", ""), f"from '{target}'\n"
        )
        assert self.rules(root) == []

    def test_leftovers_are_found_beyond_python(self, root: Path) -> None:
        word = MARKER_WORDS[0]
        self.plant(root, "docs/how-to/pay.md", f"{word} write this\n")
        self.plant(root, "apps/console/src/main.ts", f"start() // {word}\nconst {word} = 1\n")
        self.plant(root, "apps/console/node_modules/x/index.js", f"// {word}\n")
        assert self.rules(root) == ["leftover", "leftover"]
