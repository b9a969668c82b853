"""Random draws of the world: counter-based generators, and which attempts click.

Every generator is a Philox stream addressed by (seed, place, epoch, block), so a block's draws don't depend on what
was drawn before, how fast, or by whom. Attempts that click are found by skipping geometrically; the
attempt-by-attempt sampler beside it has the same distribution.
"""

from __future__ import annotations

from hashlib import blake2b
from math import expm1, inf, log1p
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qnode.errors import MisuseError

__all__ = ["PatternProbabilities", "rng", "sample_attempts", "sample_rounds", "skip_to_heralds"]

_CHUNK = 1 << 14
"""Heralds drawn at once: their arrays stay in the second-level cache."""

_LONGEST_SKIP = 2.0**62
"""Where a skip is cut, so that it fits its integer."""


class PatternProbabilities(Protocol):
    """Anything that knows how probable each click pattern is: `ClickMaps`."""

    @property
    def probability(self) -> NDArray[np.float64]:
        """(4,): none, detector 1 alone, detector 2 alone, both; in one attempt."""


def rng(seed: int, place: str, epoch: int, block: int) -> np.random.Generator:
    """The generator of one block of rounds at one place.

    The 128-bit Philox key is BLAKE2b of the UTF-8 text ``seed/place/epoch``, its two halves read as little-endian
    integers; the block is the highest of the four counter words, so that blocks are 2^192 counter values apart.

    Args:
        seed: the world's seed.
        place: what is drawn, for example ``midpoint.clicks``.
        epoch: number of the start that the rounds belong to.
        block: number of the aligned block of rounds, from 0.

    Raises:
        MisuseError: a negative block, or one past 64 bits.
    """
    if not 0 <= block < 1 << 64:
        raise MisuseError(f"world: block {block} of {place} is out of range", hint="count blocks from 0")
    digest = blake2b(f"{seed}/{place}/{epoch}".encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype="<u8").astype(np.uint64)
    counter = np.array([0, 0, 0, block], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def sample_rounds(
    maps: PatternProbabilities, rounds: int, attempts_per_round: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The first attempt with a click in each of some rounds; a round ends there.

    Rounds without a click are skipped geometrically with P = 1 - (1 - p)^N; inside a round the attempt follows the
    geometric distribution cut at N. The cost grows with the clicks, not with the attempts.

    Args:
        maps: what knows the pattern probabilities.
        rounds: how many rounds.
        attempts_per_round: N.
        generator: from `rng`.

    Returns:
        ``attempt`` (rounds,), from 0, -1 where all attempts failed, and ``pattern`` (rounds,), bit mask, 0 there.
    """
    click, rate = _click_rate(maps.probability)
    attempt = np.full(rounds, -1, dtype=np.int64)
    pattern = np.zeros(rounds, dtype=np.uint8)
    if click == 0 or attempts_per_round == 0:
        return attempt, pattern
    round_rate = rate * attempts_per_round
    hit = _hit_rounds(round_rate, rounds, generator)
    share = -expm1(-round_rate) * generator.random(hit.size)
    attempt[hit] = np.minimum(-np.log1p(-share) / rate, attempts_per_round - 1).astype(np.int64)
    pattern[hit] = _patterns(maps.probability, hit.size, generator)
    return attempt, pattern


def sample_attempts(
    maps: PatternProbabilities, rounds: int, attempts_per_round: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Like `sample_rounds`, with one uniform number for every attempt: the same distribution by a direct route."""
    edges = np.cumsum(np.asarray(maps.probability, dtype=np.float64)[:3])
    attempt = np.full(rounds, -1, dtype=np.int64)
    pattern = np.zeros(rounds, dtype=np.uint8)
    if attempts_per_round == 0:
        return attempt, pattern
    step = max(1, _CHUNK // attempts_per_round)
    for start in range(0, rounds, step):
        uniform = generator.random((min(step, rounds - start), attempts_per_round))
        clicked = uniform >= edges[0]
        first = clicked.argmax(axis=1)
        row = np.flatnonzero(clicked[np.arange(first.size), first])
        attempt[start + row] = first[row]
        pattern[start + row] = np.searchsorted(edges, uniform[row, first[row]], side="right")
    return attempt, pattern


def skip_to_heralds(
    probability: ArrayLike, count: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Attempts that fail before each of `count` clicks, and the pattern of each click.

    A skip is an exponential deviate (ziggurat, 53 bits) over -ln(1 - p), cut to an integer: exactly geometric but for
    the deviate's own rounding, 1e-16 of its value. A pattern takes 32 bits of its own: its probability is off by at
    most 2^-32, and a pattern of probability 0 never comes.

    Args:
        probability: (4,) pattern probabilities of one attempt.
        count: how many clicks.
        generator: from `rng`.

    Returns:
        ``skip`` (count,) and ``pattern`` (count,).

    Raises:
        MisuseError: attempts that never click.
    """
    chances = np.asarray(probability, dtype=np.float64)
    click, rate = _click_rate(chances)
    if click == 0:
        raise MisuseError("world: no attempt ever clicks, so there is no herald to skip to", hint="check the light")
    skip = np.empty(count, dtype=np.int64)
    pattern = np.empty(count, dtype=np.uint8)
    deviate = np.empty(min(count, _CHUNK))
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        part = deviate[:size]
        generator.standard_exponential(out=part)
        np.divide(part, rate, out=part)
        np.minimum(part, _LONGEST_SKIP, out=part)
        skip[start : start + size] = part
        pattern[start : start + size] = _patterns(chances, size, generator)
    return skip, pattern


def _click_rate(probability: NDArray[np.float64]) -> tuple[float, float]:
    """P(any click) p of an attempt, and -ln(1 - p)."""
    click = min(1.0, float(probability[1:].sum()))
    return click, -log1p(-click) if click < 1 else inf


def _hit_rounds(round_rate: float, rounds: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Rounds with a click, ascending; round_rate is -ln P(no click in a round)."""
    found: list[NDArray[np.int64]] = []
    last = -1
    # Enough for one pass as a rule; it must not depend on anything but the arguments.
    size = min(_CHUNK, 16 + int(1.1 * rounds * -expm1(-round_rate)))
    while last < rounds:
        # Cut far skips before they are integers: a rate near zero makes them larger than 64 bits.
        ahead = np.minimum(generator.standard_exponential(size) / round_rate, float(rounds)).astype(np.int64)
        reached = last + np.cumsum(ahead + 1)
        found.append(reached)
        last = int(reached[-1])
    hit = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    return hit[hit < rounds]


def _patterns(probability: NDArray[np.float64], count: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Patterns 1..3 of clicks, by their share."""
    ones, twos, boths = (float(value) for value in probability[1:])
    total = ones + twos + boths
    bits = generator.integers(0, 1 << 32, size=count, dtype=np.uint32)
    # A pattern that can't occur gets the empty interval, so it must not depend on rounding.
    first = round(ones / total * (1 << 32)) if twos + boths > 0 else 1 << 32
    second = round((ones + twos) / total * (1 << 32)) if boths > 0 else 1 << 32
    return (np.uint8(1) + (bits >= first).view(np.uint8) + (bits >= second).view(np.uint8)).astype(np.uint8)
