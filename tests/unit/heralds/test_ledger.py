"""The rules of the ledger, each on a round worked out by hand (N = 10)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnode.heralds import (
    CLASSES,
    DOUBLE_CLICK,
    SINGLE_CLICK,
    ColumnArrays,
    Ledger,
    LedgerError,
    Reason,
    classify,
    masked_column,
)

N = 10


def column(*rounds: tuple[int, int, int], first: int = 0) -> ColumnArrays:
    """Rounds as (attempt, pattern, mask)."""
    attempt, pattern, mask = zip(*rounds, strict=True)
    return ColumnArrays(first, np.array(attempt, np.int16), np.array(pattern, np.uint8), np.array(mask, np.uint8))


def one(midpoint, alice, bob, rules=SINGLE_CLICK):
    classes = classify(N, column(midpoint), column(alice), column(bob), rules)
    row = {name: int(n) for name, n in zip(CLASSES, classes.counts[0], strict=True) if n}
    return row, Reason(int(classes.reason[0])).name


@pytest.mark.parametrize(
    ("midpoint", "alice", "bob", "classes", "reason"),
    [
        ((-1, 0, 0), (-1, 0, 0), (-1, 0, 0), {"failed": 10}, "NONE"),
        ((3, 1, 0), (3, 0, 0), (3, 0, 0), {"failed": 3, "heralded": 1, "not_played": 6}, "NONE"),
        ((9, 2, 0), (9, 0, 0), (9, 0, 0), {"failed": 9, "heralded": 1}, "NONE"),
        ((0, 3, 0), (0, 0, 0), (0, 0, 0), {"vetoed": 1, "not_played": 9}, "NONE"),
        ((3, 1, 0), (-1, 0, 0), (3, 0, 0), {"failed": 3, "expired": 1, "masked": 6}, "LINE_MISSING"),
        ((3, 1, 0), (-1, 0, 0), (-1, 0, 0), {"failed": 3, "expired": 1, "masked": 6}, "LINE_MISSING"),
        ((3, 1, 0), (5, 0, 0), (3, 0, 0), {"failed": 3, "expired": 1, "masked": 6}, "ATTEMPT_DIFFERS"),
        ((3, 1, 0), (3, 0, 0), (1, 0, 0), {"failed": 1, "expired": 1, "masked": 8}, "ATTEMPT_DIFFERS"),
        ((-1, 0, 0), (4, 0, 0), (-1, 0, 0), {"failed": 4, "masked": 6}, "LINE_WITHOUT_PATTERN"),
        ((3, 3, 0), (-1, 0, 0), (3, 0, 0), {"failed": 3, "masked": 7}, "LINE_MISSING"),
        ((3, 1, 0), (3, 0, 1), (3, 0, 0), {"expired": 1, "masked": 9}, "CHARGE"),
        ((-1, 0, 0), (-1, 0, 0), (-1, 0, 4), {"masked": 10}, "CLOCK_FAULT"),
        ((-1, 0, 8), (3, 0, 0), (3, 0, 0), {"masked": 10}, "LINE_DIFFERS"),
    ],
)
def test_each_rule_by_hand(midpoint, alice, bob, classes, reason):
    assert one(midpoint, alice, bob) == (classes, reason)


@pytest.mark.parametrize("pattern", range(1, 16))
def test_double_click_heralds_four_patterns_and_vetoes_five(pattern):
    """Patterns with a click in one window only never stand in a column; they would leave their slot unclassed."""
    classes, reason = one((3, pattern, 0), (3, 0, 0), (3, 0, 0), DOUBLE_CLICK)
    name = {5: "heralded", 6: "heralded", 9: "heralded", 10: "heralded"}.get(pattern)
    name = name or {7: "vetoed", 11: "vetoed", 13: "vetoed", 14: "vetoed", 15: "vetoed"}.get(pattern)
    expected = {"failed": 3, "not_played": 6, **({name: 1} if name else {})}
    assert (classes, reason) == (expected, "NONE")


def test_a_masked_herald_of_double_click_expires():
    assert one((3, 9, 0), (3, 0, 1), (3, 0, 0), DOUBLE_CLICK) == ({"expired": 1, "masked": 9}, "CHARGE")
    assert one((3, 7, 0), (3, 0, 1), (3, 0, 0), DOUBLE_CLICK) == ({"masked": 10}, "CHARGE")


attempts = st.integers(-1, N - 1)
masks = st.sampled_from([0, 0, 0, 1, 4])


@given(st.lists(st.tuples(attempts, attempts, attempts, st.integers(1, 3), masks, masks, masks), min_size=1))
def test_every_slot_has_one_class_whatever_the_columns_say(rounds):
    mid = column(*((m, p if m >= 0 else 0, x) for m, _, _, p, x, _, _ in rounds))
    alice = column(*((a, 0, y) for _, a, _, _, _, y, _ in rounds))
    bob = column(*((b, 0, z) for _, _, b, _, _, _, z in rounds))
    classes = classify(N, mid, alice, bob)
    assert (classes.counts >= 0).all()
    assert (classes.counts.sum(axis=1) == N).all()
    good = classes.counts[:, CLASSES.index("heralded")] == 1
    assert (mid.attempt[good] == alice.attempt[good]).all()
    assert (mid.attempt[good] == bob.attempt[good]).all()


def three(rounds: int):
    return {name: column(*[(-1, 0, 0)] * rounds) for name in ("midpoint", "alice", "bob")}


def test_a_settlement_that_is_not_what_we_saw_is_refused_and_names_the_round():
    ledger = Ledger("alice", "midpoint", ("alice", "bob"), N)
    ledger.fill(column((-1, 0, 0), (4, 0, 0)))
    with pytest.raises(LedgerError, match="round 1 is not what alice saw"):
        ledger.settle(three(2))
    assert ledger.accounting()["slots"] == 0


def test_a_settlement_may_mask_what_we_have_not_recorded_but_not_count_it():
    ledger = Ledger("alice", "midpoint", ("alice", "bob"), N)
    ledger.fill(column((-1, 0, 0)))
    with pytest.raises(LedgerError, match="round 1 was settled before alice had recorded it"):
        ledger.settle(three(2))
    columns = three(2)
    columns["alice"] = ColumnArrays.joined([column((-1, 0, 0)), masked_column(1, 1, Reason.NEVER_SETTLED)])
    ledger.settle(columns)
    assert ledger.accounting() == {
        "slots": 20,
        "not_played": 0,
        "failed": 10,
        "heralded": 0,
        "vetoed": 0,
        "masked": 10,
        "expired": 0,
    }
    assert ledger.slots_by_reason["masked"] == {"never_settled": 10}


def test_settlements_follow_each_other():
    ledger = Ledger("midpoint", "midpoint", ("alice", "bob"), N)
    ledger.fill(column(*[(-1, 0, 0)] * 4))
    later = {name: part.between(2, 4) for name, part in three(4).items()}
    with pytest.raises(LedgerError, match="settlement of round 2 came, 0 was due"):
        ledger.settle(later)
    ledger.settle({name: part.between(0, 2) for name, part in three(4).items()})
    ledger.settle(later)
    assert ledger.accounting()["failed"] == 40
