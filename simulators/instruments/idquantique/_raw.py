"""RAW: the time stamps of one channel, as they leave the Time Controller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.instruments.idquantique._recorder import ClosedSubAcquisitions

__all__ = ["RawChannel"]


class RawChannel:
    """One raw channel during one recording; it counts the edges at its reference.

    Args:
        restart: whether stamps count from the opening of their sub-acquisition where there is no reference, or from
            the opening of the recording's first one.
    """

    def __init__(self, *, restart: bool) -> None:
        self._restart = restart
        self._references = 0

    def stamps(
        self,
        closed: ClosedSubAcquisitions,
        source: tuple[int, int] | None,
        reference: tuple[int, int] | None,
        resolution_ps: int,
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint64]]:
        """Stamps of the edges in ``closed``.

        [S, maker's manual] every stamp is the time since the last edge at the reference; where none is linked, or
        none came yet, since the beginning of the acquisition.

        Args:
            closed: sub-acquisitions that are over.
            source: the input that stamps are taken of, and a delay in ps; None: nothing comes.
            reference: the same for the reference; None: not linked.
            resolution_ps: stamps are multiples of it, rounded down.

        Returns:
            Stamps in ps; for each its sub-acquisition within ``closed``; for each its reference's index (that of the
            sub-acquisition, where there is no reference).
        """
        empty = np.zeros(0, np.int64)
        t_ps, of = closed.of(source[0]) if source is not None else (empty, empty)
        since = t_ps + source[1] if source is not None else t_ps
        index = of + closed.first_index
        if reference is not None:
            reference_ps, _ = closed.of(reference[0])
            reference_ps = reference_ps + reference[1]
            last = np.searchsorted(reference_ps, since, side="right") - 1
            start = closed.start_ps[of]
            referred = last >= 0
            base = start.copy()
            base[referred] = np.maximum(reference_ps[last[referred]], start[referred])
            since = since - base
            index = np.maximum(last + self._references, 0)
            self._references += int(reference_ps.size)
        elif self._restart:
            since = since - closed.start_ps[of]
        stamps = np.maximum(since, 0) // resolution_ps * resolution_ps
        return stamps.astype(np.uint64), of, index.astype(np.uint64)
