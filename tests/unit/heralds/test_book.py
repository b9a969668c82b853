"""One party's book, fed as its journals are: live, and again after a kill at any moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from _plans import a_plan
from hypothesis import given
from hypothesis import strategies as st

from qnode.heralds import (
    Column,
    ColumnArrays,
    Expiry,
    Herald,
    LedgerError,
    Message,
    NodeRow,
    PlanBook,
    PlanEnd,
    Reason,
    Rows,
    Settlement,
    Summary,
    decode_message,
    encode_message,
)

N = 10
PLAN = a_plan(attempts=N)
ID = PLAN.plan_id

Round = tuple[int, int, int]
"""Attempt, pattern, mask."""
NOTHING: Round = (-1, 0, 0)


def column(party: str, first: int, *rounds: Round) -> Column:
    attempt, pattern, mask = zip(*rounds, strict=True)
    arrays = ColumnArrays(first, np.array(attempt, np.int16), np.array(pattern, np.uint8), np.array(mask, np.uint8))
    return arrays.column(ID, party, midpoint=party == "midpoint")


def settlement(first: int, midpoint: list[Round], alice: list[Round], bob: list[Round]) -> Settlement:
    columns = [column("midpoint", first, *midpoint), column("alice", first, *alice), column("bob", first, *bob)]
    return Settlement(plan_id=ID, columns=columns)


def herald(round_: int, attempt: int, pattern: int = 1) -> Herald:
    return Herald(
        plan_id=ID,
        round=round_,
        attempt=attempt,
        pattern=pattern,
        bell="psi+",
        click_ps=0,
        valid_until_ps=10**13,
    )


def row(round_: int, attempt: int) -> NodeRow:
    return NodeRow(round_, attempt, "X", 20, 1, True, 1)


def rows(*entries: NodeRow, party: str = "alice") -> Rows:
    return Rows(plan_id=ID, party=party, rows=list(entries))


def book(party: str = "alice") -> PlanBook:
    return PlanBook(PLAN, party, "midpoint", ("alice", "bob"))


def state(of: PlanBook) -> dict[str, Any]:
    return {
        "accounting": of.ledger.accounting(),
        "reasons": of.ledger.slots_by_reason,
        "settled_rounds": of.ledger.settled_rounds,
        "settled": of.settled,
        "expired": of.expired,
        "heralds": of.heralds,
        "rows": of.rows,
        "recorded": of.recorded_rounds,
        "summarised": of.summarised_rounds,
        "end": of.end,
    }


# Rounds 0..7: rest, herald, herald whose line bob missed, veto, masked by alice, herald masked by alice, line without
# a pattern, herald.
MIDPOINT: list[Round] = [NOTHING, (3, 1, 0), (4, 2, 0), (5, 3, 0), NOTHING, (2, 1, 0), NOTHING, (9, 1, 0)]
ALICE: list[Round] = [NOTHING, (3, 0, 0), (4, 0, 0), (5, 0, 0), (-1, 0, 1), (2, 0, 1), (6, 0, 0), (9, 0, 0)]
BOB: list[Round] = [NOTHING, (3, 0, 0), NOTHING, (5, 0, 0), NOTHING, (2, 0, 0), NOTHING, (9, 0, 0)]

OWN: list[Message] = [
    rows(row(1, 3), row(2, 4), row(3, 5)),
    column("alice", 0, *ALICE[:4]),
    rows(row(5, 2), row(6, 6)),
    column("alice", 4, *ALICE[4:7]),
    rows(row(7, 9)),
    column("alice", 7, *ALICE[7:]),
]
"""Alice's own journal."""
RECEIVED: list[Message] = [
    herald(1, 3),
    herald(2, 4, 2),
    column("midpoint", 0, *MIDPOINT[:4]),
    Summary(plan_id=ID, first_round=0, stop_round=4, heralds=2),
    settlement(0, MIDPOINT[:3], ALICE[:3], BOB[:3]),
    herald(5, 2),
    herald(7, 9),
    column("midpoint", 4, *MIDPOINT[4:]),
    Summary(plan_id=ID, first_round=4, stop_round=8, heralds=2),
    settlement(3, MIDPOINT[3:5], ALICE[3:5], BOB[3:5]),
    settlement(5, MIDPOINT[5:], ALICE[5:], BOB[5:]),
    PlanEnd(plan_id=ID, rounds=8, reason="done"),
]
"""What the midpoint sent her."""
NEEDED = {4: 2, 9: 4, 10: 6}
"""A settlement among `RECEIVED` to how much of `OWN` the midpoint must have got before it."""


