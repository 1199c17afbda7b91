"""Verbs of the registry: devices come, change keys, are enrolled, and go."""

from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest

from forecourt.access import service as access
from forecourt.access.types import TooManyTries
from forecourt.core.actor import Actor, System
from forecourt.core.db import WriteSession
from forecourt.core.errors import Invalid
from forecourt.core.vault import Vault
from forecourt.devices import queries, rules
from forecourt.devices.errors import (
    DeviceCodeTaken,
    DeviceRevoked,
    HasNoKey,
    NotATerminal,
    NozzleElsewhere,
)
from forecourt.devices.types import (
    DeviceId,
    DeviceInfo,
    DeviceKind,
    DeviceState,
    EnrolledTerminal,
    Enrolment,
    NewDevice,
)
from forecourt.sites import queries as sites
from forecourt_kit.ids import ALPHABET, to_public
from forecourt_kit.random import Random

READ_AS = str.maketrans({"i": "1", "l": "1", "o": "0", "-": None, " ": None})


def psk_context(device_id: int, key_id: int) -> str:
    """Where a sealed key belongs; it opens nowhere else."""
    return f"device:{device_id}:psk:{key_id}"


def hash_password(device_id: int, password: str) -> str:
    """Of a charge point's password, which is ours, random and long: no slow hash is needed."""
    return sha256(f"{device_id}:{password}".encode()).hexdigest()


def password_fits(device_id: int, password_hash: str, password: str) -> bool:
    return compare_digest(hash_password(device_id, password), password_hash)


def _hash_code(code: str) -> str:
    """Of an enrolment code, however a person typed it: case, blanks and look-alikes do not matter."""
    return sha256(f"enrolment:{code.strip().lower().translate(READ_AS)}".encode()).hexdigest()


def _of(device: DeviceInfo) -> str:
    return f"device:{to_public(device.id)}"


async def register_device(
    session: WriteSession,
    actor: Actor,
    vault: Vault,
    random: Random,
    *,
    station_id: int,
    kind: DeviceKind,
    name: str,
    code: str | None = None,
) -> NewDevice:
    """Add a device to a station; its secret is in the answer, this once.

    A station agent gets a pre-shared key, a charge point a password for its `code`, a terminal an enrolment
    code.
    """
    station = await sites.get_station(session, actor.scope, station_id)
    if (code is not None) != (kind is DeviceKind.CHARGE_POINT):
        raise Invalid("A charge point, and nothing else, connects under a code.")
    if code is not None and await queries.is_code_taken(session, System(), code):
        raise DeviceCodeTaken(device_code=code)
    device = DeviceInfo(
        id=DeviceId(session.new_id()),
        operator_id=station.operator_id,
        station_id=station.id,
        kind=kind,
        name=name,
        state=DeviceState.WAITING if kind is DeviceKind.TERMINAL else DeviceState.ACTIVE,
        code=code,
        created_at=session.now(),
    )
    made = NewDevice(device=device)
    if kind is DeviceKind.STATION_AGENT:
        psk, key_id = random.bytes(rules.PSK_BYTES), 1
        sealed = vault.seal(psk, psk_context(device.id, key_id))
        await queries.insert_device(session, actor.scope, device, key_id=key_id, psk_sealed=sealed)
        made = NewDevice(device=device, key_id=key_id, psk=psk)
    elif kind is DeviceKind.CHARGE_POINT:
        password = random.token(rules.PASSWORD_BYTES)
        held = hash_password(device.id, password)
        await queries.insert_device(session, actor.scope, device, password_hash=held)
        made = NewDevice(device=device, password=password)
    else:
        await queries.insert_device(session, actor.scope, device)
        made = NewDevice(device=device, enrolment=await _enrolment(session, actor, random, device))
    shown = {"kind": kind.value, "name": name, "station_id": to_public(station.id)}
    await access.record(
        session, actor, "devices.register", _of(device), operator_id=device.operator_id, after=shown
    )
    return made


async def _enrolment(session: WriteSession, actor: Actor, random: Random, device: DeviceInfo) -> Enrolment:
    letters = "".join(ALPHABET[random.below(len(ALPHABET))] for _ in range(rules.ENROLMENT_CHARS)).upper()
    half = rules.ENROLMENT_CHARS // 2
    code = f"{letters[:half]}-{letters[half:]}"
    expires_at = session.now() + rules.ENROLMENT_LIFE
    await queries.insert_enrolment(session, actor.scope, device, _hash_code(code), expires_at)
    return Enrolment(device_id=device.id, code=code, expires_at=expires_at)


async def new_enrolment(session: WriteSession, actor: Actor, random: Random, device_id: int) -> Enrolment:
    """Give a terminal a new one-time code; earlier ones are void. Its session lasts until it is used."""
    device = await queries.get_device(session, actor.scope, device_id)
    if device.kind is not DeviceKind.TERMINAL:
        raise NotATerminal
    if device.state is DeviceState.REVOKED:
        raise DeviceRevoked
    made = await _enrolment(session, actor, random, device)
    await access.record(session, actor, "devices.new_enrolment", _of(device), operator_id=device.operator_id)
    return made


