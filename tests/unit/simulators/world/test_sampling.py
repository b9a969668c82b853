"""Counter-based draws; skipping against attempt by attempt."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import pytest
from scipy import stats

from qnode.errors import MisuseError
from simulators.world.sampling import rng, sample_attempts, sample_rounds, skip_to_heralds


@dataclass
class Chances:
    """Pattern probabilities, as `ClickMaps` has them."""

    probability: np.ndarray = field()


def chances(one: float, two: float, both: float) -> Chances:
    return Chances(np.array([1 - one - two - both, one, two, both]))


def table(attempt: np.ndarray, pattern: np.ndarray, attempts_per_round: int) -> np.ndarray:
    """Counts by (no click | tenth of the round, pattern)."""
    edges = np.linspace(0, attempts_per_round, min(attempts_per_round, 10) + 1)
    bin_of = np.where(attempt < 0, 0, np.searchsorted(edges, attempt, side="right"))
    return np.bincount(4 * bin_of + pattern, minlength=4 * (edges.size + 1))


def expected_table(probability: np.ndarray, attempts_per_round: int) -> np.ndarray:
    """Probabilities of the same cells: (1 - p)^a p_m, summed over the attempts of a cell."""
    attempts = np.arange(attempts_per_round)
    edges = np.linspace(0, attempts_per_round, min(attempts_per_round, 10) + 1)
    cell = np.searchsorted(edges, attempts, side="right")
    result = np.zeros((edges.size + 1, 4))
    result[0, 0] = probability[0] ** attempts_per_round
    for pattern in (1, 2, 3):
        np.add.at(result[:, pattern], cell, probability[0] ** attempts * probability[pattern])
    return result.ravel()


CASES = [
    pytest.param(chances(1e-3, 8e-4, 2e-4), 250, id="faint"),
    pytest.param(chances(0.05, 0.02, 0.01), 50, id="middling"),
    pytest.param(chances(0.45, 0.25, 0.2), 10, id="bright"),
    pytest.param(chances(0.2, 0.3, 0.0), 1, id="one attempt"),
]


@pytest.mark.parametrize("sampler", [sample_rounds, sample_attempts])
@pytest.mark.parametrize(("maps", "attempts"), CASES)
def test_first_clicks_follow_the_cut_geometric(sampler, maps, attempts):
    rounds = 40_000
    attempt, pattern = sampler(maps, rounds, attempts, rng(11, sampler.__name__, 0, 0))
    assert attempt.shape == pattern.shape == (rounds,)
    assert (attempt.dtype, pattern.dtype) == (np.int64, np.uint8)
    assert ((attempt >= 0) == (pattern > 0)).all()
    found, expected = table(attempt, pattern, attempts), expected_table(maps.probability, attempts) * rounds
    assert found[expected == 0].sum() == 0
    cells = expected > 5
    assert (
        stats.chisquare(
            [*found[cells], found[~cells].sum() + 1], [*expected[cells], expected[~cells].sum() + 1]
        ).pvalue
        > 1e-3
    )


@pytest.mark.parametrize(("maps", "attempts"), CASES)
def test_skipping_equals_attempt_by_attempt(maps, attempts):
    found = [
        table(*sampler(maps, 40_000, attempts, rng(12, sampler.__name__, 0, 0)), attempts)
        for sampler in (sample_rounds, sample_attempts)
    ]
    seen = np.array(found)[:, np.sum(found, axis=0) > 10]
    assert stats.chi2_contingency(seen).pvalue > 1e-3


@pytest.mark.parametrize("sampler", [sample_rounds, sample_attempts])
def test_never_and_always(sampler):
    attempt, pattern = sampler(chances(0, 0, 0), 100, 20, rng(1, "never", 0, 0))
    assert (attempt == -1).all()
    assert (pattern == 0).all()
    attempt, pattern = sampler(chances(0, 1, 0), 100, 20, rng(1, "always", 0, 0))
    assert (attempt == 0).all()
    assert (pattern == 2).all()
    attempt, _ = sampler(chances(0, 1, 0), 100, 0, rng(1, "no attempts", 0, 0))
    assert (attempt == -1).all()


@pytest.mark.parametrize("sampler", [sample_rounds, sample_attempts])
def test_no_rounds(sampler):
    attempt, pattern = sampler(chances(0.1, 0.1, 0), 0, 20, rng(1, "none", 0, 0))
    assert attempt.size == pattern.size == 0


def test_hardly_ever():
    attempt, _ = sample_rounds(chances(1e-300, 0, 0), 1_000, 1_000, rng(1, "hardly", 0, 0))
    assert (attempt == -1).all()


@pytest.mark.parametrize("efficiency", [0.9, 0.1, 0.01, 3e-4])
def test_skips_are_geometric(efficiency):
    count = 200_000
    probability = np.array([1 - efficiency, 0.5 * efficiency, 0.3 * efficiency, 0.2 * efficiency])
    skip, pattern = skip_to_heralds(probability, count, rng(13, "skip", 0, 0))
    # Mean and variance of the number of failures before a success.
    mean, variance = (1 - efficiency) / efficiency, (1 - efficiency) / efficiency**2
    assert abs(skip.mean() - mean) < 4 * np.sqrt(variance / count)
    edges = np.unique(stats.nbinom.ppf(np.linspace(0, 1, 21)[1:-1], 1, efficiency))
    cumulative = np.concatenate([[0], stats.nbinom.cdf(edges, 1, efficiency), [1]])
    found = np.bincount(np.searchsorted(edges, skip), minlength=edges.size + 1)
    assert stats.chisquare(found, np.diff(cumulative) * count).pvalue > 1e-3
    assert stats.chisquare(np.bincount(pattern, minlength=4)[1:], count * np.array([0.5, 0.3, 0.2])).pvalue > 1e-3
    # The pattern doesn't depend on the skip.
    late = skip > np.median(skip)
    table_of_both = [np.bincount(pattern[chosen], minlength=4)[1:] for chosen in (late, ~late)]
    assert stats.chi2_contingency(table_of_both).pvalue > 1e-3


@pytest.mark.parametrize(
    ("probability", "only"), [([0.5, 0.5, 0, 0], 1), ([0.5, 0, 0.5, 0], 2), ([0.5, 0, 0, 0.5], 3)]
)
def test_impossible_patterns_never_come(probability, only):
    _, pattern = skip_to_heralds(probability, 50_000, rng(1, "only", 0, 0))
    assert set(pattern.tolist()) == {only}


def test_skips_of_every_size_fit():
    skip, _ = skip_to_heralds([1, 1e-300, 0, 0], 10, rng(1, "far", 0, 0))
    assert (skip > 10**17).all()
    skip, _ = skip_to_heralds([0, 1, 0, 0], 10, rng(1, "near", 0, 0))
    assert (skip == 0).all()


def test_no_light_no_herald():
    with pytest.raises(MisuseError, match="no attempt ever clicks"):
        skip_to_heralds([1, 0, 0, 0], 1, rng(1, "dark", 0, 0))


def test_the_key_is_the_documented_hash():
    key = int.from_bytes(blake2b(b"5/midpoint.clicks/2", digest_size=16).digest(), "little")
    by_hand = np.random.Generator(np.random.Philox(key=key, counter=9 << 192))
    np.testing.assert_array_equal(rng(5, "midpoint.clicks", 2, 9).random(50), by_hand.random(50))


def test_each_part_of_the_address_counts():
    first = {
        rng(*address).random()
        for address in [(1, "a", 0, 0), (2, "a", 0, 0), (1, "b", 0, 0), (1, "a", 1, 0), (1, "a", 0, 1)]
    }
    assert len(first) == 5
    assert rng(1, "a", 0, 0).random() in first


def test_a_block_out_of_range():
    with pytest.raises(MisuseError, match="block -1"):
        rng(1, "a", 0, -1)
