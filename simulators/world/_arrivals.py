"""When clicks came: photons of either node and dark clicks, inside the detection window and outside."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from simulators.world._wave_packet import WavePacket

__all__ = ["ArrivalSampler"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ArrivalSampler:
    """What may have made each pattern, with probabilities, and when.

    A cause is: where node a's photon went (nowhere, detector 1, detector 2), where node b's went, and a dark click or
    none at each detector. A detector's tag is the earliest of its causes; photons follow their exponential inside the
    window, dark clicks are uniform. With full excitation the causes' probabilities are exact (the spins tell the
    nodes apart); with partial excitation the beat between the two packets in the click's *time* is left out.
    """

    packets: tuple[WavePacket, WavePacket]
    window_ps: float
    pattern: NDArray[np.uint8]
    """(causes,): the pattern that each cause makes."""
    probability: Float
    """(causes,): of each cause in one attempt."""
    present: NDArray[np.bool_]
    """(causes, 2 detectors, 3): whether a photon of node a, of node b, a dark click lie there."""
    outside: tuple[float, float]
    """P(a photon of node a, of node b, reaches a detector outside the window) in one attempt; both detectors perfect."""

    @classmethod
    def build(
        cls,
        packets: tuple[WavePacket, WavePacket],
        emitted: tuple[float, float],
        efficiency: tuple[float, float],
        window_ps: float,
        bunching: float,
        dark_probability: tuple[float, float],
        detectors: tuple[float, float] = (1.0, 1.0),
    ) -> ArrivalSampler:
        """Tabulate the causes.

        Args:
            packets: the two nodes' wave packets.
            emitted: probability of a photon, per node.
            efficiency: P(click | photon emitted), per node, the window left out.
            window_ps: length of the detection window.
            bunching: probability that two detected photons are at one detector.
            dark_probability: of either detector in the window.
            detectors: P(click) of either detector for a photon that ``efficiency`` lets through.
        """
        detectable = tuple(p * eta for p, eta in zip(emitted, efficiency, strict=True))
        shares = tuple(packet.share(0, window_ps) for packet in packets)
        inside_a, inside_b = (p * share for p, share in zip(detectable, shares, strict=True))
        at_a, at_b = (
            (1 - (first + second), first, second)
            for first, second in ((p / 2 * detectors[0], p / 2 * detectors[1]) for p in (inside_a, inside_b))
        )
        patterns, probabilities, present = [], [], []
        for detector_a, detector_b, dark_1, dark_2 in product(range(3), range(3), (False, True), (False, True)):
            probability = at_a[detector_a] * at_b[detector_b]
            if detector_a and detector_b:
                probability *= 2 * (bunching if detector_a == detector_b else 1 - bunching)
            for dark, chance in zip((dark_1, dark_2), dark_probability, strict=True):
                probability *= chance if dark else 1 - chance
            lit = [[detector_a == d, detector_b == d, dark] for d, dark in ((1, dark_1), (2, dark_2))]
            patterns.append(any(lit[0]) + 2 * any(lit[1]))
            probabilities.append(probability)
            present.append(lit)
        return cls(
            packets=packets,
            window_ps=window_ps,
            pattern=np.array(patterns, dtype=np.uint8),
            probability=np.array(probabilities),
            present=np.array(present),
            outside=(detectable[0] * (1 - shares[0]), detectable[1] * (1 - shares[1])),
        )

    @property
    def outside_probability(self) -> float:
        """P(a click of a photon outside the window) per detector and attempt.

        A mean over what happened inside; two photons outside in one attempt are taken as not interfering.
        """
        return 1 - (1 - self.outside[0] / 2) * (1 - self.outside[1] / 2)

    def inside_times(self, pattern: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.int64]:
        """Times of the clicks inside the window.

        Args:
            pattern: (n,) click patterns.
            rng: seven uniform numbers are drawn for each pattern, whatever it is.

        Returns:
            (n, 2) ps since the window opened, in [0, window), for detector 1 and 2; -1 where it didn't click.
        """
        uniform = rng.random((pattern.size, 7))
        cause = np.zeros(pattern.size, dtype=np.int64)
        for value in range(1, 4):
            chosen = np.flatnonzero(pattern == value)
            candidates = np.flatnonzero(self.pattern == value)
            cumulative = np.cumsum(self.probability[candidates])
            if chosen.size and cumulative[-1] > 0:
                at = np.searchsorted(cumulative, uniform[chosen, 0] * cumulative[-1], side="right")
                cause[chosen] = candidates[np.minimum(at, candidates.size - 1)]
        times = np.full((pattern.size, 2, 3), np.inf)
        for node, packet in enumerate(self.packets):
            times[:, :, node] = _truncated(packet, 0.0, self.window_ps, uniform[:, 1 + node : 5 + node : 2])
        times[:, :, 2] = uniform[:, 5:7] * self.window_ps
        first = np.where(self.present[cause], times, np.inf).min(axis=2)
        clicked = np.isfinite(first)
        whole = np.minimum(np.where(clicked, first, 0.0), np.ceil(self.window_ps) - 1).astype(np.int64)
        return np.where(clicked, whole, -1)

    def outside_times(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Times of photons that were detected outside the window.

        Args:
            count: how many.
            rng: two uniform numbers are drawn for each.

        Returns:
            (count,) ps since the window opened: negative, or from its length on.
        """
        uniform = rng.random((count, 2))
        total = sum(self.outside)
        first_node = uniform[:, 0] * total < self.outside[0]
        times = np.empty(count)
        for chosen, packet in ((first_node, self.packets[0]), (~first_node, self.packets[1])):
            late_from = max(self.window_ps, packet.arrival_ps)
            before = packet.share(packet.arrival_ps, 0.0)
            after = packet.share(late_from, np.inf)
            u = uniform[chosen, 1] * (before + after)
            early = _truncated(packet, packet.arrival_ps, 0.0, u / before) if before > 0 else np.zeros(u.size)
            beyond = np.clip((u - before) / max(after, np.finfo(float).tiny), 0.0, 1 - 2**-53)
            late = late_from - packet.lifetime_ps * np.log1p(-beyond)
            times[chosen] = np.where(u < before, np.floor(np.minimum(early, -1.0)), np.ceil(late))
        return times.astype(np.int64)


def _truncated(packet: WavePacket, start_ps: float, end_ps: float, uniform: Float) -> Float:
    """Times between start and end from the packet's intensity; its arrival may lie before, between or after."""
    start = min(max(start_ps, packet.arrival_ps), end_ps)
    covered = -np.expm1(-(end_ps - start) / packet.lifetime_ps)
    return np.asarray(start - packet.lifetime_ps * np.log1p(-np.minimum(uniform, 1.0) * covered))
