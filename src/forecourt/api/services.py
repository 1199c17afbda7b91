"""What the HTTP process is made of; a process fills it in and hands it to `build_api`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from forecourt.core.db import Database
from forecourt.core.http.health import Check
from forecourt.core.passwords import Passwords
from forecourt.core.vault import Vault

WEB = Path(__file__).parent / "web"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`parts` are what routes ask for by type (`Depends(part(Kind))`), beside those named here."""

    db: Database
    vault: Vault
    passwords: Passwords
    version: str
    demo: bool = False
    secure: bool = False  # Reached over TLS: adds HSTS.
    locale: str = "zh-CN"
    trusted_origins: frozenset[str] = frozenset()
    checks: Mapping[str, Check] = field(default_factory=dict)  # Beside the database, by name.
    warnings: tuple[str, ...] = ()
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    parts: tuple[object, ...] = ()
    web: Path = WEB
