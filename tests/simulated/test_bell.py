"""Bell tests end to end: bases that the nodes draw, S and P-value beside the closed form with readout."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, chi2, kstest

from qnode.client import LabConnection, Pairs
from qnode.daemons._bases import draw_letters
from qnode.errors import MisuseError
from qnode.experiments import BellOptions, run_bell

FILE = Path(__file__).parents[2] / "config" / "two_nodes_bell.yaml"
SETTINGS = ("ZD", "ZE", "XD", "XE")


@pytest.fixture
def bell(lab_copy: Any, tmp_path: Path) -> Iterator[Any]:
    copy = lab_copy(tmp_path, FILE)
    yield copy
    copy.stop_all()


def played(lab: Any, trials: int, seed: int, timeout: float = 300.0) -> dict[str, Any]:
    """One ``qnode run bell`` from an empty data folder."""
    data = str(lab.folder / f"data-{seed}")
    options = ("--trials", str(trials), "--seed", str(seed), "--speed", "max", "--data", data, "--json")
    done = lab.qnode("run", "bell", str(lab.path), *options, timeout=timeout)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def predicted_s(lab: Any) -> float:
    links = json.loads(lab.qnode("predict", str(lab.path), "--json").stdout)["links"]
    return float(links["alice-bob"]["chsh_s_readout"])


def recounted(run: dict[str, Any]) -> None:
    """S, its error and P-value from the counts of a document, by another route."""
    means = np.array([2 * one["wins"] / one["trials"] - 1 for one in run["settings"].values()])
    trials = np.array([one["trials"] for one in run["settings"].values()])
    assert list(run["settings"]) == list(SETTINGS)
    assert trials.sum() == run["trials"]
    assert run["s"] == pytest.approx(means.sum())
    assert run["s_err"] == pytest.approx(np.sqrt(((1 - means**2) / trials).sum()))
    assert run["p_value"] == pytest.approx(float(binom.sf(run["wins"] - 1, run["trials"], 0.75)), rel=1e-9)


def agrees(runs: list[dict[str, Any]], s: float) -> None:
    """All trials together, 3 standard errors: each correlator of each Bell state, the wins, the fairness of bases."""
    trials = sum(run["trials"] for run in runs)
    wins = sum(run["wins"] for run in runs)
    p = 0.5 + s / 8
    assert wins == pytest.approx(trials * p, abs=3 * (trials * p * (1 - p)) ** 0.5)
    for bell, expected in runs[0]["predicted"]["correlators"].items():
        for settings in SETTINGS:
            games = [run["bell_states"][bell]["settings"][settings] for run in runs]
            n = sum(game["trials"] for game in games)
            mean = sum(game["trials"] * game["correlator"] for game in games) / n
            error = ((1 - expected[settings] ** 2) / n) ** 0.5
            assert mean == pytest.approx(expected[settings], abs=3 * error), (bell, settings)
            assert n == pytest.approx(trials / 8, abs=4 * (trials * 7 / 64) ** 0.5), (bell, settings)


def test_two_seeded_runs_agree_with_the_prediction(bell):
    s = predicted_s(bell)
    assert s > 2.2
    runs = [played(bell, 400, seed) for seed in (1, 2)]
    for run in runs:
        recounted(run)
        assert run["trials"] == 400
        assert run["expired"] == []
        assert run["s"] == pytest.approx(s, abs=3.5 * run["s_err"])
        sums = run["accounting"]
        assert sums["alice"] == sums["bob"] == sums["midpoint"]
        assert sums["midpoint"]["heralded"] == run["trials"] + run["surplus"]
    assert len({run["heralds_sha256"] for run in runs}) == 2
    assert runs[0]["predicted"]["s"] == s
    agrees(runs, s)


def test_a_single_click_link_never_suggests_a_violation(lab):
    done = lab.qnode(
        "run", "bell", str(lab.path), "--trials", "210", "--speed", "max", "--seed", "6", "--data", str(lab.data)
    )
    assert done.returncode == 0, done.stderr
    assert "No violation: S is not above 2. No violation is expected: predicted S = 1.22." in done.stdout
    assert "violated" not in done.stdout
    # More rounds than one table holds: each plan has its own letters, and none is played twice.
    drawn = [entry for entry in lab.log() if entry["event"] == "bases drawn"]
    assert len(drawn) == 6
    assert len({entry["sha256"] for entry in drawn}) == len(drawn)
    assert max(entry["rounds"] for entry in drawn) == 4_000


def test_the_bases_of_outcomes_are_those_that_each_node_drew(bell):
    """On a lab that is up: letters of the nodes' own generators, round by round, whatever the midpoint proposed."""
    bell.start_all()

    async def play() -> Pairs:
        async with LabConnection(bell.path, bell.data) as connection:
            await connection.await_ready()
            link = connection.lab.link("alice-bob")
            return await run_bell(connection, link, BellOptions(60, seed=9), "run-1")

    async def play_something_else() -> None:
        async with LabConnection(bell.path, bell.data) as connection:
            asked = {"run_id": "run-2", "rounds": 10, "letters": "ZX"}
            drawn = await connection.call("alice", "draw_bases", asked)
            other = drawn.translate(str.maketrans("ZX", "XZ"))
            plan = {
                "run_id": "run-2",
                "kind": "heralding",
                "link": "alice-bob",
                "rounds": 10,
                "first_round": 0,
                "bases": {"alice": other, "bob": "D"},
                "credit_rounds": 100,
            }
            with pytest.raises(MisuseError, match="its bases are not those that alice drew for this run"):
                await connection.call("midpoint", "play", plan, timeout_s=60)

    pairs = asyncio.run(play())
    assert pairs.ended == "done"
    assert len(pairs) >= 60
    letters = {
        plan.plan_id: (
            draw_letters("ZX", plan.rounds, "alice", seed=9, draw=number),
            draw_letters("DE", plan.rounds, "bob", seed=9, draw=number),
            plan.first_round,
        )
        for number, plan in enumerate(pairs.plans, 1)
    }
    for pair in pairs:
        alice, bob, first = letters[pair.plan_id]
        assert pair.bases == (alice[pair.round - first], bob[pair.round - first])
    assert {"".join(pair.bases) for pair in pairs} == set(SETTINGS)
    asyncio.run(play_something_else())


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_seeded_runs_are_distributed_as_the_prediction_says(bell):
    """50 runs of 500 trials: mean and scatter of S, the wins of each run, and so the P-values, against the binomial."""
    s = predicted_s(bell)
    runs = [played(bell, 500, seed, timeout=600) for seed in range(1, 51)]
    for run in runs:
        recounted(run)
        assert run["trials"] == 500
        # A charge check that fails by chance (8 of 25 photons) takes a round out; nothing else may.
        assert {reason for _, _, reason in run["expired"]} <= {"charge"}
    agrees(runs, s)
    values = np.array([run["s"] for run in runs])
    error = float(np.mean([run["s_err"] for run in runs]))
    assert values.mean() == pytest.approx(s, abs=3 * error / 50**0.5)
    # The standard error of a standard deviation of n values is sigma / sqrt(2 (n - 1)).
    assert values.std(ddof=1) == pytest.approx(error, abs=3 * error / 98**0.5)
    p = 0.5 + s / 8
    wins = np.array([run["wins"] for run in runs])
    square = float((((wins - 500 * p) ** 2) / (500 * p * (1 - p))).sum())
    assert chi2.cdf(square, 50) == pytest.approx(0.5, abs=0.4987)
    # P-values fall as wins rise: as many lie below each level as the prediction gives.
    uniform = binom.cdf(wins, 500, p) - np.random.default_rng(1).random(50) * binom.pmf(wins, 500, p)
    assert kstest(uniform, "uniform").pvalue > 0.0027
    below = sum(run["p_value"] <= 0.05 for run in runs)
    first = next(k for k in range(501) if binom.sf(k - 1, 500, 0.75) <= 0.05)
    power = float(binom.sf(first - 1, 500, p))
    assert below == pytest.approx(50 * power, abs=3 * (50 * power * (1 - power)) ** 0.5)
