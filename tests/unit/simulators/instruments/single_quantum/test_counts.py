"""Counts of a measurement period."""

import asyncio
from collections.abc import Coroutine

import numpy as np
from numpy.typing import NDArray

from simulators.instruments.single_quantum._counts import Counts
from simulators.instruments.single_quantum._nanowire import Nanowire

SECOND_PS = 10**12


def wires() -> tuple[Nanowire, ...]:
    made = tuple(Nanowire(25.0) for _ in range(2))
    for wire, bias_ua in zip(made, (20.0, 0.0), strict=True):
        wire.enabled, wire.set_ua = True, bias_ua
    return made


def run(body: Coroutine[None, None, NDArray[np.int64]]) -> list[int]:
    return [int(count) for count in asyncio.run(asyncio.wait_for(body, 20))]


def test_without_a_world_it_counts_in_the_dark() -> None:
    async def body() -> NDArray[np.int64]:
        counts = Counts(2, key=7)
        return np.sum([await counts.take(wires(), n * SECOND_PS, SECOND_PS) for n in range(1, 401)], axis=0)

    biased, unbiased = run(body())
    # 100 Hz for 400 s: 40 000, standard deviation 200.
    assert abs(biased - 40_000) < 1000
    assert unbiased == 0


def test_the_same_time_gives_the_same_counts() -> None:
    async def body() -> NDArray[np.int64]:
        one, other = Counts(2, key=7), Counts(2, key=7)
        await other.take(wires(), 3 * SECOND_PS, SECOND_PS)
        first = await one.take(wires(), 5 * SECOND_PS, SECOND_PS)
        return np.array([np.array_equal(first, await other.take(wires(), 5 * SECOND_PS, SECOND_PS))])

    assert run(body()) == [1]


def test_the_world_counts_and_each_pulse_once() -> None:
    async def body() -> NDArray[np.int64]:
        counts = Counts(2, key=7)
        counts.add({1: 5}, 1)
        counts.add({1: 2, 2: 3}, SECOND_PS)
        first = await counts.take(wires(), SECOND_PS, SECOND_PS)
        counts.add({}, 2 * SECOND_PS)
        return np.concatenate([first, await counts.take(wires(), 2 * SECOND_PS, SECOND_PS)])

    assert run(body()) == [7, 3, 0, 0]


def test_the_last_pulses_are_waited_for() -> None:
    async def body() -> NDArray[np.int64]:
        counts = Counts(2, key=7)
        counts.add({1: 1}, SECOND_PS // 2)
        asyncio.get_running_loop().call_soon(counts.add, {1: 1}, SECOND_PS)
        return await counts.take(wires(), SECOND_PS, SECOND_PS)

    assert run(body()) == [2, 0]


def test_a_world_that_is_ahead_fills_no_period_too_early() -> None:
    async def body() -> NDArray[np.int64]:
        counts = Counts(2, key=7)
        for n in range(1, 6):
            counts.add({1: n}, n * SECOND_PS)
        counts.add({}, 9 * SECOND_PS)
        return np.concatenate([await counts.take(wires(), n * SECOND_PS, SECOND_PS) for n in (1, 2, 5, 6)])

    assert run(body()) == [1, 0, 2, 0, 12, 0, 0, 0]


def test_what_nobody_takes_is_summed() -> None:
    async def body() -> NDArray[np.int64]:
        counts = Counts(2, key=7)
        for n in range(1, 5001):
            counts.add({2: 1}, n * SECOND_PS)
        kept = np.array([len(counts._pending) <= 2_000])
        return np.concatenate([kept, await counts.take(wires(), 5000 * SECOND_PS, SECOND_PS)])

    assert run(body()) == [1, 0, 5000]
