"""What the station must still know after a power cut, as notes in the journal."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from forecourt_kit.clock import parse_rfc3339


@dataclass(frozen=True, slots=True)
class AuthorisationNote:
    """Written before the release is sent: the next sale after `after_sequence` belongs to it."""

    authorisation_id: str
    command_id: str
    after_sequence: int
    granted_at: str
    expires_at: str
    purpose: str

    @property
    def expires(self) -> datetime:
        return parse_rfc3339(self.expires_at)


@dataclass(frozen=True, slots=True)
class PriceNote:
    """A price that the dispenser has not acknowledged yet."""

    command_id: str
    unit_price_e4: int
    effective_at: str | None

    @property
    def effective(self) -> datetime | None:
        return None if self.effective_at is None else parse_rfc3339(self.effective_at)


def begun_name(command_id: str) -> str:
    """Stands from before a command's deed until its result is journalled."""
    return f"begun/{command_id}"


def write(note: AuthorisationNote | PriceNote) -> bytes:
    return json.dumps(asdict(note)).encode()


def read_authorisation(kept: bytes | None) -> AuthorisationNote | None:
    return None if kept is None else AuthorisationNote(**json.loads(kept))


def read_price(kept: bytes | None) -> PriceNote | None:
    return None if kept is None else PriceNote(**json.loads(kept))
