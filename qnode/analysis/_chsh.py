"""The CHSH game of a Bell test: settings, what wins, S with its error, the P-value, and what the physics promises.

The first node reads Z or X, the second D = (Z + X)/sqrt2 or E = (Z - X)/sqrt2. A trial is won when the product of the
two outcomes has the sign that the heralded Bell state has for these settings; S = 8 (share of wins - 1/2) when all four
pairs of settings come equally often. Outcomes are taken as the nodes read them: a Bell test corrects no readout.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnode.analysis._bell import correlation_matrix
from qnode.analysis._estimate import Estimate, combine
from qnode.errors import MisuseError

__all__ = [
    "CHSH_LETTERS",
    "CHSH_SETTINGS",
    "CHSH_SIGNS",
    "LOCAL_WIN_PROBABILITY",
    "Fidelities",
    "GameCounts",
    "chsh_p_value",
    "chsh_played",
    "chsh_value",
    "count_games",
    "raw_correlators",
]

CHSH_LETTERS = ("ZX", "DE")
"""What the first and the second node read."""

CHSH_SETTINGS = ("ZD", "ZE", "XD", "XE")

CHSH_SIGNS: Mapping[str, Mapping[str, int]] = {
    "psi+": {"ZD": -1, "ZE": -1, "XD": 1, "XE": -1},
    "psi-": {"ZD": -1, "ZE": -1, "XD": -1, "XE": 1},
}
"""Sign of each correlator in S, and of the product of outcomes that wins: both states have C_zz < 0; C_xx is the Bell
state's own."""

LOCAL_WIN_PROBABILITY = 0.75
"""The best that any local strategy reaches against settings that it can't foresee."""

_AXES = {
    "Z": (0.0, 0.0, 1.0),
    "X": (1.0, 0.0, 0.0),
    "D": (math.sqrt(0.5), 0.0, math.sqrt(0.5)),
    "E": (-math.sqrt(0.5), 0.0, math.sqrt(0.5)),
}

Fidelities = tuple[float, float]
"""P(reported bright | bright), P(reported dark | dark) of a node."""


@dataclass(frozen=True, slots=True)
class GameCounts:
    """Trials of one pair of settings, and how many of them won."""

    trials: int
    wins: int

    def __add__(self, other: GameCounts) -> GameCounts:
        """Both together."""
        return GameCounts(self.trials + other.trials, self.wins + other.wins)

    @property
    def correlator(self) -> Estimate:
        """2 w/n - 1, the mean product of outcomes times the game's sign; error sqrt((1 - E^2)/n).

        Raises:
            MisuseError: no trials.
        """
        if self.trials < 1 or not 0 <= self.wins <= self.trials:
            raise MisuseError(f"{self.wins} wins in {self.trials} trials give no correlator", hint="take more trials")
        value = 2 * self.wins / self.trials - 1
        return Estimate(value, math.sqrt((1 - value**2) / self.trials))


def count_games(
    trials: Iterable[tuple[str, tuple[str, str], tuple[int, int]]],
) -> dict[str, dict[str, GameCounts]]:
    """Count trials and wins by Bell state and settings.

    Args:
        trials: Bell state of the herald, basis of each node, outcome (+1 or -1) of each node.

    Returns:
        Bell state to settings to counts; every pair of settings is there, also where no trial came.

    Raises:
        MisuseError: a Bell state that has no game, or bases that are none of its settings.
    """
    counts: dict[str, dict[str, list[int]]] = {}
    for bell, bases, outcomes in trials:
        settings = "".join(bases)
        if settings not in CHSH_SETTINGS or bell not in CHSH_SIGNS:
            raise MisuseError(
                f"a herald of {bell} read in {settings} is no trial of the CHSH game",
                hint=f"the settings are {', '.join(CHSH_SETTINGS)}, for psi+ and psi-",
            )
        mine = counts.setdefault(bell, {name: [0, 0] for name in CHSH_SETTINGS})[settings]
        mine[0] += 1
        mine[1] += outcomes[0] * outcomes[1] == CHSH_SIGNS[bell][settings]
    return {
        bell: {settings: GameCounts(*pair) for settings, pair in mine.items()}
        for bell, mine in sorted(counts.items())
    }


