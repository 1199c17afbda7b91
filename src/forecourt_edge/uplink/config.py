"""The `[uplink]` table of the station's configuration file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forecourt_edge.config import ConfigError
from forecourt_kit.ids import from_public
from forecourt_kit.limits import whole
from forecourt_protocols.slp.crypto import PSK_BYTES
from forecourt_protocols.slp.limits import DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN

KEYS = frozenset({"server", "tcp_server", "device", "key_id", "psk", "datagram_bytes_max"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the centre listens, and how."""

    transport: str  # "udp" or "tcp"
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkConfig:
    """`endpoints` are tried in this order."""

    device_id: int
    key_id: int
    psk: bytes = field(repr=False)
    endpoints: tuple[Endpoint, ...]
    datagram_bytes_max: int = DATAGRAM_BYTES_MAX


def parse_uplink(table: Mapping[str, Any]) -> UplinkConfig:
    """Read the table. Raises ConfigError.

    `server` is "host:port" for UDP, `tcp_server` the same by default and "" for none; `device` the platform's
    number or public id, `key_id` and `psk` (32 bytes in hex) the device's key.
    """
    if unknown := table.keys() - KEYS:
        raise ConfigError(f"[uplink]: no such key: {', '.join(sorted(unknown))}")
    try:
        server = str(table["server"])
        tcp_server = str(table.get("tcp_server", server))
        endpoints = [_endpoint("udp", server)]
        if tcp_server:
            endpoints.append(_endpoint("tcp", tcp_server))
        device = table["device"]
        return UplinkConfig(
            device_id=device if isinstance(device, int) else from_public(str(device)),
            key_id=whole("key_id", table.get("key_id", 1), 0, 255),
            psk=_key(str(table["psk"])),
            endpoints=tuple(endpoints),
            datagram_bytes_max=whole(
                "datagram_bytes_max",
                table.get("datagram_bytes_max", DATAGRAM_BYTES_MAX),
                DATAGRAM_BYTES_MIN,
                DATAGRAM_BYTES_MAX,
            ),
        )
    except KeyError as missing:
        raise ConfigError(f"[uplink]: missing: {missing}") from missing
    except ConfigError:
        raise
    except ValueError as why:
        raise ConfigError(f"[uplink]: {why}") from why


def _key(text: str) -> bytes:
    psk = bytes.fromhex(text)
    if len(psk) != PSK_BYTES:
        raise ConfigError(f"[uplink]: psk must be {PSK_BYTES} bytes in hex")
    return psk


def _endpoint(transport: str, place: str) -> Endpoint:
    host, colon, port = place.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ConfigError(f"[uplink]: not host:port: {place}")
    return Endpoint(transport, host.strip("[]"), whole("port", int(port), 1, 65_535))
