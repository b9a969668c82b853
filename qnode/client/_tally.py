"""From settled pairs to correlators and fidelities, by Bell state: running sums, so that a look at them is cheap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from qnode.analysis import Estimate, OutcomeCounts, Readout, bell_fidelity, combine, correlator, populations
from qnode.client._pair import Pair

__all__ = ["BellEstimate", "PairTally", "mean_fidelity"]


@dataclass(frozen=True)
class BellEstimate:
    """What was measured of one Bell state."""

    heralds: int
    correlators: dict[str, Estimate]
    """XX, YY, ZZ, corrected for readout; those that were read."""
    fidelity: Estimate | None
    """None until all three correlators are there."""
    populations: dict[str, Estimate] = field(default_factory=dict)
    """"00", "01", "10", "11", first digit the first node, 1 = bright, in the frame right after the herald; corrected for
    readout. Empty without rounds that were read in Z."""


@dataclass
class _Cells:
    """Pairs of one Bell state read in one pair of bases."""

    signs: tuple[int, int]
    """Of each node, from raw outcomes to the frame after the herald; the same for all pairs of these bases."""
    counts: dict[tuple[bool, bool], int] = field(
        default_factory=lambda: {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    )


class PairTally:
    """Pairs counted by Bell state, bases and outcomes.

    Adding a pair costs the same however many there are; so does `bells`.
    """

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        self._heralds: dict[str, int] = {}
        self._cells: dict[tuple[str, tuple[str, str]], _Cells] = {}
        self.add(pairs)

    def add(self, pairs: Iterable[Pair]) -> None:
        """Count more pairs."""
        for pair in pairs:
            self._heralds[pair.bell] = self._heralds.get(pair.bell, 0) + 1
            key = (pair.bell, pair.bases)
            if key not in self._cells:
                self._cells[key] = _Cells(_signs(pair))
            self._cells[key].counts[pair.bright] += 1

    def bells(self, first: Readout, second: Readout) -> dict[str, BellEstimate]:
        """Correlators and fidelity of each Bell state, from rounds with one basis at both nodes.

        Args:
            first: readout of the link's first node.
            second: readout of its second.
        """
        estimates = {}
        for bell, heralds in sorted(self._heralds.items()):
            correlators = {}
            for basis in "XYZ":
                cells = self._cells.get((bell, (basis, basis)))
                if cells is not None:
                    counts = OutcomeCounts(*cells.counts.values())
                    correlators[2 * basis] = correlator(counts, first, second, cells.signs[0] * cells.signs[1])
            fidelity = bell_fidelity(bell, correlators) if len(correlators) == 3 else None
            estimates[bell] = BellEstimate(heralds, correlators, fidelity, self._populations(bell, first, second))
        return estimates

    def _populations(self, bell: str, first: Readout, second: Readout) -> dict[str, Estimate]:
        cells = self._cells.get((bell, ("Z", "Z")))
        return {} if cells is None else populations(OutcomeCounts(*cells.counts.values()), first, second, cells.signs)


def mean_fidelity(estimates: Mapping[str, BellEstimate]) -> Estimate | None:
    """Fidelity with the state that was heralded, over all heralds; None while a Bell state lacks a correlator."""
    total = sum(estimate.heralds for estimate in estimates.values())
    terms = [(e.heralds / total, e.fidelity) for e in estimates.values() if e.fidelity is not None]
    return combine(terms) if terms and len(terms) == len(estimates) else None


def _signs(pair: Pair) -> tuple[int, int]:
    first, second = (
        outcome if bright else -outcome for outcome, bright in zip(pair.outcomes, pair.bright, strict=True)
    )
    return first, second
