"""Heralds sampled from programs, against the exact closed form of a single-click link, written here."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, radians, sqrt
from typing import Any

import numpy as np
import pytest

from qnode.errors import MisuseError
from simulators.world.monte_carlo import sample_link


def exact(eta_a: float, eta_b: float, alpha: float = 0.3) -> dict[str, float]:
    """F2 of the physics reference: threshold detectors, exactly one click, dark counts of 20 Hz in 25 ns."""
    d = 1 - exp(-20 * 25e-9)
    visibility, phase, double = 0.9, radians(14.3), 0.96
    dark = 2 * d * (1 - d)
    p00 = (1 - alpha) ** 2 * dark
    p10 = alpha * (1 - alpha) * (eta_a * (1 - d) + (1 - eta_a) * dark)
    p01 = alpha * (1 - alpha) * (eta_b * (1 - d) + (1 - eta_b) * dark)
    one = eta_a * (1 - eta_b) + eta_b * (1 - eta_a) + eta_a * eta_b * (1 + visibility) / 2
    p11 = alpha**2 * (one * (1 - d) + (1 - eta_a) * (1 - eta_b) * dark)
    p = p00 + p10 + p01 + p11
    c = sqrt(visibility) * exp(-(phase**2) / 2) * double * alpha * (1 - alpha) * sqrt(eta_a * eta_b) * (1 - d)
    xx, zz = 2 * c / p, (p00 + p11 - p10 - p01) / p
    return {
        "p_herald": p,
        "fidelity": ((p10 + p01) / 2 + c) / p,
        "chsh_s": sqrt(2) * (abs(zz) + xx),
        "chsh_s_max": 2 * sqrt(2 * xx**2) if abs(zz) < xx else 2 * sqrt(xx**2 + zz**2),
        "00": p00 / p,
        "01": p01 / p,
        "10": p10 / p,
        "11": p11 / p,
    }


@pytest.mark.parametrize("efficiency", [None, (0.8, 0.5), (0.95, 0.6)])
def test_agrees_with_the_closed_form(make_bench: Callable[..., Any], efficiency: tuple[float, float] | None) -> None:
    share = 1 - exp(-25 / 12.4)
    world: dict[str, Any] = {}
    if efficiency is None:
        efficiency = tuple(c * 10 ** (-0.0016) * 0.8 * share for c in (4e-4, 6e-4))
    else:
        for node, eta in zip(("alice", "bob"), efficiency, strict=True):
            world[f"nodes.{node}.detection_efficiency"] = eta
    bench = make_bench(world)
    bench.arm(1)
    found = sample_link(bench.context, bench.lab.links[0], 150_000, np.random.default_rng(11))
    for name, value in exact(*efficiency).items():
        estimate = found["populations"][name] if name in found["populations"] else found[name]
        # The programs' 14-bit words set alpha and pi to some 1e-4.
        assert abs(estimate["value"] - value) < 3.5 * estimate["error"] + 5e-4 * value


def test_bobs_light_out_leaves_no_coherence(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(without_wire=("bob.qubit.optical_pulse",))
    bench.arm(1)
    found = sample_link(bench.context, bench.lab.links[0], 30_000, np.random.default_rng(3))
    # Alice bright for sure (but for darks), Bob of unknown state: at most a classical mixture.
    assert found["fidelity"]["value"] < 0.5
    assert found["chsh_s"]["value"] < 2


@pytest.mark.parametrize(
    ("dark", "text"),
    [
        ({"running": False}, "never herald"),
        ({"trigger_level_v": 4.0}, "never herald"),
    ],
)
def test_programs_that_never_herald(make_bench: Callable[..., Any], dark: dict[str, Any], text: str) -> None:
    bench = make_bench({"midpoints.midpoint.detectors.dark_rate_hz": 0.0})
    bench.arm(1)
    for awg in bench.awgs.values():
        awg.change(**dark)
    with pytest.raises(MisuseError, match=text):
        sample_link(bench.context, bench.lab.links[0], 1_000, np.random.default_rng(0))


def test_refusals(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    with pytest.raises(MisuseError, match="no program is uploaded"):
        sample_link(bench.context, bench.lab.links[0], 1_000, np.random.default_rng(0))
    with pytest.raises(MisuseError, match="too few"):
        sample_link(bench.context, bench.lab.links[0], 10, np.random.default_rng(0))
    bench.arm(1, "alice", "bob")
    with pytest.raises(MisuseError, match="no gate opens at midpoint"):
        sample_link(bench.context, bench.lab.links[0], 1_000, np.random.default_rng(0))
