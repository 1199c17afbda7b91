"""Reading what WeChat Pay tells us: verify, decrypt, understand; and what to answer."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from forecourt.channels.wechat.mapping import Unreadable, read_refund, read_trade
from forecourt.channels.wechat.signing import BadSignature, PlatformKeys, Undecryptable, decrypt
from forecourt.payments.types import ForgedNotice, Notice, NoticeReply

NOTICE_BYTES_MAX = 64 * 1024
NOTICE_ID_CHARS_MAX = 64


def read_notice(
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: PlatformKeys,
    api_v3_key: bytes,
    mchid: str,
    appid: str,
    now: datetime,
) -> Notice:
    """Verify and decrypt one notification; `headers` have lower-case names.

    Raises:
        ForgedNotice: signature, age, serial, encryption, merchant or content is wrong.
    """
    if len(body) > NOTICE_BYTES_MAX:
        raise ForgedNotice("too large")
    try:
        keys.verify(headers, body, now)
    except BadSignature as why:
        raise ForgedNotice(f"{why.code}: {why}") from why
    envelope = _object(body, "the notification")
    notice_id, resource = envelope.get("id"), envelope.get("resource")
    if not isinstance(notice_id, str) or not 0 < len(notice_id) <= NOTICE_ID_CHARS_MAX:
        raise ForgedNotice("it has no id")
    if envelope.get("resource_type") != "encrypt-resource" or not isinstance(resource, dict):
        raise ForgedNotice("it has no encrypted resource")
    try:
        inner = _object(decrypt(api_v3_key, resource), "the resource")
    except Undecryptable as why:
        raise ForgedNotice(f"UNDECRYPTABLE: {why}") from why
    if inner.get("mchid") != mchid:
        raise ForgedNotice("it is for another merchant")
    event = envelope.get("event_type")
    try:
        if isinstance(event, str) and event.startswith("TRANSACTION."):
            payment = read_trade(inner, None, mchid, appid)
            return Notice(notice_id=notice_id, merchant=mchid, payment=payment)
        if isinstance(event, str) and event.startswith("REFUND."):
            refund = read_refund(inner, None, "refund_status")
            return Notice(notice_id=notice_id, merchant=mchid, refund=refund)
    except Unreadable as why:
        raise ForgedNotice(f"UNREADABLE: {why}") from why
    raise ForgedNotice("an event of this type is not expected")


def accepted() -> NoticeReply:
    return NoticeReply(status=200, body=b'{"code":"SUCCESS","message":"OK"}')


def refused(reason: str) -> NoticeReply:
    """WeChat Pay tries again on 4xx and 5xx; a 200 would acknowledge what we did not believe."""
    return NoticeReply(status=401, body=json.dumps({"code": "FAIL", "message": reason[:120]}).encode())


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise ForgedNotice(f"{what} is not JSON") from None
    if not isinstance(found, dict):
        raise ForgedNotice(f"{what} is not a JSON object")
    return found
