"""When clicks come: distributions inside and outside the window."""

from __future__ import annotations

from math import exp, pi

import numpy as np
import pytest
from scipy import stats

from simulators.world.link import ClickMaps, NodeEmission
from simulators.world.sampling import rng

WINDOW_PS = 25_000.0
LIFETIME_PS = 12_400.0
DRAWS = 40_000
BRIGHT = np.diag([0.0, 1.0]).astype(complex)
DARK = np.diag([1.0, 0.0]).astype(complex)


def emission(spin=BRIGHT, efficiency=0.5, arrival_ps=0.0, lifetime_ps=LIFETIME_PS) -> NodeEmission:
    return NodeEmission(spin, pi, efficiency, arrival_ps, lifetime_ps)


def maps(a: NodeEmission, b: NodeEmission, visibility: float = 0.7, dark: float = 0.0) -> ClickMaps:
    return ClickMaps.compute(a, b, WINDOW_PS, visibility, dark)


def times(of: ClickMaps, pattern: int, detector: int) -> np.ndarray:
    drawn = of.arrivals.inside_times(np.full(DRAWS, pattern, dtype=np.uint8), rng(7, "times", 0, pattern))
    return drawn[:, detector - 1]


def cut_exponential(arrival_ps: float):
    """Cumulative distribution of a packet inside the window."""
    start = max(0.0, arrival_ps)
    span = 1 - exp(-(WINDOW_PS - start) / LIFETIME_PS)
    return lambda t: np.clip(-np.expm1(-(np.asarray(t) - start) / LIFETIME_PS) / span, 0, 1)


@pytest.mark.parametrize("arrival_ps", [-4_000.0, 0.0, 9_000.0])
def test_a_photon_follows_its_packet(arrival_ps):
    one = maps(emission(arrival_ps=arrival_ps), emission(DARK))
    drawn = times(one, 2, 2)
    assert drawn.min() >= max(0, arrival_ps) - 1
    assert drawn.max() < WINDOW_PS
    assert stats.kstest(drawn + 0.5, cut_exponential(arrival_ps)).pvalue > 1e-3


def test_dark_clicks_are_uniform():
    drawn = times(maps(emission(DARK), emission(DARK), dark=0.01), 1, 1)
    assert stats.kstest((drawn + 0.5) / WINDOW_PS, "uniform").pvalue > 1e-3


def test_a_mixture_of_nodes_weighted_by_their_clicks():
    # Faint light, node b's packet behind 10 ns: what comes earlier is node a's, three times as efficient.
    both = maps(emission(efficiency=3e-6), emission(efficiency=1e-6, arrival_ps=10_000.0))
    weight_a = 3 * (1 - exp(-WINDOW_PS / LIFETIME_PS))
    weight_b = 1 - exp(-15_000.0 / LIFETIME_PS)
    early = cut_exponential(0.0)(10_000.0) * weight_a / (weight_a + weight_b)
    found = (times(both, 1, 1) < 10_000).mean()
    assert abs(found - early) < 4 * np.sqrt(early * (1 - early) / DRAWS)


def test_two_photons_at_one_detector_tag_the_first():
    # Both are detected and bunch; the earlier of two exponentials has half the lifetime.
    bunched = ClickMaps.compute(emission(efficiency=1.0), emission(efficiency=1.0), 1e9, 1.0, 0.0)
    drawn = bunched.arrivals.inside_times(np.full(DRAWS, 1, dtype=np.uint8), rng(7, "first", 0, 0))[:, 0]
    assert stats.kstest((drawn + 0.5) / (LIFETIME_PS / 2), "expon").pvalue > 1e-3


def test_only_the_detectors_of_the_pattern_have_times():
    drawn = maps(emission(), emission(), dark=0.1).arrivals.inside_times(
        np.array([0, 1, 2, 3], dtype=np.uint8), rng(1, "pattern", 0, 0)
    )
    assert ((drawn >= 0) == [[False, False], [True, False], [False, True], [True, True]]).all()
    assert (drawn[drawn < 0] == -1).all()


def test_causes_add_up_to_the_patterns():
    # The causes are counted by hand of classical probability; the maps come from amplitudes.
    spin = np.array([[0.6, 0.2j], [-0.2j, 0.4]])
    one = maps(emission(spin, 0.7, 2_000.0), emission(spin, 0.4, -3_000.0, 8_000.0), 0.6, 0.03)
    summed = [one.arrivals.probability[one.arrivals.pattern == pattern].sum() for pattern in range(4)]
    assert summed == pytest.approx(one.probability, rel=1e-12)


def test_outside_the_window():
    early = -2_000.0
    one = maps(emission(efficiency=0.8, arrival_ps=early), emission(DARK))
    before = 1 - exp(early / LIFETIME_PS)
    after = exp(-(WINDOW_PS - early) / LIFETIME_PS)
    # Half of the photons at each detector.
    assert one.arrivals.outside_probability == pytest.approx(0.8 * (before + after) / 2)
    drawn = one.arrivals.outside_times(DRAWS, rng(3, "outside", 0, 0))
    assert drawn.min() >= early
    assert not ((drawn >= 0) & (drawn < WINDOW_PS)).any()
    share = before / (before + after)
    assert abs((drawn < 0).mean() - share) < 4 * np.sqrt(share * (1 - share) / DRAWS)
    late = drawn[drawn >= WINDOW_PS] - WINDOW_PS
    assert stats.kstest(late / LIFETIME_PS, "expon").pvalue > 1e-3


def test_a_packet_behind_the_window_is_outside_whole():
    one = maps(emission(DARK), emission(efficiency=0.5, arrival_ps=40_000.0))
    assert one.arrivals.outside_probability == pytest.approx(0.25)
    drawn = one.arrivals.outside_times(1_000, rng(3, "outside", 0, 1))
    assert drawn.min() >= 40_000


def test_a_packet_long_gone_is_outside_whole():
    one = maps(emission(efficiency=0.5, arrival_ps=-1e9), emission(DARK))
    assert one.arrivals.outside_probability == pytest.approx(0.25)
    drawn = one.arrivals.outside_times(1_000, rng(3, "outside", 0, 2))
    assert drawn.min() >= -1e9
    assert drawn.max() < 0


def test_the_same_generator_gives_the_same_times():
    one = maps(emission(), emission(), dark=0.1)
    pattern = np.array([1, 2, 3] * 20, dtype=np.uint8)
    again = [one.arrivals.inside_times(pattern, rng(1, "x", 2, 3)) for _ in range(2)]
    np.testing.assert_array_equal(*again)
