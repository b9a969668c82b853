"""How fast the simulated world finds heralds, beside one uniform numpy draw per attempt.

Run ``python benchmarks/world.py``. All figures are of one run on one core; compare the ratios, the absolutes move
with the machine. "Efficiency" is P(photon detected | emitted) of each node; single click, bright-state population
0.3. "skip" finds every click in a row of attempts; "rounds" and "one by one" find the first click of each round of
250 attempts, and "one by one" draws the attempts after it too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import pi, sqrt
from time import perf_counter

import numpy as np

from simulators.world.link import ClickMaps, NodeEmission
from simulators.world.sampling import rng, sample_attempts, sample_rounds, skip_to_heralds

EFFICIENCIES = (0.9, 0.1, 0.01, 3e-4)
ATTEMPTS_PER_ROUND = 250
WINDOW_PS = 1e9
"""Long beside the emission, so that the efficiency of the table is the whole one."""


@dataclass(frozen=True)
class Row:
    """What one efficiency gave."""

    efficiency: float
    p_click: float
    skip_heralds_hz: float
    """`skip_to_heralds`: skip and pattern."""
    rounds_heralds_hz: float
    """`sample_rounds`: first click of each round of 250 attempts."""
    attempts_heralds_hz: float
    """`sample_attempts`: every attempt played."""
    skip_attempts_hz: float
    """Attempts that the skips stand for, per second."""
    attempts_hz: float
    """Attempts played one by one, per second."""
    uniform_hz: float
    """One uniform double per attempt, numpy's default generator: the limit for attempt by attempt."""


def click_maps(efficiency: float, alpha: float = 0.3) -> ClickMaps:
    """Two equal nodes."""
    ket = np.array([sqrt(1 - alpha), sqrt(alpha)])
    node = NodeEmission(np.outer(ket, ket).astype(complex), pi, efficiency, 0.0, 12_400.0, 0.04)
    return ClickMaps.compute(node, node, WINDOW_PS, 0.9, 5e-7)


def best_of(repetitions: int, work: Callable[[int], float]) -> float:
    """Largest of the rates in Hz that `work(repetition)` returns per second of its own running time."""
    rates = []
    for repetition in range(repetitions):
        start = perf_counter()
        done = work(repetition)
        rates.append(done / (perf_counter() - start))
    return max(rates)


def measure(efficiency: float, repetitions: int, heralds: int, attempts: int) -> Row:
    """One row of the table."""
    maps = click_maps(efficiency)
    p_click = float(maps.probability[1:].sum())
    # As many rounds as hold the asked number of attempts, or at most a million.
    rounds = min(1_000_000, max(1_000, int(attempts * max(p_click, 1 / ATTEMPTS_PER_ROUND))))
    played_rounds = max(64, attempts // ATTEMPTS_PER_ROUND)
    uniform = np.random.default_rng(1)
    chunk = np.empty(1 << 14)

    def skip(repetition: int) -> float:
        skip_to_heralds(maps.probability, heralds, rng(1, "benchmark.skip", repetition, 0))
        return heralds

    def by_round(repetition: int) -> float:
        attempt, _ = sample_rounds(maps, rounds, ATTEMPTS_PER_ROUND, rng(1, "benchmark.rounds", repetition, 0))
        return float((attempt >= 0).sum())

    def by_attempt(repetition: int) -> float:
        generator = rng(1, "benchmark.attempts", repetition, 0)
        attempt, _ = sample_attempts(maps, played_rounds, ATTEMPTS_PER_ROUND, generator)
        return float((attempt >= 0).sum())

    def all_attempts(repetition: int) -> float:
        sample_attempts(maps, played_rounds, ATTEMPTS_PER_ROUND, rng(1, "benchmark.attempts", repetition, 0))
        return float(played_rounds * ATTEMPTS_PER_ROUND)

    def draws(_: int) -> float:
        for _start in range(0, attempts, chunk.size):
            uniform.random(out=chunk)
        return float(-(-attempts // chunk.size) * chunk.size)

    skip_hz = best_of(repetitions, skip)
    return Row(
        efficiency=efficiency,
        p_click=p_click,
        skip_heralds_hz=skip_hz,
        rounds_heralds_hz=best_of(repetitions, by_round),
        attempts_heralds_hz=best_of(repetitions, by_attempt),
        skip_attempts_hz=skip_hz / p_click,
        attempts_hz=best_of(repetitions, all_attempts),
        uniform_hz=best_of(repetitions, draws),
    )


def table(rows: list[Row]) -> str:
    """The rows for people."""
    lines = [
        "efficiency   p click | heralds/s: skip    rounds   one by one | attempts/s: skip  one by one   uniform"
        " | ratio to uniform: skip  one by one"
    ]
    for row in rows:
        lines.append(
            f"{row.efficiency:10.1e} {row.p_click:9.2e} | {row.skip_heralds_hz:15.1e} {row.rounds_heralds_hz:9.1e} "
            f"{row.attempts_heralds_hz:12.1e} | {row.skip_attempts_hz:16.1e} {row.attempts_hz:11.1e} "
            f"{row.uniform_hz:9.1e} | {row.skip_attempts_hz / row.uniform_hz:22.3g} "
            f"{row.attempts_hz / row.uniform_hz:11.3g}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5, help="the best of so many is shown (default 5)")
    parser.add_argument("--heralds", type=int, default=2_000_000, help="heralds per repetition, skipping")
    parser.add_argument("--attempts", type=int, default=4_000_000, help="attempts per repetition, one by one")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    options = parser.parse_args()
    rows = [measure(e, options.repetitions, options.heralds, options.attempts) for e in EFFICIENCIES]
    print(json.dumps([asdict(row) for row in rows]) if options.json else table(rows))


if __name__ == "__main__":
    main()
