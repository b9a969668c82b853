"""Rack evaluation: words and steps to operations at the qubit, with delays, gates, levels and missing parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simulators.kit import AwgElementPlayback, PulserPlayback
from simulators.world.drive import Drive
from simulators.world.rack import AwgRack, Excitation, Light, LinePath, Rotation, Waveform, pulser_run

NS = 1_000
PERIOD_PS = 1_495_000 * NS


@pytest.fixture
def evaluate(make_bench: Callable[..., Any]) -> Callable[..., Waveform]:
    """The first line of alice's table, after changes to her AWG and to the lab."""

    def run(without_wire: tuple[str, ...] = (), world: dict[str, Any] | None = None, **changes: Any) -> Waveform:
        bench = make_bench(world, without_wire)
        bench.awgs["alice.awg"].change(**changes)
        playback = bench.awgs["alice.awg"].playback
        rack = bench.context.nodes["alice"].rack
        assert isinstance(rack, AwgRack)
        waveform = rack.waveform(playback, playback.elements[0], bench.context.supplies.now().drives["alice"])
        assert waveform is not None
        return waveform

    return run


def kinds(waveform: Waveform) -> list[str]:
    return [op.name if isinstance(op, Light) else type(op).__name__ for op in waveform.operations]


def test_the_attempt_as_uploaded(evaluate: Callable[..., Waveform]) -> None:
    waveform = evaluate()
    pump, rotation, pulse = waveform.operations
    # All wires from the AWG to the qubit are 30 ns long.
    assert pump == Light(30 * NS, 2_030 * NS, "spin_pump")
    assert isinstance(rotation, Rotation)
    assert rotation.at_ps == pytest.approx(2_580 * NS, abs=NS)
    assert isinstance(pulse, Excitation)
    assert pulse.at_ps == 3_031 * NS
    # 250 MHz/V x 1 V x 2 ns = half a cycle; one DAC step is 2e-4 of it.
    assert pulse.angle_rad == pytest.approx(np.pi, rel=3e-4)
    # From bright, alpha = cos^2(theta / 2) = 0.30 stays bright.
    assert abs(rotation.unitary[1, 1]) ** 2 == pytest.approx(0.30, abs=2e-3)
    assert rotation.unitary @ rotation.unitary.conj().T == pytest.approx(np.eye(2))
    assert waveform.start_ps(250) == 250 * 5_500 * NS


def test_a_rotation_about_y_turns_bright_the_other_way(evaluate: Callable[..., Waveform], attempt: Any) -> None:
    about_x = evaluate().operations[1]
    swapped = attempt()
    words_i, words_q = swapped[1].copy(), swapped[2].copy()
    # Exchange the analog values of channels 1 and 2, markers stay.
    swapped[1] = (words_i & 0xC000) | (words_q & 0x3FFF)
    swapped[2] = (words_q & 0xC000) | (words_i & 0x3FFF)
    waveform = evaluate(elements=(_element(swapped),))
    about_y = waveform.operations[1]
    assert isinstance(about_x, Rotation)
    assert isinstance(about_y, Rotation)
    # exp(-i theta/2 Y) is real in this basis, exp(-i theta/2 X) has imaginary off-diagonal elements.
    assert about_y.unitary.imag == pytest.approx(np.zeros((2, 2)), abs=1e-9)
    assert about_y.unitary[1, 0].real == pytest.approx(-about_x.unitary[1, 0].imag, abs=1e-9)


@pytest.mark.parametrize(
    ("scale", "alpha"), [(0.0, 1.0), (0.5, 0.774), (1.0, 0.300), (1.5, np.cos(1.5 * np.arccos(np.sqrt(0.3))) ** 2)]
)
def test_microwave_amplitude_sets_alpha(evaluate: Callable[..., Waveform], scale: float, alpha: float) -> None:
    waveform = evaluate(amplitude_vpp={1: 3.0 * scale, 2: 3.0, 3: 3.0})
    bright = np.array([0.0, 1.0], dtype=complex)
    for operation in waveform.operations:
        if isinstance(operation, Rotation):
            bright = operation.unitary @ bright
    assert abs(bright[1]) ** 2 == pytest.approx(alpha, abs=2e-3)


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"output_on": {1: False, 2: True, 3: True}}, []),  # pump, microwave I and the excitation gate are channel 1
        ({"output_on": {1: True, 2: False, 3: True}}, ["spin_pump", "Excitation"]),  # the microwave switch is on 2
        ({"output_on": {1: True, 2: True, 3: False}}, ["spin_pump", "Rotation"]),
        ({"without_wire": ("alice.qubit.optical_pulse",)}, ["spin_pump", "Rotation"]),
        ({"without_wire": ("alice.qubit.excitation_gate",)}, ["spin_pump", "Rotation"]),
        ({"without_wire": ("alice.qubit.microwave_switch",)}, ["spin_pump", "Excitation"]),
        ({"without_wire": ("alice.qubit.microwave_i",)}, ["spin_pump", "Excitation"]),
        ({"without_wire": ("alice.qubit.spin_pump",)}, ["Rotation", "Excitation"]),
        ({"marker_high_v": {(1, 1): 0.6, (1, 2): 2.0, (2, 2): 2.0}}, ["Rotation", "Excitation"]),
    ],
)
def test_what_is_missing_has_no_effect(
    evaluate: Callable[..., Waveform], changes: dict[str, Any], left: list[str]
) -> None:
    assert kinds(evaluate(**changes)) == left


