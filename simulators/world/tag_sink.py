"""Edges on their way into the taggers: filtered by what the inputs see, sorted, delivered in order of time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simulators.kit import TaggerPlayback, TaggerSim
from simulators.world.wiring import End, crosses

__all__ = ["TagSink"]


class TagSink:
    """All taggers of a lab; times are int64 picoseconds from the world's start.

    Args:
        origin_ps: lab time of the world's start.
        taggers: by ``site.instrument``.
    """

    def __init__(self, origin_ps: int, taggers: Mapping[str, TaggerSim]) -> None:
        self._origin_ps = origin_ps
        self._taggers = taggers
        self._times: dict[str, list[NDArray[np.int64]]] = {name: [] for name in taggers}
        self._channels: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in taggers}

    def add(self, end: End, t_ps: NDArray[np.int64], level_v: float) -> None:
        """Rising edges of a pulse of ``level_v`` at an output that a wire joins to ``end``; its delay is added.

        Ends that are no tagger's, inputs that are off and levels below the threshold take nothing.
        """
        tagger = self._taggers.get(end.thing)
        if tagger is None or not t_ps.size:
            return
        channel = 0 if end.connector == "start" else int(end.connector.removeprefix("in"))
        if not _sees(tagger.playback, channel, level_v):
            return
        self._times[end.thing].append(t_ps + end.delay_ps)
        self._channels[end.thing].append(np.full(t_ps.size, channel, dtype=np.uint8))

    def flush(self, until_ps: int) -> None:
        """Deliver all edges before ``until_ps``; nothing before it comes any more. Later ones wait."""
        for name, tagger in self._taggers.items():
            if self._times[name]:
                times = np.concatenate(self._times[name])
                channels = np.concatenate(self._channels[name])
                order = np.argsort(times, kind="stable")
                times, channels = times[order], channels[order]
                due = int(np.searchsorted(times, until_ps, side="left"))
                self._times[name] = [times[due:]] if due < times.size else []
                self._channels[name] = [channels[due:]] if due < times.size else []
                times, channels = times[:due], channels[:due]
            else:
                times, channels = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint8)
            tagger.deliver(self._origin_ps, times, channels, self._origin_ps + until_ps)


def _sees(playback: TaggerPlayback, channel: int, level_v: float) -> bool:
    return (
        playback.powered
        and playback.enabled.get(channel, False)
        and crosses(level_v, playback.threshold_v.get(channel, 0.0))
    )
