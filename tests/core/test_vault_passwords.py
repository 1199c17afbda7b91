"""What is sealed opens only in its place; password work is bounded."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt.core.errors import TooManyRequests
from forecourt.core.passwords import WAITING_MAX, Cost, Passwords
from forecourt.core.vault import SealBroken, Vault
from forecourt_kit.random import SeededRandom

OLD, NEW = b"o" * 32, b"n" * 32


def vault(**more: object) -> Vault:
    masters = {1: OLD, 2: NEW} if more.get("both") else {1: OLD}
    return Vault(masters, 2 if more.get("both") else 1, SeededRandom("vault"))


@given(st.binary(max_size=200), st.text(max_size=40))
def test_what_is_sealed_opens_in_its_place(value: bytes, context: str) -> None:
    one = vault()
    assert one.open(one.seal(value, context), context) == value


@given(st.binary(min_size=1, max_size=60), st.data())
def test_one_flipped_bit_breaks_the_seal(value: bytes, data: st.DataObject) -> None:
    one = vault()
    sealed = bytearray(one.seal(value, "here"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealBroken):
        one.open(bytes(sealed), "here")


def test_a_sealed_value_cannot_move_and_is_never_the_same_twice() -> None:
    one = vault()
    sealed = one.seal(b"psk", "device:1")
    assert sealed != one.seal(b"psk", "device:1")
    with pytest.raises(SealBroken):
        one.open(sealed, "device:2")
    with pytest.raises(SealBroken):
        one.open(b"", "device:1")


def test_a_new_master_seals_and_the_old_still_opens() -> None:
    sealed_before = vault().seal(b"psk", "x")
    both = vault(both=True)
    assert both.open(sealed_before, "x") == b"psk"
    with pytest.raises(SealBroken):
        vault().open(both.seal(b"psk", "x"), "x")
    assert both.blind_index("138", "a") == vault().blind_index("138", "a") != both.blind_index("138", "b")


async def test_a_password_verifies_and_another_does_not() -> None:
    passwords = Passwords(SeededRandom(1), cost=Cost(memory_kib=64))
    held = await passwords.hash("correct horse")
    assert held.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert held != await passwords.hash("correct horse")
    assert await passwords.verify(held, "correct horse")
    assert not await passwords.verify(held, "correct house")
    assert not await passwords.verify(None, "correct horse")
    assert not await passwords.verify("not a hash", "correct horse")
    passwords.close()


def test_the_default_cost_is_what_asvs_asks() -> None:
    assert Cost() == Cost(time=1, memory_kib=47_104, parallelism=1)


async def test_a_flood_of_log_ins_is_turned_away() -> None:
    passwords = Passwords(SeededRandom(1), cost=Cost(memory_kib=64))
    held = await passwords.hash("correct horse")
    outcomes = await asyncio.gather(
        *(passwords.verify(held, "correct horse") for _ in range(WAITING_MAX * 2)), return_exceptions=True
    )
    assert outcomes.count(True) == WAITING_MAX
    assert sum(isinstance(each, TooManyRequests) for each in outcomes) == WAITING_MAX
    assert await passwords.verify(held, "correct horse")
    passwords.close()
