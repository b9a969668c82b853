"""An attempt with two optical pulses and a microwave pi between them (Barrett and Kok): maps by click pattern.

The same exact Fock-space calculation as in `link`, twice: each pulse's photons meet in a window of their own, and
the spins remember in between. A node is given as its spin by photon numbers (`SpinModel.histories`), so any rotation, any
partial excitation and the noise between the pulses are in it. Sources and checks stand in
``docs/explanation/world-physics.md``.

A click pattern is a bit mask of four: bit 0 and 1 detector 1 and 2 in the first window, bit 2 and 3 in the second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qnode.errors import MisuseError
from simulators.world._arrivals import ArrivalSampler
from simulators.world._wave_packet import WavePacket, overlap
from simulators.world.link import check_probability, detected_overlaps, normalised, per_detector

__all__ = ["PATTERNS", "DoubleClickMaps", "TwoPulses", "window_pattern"]

Complex = NDArray[np.complex128]
Float = NDArray[np.float64]

PATTERNS = 16
_HARMONICS = np.array([-1, 0, 1])
_MOST_READOUTS = 64
"""Pairs of readouts whose tables are kept."""
_NOWHERE = WavePacket(0.0, 1.0)


def window_pattern(pattern: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """The two bits of window 0 or 1."""
    return np.asarray(pattern >> np.uint8(2 * window) & np.uint8(3), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class TwoPulses:
    """What one node sends into the two windows of one attempt.

    Args:
        histories: (2, 2, 2, 2, 2, 2), see `SpinModel.histories`: photons in window 1 (ket, bra), in window 2 (ket,
            bra), spin (ket, bra) after the second pulse.
        packets: wave packet in each window, times from the window's opening; None: no light falls into it.
        efficiency: P(click | photon emitted), per window, fibre and detector included, the window not.
        double_excitation: probability p2 that an emission was one of two; the first photon is lost and tells on the
            node and on the pulse.
    """

    histories: Complex
    packets: tuple[WavePacket | None, WavePacket | None]
    efficiency: tuple[float, float]
    double_excitation: float = 0.0

    def __post_init__(self) -> None:
        trace = np.einsum("aabbii", np.asarray(self.histories))
        if np.shape(self.histories) != (2,) * 6 or abs(trace - 1) > 1e-9:
            raise MisuseError(
                f"emission: histories of the shape {np.shape(self.histories)} and the trace {trace:.3g}",
                hint="pass what SpinModel.histories gives",
            )
        for value in self.efficiency:
            check_probability("efficiency", value)
        check_probability("double_excitation", self.double_excitation)

    def emitted(self, window: int) -> float:
        """P(a photon for this window), lost on its way or not."""
        photons = np.einsum("aabbii->ab", self.histories).real
        return float(photons[1].sum() if window == 0 else photons[:, 1].sum())

    def detectable(self, window: int, window_ps: float) -> float:
        """P(click in the window | photon emitted)."""
        packet = self.packets[window]
        return 0.0 if packet is None else self.efficiency[window] * packet.share(0, window_ps)


@dataclass(frozen=True, eq=False)
class DoubleClickMaps:
    """The maps of one attempt, and what is sampled from them; made by `compute`.

    With phi_1 and phi_2 the optical phase (node a's path minus node b's) in the two windows, the unnormalised state of a
    pattern is ``sum over j, k of exp(i (j phi_1 + k phi_2)) table[pattern, j + 1, k + 1]``. Where both pulses excite
    fully and the rotation between them is a pi, heralded patterns know phi_1 - phi_2 only.
    """

    table: Complex
    """(16, 3, 3, 4, 4): pattern, phase harmonics in window 1 and 2, the two qubits."""
    probability: Float
    """(16,): of each pattern in one attempt, averaged over the phases."""
    phase_rms_rad: float
    phase_correlation: float
    """Correlation of the phases in the two windows, between 0 and 1."""
    arrivals: tuple[ArrivalSampler, ArrivalSampler]
    """Of each window by itself."""
    _fields: tuple[Complex, Complex]
    """(4, 3, 2, 2, 2, 2): pattern of a window, harmonic, photons of a and b in the ket, in the bra."""
    _becomes: NDArray[np.int64]
    """(16,): what the detectors show, when all could be seen the pattern of the index."""
    _anything: tuple[Complex, Complex]
    """Per node, (2, 2, 2, 2): its histories, whatever its spin is."""
    _readouts: dict[tuple[int, int], tuple[Complex | None, Complex | None, Complex]] = field(default_factory=dict)

    @classmethod
    def compute(
        cls,
        a: TwoPulses,
        b: TwoPulses,
        window_ps: float,
        indistinguishability: float,
        dark_probability: float | tuple[float, float],
        psi_plus_on: Literal["det1", "det2"] = "det1",
        *,
        detectors: tuple[float, float] = (1.0, 1.0),
        phase_rms_rad: float = 0.0,
        phase_correlation: float = 1.0,
        second_window: bool = True,
        blind: bool = False,
    ) -> DoubleClickMaps:
        """Calculate the maps of one attempt.

        Args:
            a: first node of the link.
            b: second node.
            window_ps: length of either detection window.
            indistinguishability: V, squared overlap of two photons if their wave packets were equal.
            dark_probability: P(dark click) in a window, of both detectors or of either.
            psi_plus_on: detector whose single click heralds |01> + |10>. Double click does not depend on it: what counts
                is whether it was the same detector twice.
            detectors: P(click) of either detector for a photon that the nodes' efficiencies let through.
            phase_rms_rad: standard deviation of the optical phase.
            phase_correlation: of its values in the two windows.
            second_window: false where the second gate never opens.
            blind: a detector that clicked in the first window is still dead in the second.

        Raises:
            MisuseError: an argument outside its range.
        """
        if not window_ps > 0:
            raise MisuseError(f"link: window_ps is {window_ps}", hint="pass the positive length of the gate in ps")
        darks = per_detector(dark_probability)
        for name, value in (
            ("indistinguishability", indistinguishability),
            *(("dark_probability", dark) for dark in darks),
            ("phase_correlation", phase_correlation),
        ):
            check_probability(name, value)
        fields, arrivals = [], []
        for window in range(2):
            packets = (a.packets[window] or _NOWHERE, b.packets[window] or _NOWHERE)
            lit = a.packets[window] is not None and b.packets[window] is not None
            amplitude = sqrt(indistinguishability) * overlap(*packets, window_ps) if lit else 0.0
            detectable = (a.detectable(window, window_ps), b.detectable(window, window_ps))
            found = detected_overlaps(detectable, amplitude, darks, psi_plus_on, detectors)
            fields.append(_by_harmonic(found, a.double_excitation, b.double_excitation))
            efficiency = tuple(
                node.efficiency[window] if node.packets[window] is not None else 0.0 for node in (a, b)
            )
            arrivals.append(
                ArrivalSampler.build(
                    packets,
                    emitted=(a.emitted(window), b.emitted(window)),
                    efficiency=(efficiency[0], efficiency[1]),
                    window_ps=window_ps,
                    bunching=(1 + amplitude**2) / 2,
                    dark_probability=darks,
                    detectors=detectors,
                )
            )
        patterns = np.arange(PATTERNS)
        first, second = patterns & 3, patterns >> 2
        shown = second & ~first if blind else second
        becomes = first | (shown << 2) if second_window else first
        joint = _joint((fields[0], fields[1]), becomes, _flat(a.histories), _flat(b.histories))
        # Spins of a (ket, bra) and b (ket, bra) to (ket of both, bra of both).
        table = joint.reshape(PATTERNS, 3, 3, 2, 2, 2, 2).transpose(0, 1, 2, 3, 5, 4, 6).reshape(PATTERNS, 3, 3, 4, 4)
        j, k = np.meshgrid(_HARMONICS, _HARMONICS, indexing="ij")
        damping = np.exp(-0.5 * phase_rms_rad**2 * (j**2 + k**2 + 2 * phase_correlation * j * k))
        probability = np.einsum("pklii,kl->p", table, damping).real
        return cls(
            table=table,
            probability=np.clip(probability, 0.0, 1.0),
            phase_rms_rad=phase_rms_rad,
            phase_correlation=phase_correlation,
            arrivals=(arrivals[0], arrivals[1]),
            _fields=(fields[0], fields[1]),
            _becomes=becomes,
            _anything=(np.einsum("abcdii->abcd", a.histories), np.einsum("abcdii->abcd", b.histories)),
        )

    def probability_at(self, phase_rad: ArrayLike) -> Float:
        """Probability of each pattern at given phases (n, 2), shape (n, 16).

        How many detectors click in each window never depends on the phases; which ones may, with partial excitation.
        """
        traces = np.einsum("pklii->pkl", self.table)
        return np.asarray(np.clip(np.einsum("nkl,pkl->np", _waves(phase_rad), traces).real, 0.0, 1.0))

    def post_state(self, pattern: ArrayLike, phase_rad: ArrayLike) -> Complex:
        """The two qubits after the second pulse, given a pattern; normalised.

        Args:
            pattern: one bit mask, or (n,) of them.
            phase_rad: (n, 2) optical phases in the two windows.

        Returns:
            (n, 4, 4) density matrices.

        Raises:
            MisuseError: a pattern that can't occur.
        """
        waves = _waves(phase_rad)
        patterns = np.broadcast_to(np.asarray(pattern, dtype=np.int64), waves.shape[:1])
        if patterns.size and not 0 <= patterns.min() <= patterns.max() < PATTERNS:
            raise MisuseError(
                "link: a click pattern outside 0..15", hint="two bits a window, the first window's lower"
            )
        rho = np.empty((patterns.size, 4, 4), dtype=np.complex128)
        for value in np.unique(patterns):
            chosen = patterns == value
            rho[chosen] = np.tensordot(waves[chosen], self.table[value], axes=2)
        return normalised(rho, patterns)

    def pattern_given_phase(
        self, pattern: NDArray[np.uint8], phase_rad: ArrayLike, uniform: Float
    ) -> NDArray[np.uint8]:
        """Redraw which detectors clicked, now that the phases are known; how many did in each window stays.

        As `ClickMaps.pattern_given_phase`: with full excitation nothing changes, with partial excitation the pair
        (pattern, phases) becomes exact (but where a detector is `blind`).

        Args:
            pattern: (n,) patterns drawn from `probability`.
            phase_rad: (n, 2) phases.
            uniform: (n,) uniform numbers in [0, 1).
        """
        traces = np.einsum("pklii->pkl", self.table)
        at_rest = traces.copy()
        at_rest[:, 1, 1] = 0
        if np.abs(at_rest).max() < 1e-15:
            return pattern
        chances = self.probability_at(phase_rad)
        ones = np.array([0, 1, 1, 2])
        kind = np.array([3 * ones[p & 3] + ones[p >> 2] for p in range(PATTERNS)])
        chances = np.where(kind == kind[pattern][:, np.newaxis], chances, 0.0)
        total = np.cumsum(chances, axis=1)
        passed = (uniform * total[:, -1])[:, np.newaxis] >= total
        return np.asarray(np.minimum(passed.sum(axis=1), PATTERNS - 1), dtype=np.uint8)

    def readout(self, pattern: int, phase_rad: ArrayLike, a: Complex | None, b: Complex | None) -> Float:
        """Unnormalised probabilities of what both nodes' readouts find.

        Args:
            pattern: bit mask.
            phase_rad: (2,) phases.
            a: (2, 2, 2, 2, 2), see `NodePlayer.herald_weights`: first "anything", then "bright"; photons in ket and
                bra of window 1, of window 2. None: not read.
            b: the same of node b.

        Returns:
            (2, 2): anything or bright at a, anything or bright at b.
        """
        # Keyed by identity; the arrays are kept beside their table, so an id can't come back for another one.
        key = (id(a), id(b))
        if key not in self._readouts:
            if len(self._readouts) >= _MOST_READOUTS:
                self._readouts.clear()
            anything = [np.stack([x, x]) for x in self._anything]
            weights = [x if given is None else given for x, given in zip(anything, (a, b), strict=True)]
            columns = [np.moveaxis(x, 0, -1) for x in weights]
            self._readouts[key] = (a, b, _joint(self._fields, self._becomes, columns[0], columns[1]))
        table = self._readouts[key][2][pattern]
        return np.asarray(np.einsum("kl,klxy->xy", _waves(phase_rad)[0], table).real)


def _flat(histories: Complex) -> Complex:
    return np.reshape(histories, (2, 2, 2, 2, 4))


def _waves(phase_rad: ArrayLike) -> Complex:
    """exp(i (j phi_1 + k phi_2)): (n, 2) to (n, 3, 3)."""
    phase = np.asarray(phase_rad, dtype=np.float64).reshape(-1, 2)
    waves = np.exp(1j * phase[:, :, np.newaxis] * _HARMONICS)
    return np.asarray(waves[:, 0, :, np.newaxis] * waves[:, 1, np.newaxis, :])


def _by_harmonic(found: Float, p2_a: float, p2_b: float) -> Complex:
    """Overlaps (4, 4, 4) to (4, 3, 2, 2, 2, 2): set apart by the photons of node a in ket minus bra."""
    photons = np.arange(2)
    differ = photons[:, np.newaxis] - photons
    marks_a, marks_b = (np.where(differ != 0, sqrt(1 - p2), 1.0) for p2 in (p2_a, p2_b))
    whole = found.reshape(4, 2, 2, 2, 2) * marks_a[:, np.newaxis, :, np.newaxis] * marks_b[np.newaxis, :, np.newaxis]
    chosen = differ == _HARMONICS[:, np.newaxis, np.newaxis]
    return np.asarray(whole[:, np.newaxis] * chosen[np.newaxis, :, :, np.newaxis, :, np.newaxis], dtype=np.complex128)


def _joint(fields: tuple[Complex, Complex], becomes: NDArray[np.int64], a: Complex, b: Complex) -> Complex:
    """(16, 3, 3, x, y) from both windows and both nodes' (2, 2, 2, 2, x) and (2, 2, 2, 2, y)."""
    # Window 1: photons a, b in the ket, c, d in the bra; window 2: e, f and g, h.
    whole = np.einsum("pkabcd,qlefgh,acegx,bdfhy->qpklxy", *fields, a, b, optimize=True)
    seen = whole.reshape(PATTERNS, *whole.shape[2:])
    shown: Complex = np.zeros_like(seen)
    np.add.at(shown, becomes, seen)
    return shown
