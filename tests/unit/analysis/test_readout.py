from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from qnode.analysis import (
    Estimate,
    OutcomeCounts,
    Readout,
    bell_fidelity,
    chsh_fixed_estimate,
    correlator,
    populations,
)
from qnode.errors import MisuseError

ALICE = Readout("alice", Estimate(0.95, 0.004), Estimate(0.995, 0.001))
BOB = Readout("bob", Estimate(0.92, 0.006), Estimate(0.99, 0.002))
PERFECT = (Readout("a", Estimate(1, 0), Estimate(1, 0)), Readout("b", Estimate(1, 0), Estimate(1, 0)))


def confusion(first: Readout, second: Readout) -> np.ndarray:
    """P(report | state), reports and states bright bright, bright dark, dark bright, dark dark."""
    one, two = (
        np.array([[r.bright.value, 1 - r.dark.value], [1 - r.bright.value, r.dark.value]]) for r in (first, second)
    )
    return np.kron(one, two)


def drawn(rng: np.random.Generator, truth: np.ndarray, pairs: int) -> OutcomeCounts:
    return OutcomeCounts(*map(int, rng.multinomial(pairs, confusion(ALICE, BOB) @ truth)))


def test_perfect_readout_is_the_plain_mean() -> None:
    counts = OutcomeCounts(pp=10, pm=40, mp=30, mm=20)
    estimate = correlator(counts, *PERFECT)
    assert estimate.value == pytest.approx((10 + 20 - 40 - 30) / 100)
    assert estimate.error == pytest.approx(math.sqrt((1 - 0.4**2) / 100), rel=0.05)
    assert correlator(counts, *PERFECT, sign=-1).value == pytest.approx(0.4)


def test_correction_inverts_the_matrix() -> None:
    counts = OutcomeCounts(pp=100, pm=420, mp=280, mm=200)
    solved = np.linalg.solve(confusion(ALICE, BOB), [0.1, 0.42, 0.28, 0.2])
    assert correlator(counts, ALICE, BOB).value == pytest.approx(solved @ [1, -1, -1, 1])
    corrected = populations(counts, ALICE, BOB)
    # Read directly, bright is 1.
    assert [corrected[label].value for label in ("11", "10", "01", "00")] == pytest.approx(solved)
    flipped = populations(counts, ALICE, BOB, signs=(1, 1))
    assert [flipped[label].value for label in ("00", "01", "10", "11")] == pytest.approx(solved)
    mixed = populations(counts, ALICE, BOB, signs=(1, -1))
    assert [mixed[label].value for label in ("01", "00", "11", "10")] == pytest.approx(solved)


@pytest.mark.parametrize("node", ["alice", "bob"])
@pytest.mark.parametrize("which", ["bright", "dark"])
def test_shared_shifts_are_the_slopes(node: str, which: str) -> None:
    """Move one readout fidelity a little and look, instead of differentiating."""
    counts = OutcomeCounts(pp=100, pm=420, mp=280, mm=200)
    step = 1e-6
    readouts = {"alice": ALICE, "bob": BOB}

    def moved(by: float) -> tuple[Readout, Readout]:
        fidelity = getattr(readouts[node], which)
        shifted = dataclasses.replace(fidelity, value=fidelity.value + by)
        changed = {**readouts, node: dataclasses.replace(readouts[node], **{which: shifted})}
        return changed["alice"], changed["bob"]

    error = getattr(readouts[node], which).error
    slope = (correlator(counts, *moved(step)).value - correlator(counts, *moved(-step)).value) / (2 * step)
    assert correlator(counts, ALICE, BOB).shared[f"{node}.{which}"] == pytest.approx(slope * error, rel=1e-4)
    above, below = populations(counts, *moved(step)), populations(counts, *moved(-step))
    for label, estimate in populations(counts, ALICE, BOB).items():
        slope = (above[label].value - below[label].value) / (2 * step)
        assert estimate.shared[f"{node}.{which}"] == pytest.approx(slope * error, rel=1e-4)


