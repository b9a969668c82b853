"""Playing for pairs against daemons that answer from a script."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from qnode.client import DrawBases, Pair, Pairs, PlayedPlan, PlayOptions, Progress, _playing, play_pairs
from qnode.errors import InstrumentError, MisuseError, NetworkError
from qnode.heralds import Herald, NodeRow
from qnode.labfile import Lab

TWO_NODES = Path(__file__).parents[3] / "config" / "two_nodes.yaml"
COUNTS = {"bright_shots": 100, "bright_ok": 95, "dark_shots": 100, "dark_ok": 99}
NODES = ("alice", "bob")

Settled = tuple[int, int]
"""Round and attempt of a settled herald."""


@dataclass
class ScriptedPlan:
    """What one heralding plan brings."""

    heralds: list[Settled]
    outcome: str = "done"
    settled_rounds: int | None = None
    expired: list[Any] = field(default_factory=list)
    polls: int = 1
    """Questions for progress until it is over."""
    bob_lags: int = 0
    """How many of bob's rows come only at the second question."""


class ScriptedLab:
    """Stands in for `LabConnection`: same calls, no sockets."""

    def __init__(self, *plans: ScriptedPlan, names: str = "plan", measured: float | None = 0.0505) -> None:
        tree = YAML(typ="safe").load(TWO_NODES.read_text())
        del tree["world"]
        tree["calibration"]["links"]["alice-bob"]["herald_probability_per_round"]["value"] = measured or 0.0
        if measured is None:
            del tree["calibration"]["links"]["alice-bob"]["herald_probability_per_round"]
        self.lab = Lab.model_validate(tree)
        self.names = names
        self.script = {f"{names}-{number}": plan for number, plan in enumerate(plans)}
        self.calls: list[tuple[str, str, Any]] = []
        self.proposed: list[dict[str, Any]] = []
        self.errors: dict[tuple[str, str], list[Exception]] = {}
        self.calibration_outcome = "done"
        self.counts: dict[str, int] | None = COUNTS
        self._asked: dict[tuple[str, str], int] = {}

    def fail_once(self, site: str, call: str, error: Exception) -> None:
        self.errors.setdefault((site, call), []).append(error)

    async def call(self, site: str, name: str, params: Any = None, *, timeout_s: float = 10.0) -> Any:
        self.calls.append((site, name, params))
        if waiting := self.errors.get((site, name)):
            raise waiting.pop(0)
        answer: Callable[[str, Any], Any] = getattr(self, f"_{name}")
        return answer(site, params)

    def _times(self, site: str, what: str) -> int:
        self._asked[site, what] = self._asked.get((site, what), 0) + 1
        return self._asked[site, what]

    def _play(self, site: str, params: Any) -> Any:
        if params["kind"] == "readout_calibration":
            return {"plan_id": "calibration", "t0_tai_s": 2_000_000_000}
        self.proposed.append(params)
        number = len(self.proposed) - 1
        return {"plan_id": f"{self.names}-{number}", "t0_tai_s": 2_000_000_100 + number}

    def _calibration(self, site: str, params: Any) -> Any:
        return self.counts

    def _status(self, site: str, params: Any) -> Any:
        return {"plan": None}

    def _progress(self, site: str, params: Any) -> Any:
        if params["plan_id"] == "calibration":
            return {"outcome": self.calibration_outcome}
        plan = self.script[params["plan_id"]]
        over = self._times(site, params["plan_id"]) >= plan.polls
        rounds = self.proposed[int(params["plan_id"].rpartition("-")[2])]["rounds"]
        return {
            "outcome": plan.outcome if over else "playing",
            "settled_rounds": rounds if plan.settled_rounds is None else plan.settled_rounds,
            "heralds": len(plan.heralds),
            "expired": plan.expired,
        }

    def _heralds(self, site: str, params: Any) -> Any:
        some = [
            Herald(
                plan_id=params["plan_id"],
                round=round_,
                attempt=attempt,
                pattern=1,
                bell="psi+",
                click_ps=round_ * 1_000 + attempt,
                valid_until_ps=0,
            )
            for round_, attempt in self.script[params["plan_id"]].heralds
        ]
        return [msgspec.to_builtins(herald) for herald in some[params["since"] :]]

    def _rows(self, site: str, params: Any) -> Any:
        plan = self.script[params["plan_id"]]
        first = self.proposed[int(params["plan_id"].rpartition("-")[2])]["first_round"]
        sign = 1 if site == "alice" else -1
        some = [NodeRow(r, a, "XYZ"[(first + r) % 3], 20, 1, True, sign) for r, a in plan.heralds]
        if site == "bob" and self._times(site, params["plan_id"]) == 1:
            some = some[: len(some) - plan.bob_lags]
        return [msgspec.to_builtins(row) for row in some[params["since"] :]]

    def _abort(self, site: str, params: Any) -> Any:
        return None

    def _accounting(self, site: str, params: Any) -> Any:
        return {"rounds": 1, "run": params["run_id"]}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_playing, "POLL_S", 0.0)


