from __future__ import annotations

import itertools
import math

import pytest

from qnode.daemons._bases import draw_letters
from qnode.errors import MisuseError


@pytest.mark.parametrize("seed", [None, 5])
def test_each_letter_comes_equally_often_and_knows_nothing_of_the_one_before(seed: int | None) -> None:
    drawn = draw_letters("ZX", 20_000, "alice", seed=seed)
    assert len(drawn) == 20_000
    assert set(drawn) == {"Z", "X"}
    # Five standard deviations of a fair coin.
    assert drawn.count("Z") / 20_000 == pytest.approx(0.5, abs=2.5 / math.sqrt(20_000))
    same = sum(a == b for a, b in itertools.pairwise(drawn))
    assert same / 19_999 == pytest.approx(0.5, abs=2.5 / math.sqrt(19_999))


def test_entropy_is_never_the_same() -> None:
    assert draw_letters("ZX", 200, "alice") != draw_letters("ZX", 200, "alice")


def test_one_seed_gives_each_node_and_each_plan_its_own_letters() -> None:
    first = draw_letters("ZX", 4_000, "alice", seed=7, draw=1)
    assert first == draw_letters("ZX", 4_000, "alice", seed=7, draw=1)
    # Fewer rounds of the same draw are its beginning, so that a shorter table changes no letter.
    assert first.startswith(draw_letters("ZX", 100, "alice", seed=7, draw=1))
    for other in (
        draw_letters("ZX", 4_000, "bob", seed=7, draw=1),
        draw_letters("ZX", 4_000, "alice", seed=8, draw=1),
        draw_letters("ZX", 4_000, "alice", seed=7, draw=2),
    ):
        agree = sum(a == b for a, b in zip(first, other, strict=True))
        assert agree / 4_000 == pytest.approx(0.5, abs=2.5 / math.sqrt(4_000))


@pytest.mark.parametrize(("letters", "rounds"), [("ZQ", 10), ("", 10), ("ZX", 0)])
def test_what_no_branch_can_read_is_refused(letters: str, rounds: int) -> None:
    with pytest.raises(MisuseError, match=f"alice is to draw bases for {rounds} rounds from {letters!r}") as caught:
        draw_letters(letters, rounds, "alice")
    assert caught.value.hint == "ask for at least one round, with letters of XYZDE"
