"""What every daemon has, without sockets and instruments."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import numpy as np
import pytest
from _plans import a_plan

from qnode.daemons._endpoints import endpoint_of, neighbours
from qnode.daemons._party import Party, run_accounting, stop_with_parent
from qnode.errors import InstrumentError, MisuseError
from qnode.heralds import ColumnArrays, Herald, Plan, PlanBook, PlanEnd, Reason, Settlement, Summary

PS_PER_S = 10**12


def plan(plan_id: str = "aa", **changes: Any) -> Plan:
    usual = {
        "rounds": 400,
        "attempts": 10,
        "round_period_ps": 2 * 10**9,
        "bases": {"alice": "X", "bob": "X"},
        "credit_rounds": 100,
    }
    return a_plan(plan_id=plan_id, **{**usual, **changes})


@pytest.fixture
def party(lab) -> Party:
    return Party(lab.path, "alice", lab.data)


def test_an_unknown_site_is_refused_with_those_that_exist(lab):
    with pytest.raises(MisuseError, match=r"lab\.yaml: there is no site carol") as caught:
        Party(lab.path, "carol", lab.data)
    assert caught.value.hint == "sites of this lab: alice, bob, midpoint"


def test_endpoints_are_those_of_the_lab_file(party, lab):
    assert endpoint_of(party.lab, "bob", "command") == f"tcp://{lab.block}20:5700"
    assert endpoint_of(party.lab, "bob", "stream") == f"tcp://{lab.block}20:5701"
    assert endpoint_of(party.lab, "midpoint", "tap") == f"tcp://{lab.block}30:5702"
    tunnel = {"midpoint": "10.0.0.9"}
    assert endpoint_of(party.lab, "midpoint", "command", tunnel) == "tcp://10.0.0.9:5700"
    assert endpoint_of(party.lab, "bob", "command", tunnel) == f"tcp://{lab.block}20:5700"


def test_who_plays_with_whom(party):
    assert neighbours(party.lab, "alice") == neighbours(party.lab, "bob") == ["midpoint"]
    assert neighbours(party.lab, "midpoint") == ["alice", "bob"]


@pytest.mark.parametrize(("caller", "heard"), [("midpoint", ["midpoint"]), ("bob", []), ("operator", [])])
def test_only_the_key_of_a_neighbour_says_that_it_was_killed(party, monkeypatch, caller, heard):
    sites: list[str] = []
    monkeypatch.setattr(party, "bereaved", lambda site, _reason: sites.append(site))
    monkeypatch.setattr("qnode.daemons._party.caller_identity", lambda: caller)
    asyncio.run(party.handlers()["killed"](None))
    assert sites == heard


# --- books ----------------------------------------------------------------------------------------------------------


def test_a_plan_opens_its_book_once_and_messages_go_to_the_book_of_their_plan(party):
    summary = Summary(plan_id="bb", first_round=0, stop_round=5, heralds=0)
    party.enter(summary)
    party.enter(plan("aa"))
    party.enter(plan("bb"))
    party.enter(summary)
    party.enter(plan("bb"))
    assert party.book("aa").summarised_rounds == 0
    assert party.book("bb").summarised_rounds == 5
    assert (party.book("bb").ledger.midpoint, party.book("bb").ledger.nodes) == ("midpoint", ("alice", "bob"))
    with pytest.raises(MisuseError, match="alice knows no plan cc"):
        party.book("cc")


def settled_book(plan_: Plan, reason: Reason) -> PlanBook:
    """Three rounds: a herald in attempt 4, nothing, masked."""
    book = PlanBook(plan_, "midpoint", "midpoint", ("alice", "bob"))
    attempt, pattern = np.array([4, -1, -1], np.int16), np.array([1, 0, 0], np.uint8)
    clean = np.zeros(3, np.uint8)
    mine = ColumnArrays(0, attempt, pattern, clean).column(plan_.plan_id, "midpoint", midpoint=True)
    masks = np.array([0, 0, reason], np.uint8)
    alice = ColumnArrays(0, attempt, clean, masks).column(plan_.plan_id, "alice", midpoint=False)
    bob = ColumnArrays(0, attempt, clean, clean).column(plan_.plan_id, "bob", midpoint=False)
    book.enter(
        Herald(plan_id=plan_.plan_id, round=0, attempt=4, pattern=1, bell="psi+", click_ps=0, valid_until_ps=PS_PER_S)
    )
    book.enter(mine)
    book.enter(Settlement(plan_id=plan_.plan_id, columns=[mine, alice, bob]))
    return book


def test_the_account_of_a_run_adds_its_plans_with_their_reasons():
    books = [
        settled_book(plan("aa"), Reason.CHARGE),
        settled_book(plan("bb"), Reason.TAG_GAP),
        settled_book(plan("cc"), Reason.CHARGE),
        settled_book(plan("dd", kind="readout_calibration"), Reason.CHARGE),
    ]
    assert run_accounting(books) == {
        "rounds": 9,
        "slots": {
            "slots": 90,
            "not_played": 15,
            "failed": 42,
            "heralded": 3,
            "vetoed": 0,
            "masked": 30,
            "expired": 0,
        },
        "reasons": {"masked": {"charge": 20, "tag_gap": 10}, "expired": {}},
    }


def test_a_run_without_plans_has_no_slots():
    assert run_accounting([]) == {"rounds": 0, "slots": {}, "reasons": {"masked": {}, "expired": {}}}


def test_the_accounts_name_every_plan_of_the_run_with_the_hashes_of_its_programs(party):
    for each in (
        plan("aa", sequences={"alice": "f00d"}),
        plan("bb", run_id="another"),
        plan("cc", kind="readout_calibration"),
    ):
        party.enter(each)
    party.enter(PlanEnd(plan_id="aa", rounds=0, reason="alice was stopped"))
    answer = asyncio.run(party.handlers()["accounting"]({"run_id": "run-1"}))
    assert [one["plan_id"] for one in answer["plans"]] == ["aa", "cc"]
    assert answer["plans"][0] == {
        "plan_id": "aa",
        "kind": "heralding",
        "t0_tai_s": 1_000,
        "first_round": 0,
        "rounds": 400,
        "settled_rounds": 0,
        "ended": "alice was stopped",
        "sequences": {"alice": "f00d"},
    }
    assert answer["plans"][1]["ended"] == ""


# --- programs ---


def test_programs_are_compiled_once_and_old_ones_are_let_go(party):
    """Bases that are drawn anew for each plan must not fill the memory."""
    first = party.link_programs(plan())
    assert party.link_programs(plan("bb")) is first
    for bases in ("Y", "Z", "XY", "XZ"):
        other = party.link_programs(plan(bases={"alice": bases, "bob": bases}))
        assert party.link_programs(plan(bases={"alice": bases, "bob": bases})) is other
    assert party.link_programs(plan()) is not first


def test_what_a_plan_uploads_is_compiled_once_and_is_its_own(party, monkeypatch):
    compiled: list[str] = []

    class Programs:
        def heralding(self, site: str, runs: int) -> dict[str, str]:
            compiled.append(f"{runs} rounds at {site}")
            return {"awg": compiled[-1]}

        def calibration(self, site: str, runs: int) -> tuple[None, dict[str, str]]:
            compiled.append(f"{runs} of calibration at {site}")
            return None, {"awg": compiled[-1]}

    monkeypatch.setattr(party, "link_programs", lambda _plan: Programs())
    for proposal, uploads in (
        (plan("aa"), "400 rounds at alice"),
        (plan("bb", rounds=7), "7 rounds at alice"),
        (plan("cc", rounds=7, kind="readout_calibration"), "7 of calibration at alice"),
    ):
        assert party.programs(proposal) == {"awg": uploads}
        assert party.programs(proposal) == {"awg": uploads}
    assert len(compiled) == 3


# --- pace -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credit", "rounds", "age_s", "due"),
    [
        (100, 24, 0.0, False),
        (100, 25, 0.0, True),
        (100, 1, 0.021, True),
        (100, 1, 0.019, False),
        (100, 0, 99.0, False),
        (2, 1, 0.0, True),
        (100_000, 255, 0.0, False),
        (100_000, 256, 0.0, True),
    ],
)
def test_a_batch_is_due_when_a_quarter_of_the_credit_is_there_or_after_a_while(
    party, monkeypatch, credit, rounds, age_s, due
):
    monkeypatch.setattr("qnode.daemons._party.time.monotonic", lambda: 50.0)
    assert party.batch_is_due(plan(credit_rounds=credit), rounds, 50.0 - age_s) is due


class ClockOfATest:
    def __init__(self) -> None:
        self.released: list[int] = []

    async def release(self, until_ps: int) -> None:
        self.released.append(until_ps)


@pytest.mark.parametrize(
    ("digested", "until_rounds", "more_ps"),
    [
        (0, 101, 0),
        (50, 151, 0),
        # From here on the last round can be over, and a second more lets its last tags come.
        (298, 399, 0),
        (299, 400, PS_PER_S),
        (400, 501, PS_PER_S),
    ],
)
def test_lab_time_may_run_ahead_by_the_credit_and_a_round(party, digested, until_rounds, more_ps):
    party.clock = clock = ClockOfATest()
    asyncio.run(party.release_rounds(plan(), digested))
    assert clock.released == [1_000 * PS_PER_S + until_rounds * 2 * 10**9 + more_ps]


# --- ends -----------------------------------------------------------------------------------------------------------


def test_a_background_task_that_fails_stops_the_daemon_and_says_why(party):
    async def broken() -> None:
        raise InstrumentError("the tagger is gone")

    async def body() -> None:
        task = party.spawn(broken(), "tagger")
        await asyncio.wait_for(party.stopping.wait(), 5)
        assert task.done()

    asyncio.run(body())
    assert party.state == "failed: tagger: the tagger is gone"
    assert isinstance(party.failure, InstrumentError)


def test_an_error_that_is_not_ours_is_told_with_its_kind(party):
    party.failed("tagger", ZeroDivisionError("division by zero"))
    assert str(party.failure) == "alice: tagger: ZeroDivisionError('division by zero')"


def test_tasks_that_end_or_are_cancelled_stop_nothing(party):
    async def body() -> None:
        done = party.spawn(asyncio.sleep(0), "done")
        hanging = party.spawn(asyncio.Event().wait(), "hanging")
        await asyncio.wait_for(done, 5)
        hanging.cancel()
        await asyncio.wait([hanging], timeout=5)

    asyncio.run(body())
    assert not party.stopping.is_set()
    assert party.failure is None


def test_the_end_of_the_parents_pipe_stops_the_daemon_and_a_byte_does_not():
    read, write = os.pipe()

    async def body() -> None:
        stopping = asyncio.Event()
        stop_with_parent(read, stopping)
        os.write(write, b"x")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stopping.wait(), 0.05)
        os.close(write)
        await asyncio.wait_for(stopping.wait(), 5)

    try:
        asyncio.run(body())
    finally:
        os.close(read)
