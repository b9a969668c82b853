"""A link attempt as a quantum instrument: for each click pattern a map on the two emitters' qubits.

An exact Fock-space calculation, at any efficiency. Each emitter's optical pulse maps its bright state to
``cos(theta/2)|no photon> + sin(theta/2)|one photon>`` and leaves its dark state alone. Each photon is one creation
operator on six modes: two detectors x two temporal modes (what both photons share, and what only the second one has),
one loss mode per node. Sources, formulas and checks stand in ``docs/explanation/world-physics.md``.

Conventions: index 1 of a qubit is bright, 0 is dark; two-qubit states are in the order |00>, |01>, |10>, |11>, node a
first; a click pattern is a bit mask, 0 none, 1 detector 1 alone, 2 detector 2 alone, 3 both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import cos, expm1, sin, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qnode.errors import MisuseError
from simulators.world._arrivals import ArrivalSampler
from simulators.world._wave_packet import WavePacket, overlap

__all__ = [
    "ClickMaps",
    "NodeEmission",
    "check_probability",
    "dark_click_probability",
    "detected_overlaps",
    "normalised",
    "per_detector",
]

Complex = NDArray[np.complex128]
Float = NDArray[np.float64]

_HARMONICS = np.array([-1, 0, 1])


@dataclass(frozen=True, eq=False)
class NodeEmission:
    """What one node sends to the beam splitter in one attempt.

    Args:
        spin: (2, 2) density matrix right before the optical pulse; index 1 = bright, 0 = dark.
        excitation_rad: rotation angle of the optical pulse; pi excites fully.
        efficiency: P(click | photon emitted), fibre and detector included, the window not.
        arrival_ps: leading edge of the wave packet at the gate, counted from its opening; may be negative, or later
            than its end.
        lifetime_ps: 1/e time of the exponential wave packet.
        double_excitation: probability p2 that an emission was one of two; the first photon is lost and tells on the
            node.
    """

    spin: Complex
    excitation_rad: float
    efficiency: float
    arrival_ps: float
    lifetime_ps: float
    double_excitation: float = 0.0

    def __post_init__(self) -> None:
        spin = np.asarray(self.spin, dtype=np.complex128)
        object.__setattr__(self, "spin", spin)
        if spin.shape != (2, 2) or abs(np.trace(spin) - 1) > 1e-9 or not np.allclose(spin, spin.conj().T, atol=1e-9):
            raise MisuseError(
                f"emission: spin is not a (2, 2) density matrix: {spin.tolist()}",
                hint="pass a Hermitian matrix of trace 1, index 1 = bright",
            )
        check_probability("efficiency", self.efficiency)
        check_probability("double_excitation", self.double_excitation)
        if not self.lifetime_ps > 0:
            raise MisuseError(f"emission: lifetime_ps is {self.lifetime_ps}", hint="pass a positive time in ps")

    @property
    def packet(self) -> WavePacket:
        """The photon's temporal shape."""
        return WavePacket(self.arrival_ps, self.lifetime_ps)

    @property
    def emission_probability(self) -> float:
        """Probability of a photon in this attempt: bright population x sin^2(theta/2)."""
        return float(self.spin[1, 1].real) * sin(self.excitation_rad / 2) ** 2