def run(
    lab: ScriptedLab, wanted: int, on_progress: Callable[[Progress], None] = lambda progress: None, **options: Any
) -> Pairs:
    chosen = PlayOptions(heralds=wanted, **options)
    return asyncio.run(
        asyncio.wait_for(play_pairs(lab, lab.lab.links[0], chosen, "run-1", on_progress), 30)  # type: ignore[arg-type]
    )


def some_heralds(count: int) -> list[Settled]:
    return [(number, number % 250) for number in range(count)]


def a_pair(**given: Any) -> Pair:
    """As alice and bob of `ScriptedLab` read it."""
    usual = {
        "round": 3,
        "attempt": 7,
        "pattern": 1,
        "bell": "psi+",
        "click_ps": 0,
        "bases": ("X", "X"),
        "outcomes": (1, -1),
        "bright": (True, True),
        "plan_id": "plan-0",
    }
    return Pair(**{**usual, **given})


def test_a_run_of_one_plan():
    lab = ScriptedLab(ScriptedPlan([(3, 7), (4, 249)], expired=[[9, 1, "late"]]))
    result = run(lab, 2, bases="XZ", credit_rounds=5, echo=False)
    assert list(result) == [
        a_pair(round=3, attempt=7, bases=("X", "X"), click_ps=3_007),
        a_pair(round=4, attempt=249, bases=("Y", "Y"), click_ps=4_249),
    ]
    assert result.ended == "done"
    assert result.expired == [[9, 1, "late"]]
    assert result.readout == {"alice": COUNTS, "bob": COUNTS}
    assert result.accounting == {party: {"rounds": 1, "run": "run-1"} for party in ("alice", "bob", "midpoint")}
    (proposal,) = lab.proposed
    # 2 wanted and twice their square root more, at 0.0505 a round: 4.8284 / 0.0505 = 95.6.
    assert proposal == {
        "run_id": "run-1",
        "kind": "heralding",
        "link": "alice-bob",
        "rounds": 96,
        "first_round": 0,
        "bases": {"alice": "XZ", "bob": "XZ"},
        "credit_rounds": 5,
        "echo": False,
    }
    assert result.plans == [PlayedPlan("plan-0", 2_000_000_100, 0, 96)]
    # 100 + 250 x 5.5 + 20 us a round.
    assert result.seconds == pytest.approx(96 * 1_495e-6)
    assert result.rate_hz == pytest.approx(2 / (96 * 1_495e-6))


def rounds_of(lab: ScriptedLab) -> list[tuple[int, int]]:
    return [(proposal["first_round"], proposal["rounds"]) for proposal in lab.proposed]


def test_a_second_plan_is_as_long_as_the_first_one_showed():
    lab = ScriptedLab(ScriptedPlan(some_heralds(80)), ScriptedPlan(some_heralds(20)))
    result = run(lab, 100)
    # (100 + 2 x 10) / 0.0505 = 2376.2; then 20 more at 80 / 2377: (20 + 2 x 4.4721) x 29.7125 = 860.007.
    assert rounds_of(lab) == [(0, 2377), (2377, 861)]
    assert len(result) == 100
    assert [(plan.first_round, plan.rounds, plan.t0_tai_s) for plan in result.plans] == [
        (0, 2377, 2_000_000_100),
        (2377, 861, 2_000_000_101),
    ]
    assert (result[79].plan_id, result[80].plan_id) == ("plan-0", "plan-1")
    assert result.rounds == 2377 + 861
    assert result[80].round == 2377, "rounds count on through the plans of a run"


@pytest.mark.parametrize(
    ("measured", "rounds"),
    [
        # Nobody knows the probability: twice all that was played, up to the limit of one plan; 500 000 in all.
        (None, [2_000, 4_000, 12_000, 36_000, 108_000, 324_000, 500_000]),
        # 3 / 0.05, then twice all; 30 heralds were due in 600 rounds.
        (0.05, [60, 120, 360, 1_080]),
    ],
)
def test_a_link_that_heralds_nothing_gets_ever_longer_plans_until_it_is_hopeless(measured, rounds):
    lab = ScriptedLab(*(ScriptedPlan([]) for _ in range(9)), measured=measured)
    result = run(lab, 1)
    assert [played for _, played in rounds_of(lab)] == rounds
    assert result.ended.startswith(f"no herald was settled in {sum(rounds)} rounds: none was announced")


