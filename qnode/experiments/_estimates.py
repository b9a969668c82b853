"""From settled pairs to correlators and fidelities, by Bell state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qnode.analysis import Estimate, OutcomeCounts, Readout, bell_fidelity, combine, correlator

__all__ = ["BellEstimate", "Pair", "bell_estimates", "mean_fidelity"]


@dataclass(frozen=True)
class Pair:
    """One settled pair; rounds count through the plans of a run."""

    round: int
    attempt: int
    pattern: int
    bell: str
    bases: tuple[str, str]
    outcomes: tuple[int, int]
    """+1 or -1 of each node, in the frame of the state right after the herald."""
    bright: tuple[bool, bool]
    """What each readout said."""


@dataclass(frozen=True)
class BellEstimate:
    """What was measured of one Bell state."""

    heralds: int
    correlators: dict[str, Estimate]
    """XX, YY, ZZ, corrected for readout; those that were read."""
    fidelity: Estimate | None
    """None until all three correlators are there."""


def bell_estimates(pairs: Sequence[Pair], first: Readout, second: Readout) -> dict[str, BellEstimate]:
    """Correlators and fidelity of each Bell state among the pairs, from rounds with one basis at both nodes."""
    estimates = {}
    for bell in sorted({pair.bell for pair in pairs}):
        mine = [pair for pair in pairs if pair.bell == bell]
        correlators = {}
        for basis in "XYZ":
            read = [pair for pair in mine if pair.bases == (basis, basis)]
            if read:
                correlators[2 * basis] = correlator(_counts(read), first, second, _sign(read[0]))
        complete = len(correlators) == 3
        fidelity = bell_fidelity(bell, correlators) if complete else None
        estimates[bell] = BellEstimate(len(mine), correlators, fidelity)
    return estimates


def mean_fidelity(estimates: dict[str, BellEstimate]) -> Estimate | None:
    """Fidelity with the state that was heralded, over all heralds; None while a Bell state lacks a correlator."""
    total = sum(estimate.heralds for estimate in estimates.values())
    terms = [(e.heralds / total, e.fidelity) for e in estimates.values() if e.fidelity is not None]
    return combine(terms) if terms and len(terms) == len(estimates) else None


def _counts(pairs: Sequence[Pair]) -> OutcomeCounts:
    cells = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for pair in pairs:
        cells[pair.bright] += 1
    return OutcomeCounts(*cells.values())


def _sign(pair: Pair) -> int:
    """Product of the signs from raw outcomes to the frame after the herald; the same for all pairs of a basis."""
    raw = (1 if pair.bright[0] else -1) * (1 if pair.bright[1] else -1)
    return raw * pair.outcomes[0] * pair.outcomes[1]
