"""Live views: numbers on the tap, by hand."""

import numpy as np
import pytest

from qnode.daemons import _live
from qnode.daemons._live import LiveClicks, LiveCorrelation, LiveHistogram, LiveRates, LiveTags
from qnode.tags import Axis, TagBlock


class Wall:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def wall():
    return Wall()


def test_rates_are_counts_over_lab_time_and_come_twice_a_second_of_wall_time(wall):
    sent = []
    rates = LiveRates((1, 4), sent.append, now_s=wall)
    rates.feed(np.array([1, 1], np.uint8), 10_000_000_000_000)  # opens the interval: what came before is not counted
    rates.feed(np.array([1, 1, 1, 4], np.uint8), 10_500_000_000_000)
    assert sent == []
    wall.now += 0.5
    rates.feed(np.array([1, 2], np.uint8), 12_000_000_000_000)
    # Four of input 1 and one of input 4 in 2 s; input 2 was not asked for.
    assert sent == [{"rates_hz": {"1": 2.0, "4": 0.5}, "seconds": 2.0}]
    wall.now += 0.5
    rates.feed(np.array([4], np.uint8), 13_000_000_000_000)
    assert sent[1] == {"rates_hz": {"1": 0.0, "4": 1.0}, "seconds": 1.0}


def test_a_tagger_that_starts_anew_starts_the_interval_anew(wall):
    sent = []
    rates = LiveRates((1,), sent.append, now_s=wall)
    rates.feed(np.array([1], np.uint8), 5_000_000_000_000)
    wall.now += 1
    rates.feed(np.array([1], np.uint8), 1_000_000_000)
    assert sent == []
    rates.feed(np.array([1], np.uint8), 1_001_000_000_000)
    assert sent == [{"rates_hz": {"1": 1.0}, "seconds": 1.0}]


def test_a_histogram_grows_and_leaves_out_what_lies_outside(wall):
    sent = []
    histogram = LiveHistogram(-10, 5, 3, sent.append, now_s=wall)
    histogram.feed(np.array([-11, -10, -6, -5, 4, 5]))
    assert sent == []
    wall.now += 0.5
    histogram.feed(np.array([4]))
    assert sent == [{"start_ps": -10, "bin_ps": 5, "counts": [2, 1, 2]}]


def test_clicks_show_rates_arrivals_and_detectors_against_each_other(wall):
    sent = {}
    live = LiveClicks(25_000, sent.__setitem__, now_s=wall)
    live.feed(TagBlock.from_arrays([], []), np.zeros(0, np.int64), 0)
    wall.now += 1
    # Detector 1 at 1 us, detector 2 at 1.0305 us: the stop comes 30.5 ns after the start.
    tags = TagBlock.from_arrays([1_000_000, 1_030_500], [1, 2])
    live.feed(tags, np.array([700, 24_999]), 2_000_000_000_000)
    assert sent["clicks.rates"]["rates_hz"] == {"1": 0.5, "2": 0.5, "3": 0.0, "4": 0.0}
    arrival = sent["clicks.arrival"]
    assert (arrival["bin_ps"], sum(arrival["counts"]), arrival["counts"][1], arrival["counts"][49]) == (500, 2, 1, 1)
    correlation = sent["clicks.correlation"]
    bin_of_pair = correlation["counts"].index(1)
    left = correlation["start_ps"] + bin_of_pair * correlation["bin_ps"]
    assert sum(correlation["counts"]) == 1
    assert left <= 30_500 < left + correlation["bin_ps"]


def test_a_node_shows_photons_after_the_round_sync_and_after_the_herald_line(wall):
    sent = {}
    live = LiveTags(1, 2, 3, 1_000_000, 10_000, sent.__setitem__, now_s=wall)
    # A photon before the first sync belongs to no round; one in the next block to the round that is open.
    live.feed(TagBlock.from_arrays([5, 100, 100 + 30_000, 600_000, 607_300], [1, 2, 1, 3, 1]))
    wall.now += 1
    live.feed(TagBlock.from_arrays([999_000, 1_000_100, 1_000_100 + 45_000], [1, 2, 1]))
    arrival = sent["tags.arrival"]
    assert (arrival["start_ps"], arrival["bin_ps"]) == (0, 20_000)
    # 30.0 and 45.0 ns after a sync; 607.2 and 998.9 ns.
    assert {k: n for k, n in enumerate(arrival["counts"]) if n} == {1: 1, 2: 1, 30: 1, 49: 1}
    correlation = sent["tags.correlation"]
    assert (correlation["start_ps"], correlation["bin_ps"]) == (0, 200)
    # 7.3 ns after the line; the next photon is further away than is shown.
    assert {k: n for k, n in enumerate(correlation["counts"]) if n} == {36: 1}


def test_views_take_a_sample_of_a_fast_stream_and_pair_nothing_across_what_they_left_out(wall, monkeypatch):
    monkeypatch.setattr(_live, "MOST_TAGS", 3)
    sent = {}
    live = LiveTags(1, 2, 3, 1_000, 500, sent.__setitem__, now_s=wall)
    # Sync, line, photon; the other two are left out.
    live.feed(TagBlock.from_arrays([0, 100, 115, 130, 140], [2, 3, 1, 3, 1]))
    # Of this round the sync was not seen, of this line neither.
    wall.now += 1
    live.feed(TagBlock.from_arrays([150, 160], [1, 1]))
    assert (sum(sent["tags.arrival"]["counts"]), sum(sent["tags.correlation"]["counts"])) == (1, 1)


def test_a_slow_view_rests_nineteen_times_as_long_as_it_looked(wall):
    taken = []

    class Slow(LiveHistogram):
        def feed(self, value_ps):
            taken.append(len(value_ps))
            wall.now += 0.1 if len(value_ps) else 0.0

    live = LiveTags(1, 2, 3, 1_000, 500, lambda topic, payload: None, now_s=wall)
    live._arrival = Slow(0, 1, 1, lambda payload: None, wall)
    for k in range(50):
        live.feed(TagBlock.from_arrays([1000 * k, 1000 * k + 1], [2, 1]))
        wall.now += 0.1
    # 5 s pass while nobody looks; a look of 0.1 s asks for 1.9 s of rest.
    assert taken.count(1) == 3


def test_a_view_survives_time_that_goes_back(wall):
    sent = []
    view = LiveCorrelation(1, 2, Axis(0, 10, 4), sent.append, now_s=wall)
    view.feed(TagBlock.from_arrays([1000, 1005], [1, 2]))
    view.feed(TagBlock.from_arrays([0, 5], [1, 2]))
    wall.now += 1
    view.feed(TagBlock.from_arrays([50, 61], [1, 2]))
    assert sent == [{"start_ps": 0, "bin_ps": 10, "counts": [0, 1, 0, 0]}]
