"""Counters and histograms, by hand."""

import numpy as np

from simulators.instruments.idquantique._counters import Counter, Histogram


def at(*times: int) -> np.ndarray:
    return np.array(times, np.int64)


def test_a_cycle_counts_the_last_full_integration_time() -> None:
    counter = Counter(begin_ps=1_000, integration_ps=100)
    counter.accept(1_000, at(-1, 0, 50, 99), 1_099)
    assert (counter.last_cycle, counter.total) == (0, 3)
    counter.accept(1_000, at(100, 150), 1_160)
    assert (counter.last_cycle, counter.total) == (3, 5)
    counter.accept(1_000, at(180, 201, 305), 1_310)  # over two ends: the cycle [200, 300) is the last
    assert (counter.last_cycle, counter.total) == (1, 8)
    counter.accept(1_000, at(), 1_400)
    assert counter.last_cycle == 1
    counter.accept(1_000, at(), 1_500)
    assert counter.last_cycle == 0


def test_a_histogram_bins_delays_since_the_last_reference() -> None:
    histogram = Histogram(minimum_ps=10, bin_ps=10, bins=3)
    histogram.accept(at(0, 100), at(5, 10, 19, 25, 45, 111, 139, 140))
    # Delays 5 10 19 25 45 11 39 40; bins [10, 20) [20, 30) [30, 40).
    assert histogram.counts.tolist() == [3, 1, 1]
    histogram.accept(at(100), at(50))
    assert histogram.counts.sum() == 5
