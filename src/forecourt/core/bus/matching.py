"""Who hears what: topic patterns, header matches, partitions, staleness. Pure; the same for every adapter."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Literal
from zlib import crc32

from forecourt.core.bus.types import Message, Subscription

BUCKETS = 64
"""Keys hash into this many buckets, buckets spread over a subscription's partitions. It never changes, as
messages on their way carry their bucket."""


@lru_cache(maxsize=4096)
def topic_matches(pattern: str, topic: str) -> bool:
    """`*` stands for one word, `#` for any number of words, none included; words are between dots."""
    return _match(tuple(pattern.split(".")), tuple(topic.split(".")))


def _match(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return _match(pattern[1:], words) or (bool(words) and _match(pattern, words[1:]))
    return bool(words) and pattern[0] in {"*", words[0]} and _match(pattern[1:], words[1:])


def headers_match(wanted: Mapping[str, str], found: Mapping[str, str], how: Literal["all", "any"]) -> bool:
    """Whether all, or any, of the wanted headers have the wanted value. Nothing wanted matches everything."""
    if not wanted:
        return True
    hits = (found.get(name) == value for name, value in wanted.items())
    return all(hits) if how == "all" else any(hits)


def wants(subscription: Subscription, message: Message) -> bool:
    return any(topic_matches(pattern, message.topic) for pattern in subscription.topics) and headers_match(
        subscription.headers, message.headers, subscription.headers_match
    )


def bucket_of(key: str) -> int:
    """The same in every process and for ever, unlike `hash`."""
    return crc32(key.encode()) % BUCKETS


def partition_of(subscription: Subscription, message: Message) -> int:
    return bucket_of(message.key) % subscription.partitions


def is_stale(subscription: Subscription, message: Message, now: datetime) -> bool:
    limit = subscription.expires_after
    return limit is not None and now - message.created_at > limit
