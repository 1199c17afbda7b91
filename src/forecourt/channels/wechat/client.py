"""Asking WeChat Pay: signed requests, verified answers, and the platform's keys kept fresh.

Nothing here raises for what the channel does or fails to do: what cannot be believed is a `Silence`.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from forecourt.channels.wechat.config import LoadedKeys, WeChatConfig, load_certificate, load_keys
from forecourt.channels.wechat.signing import (
    BadSignature,
    Merchant,
    PlatformKey,
    PlatformKeys,
    Undecryptable,
    UnknownSerial,
    certificate_key,
    decrypt,
)
from forecourt.core.db import assert_no_transaction
from forecourt_kit.clock import Clock
from forecourt_kit.random import Random

CERTIFICATES_PATH = "/v3/certificates"
CERTIFICATES_FRESH_S = 3_600.0  # wechatpay-java refreshes hourly; the documentation allows 12 hours.
REFRESH_PAUSE_S = 5.0  # Junk with invented serials must not make us ask more often than this.
USER_AGENT = "forecourt (httpx)"
CODE = re.compile(rb'"code"\s*:\s*"([A-Z_]{1,64})"')
CLAIM_BYTES_MAX = 1_024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """A verified answer. `body` is {} when the channel sent none."""

    status: int
    body: Mapping[str, Any]

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        code = self.body.get("code", "")
        return code[:64] if isinstance(code, str) else ""

    @property
    def message(self) -> str:
        message = self.body.get("message", "")
        return message[:256] if isinstance(message, str) else ""


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer that can be believed; the channel may or may not have acted."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class _Raw:
    status: int
    headers: Mapping[str, str]  # Lower-case names.
    body: bytes


class WeChatClient:
    """One long-lived HTTP client of one merchant."""

    def __init__(
        self,
        config: WeChatConfig,
        clock: Clock,
        random: Random,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` mounts the simulator without a socket. Raises InvalidWeChatConfig."""
        loaded = load_keys(config)
        self.config = config
        self.api_v3_key = loaded.api_v3
        self._merchant = Merchant(mchid=config.mchid, serial=config.merchant_serial, key=loaded.merchant)
        self._fixed_keys = _fixed_keys(config, loaded)
        self.keys = self._fixed_keys.with_keys(certificate_key(one) for one in loaded.certificates)
        self._clock = clock
        self._random = random
        self._refreshing = asyncio.Lock()
        self._refreshed_s: float | None = None
        self._refresh_tried_s: float | None = None
        self._refresh_failure = Silence("NO_PLATFORM_KEY", "the certificates were not fetched yet")
        self._http = httpx.AsyncClient(
            transport=transport,
            trust_env=False,  # Base URLs and keys come by configuration only.
            follow_redirects=False,
            timeout=httpx.Timeout(config.answer_timeout_ms / 1000, connect=config.connect_timeout_ms / 1000),
            limits=httpx.Limits(max_connections=config.connections_max),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> Reply | Silence:
        """Ask once. `target` is path and query, percent-encoded; `body` becomes JSON."""
        if self.config.fetch_certificates and not self._keys_are_fresh():
            await self.refresh_keys()
        if not self.keys:
            return self._refresh_failure
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        raw = await self._send(method, target, content)
        if isinstance(raw, Silence):
            return raw
        try:
            await self._verify(raw)
        except BadSignature as why:
            return _unbelievable(raw, why)
        return _parsed(raw)

    async def refresh_keys(self) -> bool:
        """Fetch the platform's certificates; False when they are as before, or it was tried a moment ago."""
        if not self.config.fetch_certificates:
            return False
        async with self._refreshing:
            now_s = self._clock.monotonic_s()
            if self._refresh_tried_s is not None and now_s - self._refresh_tried_s < REFRESH_PAUSE_S:
                return False
            self._refresh_tried_s = now_s
            raw = await self._send("GET", CERTIFICATES_PATH, b"")
            found = raw if isinstance(raw, Silence) else self._read_certificates(raw)
            if isinstance(found, Silence):
                self._refresh_failure = Silence(found.code, f"WeChat Pay's certificates: {found.message}")
                log.warning("platform certificates not refreshed", extra={"code": found.code})
                return False
            before = self.keys.serials()
            self.keys = self._fixed_keys.with_keys(found)
            self._refreshed_s = now_s
            return self.keys.serials() != before

    def verify_again_soon(self) -> None:
        """Something was signed with a key we do not have: fetch before the next request."""
        self._refreshed_s = None

    def _keys_are_fresh(self) -> bool:
        return (
            self._refreshed_s is not None
            and self._clock.monotonic_s() - self._refreshed_s < CERTIFICATES_FRESH_S
        )

    async def _verify(self, raw: _Raw) -> None:
        try:
            self.keys.verify(raw.headers, raw.body, self._clock.now())
        except UnknownSerial:
            if not await self.refresh_keys():
                raise
            self.keys.verify(raw.headers, raw.body, self._clock.now())

    async def _send(self, method: str, target: str, content: bytes) -> _Raw | Silence:
        """To the first host that can be connected to. What may have arrived is never sent again here."""
        assert_no_transaction()
        silence = Silence("UNREACHABLE", "")
        for base_url in self.config.base_urls:
            try:
                async with asyncio.timeout(self.config.answer_timeout_ms / 1000):
                    return await self._exchange(base_url, method, target, content)
            except (httpx.ConnectError, httpx.ConnectTimeout) as why:
                silence = Silence("UNREACHABLE", f"cannot connect to {base_url}: {why}"[:256])
            except (httpx.TimeoutException, TimeoutError):
                return Silence("TIMEOUT", f"no answer within {self.config.answer_timeout_ms} ms")
            except httpx.TransportError as why:
                return Silence("CONNECTION_LOST", f"the connection broke: {why}"[:256])
        return silence

    async def _exchange(self, base_url: str, method: str, target: str, content: bytes) -> _Raw | Silence:
        request = self._http.build_request(
            method,
            base_url.rstrip("/") + target,
            content=content or None,
            headers={"Accept": "application/json", "User-Agent": USER_AGENT},
        )
        if content:
            request.headers["Content-Type"] = "application/json"
        if self.config.platform_public_key_id:
            request.headers["Wechatpay-Serial"] = self.config.platform_public_key_id
        request.headers["Authorization"] = self._merchant.authorization(
            method,
            request.url.raw_path.decode("ascii"),  # As it goes over the wire, percent-encoded.
            content,
            int(self._clock.now().timestamp()),
            self._random.bytes(16).hex().upper(),
        )
        response = await self._http.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self.config.answer_bytes_max:
                    return Silence("TOO_LARGE", f"an answer above {self.config.answer_bytes_max} bytes")
        except httpx.DecodingError:
            return Silence("UNREADABLE", "its content encoding is broken")
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return _Raw(response.status_code, headers, bytes(body))

    def _read_certificates(self, raw: _Raw) -> list[PlatformKey] | Silence:
        """Trusted because our APIv3 key opens them; the answer must be signed by one of them."""
        if raw.status != 200:
            claimed = CODE.search(raw.body[:CLAIM_BYTES_MAX])  # For people: it is not verified.
            return Silence(claimed[1].decode() if claimed else f"HTTP_{raw.status}", "they were refused")
        try:
            listed = json.loads(raw.body)["data"]
            opened = [decrypt(self.api_v3_key, one["encrypt_certificate"]).decode() for one in listed]
            found = [certificate_key(load_certificate(pem)) for pem in opened]
            self._fixed_keys.with_keys(found).verify(raw.headers, raw.body, self._clock.now())
        except Undecryptable as why:
            return Silence("API_V3_KEY", str(why))
        except BadSignature as why:
            return Silence(why.code, str(why))
        except (ValueError, KeyError, TypeError, RecursionError):
            return Silence("UNREADABLE", "the certificates are not in the documented form")
        return found


def _fixed_keys(config: WeChatConfig, loaded: LoadedKeys) -> PlatformKeys:
    if loaded.platform is None:
        return PlatformKeys([])
    return PlatformKeys([PlatformKey(serial=config.platform_public_key_id, key=loaded.platform)])


def _unbelievable(raw: _Raw, why: BadSignature) -> Silence:
    """An answer without the channel's signature, success or refusal, is nobody's word."""
    if raw.status >= 500:
        return Silence(f"HTTP_{raw.status}", f"the channel is in trouble (HTTP {raw.status})")
    if "json" not in raw.headers.get("content-type", "json"):
        return Silence("NOT_JSON", f"HTTP {raw.status} without JSON: something else answers at this address")
    return Silence(why.code, f"HTTP {raw.status}: {why}")


def _parsed(raw: _Raw) -> Reply | Silence:
    if not raw.body:
        return Reply(raw.status, {})
    try:
        body = json.loads(raw.body)
    except (ValueError, RecursionError):
        return Silence("UNREADABLE", "a signed answer that is not JSON")
    if not isinstance(body, dict):
        return Silence("UNREADABLE", "a signed answer that is not a JSON object")
    return Reply(raw.status, body)
