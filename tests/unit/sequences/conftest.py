from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from _limits import AWG

from drivers.roles import AwgLimits, PulseLimits
from sequences import Output, Wiring, ns
from sequences.library import NodeRoundParameters, RoundTiming

PULSER = PulseLimits(
    tick_ps=1000,
    digital_channels=8,
    analog_channels=2,
    maximum_steps=1000,
    minimum_step_ticks=2,
    maximum_step_ticks=1_000_000,
)


@pytest.fixture
def limits() -> dict[str, AwgLimits | PulseLimits]:
    return {"awg": AWG, "pulser": PULSER}


@pytest.fixture
def wiring() -> Wiring:
    """A node: all outputs of the AWG are 30 ns from the qubit, the pulser's light 50 ns, the trigger 10 ns."""
    return Wiring(
        {
            "round_trigger": Output("pulser", "d0", "trigger", 10 * ns),
            "charge_light": Output("pulser", "d1", "light", 50 * ns),
            "repump_light": Output("pulser", "d2", "light", 50 * ns),
            "microwave_i": Output("awg", "ch1", "microwave", 30 * ns, 3.0),
            "microwave_q": Output("awg", "ch2", "microwave", 30 * ns, 3.0),
            "microwave_switch": Output("awg", "ch2m2", "trigger", 30 * ns),
            "optical_pulse": Output("awg", "ch3", "light", 30 * ns, 3.0),
            "spin_pump": Output("awg", "ch1m1", "light", 30 * ns),
            "excitation_gate": Output("awg", "ch1m2", "light", 30 * ns),
            "readout_light": Output("awg", "ch2m1", "light", 30 * ns),
        },
        {"awg": "round_trigger"},
    )


@pytest.fixture
def timing() -> RoundTiming:
    return RoundTiming(
        lead_ps=5_000 * ns,
        charge_ps=100_000 * ns,
        phase_ps=0,
        attempts=250,
        attempt_period_ps=5_500 * ns,
        branch_ps=14_000 * ns,
        round_period_ps=1_495_000 * ns,
    )


@pytest.fixture
def parameters(
    timing: RoundTiming, wiring: Wiring, limits: dict[str, AwgLimits | PulseLimits]
) -> NodeRoundParameters:
    return NodeRoundParameters(
        timing=timing,
        bases="XYZ",
        alpha=0.3,
        rabi_mhz_per_volt=10.0,
        optical_pi_volt=1.0,
        wiring=wiring,
        limits=limits,
    )


@pytest.fixture
def rewired(wiring: Wiring) -> Callable[..., Wiring]:
    """The node's wiring with other properties of one output."""

    def change(signal: str, **changes: object) -> Wiring:
        outputs = dict(wiring.outputs)
        outputs[signal] = dataclasses.replace(outputs[signal], **changes)  # type: ignore[arg-type]
        return Wiring(outputs, wiring.triggers)

    return change
