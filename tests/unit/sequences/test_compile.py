from __future__ import annotations

import dataclasses
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.roles import AwgLimits, AwgProgram, PulseLimits, PulseProgram
from sequences import Output, Round, Section, Square, Train, Wiring, compile, decode, ns

Limits = dict[str, AwgLimits | PulseLimits]
TICK = PulseLimits(1000, 8, 2, 10_000, 1, 2**32 - 1)


def pulse_program(timeline: Section, outputs: dict[str, Output], model: PulseLimits = TICK) -> PulseProgram:
    program = compile(Round("test", timeline), Wiring(outputs), {"pulser": model}, runs=3)["pulser"]
    assert isinstance(program, PulseProgram)
    return program


def awg_program(round_: Round, wiring: Wiring, limits: Limits) -> AwgProgram:
    program = compile(round_, wiring, limits)["awg"]
    assert isinstance(program, AwgProgram)
    return program


def round_of(*trains: tuple[Train, ...]) -> Round:
    timeline = Section("round", 1_000_000 * ns)
    timeline.on("round_trigger", at_ps=1_000 * ns, length_ps=100 * ns)
    return Round("test", timeline, "round_trigger", trains)


def test_pulser_steps_by_hand() -> None:
    outputs = {"a": Output("pulser", "d0", "trigger", 0), "b": Output("pulser", "d3", "trigger", 0)}
    timeline = Section("round", 100 * ns)
    timeline.on("a", at_ps=10 * ns, length_ps=30 * ns)
    timeline.on("b", at_ps=20 * ns, length_ps=20 * ns)
    timeline.on("a", at_ps=40 * ns, length_ps=10 * ns)
    program = pulse_program(timeline, outputs)
    assert program.ticks.tolist() == [10, 10, 20, 10, 50]
    assert program.digital.tolist() == [0b0000, 0b0001, 0b1001, 0b0001, 0b0000]
    assert program.n_runs == 3
    assert program.final_digital == 0


def test_pulser_makes_up_for_longer_wires() -> None:
    outputs = {"near": Output("pulser", "d0", "light", 5 * ns), "far": Output("pulser", "d1", "light", 25 * ns)}
    timeline = Section("round", 100 * ns)
    timeline.on("near", at_ps=10 * ns, length_ps=10 * ns)
    timeline.on("far", at_ps=10 * ns, length_ps=10 * ns)
    (line,) = decode(pulse_program(timeline, outputs))
    # Both act at 10 + 25 ns: near leaves 20 ns later than far.
    assert line.edges_ps["d0"].tolist() == [[30_000, 40_000]]
    assert line.edges_ps["d1"].tolist() == [[10_000, 20_000]]


def test_pulser_analog_words() -> None:
    timeline = Section("round", 100 * ns)
    timeline.play("v", Square(2 * ns), at_ps=10 * ns, amplitude_v=1.0)
    timeline.play("v", Square(2 * ns), at_ps=12 * ns, amplitude_v=-0.5)
    program = pulse_program(timeline, {"v": Output("pulser", "a1", "microwave", 0, 2.0)})
    assert program.ticks.tolist() == [10, 2, 2, 86]
    assert program.analog.tolist() == [[0, 0], [0, 0x7FFF], [0, -16384], [0, 0]]


def test_long_steps_are_split() -> None:
    timeline = Section("round", 100 * ns)
    timeline.on("a", at_ps=10 * ns, length_ps=10 * ns)
    short = dataclasses.replace(TICK, maximum_step_ticks=30)
    program = pulse_program(timeline, {"a": Output("pulser", "d0", "trigger", 0)}, short)
    assert program.ticks.max() <= 30
    assert program.ticks.sum() == 100
    (line,) = decode(program)
    assert line.edges_ps["d0"].tolist() == [[10_000, 20_000]]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50), st.integers(1, 50)), max_size=40))
