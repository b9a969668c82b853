"""What a running tagger shows on the tap: count rates, and histograms that grow. For eyes only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnode.errors import MisuseError
from qnode.tags import Axis, Correlator, TagBlock

__all__ = ["LiveClicks", "LiveCorrelation", "LiveHistogram", "LiveRates", "LiveTags"]

EVERY_S = 0.5
ARRIVAL_BINS = 50
CORRELATION = Axis.symmetric(100_000, 200)
MOST_TAGS = 5_000
"""Of a block, that a view looks at."""
REST = 19
"""Times as long as it took a view to look it leaves the daemon to its work."""
PS_PER_S = 1_000_000_000_000

Int64 = NDArray[np.int64]


class LiveRates:
    """Count rates of a tagger's inputs, sent some times a second.

    Args:
        inputs: which inputs.
        send: takes ``{"rates_hz": {input: rate}, "seconds": lab time they are of}``.
        now_s: monotonic wall time; tests bring their own.
    """

    def __init__(
        self, inputs: Sequence[int], send: Callable[[Any], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._inputs = tuple(inputs)
        self._send, self._now_s = send, now_s
        self._counts = dict.fromkeys(self._inputs, 0)
        self._from_ps: int | None = None
        self._sent_s = now_s()

    def feed(self, channel: NDArray[np.uint8], horizon_ps: int) -> None:
        """Count tags that came up to ``horizon_ps`` of the tagger's own time."""
        if self._from_ps is None or horizon_ps < self._from_ps:  # a tagger that was started anew counts from zero
            self._from_ps = horizon_ps
            self._counts = dict.fromkeys(self._inputs, 0)
            return
        for number in self._inputs:  # a pass for each is faster than one over all
            self._counts[number] += int(np.count_nonzero(channel == number))
        span_s = (horizon_ps - self._from_ps) / PS_PER_S
        if self._now_s() - self._sent_s < EVERY_S or span_s <= 0:
            return
        rates = {str(number): count / span_s for number, count in self._counts.items()}
        self._send({"rates_hz": rates, "seconds": span_s})
        self._counts = dict.fromkeys(self._inputs, 0)
        self._from_ps, self._sent_s = horizon_ps, self._now_s()