def test_a_plan_from_beginning_to_end():
    it = book()
    for message in (*OWN, *RECEIVED):
        it.enter(message)
    # Failed: 10, 3, 4, 5, 0, 0, 6, 9. Not played: 6 after round 1's herald, 4 after the veto.
    assert it.ledger.accounting() == {
        "slots": 80,
        "not_played": 10,
        "failed": 37,
        "heralded": 2,
        "vetoed": 1,
        # 5 of round 2, 10 of round 4, 9 of round 5, 4 of round 6.
        "masked": 28,
        "expired": 2,
    }
    assert it.ledger.slots_by_reason == {
        "masked": {"line_missing": 5, "charge": 19, "line_without_pattern": 4},
        "expired": {"line_missing": 1, "charge": 1},
    }
    assert [h.round for h in it.settled] == [1, 7]
    assert it.expired == [Expiry(2, 4, "line_missing"), Expiry(5, 2, "charge")]
    assert it.settled_rows(0) == [row(1, 3), row(7, 9)]
    assert it.settled_rows(1) == [row(7, 9)]
    assert (it.recorded_rounds, it.summarised_rounds) == (8, 8)
    assert it.end == PlanEnd(plan_id=ID, rounds=8, reason="done")


@given(st.lists(st.booleans(), min_size=30, max_size=60), st.integers(0, len(OWN) + len(RECEIVED)))
def test_a_replay_at_any_cut_gives_the_same_book(own_first, killed_at):
    """Live, both journals grow as they come; on replay the own one is read first, then the received one."""
    order: list[Message] = []
    i = j = 0
    for own in own_first + [True] * len(OWN) + [False] * len(RECEIVED):
        if own and i < len(OWN):
            order.append(OWN[i])
            i += 1
        elif not own and j < len(RECEIVED) and i >= NEEDED.get(j, 0):
            order.append(RECEIVED[j])
            j += 1
    assert len(order) == len(OWN) + len(RECEIVED)
    live, replayed = book(), book()
    for message in order[:killed_at]:
        live.enter(message)
    journals = [m for m in order[:killed_at] if m in OWN] + [m for m in order[:killed_at] if m in RECEIVED]
    for message in journals:
        replayed.enter(decode_message(encode_message(message)))
    assert state(replayed) == state(live)
    for message in order[killed_at:]:
        replayed.enter(message)
    whole = book()
    for message in (*OWN, *RECEIVED):
        whole.enter(message)
    assert state(replayed) == state(whole)


def test_columns_and_rows_of_others_mean_nothing():
    it = book()
    before = state(book())
    it.enter(column("midpoint", 0, *MIDPOINT))
    it.enter(column("bob", 0, *BOB))
    it.enter(rows(row(1, 3), party="bob"))
    assert state(it) == before


def test_the_same_settlement_gives_all_three_the_same_sums():
    columns = {"midpoint": MIDPOINT, "alice": ALICE, "bob": BOB}
    accounts = []
    for party, mine in columns.items():
        it = book(party)
        for message in RECEIVED:
            if isinstance(message, Herald):
                it.enter(message)
        it.enter(column(party, 0, *mine))
        it.enter(settlement(0, MIDPOINT, ALICE, BOB))
        accounts.append((it.ledger.accounting(), it.ledger.slots_by_reason, it.settled, it.expired))
    assert accounts[0] == accounts[1] == accounts[2]


def test_an_expired_herald_that_never_came_is_counted_and_not_listed():
    it = book()
    it.enter(column("alice", 0, (3, 0, int(Reason.HERALD_MISSING))))
    it.enter(settlement(0, [(3, 1, 0)], [(3, 0, int(Reason.HERALD_MISSING))], [(3, 0, 0)]))
    assert it.ledger.accounting()["expired"] == 1
    assert it.ledger.slots_by_reason["expired"] == {"herald_missing": 1}
    assert it.expired == []


def test_a_settled_herald_that_never_came_is_refused():
    it = book()
    it.enter(column("alice", 0, NOTHING, (3, 0, 0)))
    with pytest.raises(LedgerError, match="alice: round 1 is settled as heralded, but its herald never came"):
        it.enter(settlement(0, [NOTHING, (3, 1, 0)], [NOTHING, (3, 0, 0)], [NOTHING, (3, 0, 0)]))
    assert it.settled == []


def test_a_settlement_against_our_own_record_is_refused():
    it = book()
    it.enter(column("alice", 0, NOTHING))
    with pytest.raises(LedgerError, match="round 0 is not what alice saw"):
        it.enter(settlement(0, [NOTHING], [(3, 0, 0)], [NOTHING]))
