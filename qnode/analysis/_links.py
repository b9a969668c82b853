"""Closed forms of heralded links: loss, noise, overlap of two photons, single click, double click.

Each is written from its published formula (docs/explanation/physics.md names them) and knows nothing of the simulated
world, which calculates the same things another way. Labels: 1 = bright (emits), 0 = dark, first digit the first node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnode.analysis._bell import LABELS
from qnode.errors import MisuseError

__all__ = [
    "HeraldedPair",
    "dark_probability",
    "double_click",
    "fibre_transmission",
    "overlap_in_window",
    "share_in_window",
    "single_click",
]


def fibre_transmission(length_km: float, loss_db_per_km: float, insertion_loss_db: float = 0.0) -> float:
    """Share of the light that leaves a fibre: 10^(-(a L + l0) / 10)."""
    return float(10 ** (-(loss_db_per_km * length_km + insertion_loss_db) / 10))


def share_in_window(window_ps: float, lifetime_ps: float, late_ps: float = 0.0) -> float:
    """Share of an exponential photon inside a window that opens ``late_ps`` before the photon's leading edge.

    1 - exp(-(T - late) / tau); 0 when the photon comes after the window.
    """
    return -math.expm1(-max(window_ps - late_ps, 0.0) / lifetime_ps)


def overlap_in_window(window_ps: float, lifetimes_ps: tuple[float, float], late_ps: float = 0.0) -> float:
    """Squared overlap of two exponential photons inside one window that opens with the earlier one.

    The overlap integral of the two amplitudes exp(-t / 2 tau), each cut by the window and normalised. For equal
    lifetimes it is exp(-dt/tau) (1 - exp(-(T - dt)/tau)) / (1 - exp(-T/tau)), and 1 at equal arrival.

    Args:
        window_ps: T.
        lifetimes_ps: of the first and the second photon.
        late_ps: dt, by which the second comes later than the first; negative: earlier.
    """
    early, late = lifetimes_ps if late_ps >= 0 else lifetimes_ps[::-1]
    delay_ps = abs(late_ps)
    if delay_ps >= window_ps:
        return 0.0
    rate = (1 / early + 1 / late) / 2
    rest_ps = window_ps - delay_ps
    integral = math.exp(-delay_ps / (2 * early)) * -math.expm1(-rate * rest_ps) / rate
    norms = early * share_in_window(window_ps, early) * late * share_in_window(rest_ps, late)
    return integral**2 / norms


def dark_probability(rate_hz: float, window_ps: float) -> float:
    """Probability of at least one noise click of one detector in one window: 1 - exp(-rate T)."""
    return -math.expm1(-rate_hz * window_ps * 1e-12)


@dataclass(frozen=True, eq=False)
class HeraldedPair:
    """What heralding gives."""

    p_herald: float
    """Probability of a herald in an attempt, any pattern that heralds."""
    fidelity: float
    """With the Bell state that the pattern names."""
    populations: dict[str, float]
    """After a herald, by label: "00", "01", "10", "11"."""
    coherence: float
    """Modulus of the matrix element between "01" and "10", after a herald."""

    def rho(self, bell: str = "psi+") -> NDArray[np.complex128]:
        """Density matrix after a herald, basis "00", "01", "10", "11".

        Args:
            bell: "psi+" or "psi-", as the pattern says.

        Raises:
            MisuseError: clicks herald no other Bell state.
        """
        if bell not in ("psi+", "psi-"):
            raise MisuseError(f"clicks do not herald {bell!r}", hint="ask for psi+ or psi-")
        rho = np.diag([self.populations[label] for label in LABELS]).astype(np.complex128)
        rho[1, 2] = rho[2, 1] = self.coherence if bell == "psi+" else -self.coherence
        return rho


def single_click(
    alpha_a: float,
    alpha_b: float,
    eta_a: float,
    eta_b: float,
    *,
    dark: float = 0.0,
    visibility: float = 1.0,
    phase_rms_rad: float = 0.0,
    p2_a: float = 0.0,
    p2_b: float = 0.0,
) -> HeraldedPair:
    """Single-click heralding, exact for threshold detectors and any efficiency.

    Args:
        alpha_a: bright-state population of the first node.
        alpha_b: of the second.
        eta_a: probability of a click at the midpoint for a photon that the first node emitted: all losses, the
            detector and the share of the photon in the window.
        eta_b: of the second.
        dark: probability of a noise click, per detector and window.
        visibility: indistinguishability V, the squared overlap of the two photons.
        phase_rms_rad: standard deviation of the optical phase between the two paths (Gaussian).
        p2_a: double excitation of the first node; lowers the coherence by sqrt(1 - p2), adds no clicks.
        p2_b: of the second.

    Returns:
        Herald probability and state. Exact result of two emitters, loss, a beam splitter and two threshold detectors;
        its limit of low efficiency is that of Humphreys et al., Nature 558, 268 (2018), supplement.

    Raises:
        MisuseError: a probability outside [0, 1], a negative phase, or parameters with which no herald ever comes.
    """
    _check(alpha_a, alpha_b, eta_a, eta_b, dark, visibility, p2_a, p2_b)
    if not phase_rms_rad >= 0:
        raise MisuseError(f"phase_rms_rad is {phase_rms_rad}", hint="a standard deviation is 0 or more")
    joint = {
        "00": (1 - alpha_a) * (1 - alpha_b) * _one_click_of_noise(dark),
        "01": (1 - alpha_a) * alpha_b * _one_click_of_one(eta_b, dark),
        "10": alpha_a * (1 - alpha_b) * _one_click_of_one(eta_a, dark),
        "11": alpha_a * alpha_b * _one_click_of_two(eta_a, eta_b, dark, visibility),
    }
    not_twice = math.sqrt((1 - p2_a) * (1 - p2_b))
    bright = math.sqrt(alpha_a * (1 - alpha_a) * alpha_b * (1 - alpha_b) * eta_a * eta_b)
    coherence = math.sqrt(visibility) * math.exp(-(phase_rms_rad**2) / 2) * not_twice * bright * (1 - dark)
    return _heralded(joint, coherence)


def double_click(
    alpha_a: float,
    alpha_b: float,
    eta_a: float,
    eta_b: float,
    *,
    dark: float = 0.0,
    visibility: float = 1.0,
    p2_a: float = 0.0,
    p2_b: float = 0.0,
) -> HeraldedPair:
    """Double-click heralding (Barrett and Kok), exact for threshold detectors and any efficiency.

    Two windows with a spin flip between them: a spin that was bright emits in the first, one that was dark in the
    second. A herald is exactly one click in each window; the same detector twice says psi+, both detectors psi-. A
    common optical phase drops out: each branch carries it once.

    Args:
        alpha_a: bright-state population of the first node before the first window.
        alpha_b: of the second.
        eta_a: probability of a click at the midpoint for a photon that the first node emitted.
        eta_b: of the second.
        dark: probability of a noise click, per detector and window.
        visibility: indistinguishability V, the squared overlap of the two photons.
        p2_a: double excitation of the first node; each of its two pulses lowers the coherence by sqrt(1 - p2) and adds
            no clicks.
        p2_b: of the second.

    Returns:
        Herald probability and state, labels as they are before the first window. Its limit without noise at alpha 1/2,
        p = eta_a eta_b / 2 and F = (1 + V) / 2, is that of Barrett and Kok, Phys. Rev. A 71, 060310 (2005).

    Raises:
        MisuseError: a probability outside [0, 1], or parameters with which no herald ever comes.
    """
    _check(alpha_a, alpha_b, eta_a, eta_b, dark, visibility, p2_a, p2_b)
    one_each = _one_click_of_one(eta_a, dark) * _one_click_of_one(eta_b, dark)
    two_and_none = _one_click_of_two(eta_a, eta_b, dark, visibility) * _one_click_of_noise(dark)
    joint = {
        "00": (1 - alpha_a) * (1 - alpha_b) * two_and_none,
        "01": (1 - alpha_a) * alpha_b * one_each,
        "10": alpha_a * (1 - alpha_b) * one_each,
        "11": alpha_a * alpha_b * two_and_none,
    }
    not_twice = (1 - p2_a) * (1 - p2_b)
    odd = math.sqrt(alpha_a * (1 - alpha_a) * alpha_b * (1 - alpha_b))
    return _heralded(joint, odd * eta_a * eta_b * (1 - dark) ** 2 * visibility * not_twice)


def _check(
    alpha_a: float,
    alpha_b: float,
    eta_a: float,
    eta_b: float,
    dark: float,
    visibility: float,
    p2_a: float,
    p2_b: float,
) -> None:
    """What both protocols ask for are probabilities; a fault names the argument as the caller wrote it."""
    for name, value in locals().items():
        if not 0 <= value <= 1:
            raise MisuseError(f"{name} is {value}", hint="it is a probability, from 0 to 1")


def _one_click_of_noise(dark: float) -> float:
    """Exactly one detector clicks in a window without light."""
    return 2 * dark * (1 - dark)


def _one_click_of_one(eta: float, dark: float) -> float:
    """Exactly one detector clicks in a window with one photon."""
    return eta * (1 - dark) + (1 - eta) * _one_click_of_noise(dark)


def _one_click_of_two(eta_a: float, eta_b: float, dark: float, visibility: float) -> float:
    """Exactly one detector clicks in a window with a photon of each node: both at one port, one lost, or noise."""
    lost_a, lost_b = 1 - eta_a, 1 - eta_b
    seen = eta_a * lost_b + eta_b * lost_a + eta_a * eta_b * (1 + visibility) / 2
    return seen * (1 - dark) + lost_a * lost_b * _one_click_of_noise(dark)


def _heralded(joint: dict[str, float], coherence: float) -> HeraldedPair:
    """Normalise probabilities of label and herald together, and the coherence between "01" and "10"."""
    p_herald = sum(joint.values())
    if p_herald <= 0:
        raise MisuseError(
            "no herald can come: neither light nor noise reaches the detectors", hint="check eta, alpha"
        )
    coherence /= p_herald
    populations = {label: value / p_herald for label, value in joint.items()}
    fidelity = (populations["01"] + populations["10"]) / 2 + coherence
    return HeraldedPair(p_herald, fidelity, populations, coherence)