class LiveHistogram:
    """A histogram that grows through a plan, sent some times a second.

    Args:
        start_ps: lower edge of the first bin.
        bin_ps: width of a bin.
        bins: how many; what lies outside is left out.
        send: takes ``{"start_ps", "bin_ps", "counts"}``.
        now_s: monotonic wall time; tests bring their own.
    """

    def __init__(
        self,
        start_ps: int,
        bin_ps: int,
        bins: int,
        send: Callable[[Any], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.start_ps, self.bin_ps = start_ps, bin_ps
        self.counts = np.zeros(bins, np.int64)
        self._send, self._now_s = send, now_s
        self._sent_s = now_s()

    def feed(self, value_ps: Int64) -> None:
        """Add values; send when it is time."""
        index = (np.asarray(value_ps, np.int64) - self.start_ps) // self.bin_ps
        inside = index[(index >= 0) & (index < len(self.counts))]
        self.counts += np.bincount(inside, minlength=len(self.counts))
        if self._now_s() - self._sent_s >= EVERY_S:
            self._sent_s = self._now_s()
            self._send({"start_ps": self.start_ps, "bin_ps": self.bin_ps, "counts": self.counts.tolist()})


class _Sample:
    """What a view takes of a stream so that it never holds up its daemon: a block at a time, a twentieth of the time.

    What is left out is a gap of the next block that is taken: nothing is paired across it.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._began_s = self._rest_until_s = 0.0
        self._skipped: tuple[int, int] | None = None

    def part(self, tags: TagBlock) -> TagBlock:
        """Of a block what may be looked at now; then `spent` is called."""
        self._began_s = self._now_s()
        stop = min(len(tags), MOST_TAGS) if self._began_s >= self._rest_until_s else 0
        gaps = tags.gaps
        if stop and self._skipped is not None:
            gaps = np.concatenate((np.array([self._skipped], np.int64), gaps))
            self._skipped = None
        if stop < len(tags):
            first = int(tags.t_ps[stop]) if self._skipped is None else self._skipped[0]
            self._skipped = (first, int(tags.t_ps[-1]) + 1)
        return TagBlock(tags.t_ps[:stop], tags.channel[:stop], gaps)

    def spent(self) -> None:
        """The part has been looked at: rest for as long as that asks."""
        now_s = self._now_s()
        self._rest_until_s = max(self._rest_until_s, now_s + REST * (now_s - self._began_s))


class LiveCorrelation:
    """A cross-correlation that grows through a plan, sent some times a second.

    Args:
        start: input of the start tags.
        stop: input of the stop tags.
        axis: delays.
        send: takes ``{"start_ps", "bin_ps", "counts"}``.
        now_s: monotonic wall time; tests bring their own.
    """

    def __init__(
        self,
        start: int,
        stop: int,
        axis: Axis,
        send: Callable[[Any], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channels, self._axis = (start, stop), axis
        self._correlator = self._anew()
        self._send, self._now_s = send, now_s
        self._sent_s = now_s()

    def feed(self, tags: TagBlock) -> None:
        """Take a block; send when it is time."""
        mine = np.isin(tags.channel, self._channels)
        try:
            self._correlator.feed(TagBlock(tags.t_ps[mine], tags.channel[mine], tags.gaps))
        except MisuseError:  # time went back: a tagger that lost its place; a view is no reason to stop
            self._correlator = self._anew()
        if self._now_s() - self._sent_s >= EVERY_S:
            self._sent_s = self._now_s()
            counts = self._correlator.histogram.counts.tolist()
            self._send({"start_ps": self._axis.first_ps, "bin_ps": self._axis.width_ps, "counts": counts})

    def _anew(self) -> Correlator:
        return Correlator(*self._channels, self._axis, backend="numpy")


class LiveTags:
    """A node's tags through a plan: photons after the round sync, and after the herald line; a sample of fast streams.

    Args:
        photons: input of the photons.
        sync: input of the round sync.
        line: input of the herald line.
        round_ps: distance of two round syncs.
        readout_ps: length of what is shown after a herald line.
        send: takes a topic (``tags.arrival``, ``tags.correlation``) and its payload.
        now_s: monotonic wall time; tests bring their own.
    """

    def __init__(
        self,
        photons: int,
        sync: int,
        line: int,
        round_ps: int,
        readout_ps: int,
        send: Callable[[str, Any], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._photons, self._sync = photons, sync
        self._sample = _Sample(now_s)
        bin_ps = -(-round_ps // ARRIVAL_BINS)
        self._arrival = LiveHistogram(0, bin_ps, ARRIVAL_BINS, lambda h: send("tags.arrival", h), now_s)
        bin_ps = -(-readout_ps // ARRIVAL_BINS)
        self._correlation = LiveCorrelation(
            line, photons, Axis(0, bin_ps, ARRIVAL_BINS), lambda h: send("tags.correlation", h), now_s
        )
        self._last_sync_ps: int | None = None

    def feed(self, tags: TagBlock) -> None:
        """Take a block of the tagger, in order."""
        part = self._sample.part(tags)
        self._arrival.feed(self._after_sync(part))
        self._correlation.feed(part)
        self._sample.spent()

    def _after_sync(self, tags: TagBlock) -> Int64:
        """Of each photon of a round whose sync was seen: how long after it."""
        if len(tags.gaps):
            self._last_sync_ps = None
        syncs = tags.t_ps[tags.channel == self._sync]
        photons = tags.t_ps[tags.channel == self._photons]
        if self._last_sync_ps is not None:
            syncs = np.concatenate((np.array([self._last_sync_ps], np.int64), syncs))
        if not len(syncs):
            return np.zeros(0, np.int64)
        self._last_sync_ps = int(syncs[-1])
        round_ = np.searchsorted(syncs, photons, side="right") - 1
        after: Int64 = photons[round_ >= 0] - syncs[round_[round_ >= 0]]
        return after


class LiveClicks:
    """A midpoint's clicks through a plan: rates, arrival times in the detection window, detectors against each other.

    Args:
        window_ps: width of the detection window.
        send: takes a topic (``clicks.rates``, ``clicks.arrival``, ``clicks.correlation``) and its payload.
        now_s: monotonic wall time; tests bring their own.
    """

    def __init__(
        self, window_ps: int, send: Callable[[str, Any], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates = LiveRates((1, 2, 3, 4), lambda rates: send("clicks.rates", rates), now_s)
        bin_ps = max(1, window_ps // ARRIVAL_BINS)
        self._arrival = LiveHistogram(0, bin_ps, -(-window_ps // bin_ps), lambda h: send("clicks.arrival", h), now_s)
        self._correlation = LiveCorrelation(1, 2, CORRELATION, lambda h: send("clicks.correlation", h), now_s)
        self._sample = _Sample(now_s)

    def feed(self, tags: TagBlock, offsets_ps: Int64, horizon_ps: int) -> None:
        """Take the tags of decided rounds, in order.

        Args:
            tags: of all inputs.
            offsets_ps: of the clicks inside windows, from their opening.
            horizon_ps: end of these rounds, on the scale of the tags.
        """
        self._rates.feed(tags.channel, horizon_ps)
        self._arrival.feed(offsets_ps)
        self._correlation.feed(self._sample.part(tags))
        self._sample.spent()