def test_pulser_plays_any_pulses_back(pulses: list[tuple[int, int, int]]) -> None:
    """Pulses of random gaps and lengths, one after the other on each of four outputs, come back as edges."""
    outputs = {f"s{bit}": Output("pulser", f"d{bit}", "trigger", 0) for bit in range(4)}
    timeline = Section("round", 10_000 * ns)
    at = dict.fromkeys(range(4), 0)
    expected: dict[int, list[list[int]]] = {bit: [] for bit in range(4)}
    for bit, gap, length in pulses:
        start = at[bit] + gap
        timeline.on(f"s{bit}", at_ps=start * ns, length_ps=length * ns)
        at[bit] = start + length
        expected[bit].append([start * ns, (start + length) * ns])
    program = compile(Round("test", timeline), Wiring(outputs), {"pulser": TICK}).get("pulser")
    if program is None:
        assert not pulses
        return
    (line,) = decode(program)
    assert {bit: line.edges_ps[f"d{bit}"].tolist() for bit in range(4)} == expected
    assert line.length_ps == 10_000 * ns


def test_awg_words_by_hand(wiring: Wiring, limits: Limits) -> None:
    attempt = Section("attempt", 250 * ns)
    attempt.drive("microwave", Square(2 * ns), at_ps=4 * ns, amplitude_v=1.5, phase_rad=math.pi)
    attempt.on("spin_pump", at_ps=5 * ns, length_ps=2 * ns)
    attempt.on("excitation_gate", at_ps=6 * ns, length_ps=2 * ns)
    program = awg_program(round_of((Train(attempt, 7),)), wiring, limits)
    (element,) = program.elements
    words = program.waveforms[element.waveforms[1]].words
    # 0 V is 8191; -1.5 V of +-1.5 V is 0; marker 1 is bit 14, marker 2 is bit 15.
    assert words[:10].tolist() == [
        8191, 8191, 8191, 8191, 0, 0x4000, 8191 | 0xC000, 8191 | 0x8000, 8191, 8191
    ]  # fmt: skip
    assert words.size == 250
    assert element.loop_count == 7
    assert element.wait_for_trigger
    assert program.channels[1].amplitude_vpp == 3.0


def test_full_scale_is_the_largest_word(wiring: Wiring, limits: Limits) -> None:
    attempt = Section("attempt", 250 * ns)
    attempt.play("optical_pulse", Square(2 * ns), at_ps=10 * ns, amplitude_v=1.5)
    program = awg_program(round_of((Train(attempt),)), wiring, limits)
    assert program.waveforms[program.elements[0].waveforms[3]].words.max() == 16_382


def test_attempts_and_branches_of_two_rounds(wiring: Wiring, limits: Limits) -> None:
    attempt, first, second = (Section(name, 500 * ns) for name in ("attempt", "first", "second"))
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    first.on("readout_light", at_ps=0, length_ps=10 * ns)
    second.on("readout_light", at_ps=0, length_ps=20 * ns)
    program = awg_program(round_of((Train(attempt, 250, first),), (Train(attempt, 250, second),)), wiring, limits)
    lines = decode(program)
    assert [line.loop_count for line in lines] == [250, 1, 250, 1]
    assert [line.wait_for_trigger for line in lines] == [True, False, True, False]
    assert [line.jump_to for line in lines] == [2, None, 4, None]
    assert [line.go_to for line in lines] == [3, 3, 1, 1]
    assert lines[1].edges_ps["ch2m1"].tolist() == [[0, 10_000]]
    assert lines[3].edges_ps["ch2m1"].tolist() == [[0, 20_000]]


def test_a_branch_leaves_all_trains_of_its_round(wiring: Wiring, limits: Limits) -> None:
    one, two, branch = (Section(name, 500 * ns) for name in ("one", "two", "branch"))
    one.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    trains = (Train(one, 2, branch), Train(two, 3))
    lines = decode(awg_program(round_of(trains, trains), wiring, limits))
    # Lines 1 and 4: first train; 2 and 5: its branch, which ends the round; 3 and 6: second train.
    assert [line.go_to for line in lines] == [3, 4, 4, 6, 1, 1]
    assert [line.jump_to for line in lines] == [2, None, None, 5, None, None]
    assert [line.wait_for_trigger for line in lines] == [True, False, False, True, False, False]


