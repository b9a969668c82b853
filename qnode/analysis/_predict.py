"""What the physics says of a link: closed forms fed with the lab file and the truth of its world.

Only ``qnode predict`` and tests hold a `World`; experiments compare with what is handed to them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnode.analysis._bell import chsh_fixed, chsh_maximum, correlation_matrix
from qnode.analysis._chsh import CHSH_SIGNS, Fidelities, chsh_played, raw_correlators
from qnode.analysis._links import (
    HeraldedPair,
    dark_probability,
    double_click,
    fibre_transmission,
    overlap_in_window,
    share_in_window,
    single_click,
)
from qnode.errors import MisuseError
from qnode.labfile import Lab, Link, World

__all__ = [
    "BellTestPrediction",
    "LinkPrediction",
    "herald_rate_hz",
    "node_efficiency",
    "predict",
    "predict_bell_test",
    "predict_link",
]


@dataclass(frozen=True)
class LinkPrediction:
    """Closed-form numbers of one link."""

    p_herald: float
    """Per attempt."""
    rate_attempting_hz: float
    """p / attempt period: while attempts run."""
    rate_hz: float
    """With the whole round: a round ends with its herald."""
    fidelity: float
    populations: dict[str, float]
    chsh_s: float
    """For the fixed settings Z, X against (Z +- X)/sqrt2, read without error."""
    chsh_s_max: float
    """The largest over all settings, read without error."""
    chsh_s_readout: float
    """For the fixed settings with each node's readout as it is: what ``qnode run bell`` measures."""

    def as_dict(self) -> dict[str, object]:
        """As ``qnode predict --json`` prints it."""
        return {
            "p_herald": self.p_herald,
            "rate_attempting_hz": self.rate_attempting_hz,
            "rate_hz": self.rate_hz,
            "fidelity": self.fidelity,
            "populations": dict(self.populations),
            "chsh_s": self.chsh_s,
            "chsh_s_max": self.chsh_s_max,
            "chsh_s_readout": self.chsh_s_readout,
        }


@dataclass(frozen=True)
class BellTestPrediction:
    """What a Bell test on a link gives, outcomes as read."""

    s: float
    win_probability: float
    """With all four pairs of settings equally often: 1/2 + S/8."""
    correlators: dict[str, dict[str, float]]
    """Bell state to settings to the mean product of outcomes."""


def predict(lab: Lab, world: World) -> dict[str, LinkPrediction]:
    """All links of a lab, by name.

    Raises:
        MisuseError: see `predict_link`.
    """
    return {link.name: predict_link(lab, world, link) for link in lab.links}


def predict_link(lab: Lab, world: World, link: Link, *, late_ps: float = 0.0) -> LinkPrediction:
    """Predict one link.

    Args:
        lab: the lab file.
        world: its truth.
        link: the link.
        late_ps: by how much the second node's photon comes after the first one's (or before, negative). The stack
            shifts its rounds until they arrive together, so this is 0 unless somebody moved a pulse. The window opens
            with the earlier photon.

    Returns:
        The prediction by the closed form of the link's protocol; labels of double click are those before the first
        window. Memory errors while the qubits wait for their readout are not in it.

    Raises:
        MisuseError: the world says nothing of a node or of the midpoint, or no herald can come.
    """
    click = _heralded_pair(lab, world, link, late_ps)
    correlations = correlation_matrix(click.rho("psi+"))
    return LinkPrediction(
        p_herald=click.p_herald,
        rate_attempting_hz=click.p_herald / (link.attempt_period_ps * 1e-12),
        rate_hz=herald_rate_hz(click.p_herald, link.round.attempts, link.round_period_ps),
        fidelity=click.fidelity,
        populations=click.populations,
        chsh_s=chsh_fixed(float(correlations[2, 2]), float(correlations[0, 0])),
        chsh_s_max=chsh_maximum(correlations),
        chsh_s_readout=_bell_test(click, world, link).s,
    )