@dataclass(frozen=True, eq=False)
class ClickMaps:
    """The maps of one attempt, and what is sampled from them; made by `compute`.

    Every map multiplies the qubits' density matrix element by element, because emission leaves bright and dark as
    they are: ``E_m(rho) = sum_k exp(i k phi) harmonics[m, k + 1] * rho``, phi being the optical phase of node a's
    path minus node b's.
    """

    harmonics: Complex
    """(4, 3, 4, 4): pattern, phase harmonic -1, 0, 1, multiplier."""
    before: Complex
    """(4, 4): the two qubits right before the optical pulses."""
    probability: Float
    """(4,): of each pattern in one attempt, averaged over a phase with standard deviation `phase_rms_rad`."""
    phase_rms_rad: float
    window_ps: float
    arrivals: ArrivalSampler

    @classmethod
    def compute(
        cls,
        a: NodeEmission,
        b: NodeEmission,
        window_ps: float,
        indistinguishability: float,
        dark_probability: float | tuple[float, float],
        psi_plus_on: Literal["det1", "det2"] = "det1",
        phase_rms_rad: float = 0.0,
        detectors: tuple[float, float] = (1.0, 1.0),
    ) -> ClickMaps:
        """Calculate the maps of one attempt.

        Args:
            a: first node of the link.
            b: second node.
            window_ps: length of the detection window.
            indistinguishability: V, squared overlap of the two photons if their wave packets were equal.
            dark_probability: P(dark click) in the window, of both detectors or of either.
            psi_plus_on: detector whose click heralds |01> + |10>.
            phase_rms_rad: standard deviation of the optical phase. It matters to `probability` only when a pulse
                excites partly (the light is then partly coherent and the two detectors share the clicks unequally at
                a given phase).
            detectors: P(click) of either detector for a photon that the nodes' efficiencies let through.

        Raises:
            MisuseError: an argument outside its range.
        """
        if not window_ps > 0:
            raise MisuseError(f"link: window_ps is {window_ps}", hint="pass the positive length of the gate in ps")
        check_probability("indistinguishability", indistinguishability)
        darks = per_detector(dark_probability)
        for dark in darks:
            check_probability("dark_probability", dark)
        if psi_plus_on not in ("det1", "det2"):
            raise MisuseError(f"link: psi_plus_on is {psi_plus_on!r}", hint="pass det1 or det2")
        efficiencies = (a.efficiency * a.packet.share(0, window_ps), b.efficiency * b.packet.share(0, window_ps))
        amplitude = sqrt(indistinguishability) * overlap(a.packet, b.packet, window_ps)
        fields = detected_overlaps(efficiencies, amplitude, darks, psi_plus_on, detectors)
        harmonics = _multipliers(a, b, fields)
        before: Complex = np.kron(a.spin, b.spin).astype(np.complex128)
        damping = np.exp(-0.5 * (_HARMONICS * phase_rms_rad) ** 2)
        probability = np.einsum("mkii,ii,k->m", harmonics, before, damping).real
        return cls(
            harmonics=harmonics,
            before=before,
            probability=np.clip(probability, 0.0, 1.0),
            phase_rms_rad=phase_rms_rad,
            window_ps=window_ps,
            arrivals=ArrivalSampler.build(
                (a.packet, b.packet),
                emitted=(a.emission_probability, b.emission_probability),
                efficiency=(a.efficiency, b.efficiency),
                window_ps=window_ps,
                bunching=(1 + amplitude**2) / 2,
                dark_probability=darks,
                detectors=detectors,
            ),
        )

    def multipliers(self, pattern: int, phase_rad: ArrayLike) -> Complex:
        """The unnormalised maps at given phases, shape (n, 4, 4): multiply rho by it element by element.

        Args:
            pattern: bit mask of the click pattern.
            phase_rad: (n,) optical phases.
        """
        return _fourier(self.harmonics[pattern], np.atleast_1d(np.asarray(phase_rad, dtype=np.float64)))

    def probability_at(self, phase_rad: ArrayLike) -> Float:
        """Probability of each pattern at given phases (n,), shape (n, 4).

        No click and both clicks don't depend on the phase, so one detector's gain is the other's loss.
        """
        phase = np.atleast_1d(np.asarray(phase_rad, dtype=np.float64))
        waves = np.exp(1j * np.multiply.outer(phase, _HARMONICS))
        table = np.einsum("mkii,ii->km", self.harmonics, self.before)
        return np.asarray(np.clip((waves @ table).real, 0.0, 1.0))

    def post_state(self, pattern: ArrayLike, phase_rad: ArrayLike) -> Complex:
        """The two qubits after a pattern, normalised.

        Args:
            pattern: one bit mask, or (n,) of them.
            phase_rad: (n,) optical phases at the clicks.

        Returns:
            (n, 4, 4) density matrices.

        Raises:
            MisuseError: a pattern that can't occur.
        """
        phase = np.atleast_1d(np.asarray(phase_rad, dtype=np.float64))
        patterns = np.broadcast_to(np.asarray(pattern, dtype=np.int64), phase.shape)
        if patterns.size and (patterns.min() < 0 or patterns.max() > 3):
            raise MisuseError("link: a click pattern outside 0..3", hint="0 none, 1 det1, 2 det2, 3 both")
        unnormalised = self.harmonics * self.before
        rho = np.empty((phase.size, 4, 4), dtype=np.complex128)
        for value in range(4):
            chosen = patterns == value
            if chosen.any():
                rho[chosen] = _fourier(unnormalised[value], phase[chosen])
        return normalised(rho, patterns)

    def pattern_given_phase(
        self, pattern: NDArray[np.uint8], phase_rad: ArrayLike, uniform: Float
    ) -> NDArray[np.uint8]:
        """Redraw which of the two detectors clicked, now that the phase at the click is known.

        Patterns are drawn first, from `probability` (an average over phases), then the phase process is sampled at
        the clicks. With full excitation the two are independent and the patterns come back unchanged. With partial
        excitation the phase decides between detector 1 and detector 2 and nothing else, so a redraw of these two
        makes the pair (pattern, phase) exact (where both detectors are alike).

        Args:
            pattern: (n,) patterns drawn from `probability`.
            phase_rad: (n,) phases.
            uniform: (n,) uniform numbers in [0, 1).

        Returns:
            (n,) patterns.
        """
        table = np.einsum("mkii,ii->mk", self.harmonics[1:3], self.before)
        if np.abs(table[:, [0, 2]]).max() < 1e-15:
            return pattern
        at = self.probability_at(phase_rad)
        redrawn = np.where(uniform * (at[:, 1] + at[:, 2]) < at[:, 1], 1, 2).astype(np.uint8)
        return np.where((pattern == 1) | (pattern == 2), redrawn, pattern).astype(np.uint8)


