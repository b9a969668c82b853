"""Random numbers per aligned block of rounds: drawn once for a whole block, handed out in slices.

So the numbers of a round depend on the seed, the place, the epoch and the round alone: not on how many rounds are
played at a time, how fast, or under which load.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from simulators.world import sampling

__all__ = ["BLOCK_ROUNDS", "Draws", "Photons"]

BLOCK_ROUNDS = 256

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Photons:
    """Events of a block of rounds, sorted by round."""

    row: NDArray[np.int64]
    """Shape (n,): round within the block."""
    t_ps: NDArray[np.int64]
    """Shape (n,): time within the round."""
    mark: NDArray[np.int64]
    """Shape (n,): what else is known of each (a gate, a detector)."""

    def rows(self, first: int, stop: int) -> Photons:
        """Those of rounds first to stop - 1 of the block."""
        begin, end = np.searchsorted(self.row, [first, stop])
        return Photons(self.row[begin:end], self.t_ps[begin:end], self.mark[begin:end])


class Draws:
    """Draws of one epoch.

    Args:
        seed: the world's seed.
        epoch: number of the start that the rounds belong to.
    """

    def __init__(self, seed: int, epoch: int) -> None:
        self._seed = seed
        self._epoch = epoch
        self._blocks: dict[str, tuple[tuple[int, Hashable], object]] = {}

    def block(self, place: str, block: int, key: Hashable, draw: Callable[[np.random.Generator], T]) -> T:
        """What ``draw`` makes of the generator of a block; kept until another block or key is asked for.

        Args:
            place: names the draw; different draws never share one.
            block: number of the block.
            key: what the draw depends on beside the generator.
            draw: makes the numbers of all `BLOCK_ROUNDS` rounds.
        """
        kept = self._blocks.get(place)
        if kept is None or kept[0] != (block, key):
            generator = sampling.rng(self._seed, place, self._epoch, block)
            kept = ((block, key), draw(generator))
            self._blocks[place] = kept
        return cast("T", kept[1])

    def of_round(self, place: str, number: int) -> np.random.Generator:
        """The generator of a single round."""
        return sampling.rng(self._seed, place, self._epoch, number)
