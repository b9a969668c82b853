"""The phase process and the counts of readouts and charge checks."""

from __future__ import annotations

from math import exp, sqrt

import numpy as np
import pytest

from qnode.errors import MisuseError
from simulators.world.noise import OrnsteinUhlenbeck, charge_check_counts, readout_counts
from simulators.world.sampling import rng

MS = 1_000_000_000
DRAWS = 100_000


def test_the_phase_is_stationary_with_the_given_correlation():
    lag, correlation = 3 * MS, 10 * MS
    phase = OrnsteinUhlenbeck(0.25, correlation).sample(np.arange(DRAWS) * lag, rng(1, "phase", 0, 0))
    # Correlated samples: as many independent ones as correlation times, twice over.
    spread = sqrt(2 * correlation / (DRAWS * lag))
    assert abs(phase.mean()) < 4 * 0.25 * spread
    assert abs(phase.var() / 0.25**2 - 1) < 4 * spread
    for steps in (1, 5):
        found = np.mean(phase[:-steps] * phase[steps:]) / 0.25**2
        assert abs(found - exp(-steps * lag / correlation)) < 4 * spread


def test_the_first_value_is_stationary_and_uneven_times_are_exact():
    # From one start, after a time t: mean x0 exp(-t/tau), variance rms^2 (1 - exp(-2t/tau)); over all starts, rms^2.
    times = np.array([0, 2 * MS, 25 * MS])
    paths = np.array(
        [OrnsteinUhlenbeck(0.5, 10 * MS).sample(times, rng(1, "paths", 0, path)) for path in range(5_000)]
    )
    assert paths.std(axis=0) == pytest.approx([0.5] * 3, rel=4 / sqrt(2 * 5_000))
    correlations = np.corrcoef(paths.T)[[0, 0, 1], [1, 2, 2]]
    assert correlations == pytest.approx([exp(-0.2), exp(-2.5), exp(-2.3)], abs=4 / sqrt(5_000))


def test_cuts_change_no_bit():
    times = np.cumsum(rng(1, "times", 0, 0).integers(0, 5 * MS, 1_000))
    whole = OrnsteinUhlenbeck(0.25, 10 * MS).sample(times, rng(1, "phase", 0, 0))
    process, generator = OrnsteinUhlenbeck(0.25, 10 * MS), rng(1, "phase", 0, 0)
    pieces = [process.sample(part, generator) for part in np.split(times, [1, 2, 300, 300, 777])]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_equal_times_have_equal_phases():
    one, two, three = OrnsteinUhlenbeck(1.0, MS).sample(np.array([5, 5, MS]), rng(1, "phase", 0, 0))
    assert one == two != three


def test_a_still_phase():
    assert OrnsteinUhlenbeck(0.0, MS).sample(np.array([0, MS]), rng(1, "phase", 0, 0)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda: OrnsteinUhlenbeck(-1.0, MS), "rms -1"),
        (lambda: OrnsteinUhlenbeck(1.0, 0), "correlation time 0"),
        (lambda: OrnsteinUhlenbeck(1.0, MS).sample(np.array([7, 6]), rng(1, "x", 0, 0)), "6 ps after 7 ps"),
    ],
)
def test_misuse_is_named(wrong, word):
    with pytest.raises(MisuseError, match=word):
        wrong()


@pytest.mark.parametrize("light", [1.0, 0.5])
def test_readout_has_its_fidelities(light):
    nominal = 3_700_000
    for bright, fidelity in ((True, 0.950), (False, 0.995)):
        counts = readout_counts(
            np.full(DRAWS, bright), 0.950, 0.995, light * nominal, nominal, rng(2, "r", 0, bright)
        )
        # Nominal: P(0 counts) is 0.05 when bright, 0.995 when dark; half the light gives its square root.
        silent = (1 - fidelity if bright else fidelity) ** light
        assert abs((counts == 0).mean() - silent) < 4 * sqrt(silent * (1 - silent) / DRAWS)


def test_readout_counts_are_poisson():
    counts = readout_counts(np.ones(DRAWS), 0.950, 0.995, 3.0, 3.0, rng(2, "poisson", 0, 0))
    # ln 20 = 2.9957, mean and variance.
    assert counts.mean() == pytest.approx(2.9957, abs=4 * sqrt(3 / DRAWS))
    assert counts.var() == pytest.approx(2.9957, rel=4 * sqrt(2.4 / DRAWS))


def test_perfect_readout_never_errs_and_no_light_gives_nothing():
    states = np.arange(DRAWS) % 2
    np.testing.assert_array_equal(
        readout_counts(states, 1.0, 1.0, 3.0, 3.0, rng(2, "perfect", 0, 0)) > 0, states == 1
    )
    assert readout_counts(states, 0.95, 0.995, 0.0, 3.0, rng(2, "no light", 0, 0)).sum() == 0


def test_light_of_its_own_for_each_readout():
    counts = readout_counts(np.array([1, 1]), 0.95, 0.995, np.array([0, 1e6]), 1.0, rng(2, "each", 0, 0))
    assert counts[0] == 0
    assert counts[1] > 1e6


def test_charge_check_counts():
    light = np.where(np.arange(DRAWS) % 2, 100, 40) * 1_000_000
    counts = charge_check_counts(25.0, light, np.arange(DRAWS) % 4 < 2, rng(2, "charge", 0, 0)).reshape(-1, 4)
    # 40 us, 100 us, then ionised.
    assert counts.mean(axis=0)[:2] == pytest.approx([10, 25], abs=4 * sqrt(25 / (DRAWS / 4)))
    assert counts.var(axis=0)[:2] == pytest.approx([10, 25], rel=4 * sqrt(2.1 / (DRAWS / 4)))
    assert counts[:, 2:].sum() == 0