def normalised(rho: Complex, patterns: NDArray[np.int64]) -> Complex:
    """Divide each state by its trace, in place.

    Args:
        rho: (n, 4, 4), unnormalised states after a click pattern.
        patterns: (n,) those patterns, to name the one that fails.

    Raises:
        MisuseError: a pattern that can't occur.
    """
    trace = np.einsum("nii->n", rho).real
    if trace.size and trace.min() <= 0:
        raise MisuseError(
            f"link: click pattern {int(patterns[np.argmin(trace)])} can't occur in this attempt",
            hint="draw patterns from `probability`",
        )
    rho /= trace[:, np.newaxis, np.newaxis]
    return rho


def check_probability(name: str, value: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= value <= 1:
        raise MisuseError(f"link: {name} is {value}", hint="pass a probability between 0 and 1")


def per_detector(value: float | tuple[float, float]) -> tuple[float, float]:
    """A number of both detectors, or one of each, as one of each."""
    return value if isinstance(value, tuple) else (value, value)


def _fourier(harmonics: Complex, phase_rad: Float) -> Complex:
    """Sum over k of exp(i k phi) x harmonics[k + 1]: (3, 4, 4) and (n,) to (n, 4, 4)."""
    wave = np.exp(1j * phase_rad)[:, np.newaxis, np.newaxis]
    return np.asarray(harmonics[0] * wave.conj() + harmonics[1] + harmonics[2] * wave)


# The modes that a photon can end in: detector x temporal mode, then one loss mode per node.
_DET1, _DET1_OTHER, _DET2, _DET2_OTHER, _LOST_A, _LOST_B = range(6)
_DETECTOR_1 = [_DET1, _DET1_OTHER]
_DETECTOR_2 = [_DET2, _DET2_OTHER]
_MODES = 6


def _fock_basis() -> dict[tuple[int, ...], int]:
    """Occupations of six modes with at most two photons, numbered."""
    basis: dict[tuple[int, ...], int] = {}
    for photons in range(3):
        for modes in combinations_with_replacement(range(_MODES), photons):
            basis[tuple(modes.count(mode) for mode in range(_MODES))] = len(basis)
    return basis


_BASIS = _fock_basis()


def _create(amplitudes: Float, state: Float) -> Float:
    """Apply the creation operator sum_k amplitudes[k] m_k^dagger to a state with at most one photon."""
    result = np.zeros_like(state)
    for occupation, index in _BASIS.items():
        if state[index] == 0 or sum(occupation) > 1:
            continue
        for mode in range(_MODES):
            raised = list(occupation)
            raised[mode] += 1
            result[_BASIS[tuple(raised)]] += state[index] * amplitudes[mode] * sqrt(raised[mode])
    return result


def detected_overlaps(
    efficiencies: tuple[float, float],
    amplitude: float,
    darks: tuple[float, float],
    psi_plus_on: Literal["det1", "det2"],
    detectors: tuple[float, float] = (1.0, 1.0),
) -> Float:
    """<field of (n_a', n_b')| measurement of a pattern |field of (n_a, n_b)>, shape (4, 4, 4).

    First index the pattern, then ket and bra in the order (n_a, n_b) = 00, 01, 10, 11.
    """
    eta_a, eta_b = efficiencies
    sign = 1.0 if psi_plus_on == "det1" else -1.0
    photon_a, photon_b = np.zeros(_MODES), np.zeros(_MODES)
    photon_a[[_DET1, _DET2]] = sqrt(eta_a / 2)
    photon_a[_LOST_A] = sqrt(1 - eta_a)
    # The 50:50 beam splitter: node b's light arrives with opposite signs at the two detectors.
    photon_b[[_DET1, _DET2]] = np.array([sign, -sign]) * sqrt(eta_b / 2) * amplitude
    photon_b[[_DET1_OTHER, _DET2_OTHER]] = np.array([sign, -sign]) * sqrt(eta_b / 2) * sqrt(1 - amplitude**2)
    photon_b[_LOST_B] = sqrt(1 - eta_b)
    vacuum = np.zeros(len(_BASIS))
    vacuum[0] = 1.0
    fields = np.stack(
        [vacuum, _create(photon_b, vacuum), _create(photon_a, vacuum), _create(photon_a, _create(photon_b, vacuum))]
    )
    occupations = np.array(list(_BASIS))
    # A threshold detector of efficiency e stays silent at n photons with (1 - e)^n, whatever else is superposed.
    silent_1, silent_2 = (
        (1.0 - efficiency) ** occupations[:, modes].sum(axis=1)
        for efficiency, modes in zip(detectors, (_DETECTOR_1, _DETECTOR_2), strict=True)
    )
    seen = (
        silent_1 * silent_2,
        (1 - silent_1) * silent_2,
        silent_1 * (1 - silent_2),
        (1 - silent_1) * (1 - silent_2),
    )
    by_photons = np.stack([(fields * weight) @ fields.T for weight in seen])
    # A dark click adds its bit to the pattern.
    dark_1, dark_2 = darks
    by_darks = ((1 - dark_1) * (1 - dark_2), dark_1 * (1 - dark_2), (1 - dark_1) * dark_2, dark_1 * dark_2)
    with_darks = np.zeros_like(by_photons)
    for pattern in range(4):
        for added in range(4):
            with_darks[pattern | added] += by_darks[added] * by_photons[pattern]
    return with_darks


def _multipliers(a: NodeEmission, b: NodeEmission, fields: Float) -> Complex:
    """Element-wise multipliers of the qubits' density matrix, by phase harmonic; shape (4, 3, 4, 4)."""
    # amplitude[s, n]: n photons from state s; the dark state emits none.
    first, second = (
        np.array([[1.0, 0.0], [cos(node.excitation_rad / 2), sin(node.excitation_rad / 2)]]) for node in (a, b)
    )
    joint = np.einsum("im,jn->ijmn", first, second).reshape(4, 4)
    photons = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    difference = photons[:, np.newaxis, :] - photons[np.newaxis, :, :]
    # The lost first photon of a double excitation marks the emitting branch, orthogonal with probability p2.
    marks = np.where(difference[..., 0] != 0, sqrt(1 - a.double_excitation), 1.0)
    marks = marks * np.where(difference[..., 1] != 0, sqrt(1 - b.double_excitation), 1.0)
    result = np.zeros((4, 3, 4, 4), dtype=np.complex128)
    for index, harmonic in enumerate(_HARMONICS):
        kept = fields * marks * (difference[..., 0] == harmonic)
        result[:, index] = np.einsum("ix,mxy,jy->mij", joint, kept, joint)
    return result


def dark_click_probability(rate_hz: float, window_ps: float) -> float:
    """P(at least one dark click) of one detector in a window: 1 - exp(-rate x window)."""
    return -expm1(-rate_hz * window_ps * 1e-12)