def chsh_value(games: Mapping[str, GameCounts]) -> Estimate:
    """S, the sum of the four signed correlators; error sqrt(sum of (1 - E_i^2)/n_i).

    Args:
        games: counts of each pair of settings.

    Raises:
        MisuseError: a pair of settings without trials.
    """
    missing = [settings for settings in CHSH_SETTINGS if settings not in games or not games[settings].trials]
    if missing:
        raise MisuseError(f"S without trials of {' and '.join(missing)}", hint="take more trials")
    return combine([(1.0, games[settings].correlator) for settings in CHSH_SETTINGS])


def chsh_p_value(wins: int, trials: int) -> float:
    """Largest probability with which a local model wins so often: sum over i >= k of C(N, i) 0.75^i 0.25^(N - i).

    It holds for N fixed beforehand and settings that are random, equally probable and unforeseen in each trial; also
    for models that remember all earlier trials (Elkouss and Wehner, npj Quantum Inf. 2, 16026 (2016)).

    Args:
        wins: k.
        trials: N.

    Returns:
        The exact tail: a sum from its largest term on, with a relative error below 1e-8 up to N of a million; 0 below
        the smallest float.

    Raises:
        MisuseError: no trials, or more wins than trials.
    """
    if trials < 1 or not 0 <= wins <= trials:
        raise MisuseError(f"{wins} wins in {trials} trials", hint="count again")
    if wins > LOCAL_WIN_PROBABILITY * trials:
        return _tail(wins, trials, LOCAL_WIN_PROBABILITY)
    # The other tail is the short one: losses of N - k + 1 and more.
    return 1.0 - _tail(trials - wins + 1, trials, 1 - LOCAL_WIN_PROBABILITY) if wins else 1.0


def _tail(first: int, trials: int, p: float) -> float:
    """P(at least ``first`` of ``trials``) where ``first`` lies above the mean: each term is smaller than the last."""
    log_term = (
        math.lgamma(trials + 1)
        - math.lgamma(first + 1)
        - math.lgamma(trials - first + 1)
        + first * math.log(p)
        + (trials - first) * math.log1p(-p)
    )
    term = total = 1.0
    for number in range(first + 1, trials + 1):
        term *= (trials - number + 1) / number * p / (1 - p)
        total += term
        if term < 1e-18 * total:
            break
    return min(math.exp(log_term) * total, 1.0)


def raw_correlators(rho: NDArray[np.complex128], first: Fidelities, second: Fidelities) -> dict[str, float]:
    """What the products of outcomes of each pair of settings average to, as read.

    A reading of contrast c = F1 + F0 - 1 and offset b = F1 - F0 reports c <P> + b of an observable P (its raw outcomes
    have its own sign, as with the echo), so E = <(c_A P + b_A)(c_B Q + b_B)>.

    Args:
        rho: state right after the herald, shape (4, 4).
        first: readout of the first node.
        second: readout of the second.
    """
    rho = np.asarray(rho, np.complex128)
    correlations = correlation_matrix(rho)
    both = rho.reshape(2, 2, 2, 2)
    means = [_bloch(np.einsum("abcb->ac", both)), _bloch(np.einsum("abad->bd", both))]
    (c_a, b_a), (c_b, b_b) = ((f1 + f0 - 1, f1 - f0) for f1, f0 in (first, second))
    values = {}
    for settings in CHSH_SETTINGS:
        p, q = (np.array(_AXES[letter]) for letter in settings)
        values[settings] = float(
            c_a * c_b * (p @ correlations @ q) + c_a * b_b * (p @ means[0]) + b_a * c_b * (q @ means[1]) + b_a * b_b
        )
    return values


def chsh_played(bell: str, correlators: Mapping[str, float]) -> float:
    """S of a Bell state's game from the four correlators."""
    return sum(sign * correlators[settings] for settings, sign in CHSH_SIGNS[bell].items())


def _bloch(rho: NDArray[np.complex128]) -> NDArray[np.float64]:
    """<X>, <Y>, <Z> of one qubit."""
    return np.array([2 * rho[0, 1].real, -2 * rho[0, 1].imag, (rho[0, 0] - rho[1, 1]).real])
