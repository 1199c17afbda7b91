import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_kit.limits import RANDOM_BYTES_MAX
from forecourt_kit.random import Random, SeededRandom, SystemRandom, pick, shuffled


@pytest.mark.parametrize("chance", [SystemRandom(), SeededRandom(3)], ids=["system", "seeded"])
class TestEverySource:
    def test_stays_in_its_range(self, chance: Random) -> None:
        assert {chance.below(3) for _ in range(200)} == {0, 1, 2}
        assert all(0 <= chance.uniform() < 1 for _ in range(100))
        assert len(chance.bytes(0)) == 0
        assert len(chance.bytes(33)) == 33

    def test_tokens_are_url_safe_and_differ(self, chance: Random) -> None:
        tokens = {chance.token() for _ in range(100)}
        assert len(tokens) == 100
        assert all(len(token) == 22 and token.replace("-", "").replace("_", "").isalnum() for token in tokens)

    def test_senseless_sizes_are_refused(self, chance: Random) -> None:
        for bad in (-1, RANDOM_BYTES_MAX + 1):
            with pytest.raises(ValueError, match="within"):
                chance.bytes(bad)
        with pytest.raises(ValueError, match=r".+"):
            chance.below(0)


@given(st.integers(0, 2**64), st.text(max_size=5))
def test_the_same_seed_gives_the_same_chance(seed: int, label: str) -> None:
    one, other = SeededRandom(seed), SeededRandom(seed)
    assert [one.below(1000) for _ in range(20)] == [other.below(1000) for _ in range(20)]
    assert one.branch(label).bytes(16) == other.branch(label).bytes(16)


def test_a_branch_does_not_move_its_parent() -> None:
    alone, parent = SeededRandom(5), SeededRandom(5)
    parent.branch("pump 1").bytes(64)
    assert alone.bytes(16) == parent.bytes(16)
    assert parent.branch("pump 1").bytes(8) != parent.branch("pump 2").bytes(8)


@given(st.lists(st.integers(), min_size=1), st.integers())
def test_shuffling_keeps_every_item_and_picking_takes_one_of_them(items: list[int], seed: int) -> None:
    chance = SeededRandom(seed)
    assert sorted(shuffled(chance, items)) == sorted(items)
    assert pick(chance, items) in items
