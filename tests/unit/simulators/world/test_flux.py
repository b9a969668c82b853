"""What comes out right now, as a test of safe states sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qnode.clock import PS_PER_S
from simulators.world.flux import NodeFlux, node_flux

PERIOD_S = 1.495e-3


def flux(bench: Any, node: str = "alice") -> NodeFlux:
    return node_flux(bench.context, bench.engine.groups, bench.context.nodes[node])


@pytest.fixture
def playing(make_bench: Callable[..., Any]) -> Any:
    bench = make_bench()
    bench.arm(600)
    bench.engine.advance_to(PS_PER_S + 10 * 1_495_000_000)
    return bench


def test_armed_but_not_started_is_dark(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    bench.arm(600)
    bench.engine.advance_to(PS_PER_S // 2)
    assert flux(bench) == NodeFlux()


def test_a_playing_node(playing: Any) -> None:
    found = flux(playing)
    # 250 attempts of alpha 0.3 and collection 4e-4 a round.
    assert found.zero_phonon_line_per_s == pytest.approx(250 * 0.3 * 4e-4 / PERIOD_S, rel=5e-3)
    # 25 counts in 100 us of light, on for 90 us a round.
    assert found.sideband_per_s == pytest.approx(22.5 / PERIOD_S)
    # Gaussian of 100 samples: 250 times its mean square.
    t = np.arange(100) + 0.5
    shape = np.exp(-0.5 * ((t - 50) / 20) ** 2)
    peak = 2 * np.arccos(np.sqrt(0.3)) / (2 * np.pi * 1e7 * shape.sum() * 1e-9)
    assert found.microwave_v2 == pytest.approx(250 * (peak**2 * (shape**2).sum() * 1e-9) / PERIOD_S, rel=2e-3)
    assert found.light == ("charge_light", "optical_pulse", "spin_pump")


def test_outputs_off_leave_the_pulsers_light(playing: Any) -> None:
    playing.awgs["alice.awg"].change(output_on={1: False, 2: False, 3: False})
    found = flux(playing)
    assert found.light == ("charge_light",)
    assert (found.zero_phonon_line_per_s, found.microwave_v2) == (0.0, 0.0)
    assert flux(playing, "bob").light == ("charge_light", "optical_pulse", "spin_pump")


def test_a_stopped_pulser_stops_all(playing: Any) -> None:
    pulser = playing.pulsers["alice.pulser"]
    pulser.arm([(1_000, 0)], 1, state="idle")
    playing.engine.advance_to(PS_PER_S + 20 * 1_495_000_000)
    assert flux(playing) == NodeFlux()


def test_light_left_on_while_idle_shows(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    pulser = bench.pulsers["alice.pulser"]
    pulser.playback = type(pulser.playback)(**{**vars(pulser.playback), "idle_digital": 0b110})
    found = flux(bench)
    assert found.light == ("charge_light", "repump_light")
    assert found.sideband_per_s == pytest.approx(250_000)
    pulser.playback = type(pulser.playback)(**{**vars(pulser.playback), "state": "off"})
    assert flux(bench) == NodeFlux()


def test_an_awg_that_waits_for_nobody_shows(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    awg = bench.awgs["alice.awg"]
    first, second = awg.playback.elements
    awg.change(elements=(replace(first, wait_for_trigger=False, loop_count=-1), second))
    found = flux(bench)
    # Attempts of 5.5 us without an end.
    assert found.zero_phonon_line_per_s == pytest.approx(0.3 * 4e-4 / 5.5e-6, rel=5e-3)
    assert found.light == ("optical_pulse", "spin_pump")
    assert found.microwave_v2 > 0
    awg.change(running=False)
    assert flux(bench) == NodeFlux()


@pytest.mark.parametrize("off", ["emission", "output", "power"])
def test_nothing_comes_out_without_lasers_and_carrier(playing: Any, off: str) -> None:
    for laser in (playing.lasers["alice.lasers"], playing.lasers["alice.repump"]):
        for output in laser.playback.beams:
            if off == "emission":
                laser.beam(output, emission=False)
        if off == "power":
            laser.change(powered=False)
    source = playing.microwaves["alice.microwave"]
    source.change(**({"powered": False} if off == "power" else {"on": False}))
    found = flux(playing)
    if off == "output":
        assert found.microwave_v2 == 0.0
        assert found.light == ("charge_light", "optical_pulse", "spin_pump")
    else:
        assert found == NodeFlux()
    assert flux(playing, "bob").microwave_v2 > 0.0


def test_microwave_power_follows_the_carriers(playing: Any) -> None:
    before = flux(playing).microwave_v2
    playing.microwaves["alice.microwave"].change(power_dbm=12.0)
    assert flux(playing).microwave_v2 == pytest.approx(before * 10**-0.3)


def test_every_optical_pulse_of_an_attempt_counts(make_double_bench: Callable[..., Any]) -> None:
    bench = make_double_bench()
    bench.arm(600)
    bench.engine.advance_to(PS_PER_S + 10 * 1_495_000_000)
    # 100 attempts, a photon in the first pulse or in the second, collection 4e-4.
    found = flux(bench)
    assert found.zero_phonon_line_per_s == pytest.approx(100 * 4e-4 / PERIOD_S, rel=5e-3)
    assert "optical_pulse" in found.light
