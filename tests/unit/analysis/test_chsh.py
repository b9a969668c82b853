from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom

from qnode.analysis import (
    CHSH_SETTINGS,
    CHSH_SIGNS,
    GameCounts,
    chsh_fixed,
    chsh_p_value,
    chsh_played,
    chsh_value,
    count_games,
    raw_correlators,
)
from qnode.errors import MisuseError

PERFECT = (1.0, 1.0)


def bell_state(bell: str) -> np.ndarray:
    ket = np.array([0, 1, 1 if bell == "psi+" else -1, 0]) / math.sqrt(2)
    return np.outer(ket, ket).astype(complex)


def test_the_signs_are_those_of_the_bell_states() -> None:
    """Z x D = (ZZ + ZX)/sqrt2 and so on, with <ZZ> = -1, <XX> = +-1, <ZX> = <XZ> = 0."""
    for bell, xx in (("psi+", 1), ("psi-", -1)):
        zz = -1
        correlators = {"ZD": zz, "ZE": zz, "XD": xx, "XE": -xx}
        assert CHSH_SIGNS[bell] == correlators


@pytest.mark.parametrize("bell", ["psi+", "psi-"])
def test_a_bell_state_read_perfectly_reaches_tsirelsons_bound(bell: str) -> None:
    correlators = raw_correlators(bell_state(bell), PERFECT, PERFECT)
    assert chsh_played(bell, correlators) == pytest.approx(2 * math.sqrt(2), rel=1e-12)
    other = "psi-" if bell == "psi+" else "psi+"
    assert chsh_played(other, correlators) == pytest.approx(0, abs=1e-12)


def test_no_local_strategy_wins_more_than_three_games_of_four() -> None:
    """All 16 ways to fix the outcomes beforehand, for each game; the best reaches S = 2 and no more."""
    for signs in CHSH_SIGNS.values():
        best = 0
        for outcomes in itertools.product((1, -1), repeat=4):
            fixed = dict(zip("ZXDE", outcomes, strict=True))
            wins = sum(fixed[settings[0]] * fixed[settings[1]] == signs[settings] for settings in CHSH_SETTINGS)
            best = max(best, wins)
        assert best == 3


def test_the_value_of_hensen_2015() -> None:
    """245 trials, E = 0.605 at each setting: 2.42 with an error of 0.20 (Nature 526, 682)."""
    games = {settings: GameCounts(200, 160) for settings in CHSH_SETTINGS}
    assert chsh_value(games).value == pytest.approx(2.4)
    assert chsh_value(games).error == pytest.approx(math.sqrt(4 * (1 - 0.36) / 200))
    n = 245 / 4
    assert math.sqrt(4 * (1 - 0.605**2) / n) == pytest.approx(0.20, abs=0.005)
    games = {settings: GameCounts(61, 49) for settings in CHSH_SETTINGS}
    assert chsh_value(games).value == pytest.approx(2.42, abs=0.01)
    assert chsh_value(games).error == pytest.approx(0.20, abs=0.005)


def test_the_error_is_the_scatter_of_many_runs() -> None:
    rng = np.random.default_rng(7)
    true = dict(zip(CHSH_SETTINGS, (0.5, 0.6, 0.7, 0.4), strict=True))
    trials = dict(zip(CHSH_SETTINGS, (60, 90, 120, 80), strict=True))
    values, errors = [], []
    for _ in range(2000):
        games = {name: GameCounts(n, int(rng.binomial(n, (1 + true[name]) / 2))) for name, n in trials.items()}
        estimate = chsh_value(games)
        values.append(estimate.value)
        errors.append(estimate.error)
    assert np.mean(values) == pytest.approx(2.2, abs=4 * np.std(values) / math.sqrt(2000))
    assert np.std(values) == pytest.approx(np.mean(errors), rel=0.05)


def test_the_p_value_of_hensen_2015() -> None:
    assert chsh_p_value(196, 245) == pytest.approx(0.039, abs=0.0005)


def test_the_p_value_of_a_few_trials_by_hand() -> None:
    assert chsh_p_value(1, 1) == pytest.approx(0.75)
    assert chsh_p_value(0, 1) == 1.0
    assert chsh_p_value(2, 2) == pytest.approx(9 / 16)
    assert chsh_p_value(1, 2) == pytest.approx(15 / 16)


