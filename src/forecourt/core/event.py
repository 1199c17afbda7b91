"""Base of every published event. Apart from the outbox, so that `types` files stay free of the database."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, named in the past tense.

    `topic` is `module.noun.verb`; `operator_id` is the tenant, `key` keeps events of one thing in order
    (partition key). Fields are ints, strings, bools, None, and lists or dicts of these: JSON carries them.
    """

    topic: ClassVar[str]

    operator_id: int

    @property
    def key(self) -> str:
        """Of the tenant as a whole, unless the event is of a smaller thing."""
        return f"operator:{self.operator_id}"

    @property
    def headers(self) -> dict[str, str]:
        """What content-based routes may match on."""
        return {"operator": str(self.operator_id)}