def test_true_wire_delays_count(evaluate: Callable[..., Waveform]) -> None:
    waveform = evaluate(world={"wire_delays_ns.alice^qubit^spin_pump": 130.0})
    assert waveform.operations[0] == Light(130 * NS, 2_130 * NS, "spin_pump")


def test_a_path_follows_loops_branches_and_waits(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    playback = bench.awgs["alice.awg"].playback
    rack = bench.context.nodes["alice"].rack
    path = rack.path(playback, 1, PERIOD_PS, Drive())
    assert [(s.line, s.loops, s.start_ps) for s in path.segments] == [(1, 250, 0)]
    assert path.next_line == 1
    assert path.stop_ps == 1_375_000 * NS
    branch = rack.path(playback, 2, PERIOD_PS, Drive())
    assert [(s.line, s.loops) for s in branch.segments] == [(2, 1)]
    # Lines that wait for nothing follow each other.
    chained = (replace(playback.elements[0], loop_count=3, go_to=2), playback.elements[1])
    path = rack.path(replace(playback, elements=chained), 1, PERIOD_PS, Drive())
    assert [(s.line, s.start_ps) for s in path.segments] == [(1, 0), (2, 16_500 * NS)]


def test_a_table_that_never_waits_again_has_no_next_line(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    playback = bench.awgs["alice.awg"].playback
    free = (replace(playback.elements[0], go_to=2), replace(playback.elements[1], go_to=2))
    path: LinePath = bench.context.nodes["alice"].rack.path(replace(playback, elements=free), 1, PERIOD_PS, Drive())
    assert path.next_line is None


def test_which_pass_plays_at_a_time(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    # 6,600 samples at 1.2 GS/s are 5.5 us exactly; 100 samples are 83,333.3 ps.
    playback = replace(bench.awgs["alice.awg"].playback, sample_rate_hz=1.2e9)
    short = {channel: words[:100] for channel, words in playback.elements[0].waveforms.items()}
    playback = replace(playback, elements=(replace(playback.elements[0], waveforms=short), playback.elements[1]))
    segment = bench.context.nodes["alice"].rack.path(playback, 1, PERIOD_PS, Drive()).segments[0]
    assert segment.waveform.start_ps(3) == 250_000
    assert [segment.loop_at(t) for t in (0, 83_332, 83_333, 249_999, 250_000)] == [0, 0, 1, 2, 3]


def test_pulser_steps_to_intervals_and_edges() -> None:
    playback = PulserPlayback(
        revision=1,
        state="armed",
        duration_ps=np.array([10, 20, 30, 40], dtype=np.int64),
        digital=np.array([0b01, 0b11, 0b10, 0b01], dtype=np.uint8),
        analog_v=np.zeros((4, 2)),
        n_runs=5,
        idle_digital=0,
    )
    run = pulser_run(playback)
    assert run.period_ps == 100
    assert run.high_ps[0].tolist() == [[0, 30], [60, 100]]
    assert run.high_ps[1].tolist() == [[10, 60]]
    # Output 0 is high over the end of a run: no edge there.
    assert run.edges_ps(0).tolist() == [60]
    assert run.edges_ps(0, rising=False).tolist() == [30]
    assert run.edges_ps(2).tolist() == []


@pytest.fixture
def attempt(make_bench: Callable[..., Any]) -> Callable[[], dict[int, np.ndarray]]:
    return lambda: dict(make_bench().awgs["alice.awg"].playback.elements[0].waveforms)


def _element(waveforms: dict[int, np.ndarray]) -> Any:
    return AwgElementPlayback(waveforms, 250, True, 1, None)
