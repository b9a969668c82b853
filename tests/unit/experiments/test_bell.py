"""A Bell test without daemons: what is asked of the nodes, what counts, and what may be said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

from qnode.client import Pair, Pairs, PlayOptions
from qnode.errors import MisuseError
from qnode.experiments import BellOptions, BellTest, bell, run_bell
from qnode.labfile import Link, load_lab

LINK: Link = load_lab(Path(__file__).parents[3] / "config" / "two_nodes_bell.yaml").link("alice-bob")
WINNING = {"psi+": {"ZD": -1, "ZE": -1, "XD": 1, "XE": -1}, "psi-": {"ZD": -1, "ZE": -1, "XD": -1, "XE": 1}}


def trial(state: str, settings: str, won: bool, number: int = 0) -> Pair:
    product = WINNING[state][settings] * (1 if won else -1)
    return Pair(
        round=number,
        attempt=0,
        pattern=5,
        bell=state,
        click_ps=0,
        bases=(settings[0], settings[1]),
        outcomes=(1, product),
        bright=(True, product > 0),
        plan_id="a",
    )


def trials(wins: int, losses: int, states: Iterable[str] = ("psi+", "psi-")) -> list[Pair]:
    """So many wins and losses of each Bell state at each pair of settings."""
    return [
        trial(state, settings, won)
        for state in states
        for settings in ("ZD", "ZE", "XD", "XE")
        for won in [True] * wins + [False] * losses
    ]


def scored(pairs: list[Pair], wanted: int | None = None, seed: int | None = None, **changes: Any) -> BellTest:
    result = Pairs("run", LINK, pairs)
    result.ended = "done"
    for name, value in changes.items():
        setattr(result, name, value)
    return BellTest(result, BellOptions(len(pairs) if wanted is None else wanted, seed))


class DrawingLab:
    """Nodes that draw the letter after the last one they drew, and as many as there is room for."""

    def __init__(self, room: dict[str, int]) -> None:
        self.room = room
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    async def call(self, site: str, name: str, params: Any = None, *, timeout_s: float = 10.0) -> Any:
        self.asked.append((site, name, params))
        return params["letters"][params["draw"] % 2] * min(params["rounds"], self.room[site])


def test_each_node_draws_its_own_letters_anew_for_each_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[dict[str, str]] = []

    async def play(lab: Any, link: Link, options: PlayOptions, run_id: str, tell: Any) -> Pairs:
        assert (options.heralds, options.echo) == (700, True)
        for rounds in (100, 9_000):
            played.append(await options.letters(link, rounds))
        return Pairs(run_id, link)

    monkeypatch.setattr(bell, "play_pairs", play)
    lab = DrawingLab({"alice": 4_000, "bob": 3_000})
    asyncio.run(run_bell(lab, LINK, BellOptions(700, seed=12), "run"))  # type: ignore[arg-type]
    assert played == [{"alice": "Z" * 100, "bob": "D" * 100}, {"alice": "X" * 4_000, "bob": "E" * 3_000}]
    assert {(site, name, params["letters"], params["seed"]) for site, name, params in lab.asked} == {
        ("alice", "draw_bases", "ZX", 12),
        ("bob", "draw_bases", "DE", 12),
    }
    assert [params["draw"] for _, _, params in lab.asked] == [0, 0, 1, 1]
    assert {params["run_id"] for _, _, params in lab.asked} == {"run"}


def test_s_and_p_by_hand() -> None:
    """9 wins in 10 at all settings and both states: E 0.8 each, S 3.2, 72 of 80."""
    test = scored(trials(9, 1))
    assert (test.trials, test.wins, test.surplus) == (80, 72, 0)
    assert test.s is not None
    assert test.s.value == pytest.approx(3.2)
    assert test.s.error == pytest.approx((4 * (1 - 0.64) / 20) ** 0.5)
    for state in ("psi+", "psi-"):
        alone = test.s_of(state)
        assert alone is not None
        assert (alone.value, alone.error) == pytest.approx((3.2, (4 * (1 - 0.64) / 10) ** 0.5))
    assert test.p_value == pytest.approx(float(binom.sf(71, 80, 0.75)), rel=1e-9)
    assert test.violated


def test_only_the_first_trials_count_however_many_heralds_came() -> None:
    good, bad = trials(9, 1), trials(0, 5)
    test = scored(good + bad, wanted=80)
    assert (test.trials, test.wins, test.surplus) == (80, 72, 40)
    assert scored(good + bad, wanted=120).wins == 72


@pytest.mark.parametrize(("wins", "losses", "predicted", "text"), [
    (9, 1, 2.4, "violated at the 5% level: a local model without the loopholes below wins so often with a probability of "
                "0.00065 at the most"),
    (4, 1, 2.4, "No violation is shown: a local model wins as often with a probability of up to 0.3"),
    (4, 1, 1.22, "No violation is expected: predicted S = 1.22"),
    (3, 2, 1.22, "No violation: S is not above 2. No violation is expected: predicted S = 1.22"),
    (3, 2, None, "No violation: S is not above 2."),
])  # fmt: skip
def test_what_may_be_said(wins: int, losses: int, predicted: float | None, text: str) -> None:
    test = scored(trials(wins, losses))
    assert text in test.verdict(predicted)
    assert test.violated == text.startswith("violated")


def test_s_above_2_is_not_enough() -> None:
    """4 wins in 5: S = 2.4, but 32 of 40 is nothing rare for a local model."""
    test = scored(trials(4, 1))
    assert test.s is not None
    assert test.s.value == pytest.approx(2.4)
    assert not test.violated


def test_without_trials_of_all_settings_there_is_no_s() -> None:
    test = scored([trial("psi+", "ZD", True)] * 12)
    assert (test.s, test.violated) == (None, False)
    # 0.75^12 = 0.032: a P-value that is small says nothing while S is not defined.
    assert test.p_value == pytest.approx(0.75**12)
    assert test.verdict(2.4).startswith("S is not defined: of 12 trials, none came at one")
    nothing = scored([], wanted=10, ended="no herald came")
    assert (nothing.s, nothing.p_value, nothing.trials, nothing.violated) == (None, None, 0, False)


def loophole(test: BellTest, name: str) -> tuple[bool, str]:
    return next((one.closed, one.why) for one in test.loopholes() if one.name == name)


def test_what_stays_open_is_said() -> None:
    test = scored(trials(9, 1))
    assert [one.name for one in test.loopholes() if not one.closed] == ["locality", "freedom of choice", "memory"]
    assert "entropy of its operating system" in loophole(test, "freedom of choice")[1]
    assert "before the first photon" in loophole(test, "freedom of choice")[1]
    assert "who knows the seed" in loophole(scored(trials(9, 1), seed=4), "freedom of choice")[1]


def test_heralds_taken_back_open_the_detection_loophole() -> None:
    closed, _ = loophole(scored(trials(9, 1), expired=[[4, 7, "charge"]]), "detection")
    # The charge check of a round is over before its first attempt.
    assert closed
    closed, why = loophole(
        scored(trials(9, 1), expired=[[4, 7, "late"], [5, 1, "charge"], [6, 1, "late"]]), "detection"
    )
    assert not closed
    assert why.startswith("2 heralds were taken back after their readout (late)")


def test_a_run_that_ended_early_leaves_stopping_open() -> None:
    assert loophole(scored(trials(9, 1)), "optional stopping")[0]
    closed, why = loophole(scored(trials(9, 1), wanted=500, ended="bob died"), "optional stopping")
    assert not closed
    assert why == "the run ended after 80 of 500 trials: bob died"


def test_pairs_of_another_experiment_are_refused() -> None:
    strange = Pair(
        round=0, attempt=0, pattern=1, bell="psi+", click_ps=0, bases=("X", "X"), outcomes=(1, 1), bright=(True, True),
        plan_id="a",
    )  # fmt: skip
    with pytest.raises(MisuseError, match="read in XX is no trial"):
        scored([strange])