def predict_bell_test(lab: Lab, world: World, link: Link) -> BellTestPrediction:
    """Predict a Bell test with the settings Z, X against (Z +- X)/sqrt2.

    Readout is in it, with its two fidelities and the means that they leave; memory errors are not.

    Raises:
        MisuseError: see `predict_link`.
    """
    return _bell_test(_heralded_pair(lab, world, link, 0.0), world, link)


def _bell_test(click: HeraldedPair, world: World, link: Link) -> BellTestPrediction:
    first, second = (_fidelities(world, node) for node in link.between)
    correlators = {bell: raw_correlators(_after_herald(click.rho(bell), link), first, second) for bell in CHSH_SIGNS}
    # No mean of X is left after a herald, so both Bell states give the same S.
    s = chsh_played("psi+", correlators["psi+"])
    return BellTestPrediction(s, 0.5 + s / 8, correlators)


def _after_herald(rho: NDArray[np.complex128], link: Link) -> NDArray[np.complex128]:
    """The state that is read: double click has flipped both spins since the labels were given."""
    return rho[::-1, ::-1] if link.protocol == "double_click" else rho


def _fidelities(world: World, node: str) -> Fidelities:
    spin = world.nodes[node].spin
    return spin.readout_fidelity_bright, spin.readout_fidelity_dark


def _heralded_pair(lab: Lab, world: World, link: Link, late_ps: float) -> HeraldedPair:
    first, second = link.between
    midpoint = world.midpoints.get(link.via)
    if midpoint is None or link.via not in lab.midpoints:
        raise MisuseError(f"link {link.name}: world: says nothing of midpoint {link.via}", hint="describe it there")
    late = {first: max(-late_ps, 0.0), second: max(late_ps, 0.0)}
    eta = {node: node_efficiency(world, link, node, late_ps=late[node]) for node in link.between}
    lifetimes_ps = (world.nodes[first].emitter.lifetime_ns * 1e3, world.nodes[second].emitter.lifetime_ns * 1e3)
    overlap = overlap_in_window(link.detection_window_ps, lifetimes_ps, late_ps)
    closed_form: Callable[..., HeraldedPair] = double_click
    if link.protocol == "single_click":
        phase_rms_rad = math.radians(midpoint.interferometer.phase_rms_deg)
        closed_form = functools.partial(single_click, phase_rms_rad=phase_rms_rad)
    return closed_form(
        link.bright_state[first],
        link.bright_state[second],
        eta[first],
        eta[second],
        dark=dark_probability(midpoint.detectors.dark_rate_hz, link.detection_window_ps),
        visibility=midpoint.interferometer.indistinguishability * overlap,
        p2_a=world.nodes[first].emitter.double_excitation,
        p2_b=world.nodes[second].emitter.double_excitation,
    )


def node_efficiency(world: World, link: Link, node: str, *, late_ps: float = 0.0) -> float:
    """Eta of a node: collection x fibre x detector x share of the emission in the window, or what replaces them.

    Raises:
        MisuseError: the world says nothing of the node or the midpoint.
    """
    if node not in world.nodes or link.via not in world.midpoints:
        raise MisuseError(f"world: says nothing of {node} or of {link.via}", hint="describe them there")
    truth = world.nodes[node]
    if truth.detection_efficiency is not None:
        return truth.detection_efficiency
    return (
        truth.emitter.collection_efficiency
        * fibre_transmission(truth.fibre.length_km, truth.fibre.loss_db_per_km)
        * world.midpoints[link.via].detectors.efficiency
        * share_in_window(link.detection_window_ps, truth.emitter.lifetime_ns * 1e3, late_ps)
    )


def herald_rate_hz(p_herald: float, attempts: int, round_period_ps: int) -> float:
    """Heralds per second of lab time: (1 - (1 - p)^N) / P, at most one a round of fixed length P."""
    if p_herald >= 1:
        return 1 / (round_period_ps * 1e-12)
    return -math.expm1(attempts * math.log1p(-p_herald)) / (round_period_ps * 1e-12)