def test_errors_are_the_scatter_of_repeated_runs() -> None:
    truth = np.array([0.3, 0.3, 0.39, 0.01])
    rng = np.random.default_rng(11)
    runs = [drawn(rng, truth, 400) for _ in range(2000)]
    correlators = [correlator(counts, ALICE, BOB) for counts in runs]
    values = [estimate.value for estimate in correlators]
    assert np.mean(values) == pytest.approx(truth @ [1, -1, -1, 1], abs=4 * np.std(values) / math.sqrt(2000))
    assert np.mean([estimate.statistical for estimate in correlators]) == pytest.approx(np.std(values), rel=0.05)
    corrected = [populations(counts, ALICE, BOB) for counts in runs]
    for label, expected in zip(("11", "10", "01", "00"), truth, strict=True):
        values = [estimates[label].value for estimates in corrected]
        assert np.mean(values) == pytest.approx(expected, abs=4 * np.std(values) / math.sqrt(2000))
        assert np.mean([e[label].statistical for e in corrected]) == pytest.approx(np.std(values), rel=0.08)


def test_readout_errors_are_the_scatter_of_repeated_calibrations() -> None:
    counts = OutcomeCounts(pp=100, pm=420, mp=280, mm=200)
    rng = np.random.default_rng(12)
    values = []
    for _ in range(1000):
        readouts = [
            Readout.measured(
                name,
                bright_ok=int(rng.binomial(500, bright)), bright_shots=500,
                dark_ok=int(rng.binomial(500, dark)), dark_shots=500,
            )
            for name, bright, dark in (("alice", 0.95, 0.9), ("bob", 0.9, 0.95))
        ]  # fmt: skip
        values.append(correlator(counts, *readouts).value)
    typical = correlator(
        counts,
        Readout.measured("alice", bright_ok=475, bright_shots=500, dark_ok=450, dark_shots=500),
        Readout.measured("bob", bright_ok=450, bright_shots=500, dark_ok=475, dark_shots=500),
    )
    assert math.hypot(*typical.shared.values()) == pytest.approx(np.std(values), rel=0.1)


def test_fidelity_of_perfect_bell_states() -> None:
    same, different = OutcomeCounts(50, 0, 0, 50), OutcomeCounts(0, 50, 50, 0)
    plus, minus = correlator(same, *PERFECT), correlator(different, *PERFECT)
    assert bell_fidelity("psi+", {"XX": plus, "YY": plus, "ZZ": minus}).value == pytest.approx(1)
    assert bell_fidelity("psi-", {"XX": minus, "YY": minus, "ZZ": minus}).value == pytest.approx(1)
    assert bell_fidelity("phi+", {"XX": plus, "YY": minus, "ZZ": plus}).value == pytest.approx(1)
    assert bell_fidelity("phi-", {"XX": minus, "YY": plus, "ZZ": plus}).value == pytest.approx(1)
    assert bell_fidelity("psi-", {"XX": plus, "YY": plus, "ZZ": minus}).value == pytest.approx(0)


def test_fidelity_adds_the_shared_shifts_of_all_its_correlators() -> None:
    estimate = Estimate(0.5, 0.02, {"alice.bright": 0.01})
    fidelity = bell_fidelity(
        "psi+", {"XX": estimate, "YY": estimate, "ZZ": Estimate(-0.9, 0.02, {"alice.bright": -0.02})}
    )
    assert fidelity.value == pytest.approx((1 + 0.9 + 1.0) / 4)
    assert fidelity.statistical == pytest.approx(0.02 * math.sqrt(3) / 4)
    assert fidelity.shared == pytest.approx({"alice.bright": (0.01 + 0.01 + 0.02) / 4})


def test_chsh() -> None:
    estimate = chsh_fixed_estimate(Estimate(-0.96, 0.03), Estimate(0.88, 0.04))
    assert estimate.value == pytest.approx(math.sqrt(2) * 1.84)
    assert estimate.error == pytest.approx(math.sqrt(2) * 0.05)


def test_refusals() -> None:
    with pytest.raises(MisuseError, match="no outcomes"):
        correlator(OutcomeCounts(0, 0, 0, 0), ALICE, BOB)
    with pytest.raises(MisuseError, match="no outcomes"):
        correlator(OutcomeCounts(5, -1, 0, 0), ALICE, BOB)
    blind = Readout("alice", Estimate(0.4, 0.01), Estimate(0.6, 0.01))
    with pytest.raises(MisuseError, match="readout of alice does not tell bright from dark"):
        correlator(OutcomeCounts(1, 1, 1, 1), blind, BOB)
    with pytest.raises(MisuseError, match="no Bell state is called"):
        bell_fidelity("psi", {})
    with pytest.raises(MisuseError, match="fidelity without YY and ZZ"):
        bell_fidelity("psi+", {"XX": Estimate(0, 0)})
    with pytest.raises(MisuseError, match="no trials"):
        Readout.measured("alice", bright_ok=0, bright_shots=0, dark_ok=0, dark_shots=1)