@pytest.mark.parametrize("trials", [1, 7, 60, 500])
def test_the_p_value_is_the_exact_tail(trials: int) -> None:
    """Against the sum of rational numbers; above and below the mean."""
    terms = [math.comb(trials, i) * Fraction(3**i, 4**trials) for i in range(trials + 1)]
    for wins in {0, 1, trials // 3, 3 * trials // 4, 3 * trials // 4 + 1, trials - 1, trials}:
        exact = float(sum(terms[wins:]))
        assert chsh_p_value(wins, trials) == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize(
    ("wins", "trials"), [(75_500, 100_000), (74_900, 100_000), (787_500, 1_000_000), (7_400, 10_000)]
)
def test_the_p_value_of_many_trials(wins: int, trials: int) -> None:
    expected = float(binom.sf(wins - 1, trials, 0.75))
    assert chsh_p_value(wins, trials) == pytest.approx(expected, rel=1e-7, abs=0.0)


def test_the_p_value_below_the_smallest_float_is_zero() -> None:
    assert chsh_p_value(100_000, 100_000) == 0.0
    assert chsh_p_value(700_000, 1_000_000) == 1.0


def test_games_are_counted_by_bell_state_and_settings() -> None:
    trials = [
        ("psi-", ("Z", "D"), (1, -1)),  # wins: E < 0
        ("psi-", ("X", "E"), (1, 1)),  # wins: E > 0
        ("psi-", ("X", "E"), (1, -1)),
        ("psi+", ("X", "D"), (-1, -1)),  # wins: E > 0
        ("psi+", ("X", "E"), (-1, -1)),
    ]
    games = count_games(trials)
    none = GameCounts(0, 0)
    assert games == {
        "psi+": {"ZD": none, "ZE": none, "XD": GameCounts(1, 1), "XE": GameCounts(1, 0)},
        "psi-": {"ZD": GameCounts(1, 1), "ZE": none, "XD": none, "XE": GameCounts(2, 1)},
    }
    assert GameCounts(2, 1) + GameCounts(1, 1) == GameCounts(3, 2)


def test_what_is_no_game_is_refused() -> None:
    with pytest.raises(MisuseError, match="read in XX is no trial"):
        count_games([("psi+", ("X", "X"), (1, 1))])
    with pytest.raises(MisuseError, match="herald of phi"):
        count_games([("phi+", ("X", "D"), (1, 1))])
    with pytest.raises(MisuseError, match="S without trials of XD and XE"):
        chsh_value({"ZD": GameCounts(1, 1), "ZE": GameCounts(1, 1), "XD": GameCounts(0, 0)})
    with pytest.raises(MisuseError, match="3 wins in 2 trials"):
        chsh_p_value(3, 2)
    with pytest.raises(MisuseError, match="no correlator"):
        _ = GameCounts(0, 0).correlator


def test_the_p_value_bounds_a_strategy_that_remembers() -> None:
    """Change the fixed outcomes after each loss: it still wins 3 of 4, and small P-values come no oftener than said."""
    rng = np.random.default_rng(11)
    small = 0
    for _ in range(400):
        wins, lost = 0, 0
        for setting in rng.integers(4, size=100):
            won = setting != lost
            wins += won
            lost = lost if won else (lost + 1) % 4
        small += chsh_p_value(int(wins), 100) <= 0.1
    assert small / 400 <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 400)


def test_readout_lowers_s_by_both_contrasts() -> None:
    """C_zz 0.96, C_xx 0.88, equal fidelities 0.971 and 0.963 of both outcomes: 2.27, Hensen 2015's expectation."""
    rho = np.diag([0.01, 0.49, 0.49, 0.01]).astype(complex)
    rho[1, 2] = rho[2, 1] = -0.44
    assert chsh_fixed(-0.96, -0.88) == pytest.approx(2.602, abs=1e-3)
    s = chsh_played("psi-", raw_correlators(rho, (0.971, 0.971), (0.963, 0.963)))
    assert s == pytest.approx(chsh_fixed(-0.96, -0.88) * (2 * 0.971 - 1) * (2 * 0.963 - 1), rel=1e-12)
    assert s == pytest.approx(2.27, abs=0.005)


def test_uneven_readout_is_counted_out_by_hand() -> None:
    """Each of four outcomes with its probability, flipped by each node's own errors, for a state with mean values."""
    rho = np.diag([0.1, 0.3, 0.2, 0.4]).astype(complex)
    rho[1, 2] = rho[2, 1] = 0.2
    rho[0, 3], rho[3, 0] = 0.05j, -0.05j
    rho[0, 1], rho[1, 0] = 0.07, 0.07
    first, second = (0.93, 0.99), (0.9, 0.98)
    half = math.sqrt(0.5)
    paulis = {"Z": np.diag([1, -1]), "X": np.array([[0, 1], [1, 0]])}
    paulis |= {"D": (paulis["Z"] + paulis["X"]) * half, "E": (paulis["Z"] - paulis["X"]) * half}
    found = raw_correlators(rho, first, second)
    for settings in CHSH_SETTINGS:
        expected = 0.0
        for a, b in itertools.product((1, -1), repeat=2):
            projector = np.kron((np.eye(2) + a * paulis[settings[0]]) / 2, (np.eye(2) + b * paulis[settings[1]]) / 2)
            # +1 is reported as bright.
            mean_a = 2 * first[0] - 1 if a == 1 else 1 - 2 * first[1]
            mean_b = 2 * second[0] - 1 if b == 1 else 1 - 2 * second[1]
            expected += float(np.trace(rho @ projector).real) * mean_a * mean_b
        assert found[settings] == pytest.approx(expected, abs=1e-12), settings