def test_a_run_whose_heralds_all_expire_says_why():
    expired = [[3, 7, "line_missing"], [4, 8, "charge"], [5, 8, "line_missing"]]
    plans = [ScriptedPlan([], expired=expired), *(ScriptedPlan([]) for _ in range(9))]
    assert "3 expired (charge, line_missing)" in run(ScriptedLab(*plans), 1).ended


def test_no_plan_is_longer_than_the_limit():
    lab = ScriptedLab(ScriptedPlan(some_heralds(9)), measured=1e-7)
    run(lab, 9)
    assert rounds_of(lab) == [(0, 500_000)]


def test_the_hash_of_a_run_does_not_know_the_names_of_its_plans():
    script = [ScriptedPlan(some_heralds(80)), ScriptedPlan(some_heralds(20))]
    first, second = run(ScriptedLab(*script), 100), run(ScriptedLab(*script, names="other"), 100)
    assert first.sha256() == second.sha256()
    assert len(first.sha256()) == 64


def test_two_plans_joined_hash_as_one():
    """The same pairs, in one plan of 3238 rounds or in plans of 2377 and 861."""
    whole = some_heralds(80) + [(2377 + round_, attempt) for round_, attempt in some_heralds(20)]
    two = run(ScriptedLab(ScriptedPlan(some_heralds(80)), ScriptedPlan(some_heralds(20))), 100)
    one = run(ScriptedLab(ScriptedPlan(whole)), 100)
    assert [two[79].round, two[80].round] == [79, 2377]
    assert one.sha256() == two.sha256()


def test_rows_that_come_later_are_waited_for():
    result = run(ScriptedLab(ScriptedPlan(some_heralds(5), bob_lags=3)), 5)
    assert [pair.round for pair in result] == [0, 1, 2, 3, 4]


def test_a_node_that_is_silent_for_a_moment_costs_no_pair():
    lab = ScriptedLab(ScriptedPlan(some_heralds(5), polls=3))
    lab.fail_once("bob", "rows", NetworkError("bob is silent"))
    assert len(run(lab, 5)) == 5


def test_parties_that_settle_different_pairs_stop_the_run(monkeypatch):
    lab = ScriptedLab(ScriptedPlan([(3, 7)]))
    rows = lab._rows
    monkeypatch.setattr(
        lab, "_rows", lambda site, params: [[9, *row[1:]] if site == "bob" else row for row in rows(site, params)]
    )
    result = run(lab, 1)
    assert result.ended.startswith("settled herald 0 of plan plan-0 is another pair at the parties")
    assert list(result) == []


def test_a_plan_that_ends_early_ends_the_run_with_what_it_brought():
    lab = ScriptedLab(ScriptedPlan(some_heralds(3), outcome="bob: no light", settled_rounds=40))
    lab.fail_once("bob", "accounting", NetworkError("bob is silent"))
    result = run(lab, 100)
    assert (result.ended, result.rounds, len(result)) == ("bob: no light", 40, 3)
    assert result.accounting["bob"] == {"error": "bob is silent"}
    assert result.accounting["alice"] == {"rounds": 1, "run": "run-1"}


def test_a_readout_calibration_that_fails_ends_the_run():
    lab = ScriptedLab()
    lab.counts, lab.calibration_outcome = None, "alice: AWG is silent"
    result = run(lab, 1)
    assert result.ended == "readout calibration: alice: AWG is silent"
    assert (result.rounds, list(result), lab.proposed) == (0, [], [])


def test_a_calibration_without_an_answer_ends(monkeypatch):
    monkeypatch.setattr(_playing, "STALL_S", 0.01)
    lab = ScriptedLab()
    lab.counts = None
    assert run(lab, 1).ended == "readout calibration: no counts of alice after 0.01 s"


def test_what_a_daemon_could_not_do_ends_the_run_and_what_it_refuses_is_an_error():
    lab = ScriptedLab()
    lab.fail_once("midpoint", "play", InstrumentError("the tagger is unplugged"))
    assert run(lab, 1).ended == "the tagger is unplugged"
    lab.fail_once("midpoint", "play", MisuseError("no such link"))
    with pytest.raises(MisuseError, match="no such link"):
        run(lab, 1)


def test_a_refusal_after_the_first_plan_keeps_what_it_brought(monkeypatch):
    lab = ScriptedLab(ScriptedPlan(some_heralds(3)))
    play = lab._play

    def once(site: str, params: Any) -> Any:
        if lab.proposed:
            raise MisuseError("midpoint is busy")
        return play(site, params)

    monkeypatch.setattr(lab, "_play", once)
    result = run(lab, 4)
    assert (result.ended, len(result)) == ("midpoint is busy", 3)