async def enrol(
    session: WriteSession, code: str, *, token: str, ip: str, agent: str
) -> EnrolledTerminal | TooManyTries | None:
    """Use a code: the terminal's session opens. None for a code that is wrong, used or too old.

    Refusals are returned, so that the try stays counted.
    """
    refused = await access.count_enrolment_try(session, ip)
    if refused is not None:
        return refused
    device_id = await queries.use_enrolment(session, System(), _hash_code(code))
    if device_id is None:
        return None
    by = Actor(scope=System(), subject="enrolment")
    device = await queries.get_device(session, by.scope, device_id)
    if device.state is DeviceState.REVOKED:
        return None
    opened = await access.open_device_session(
        session,
        operator_id=device.operator_id,
        station_id=device.station_id,
        device_id=device.id,
        name=device.name,
        ip=ip,
        agent=agent,
        token=token,
    )
    await queries.update_device(session, by.scope, device.id, state=DeviceState.ACTIVE)
    await access.record(
        session, by, "devices.enrol", _of(device), operator_id=device.operator_id, after={"ip": ip}
    )
    return EnrolledTerminal(device=device, token=token, expires_at=opened.expires_at)


async def rotate_key(
    session: WriteSession, actor: Actor, vault: Vault, random: Random, device_id: int
) -> NewDevice:
    """Give a station agent a new key, or a charge point a new password.

    A station agent's old key opens sessions for 24 hours more, so that the change can be carried out.
    """
    device = await queries.get_device(session, actor.scope, device_id)
    if device.state is DeviceState.REVOKED:
        raise DeviceRevoked
    if device.kind is DeviceKind.CHARGE_POINT:
        password = random.token(rules.PASSWORD_BYTES)
        held = hash_password(device.id, password)
        await queries.update_device(session, actor.scope, device.id, password_hash=held)
        made = NewDevice(device=device, password=password)
    elif device.kind in rules.KEYED:
        old_id, old_sealed = await queries.lock_keys(session, actor.scope, device.id)
        psk, key_id = random.bytes(rules.PSK_BYTES), old_id % 255 + 1
        await queries.update_device(
            session,
            actor.scope,
            device.id,
            key_id=key_id,
            psk_sealed=vault.seal(psk, psk_context(device.id, key_id)),
            previous_key_id=old_id,
            previous_psk_sealed=old_sealed,
            previous_until=session.now() + rules.PREVIOUS_KEY_LIFE,
        )
        made = NewDevice(device=device, key_id=key_id, psk=psk)
    else:
        raise HasNoKey
    await access.record(session, actor, "devices.rotate_key", _of(device), operator_id=device.operator_id)
    return made


async def revoke(session: WriteSession, actor: Actor, device_id: int) -> DeviceInfo:
    """End a device for good: its keys open nothing (gateways look again within 60 s), its session is over."""
    device = await queries.get_device(session, actor.scope, device_id)
    await queries.update_device(
        session,
        actor.scope,
        device.id,
        state=DeviceState.REVOKED,
        psk_sealed=None,
        previous_psk_sealed=None,
        password_hash=None,
    )
    await access.end_device_sessions(session, device.id)
    await access.record(
        session,
        actor,
        "devices.revoke",
        _of(device),
        operator_id=device.operator_id,
        before={"state": device.state.value},
        after={"state": DeviceState.REVOKED.value},
    )
    return await queries.get_device(session, actor.scope, device.id)


async def bind_nozzles(
    session: WriteSession, actor: Actor, device_id: int, nozzle_ids: Sequence[int]
) -> list[int]:
    """Say which nozzles a terminal shows or an agent drives; none means all of its station."""
    device = await queries.get_device(session, actor.scope, device_id)
    if device.kind is DeviceKind.CHARGE_POINT:
        raise NotATerminal("A charge point's connectors are told by the nozzles themselves.")
    if len(nozzle_ids) > rules.NOZZLES_PER_TERMINAL_MAX:
        raise Invalid("Too many nozzles for one device.", nozzles_max=rules.NOZZLES_PER_TERMINAL_MAX)
    nozzles = await sites.nozzles_by_station(session, actor.scope, [device.station_id])
    if not set(nozzle_ids) <= {nozzle.id for nozzle in nozzles}:
        raise NozzleElsewhere
    await queries.replace_nozzles(session, actor.scope, device, nozzle_ids)
    await access.record(
        session,
        actor,
        "devices.bind_nozzles",
        _of(device),
        operator_id=device.operator_id,
        after={"nozzle_ids": [to_public(each) for each in sorted(set(nozzle_ids))]},
    )
    return await queries.nozzle_ids_of(session, actor.scope, device.id)
