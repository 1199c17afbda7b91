"""The API's own document, from which the front ends' client is generated; `--check`: is it current?"""

import json
import sys
import tempfile
from pathlib import Path

from forecourt.api.app import build_api
from forecourt.api.openapi import document
from forecourt.api.services import Services
from forecourt.core.db import Database
from forecourt.core.passwords import Passwords
from forecourt.core.vault import Vault
from forecourt_kit.clock import SystemClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import SystemRandom

DOCUMENT = Path(__file__).resolve().parents[1] / "apps/packages/api-client/openapi.json"


def current() -> str:
    """The document of the application as it stands; nothing is connected to."""
    clock, random = SystemClock(), SystemRandom()
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(f"sqlite:///{folder}/none.db", clock, TimeOrderedIds(clock, random), random)
        vault = Vault({1: bytes(32)}, 1, random)
        passwords = Passwords(random)
        app = build_api(Services(db=database, vault=vault, passwords=passwords, version="0.1.0"))
        passwords.close()
    return json.dumps(document(app), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    text = current()
    if "--check" not in sys.argv:
        DOCUMENT.write_text(text, "utf-8")
        return 0
    if DOCUMENT.read_text("utf-8") == text:
        return 0
    print(f"{DOCUMENT.name} is not the API's: run tools/openapi.py, then `npm run generate` in apps/")
    return 1


if __name__ == "__main__":
    sys.exit(main())