def test_equal_waveforms_are_stored_once_and_changed_ones_are_renamed(wiring: Wiring, limits: Limits) -> None:
    def section(name: str, length_ps: int) -> Section:
        section = Section(name, 500 * ns)
        section.on("spin_pump", at_ps=10 * ns, length_ps=length_ps)
        return section

    alike = awg_program(round_of((Train(section("a", 10 * ns)),), (Train(section("b", 10 * ns)),)), wiring, limits)
    assert alike.elements[0].waveforms == alike.elements[1].waveforms
    # Channel 1 carries the pump; 2 and 3 are both flat.
    assert len(alike.waveforms) == 2
    other = awg_program(round_of((Train(section("a", 11 * ns)),)), wiring, limits)
    assert other.elements[0].waveforms[1] != alike.elements[0].waveforms[1]
    assert other.elements[0].waveforms[3] == alike.elements[0].waveforms[3]


def test_every_wired_channel_gets_a_waveform(wiring: Wiring, limits: Limits) -> None:
    attempt = Section("attempt", 500 * ns)
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    program = awg_program(round_of((Train(attempt),)), wiring, limits)
    assert sorted(program.elements[0].waveforms) == sorted(program.channels) == [1, 2, 3]


def test_an_instrument_without_pulses_gets_no_program(wiring: Wiring, limits: Limits) -> None:
    timeline = Section("round", 1_000 * ns)
    timeline.on("charge_light", at_ps=0, length_ps=10 * ns)
    assert sorted(compile(Round("charge", timeline), wiring, limits)) == ["pulser"]


def test_awg_makes_up_for_longer_wires(limits: Limits, wiring: Wiring) -> None:
    outputs = {**wiring.outputs, "readout_light": Output("awg", "ch2m1", "light", 43 * ns)}
    attempt = Section("attempt", 500 * ns)
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    attempt.on("readout_light", at_ps=10 * ns, length_ps=10 * ns)
    (line,) = decode(awg_program(round_of((Train(attempt),)), Wiring(outputs, wiring.triggers), limits))
    assert line.edges_ps["ch1m1"].tolist() == [[23_000, 33_000]]
    assert line.edges_ps["ch2m1"].tolist() == [[10_000, 20_000]]


@settings(deadline=None, max_examples=30)
@given(st.floats(-1.5, 1.5), st.integers(1, 200), st.floats(-10, 10))
def test_awg_volts_come_back_within_half_a_step_of_the_dac(amplitude_v: float, length: int, phase_rad: float) -> None:
    outputs = {
        "microwave_i": Output("awg", "ch1", "microwave", 0, 3.0),
        "microwave_q": Output("awg", "ch2", "microwave", 0, 3.0),
        "round_trigger": Output("pulser", "d0", "trigger", 0),
    }
    attempt = Section("attempt", 250 * ns)
    attempt.drive("microwave", Square(length * ns), at_ps=20 * ns, amplitude_v=amplitude_v, phase_rad=phase_rad)
    limits: Limits = {"awg": _awg(), "pulser": TICK}
    program = awg_program(round_of((Train(attempt),)), Wiring(outputs, {"awg": "round_trigger"}), limits)
    (line,) = decode(program)
    for connector, share in (("ch1", math.cos(phase_rad)), ("ch2", math.sin(phase_rad))):
        expected = np.zeros(250)
        expected[20 : 20 + length] = amplitude_v * share
        assert np.abs(line.volts[connector].volts - expected).max() <= 0.5 * 1.5 / 8191 * (1 + 1e-9)


def _awg() -> AwgLimits:
    from drivers.roles import ChannelLimits

    return AwgLimits(10**9, 4, 2, ChannelLimits(0.02, 4.5, 14), 250, 8000, 65_536, 0)
