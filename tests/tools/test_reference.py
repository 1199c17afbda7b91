from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

import pytest

import reference
from forecourt.core.errors import Refusal
from forecourt.core.event import Event


class Closed(Refusal):
    """The pump
    is closed.

    A longer story.
    """

    status = HTTPStatus.GONE
    code = "toys.closed"
    retry_after_s = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyMoved(Event):
    topic: ClassVar[str] = "toys.toy.moved"
    toy_id: int
    name: str | None

    @property
    def key(self) -> str:
        return f"toy:{self.toy_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyLost(Event):
    topic: ClassVar[str] = "toys.toy.lost"

    @property
    def key(self) -> str:
        return "toy"


def test_a_refusal_is_told_by_code_status_and_first_paragraph() -> None:
    line = "| `toys.closed` | 410 Gone | The pump is closed. Retry after 7 s. |"
    assert line in reference.errors_page().splitlines()


def test_an_event_is_told_by_topic_key_and_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "subclasses", lambda _: iter([ToyMoved]))
    line = "| `toys.toy.moved` | `toy:{toy_id}` | `toy_id` int · `name` str or None | Toy moved. |"
    assert line in reference.events_page().splitlines()


def test_a_key_that_cannot_be_read_from_the_code_is_an_error() -> None:
    with pytest.raises(LookupError, match="ToyLost"):
        reference.key_of(ToyLost)


def test_the_modules_that_declare_something_are_found() -> None:
    found = set(reference.modules(reference.ROOT))
    assert {"forecourt.core.errors", "forecourt.sales.types", "forecourt.sales.jobs"} <= found
    assert "forecourt.sales.rules" not in found