def test_a_run_that_is_cancelled_aborts_its_plan_and_waits_until_all_are_at_rest():
    lab = ScriptedLab(ScriptedPlan([], polls=10**9))

    async def body() -> None:
        playing = asyncio.Event()
        work = play_pairs(
            lab,  # type: ignore[arg-type]
            lab.lab.links[0],
            PlayOptions(heralds=1),
            "run-1",
            lambda progress: playing.set() if progress.phase == "heralding" else None,
        )
        task = asyncio.ensure_future(work)
        await asyncio.wait_for(playing.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)

    asyncio.run(body())
    names = [name for _, name, _ in lab.calls]
    since = lab.calls[names.index("abort") :]
    assert since[0] == ("midpoint", "abort", {"run_id": "run-1", "reason": "interrupted by the operator"})
    assert [(site, name) for site, name, _ in since[1:]] == [(s, "status") for s in ("alice", "bob", "midpoint")]


def test_progress_tells_where_the_run_stands():
    told: list[Progress] = []
    lab = ScriptedLab(ScriptedPlan(some_heralds(60), polls=3))
    run(lab, 60, told.append)
    (last,) = told[-1:]
    assert {p.phase for p in told} == {"heralding"}
    assert len(told) == 3
    rounds = math.ceil((60 + 2 * math.sqrt(60)) / 0.0505)
    assert (last.rounds, last.heralds, last.heralds_wanted) == (rounds, 60, 60)
    assert last.lab_seconds == pytest.approx(rounds * 1.495e-3)
    assert last.rate_hz == pytest.approx(60 / last.lab_seconds)
    assert last.wall_seconds_left == 0.0
    # alice +1, bob -1 in every pair, as reported bright and bright: each correlator is -1 before the correction.
    correct = ((1 - (0.95 - 0.99)) / (0.95 + 0.99 - 1)) ** 2
    assert last.fidelity == pytest.approx((1 - correct - correct + correct) / 4)


def test_letters_may_differ_by_node_and_be_drawn_anew_for_each_plan():
    asked: list[int] = []

    async def draw(rounds: int) -> dict[str, str]:
        asked.append(rounds)
        return {"alice": "XZ"[len(asked) % 2] * 2000, "bob": "D" * 2500}

    lab = ScriptedLab(ScriptedPlan(some_heralds(80)), ScriptedPlan(some_heralds(20)))
    chosen: DrawBases = draw
    result = run(lab, 100, bases=chosen)
    # The readout calibration is a plan, too. The first plan has as many rounds as there are letters at both nodes; the
    # second is shorter than that: (20 + 2 sqrt(20)) / (80 / 2000).
    assert asked == [100, 2377, 724]
    assert [p["bases"]["alice"][0] for p in lab.proposed] == ["X", "Z"]
    assert [p["rounds"] for p in lab.proposed] == [2000, 724]
    assert [plan.rounds for plan in result.plans] == [2000, 724]
    lab = ScriptedLab(ScriptedPlan(some_heralds(80)), ScriptedPlan(some_heralds(20)))
    run(lab, 100, bases={"alice": "XZ", "bob": "DE"})
    assert [p["bases"] for p in lab.proposed] == [{"alice": "XZ", "bob": "DE"}] * 2


@pytest.mark.parametrize("bases", [{"alice": "XZ"}, {"alice": "X", "bob": "X", "carol": "X"}, {}])
def test_letters_for_others_than_the_nodes_of_the_link_are_refused(bases):
    with pytest.raises(MisuseError, match=r"bases for .* on link alice-bob - give letters for alice and bob"):
        run(ScriptedLab(), 1, bases=bases)


def test_progress_counts_each_pair_once_however_often_it_is_told(monkeypatch):
    """Running sums: the cost of a look does not grow with the pairs that are there."""
    seen: list[int] = []
    original = _playing.Pairs.extend

    def extend(self: Pairs, pairs: Any) -> None:
        fresh = list(pairs)
        seen.append(len(fresh))
        original(self, fresh)

    monkeypatch.setattr(_playing.Pairs, "extend", extend)
    monkeypatch.setattr(_playing.Pairs, "__iter__", lambda self: pytest.fail("all pairs were walked through"))
    monkeypatch.setattr(_playing.Pairs, "__getitem__", lambda self, index: pytest.fail("pairs were looked up"))
    told: list[Progress] = []
    result = run(ScriptedLab(ScriptedPlan(some_heralds(60), polls=20)), 60, told.append)
    assert (len(told), sum(seen), len(result)) == (20, 60, 60)
    assert all(progress.fidelity is not None for progress in told)
