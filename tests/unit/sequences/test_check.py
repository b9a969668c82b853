from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from drivers.roles import AwgLimits, PulseLimits
from qnode.errors import MisuseError
from sequences import Gaussian, Output, Round, Section, Square, Train, Wiring, check, ns

Limits = dict[str, AwgLimits | PulseLimits]


@pytest.fixture
def attempt() -> Section:
    return Section("attempt", 1_000 * ns)


def round_of(*trains: Train, period_ps: int = 100_000 * ns) -> Round:
    timeline = Section("round", period_ps)
    timeline.on("round_trigger", at_ps=1_000 * ns, length_ps=100 * ns)
    return Round("test", timeline, "round_trigger", (trains,))


def test_a_legal_round_passes(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=100 * ns)
    check(round_of(Train(attempt, 10)), wiring, limits)


def test_unknown_signal(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("lazer", at_ps=10 * ns, length_ps=10 * ns, name="oops")
    with pytest.raises(MisuseError, match=r"pulse 'oops' in section 'attempt': no wire carries the signal 'lazer'"):
        check(round_of(Train(attempt)), wiring, limits)


def test_unknown_instrument(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=r"wired to awg, whose limits are not known.*pulser"):
        check(round_of(Train(attempt)), wiring, {"pulser": limits["pulser"]})


def test_start_off_the_grid(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10_400, length_ps=10 * ns)
    with pytest.raises(
        MisuseError, match=r"start of pulse 'spin_pump'.*10400 ps, off the grid of 1000 ps.*10000 and"
    ):
        check(round_of(Train(attempt)), wiring, limits)


def test_length_off_the_grid(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=1_700)
    with pytest.raises(MisuseError, match=r"length of pulse.*nearest legal values are 1000 and 2000 ps"):
        check(round_of(Train(attempt)), wiring, limits)


def test_section_off_the_grid(wiring: Wiring, limits: Limits) -> None:
    attempt = Section("attempt", 1_000_500)
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=r"length of section 'attempt' is 1000500 ps.*1000000 and 1001000"):
        check(round_of(Train(attempt)), wiring, limits)


def test_overlap_on_a_channel(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=100 * ns, name="first")
    attempt.on("spin_pump", at_ps=109 * ns, length_ps=10 * ns, name="second")
    with pytest.raises(
        MisuseError,
        match=r"'first' \(10000 to 110000 ps\) and 'second' .* overlap on spin_pump.*at 110000 ps or later",
    ):
        check(round_of(Train(attempt)), wiring, limits)


def test_pulses_may_touch(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=100 * ns)
    attempt.on("spin_pump", at_ps=110 * ns, length_ps=10 * ns)
    check(round_of(Train(attempt)), wiring, limits)


def test_two_signals_on_one_connector_overlap_too(
    attempt: Section, limits: Limits, rewired: Callable[..., Wiring]
) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=100 * ns)
    attempt.on("excitation_gate", at_ps=50 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match="overlap on excitation_gate"):
        check(round_of(Train(attempt)), rewired("excitation_gate", connector="ch1m1"), limits)


@pytest.mark.parametrize(("amplitude_v", "nearest"), [(1.6, r"\+1.5 V"), (-1.6, r"-1.5 V")])
def test_amplitude_over_range(
    attempt: Section, wiring: Wiring, limits: Limits, amplitude_v: float, nearest: str
) -> None:
    attempt.play("optical_pulse", Square(2 * ns), at_ps=10 * ns, amplitude_v=amplitude_v)
    with pytest.raises(
        MisuseError, match=rf"optical_pulse \(awg.ch3\).*at 10000 ps.*over the range of 1.5 V.*{nearest}"
    ):
        check(round_of(Train(attempt)), wiring, limits)


def test_rotation_over_range(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.rotate(
        "microwave", 6.0, at_ps=10 * ns, shape=Gaussian(100 * ns, 20 * ns), rabi_mhz_per_volt=10, name="big"
    )
    with pytest.raises(MisuseError, match=r"'big' on microwave_i \(awg.ch1\).*over the range"):
        check(round_of(Train(attempt)), wiring, limits)


def test_full_range_is_legal(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.play("optical_pulse", Square(2 * ns), at_ps=10 * ns, amplitude_v=1.5)
    check(round_of(Train(attempt)), wiring, limits)


def test_output_range_the_model_has_not(attempt: Section, limits: Limits, rewired: Callable[..., Wiring]) -> None:
    attempt.play("optical_pulse", Square(2 * ns), at_ps=10 * ns, amplitude_v=1)
    with pytest.raises(MisuseError, match=r"awg.ch3: an amplitude of 5.0 Vpp.*nearest legal value is 4.5"):
        check(round_of(Train(attempt)), rewired("optical_pulse", amplitude_vpp=5.0), limits)
    with pytest.raises(MisuseError, match="amplitude_vpp"):
        check(round_of(Train(attempt)), rewired("optical_pulse", amplitude_vpp=None), limits)


def test_pushed_out_of_its_section_by_a_longer_wire(
    attempt: Section, limits: Limits, rewired: Callable[..., Wiring]
) -> None:
    attempt.on("spin_pump", at_ps=985 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=r"20000 ps later.*ends at 1015000 ps.*latest legal start is 970000 ps"):
        check(round_of(Train(attempt)), rewired("readout_light", delay_ps=50 * ns), limits)


def test_waveform_too_short(wiring: Wiring, limits: Limits) -> None:
    attempt = Section("attempt", 249 * ns)
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=r"'attempt' is 249000 ps long, too short.*at least 250000 ps"):
        check(round_of(Train(attempt)), wiring, limits)


@pytest.mark.parametrize(("times", "nearest"), [(65_537, 65_536), (0, 1)])
def test_loops_out_of_range(attempt: Section, wiring: Wiring, limits: Limits, times: int, nearest: int) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=rf"loop {times} times on awg.*nearest is {nearest}"):
        check(round_of(Train(attempt, times), period_ps=10**12), wiring, limits)


def test_too_many_lines(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    round_ = round_of(Train(attempt, branch=attempt))
    with pytest.raises(MisuseError, match=r"needs 8002 lines.*the limit is 8000"):
        check(dataclasses.replace(round_, trains=round_.trains * 4001), wiring, limits)


def test_too_many_steps(wiring: Wiring, limits: Limits) -> None:
    timeline = Section("round", 10_000 * ns)
    for number in range(500):
        timeline.on("charge_light", at_ps=(10 + 10 * number) * ns, length_ps=5 * ns)
    with pytest.raises(MisuseError, match=r"needs 1001 steps on pulser.*1000"):
        check(Round("test", timeline), wiring, limits)


def test_step_too_short(wiring: Wiring, limits: Limits) -> None:
    timeline = Section("round", 10_000 * ns)
    timeline.on("charge_light", at_ps=10 * ns, length_ps=1 * ns, name="blip")
    with pytest.raises(MisuseError, match=r"edge of 'blip' at 11000 ps on pulser.*shortest step of 2000 ps"):
        check(Round("test", timeline), wiring, limits)


def test_shape_on_a_digital_output_and_level_on_an_analog_one(wiring: Wiring, limits: Limits) -> None:
    shaped, level = Section("shaped", 1_000 * ns), Section("level", 1_000 * ns)
    shaped.play("spin_pump", Square(10 * ns), at_ps=10 * ns, amplitude_v=1.0)
    level.on("optical_pulse", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=r"output is digital.*Section\.on"):
        check(round_of(Train(shaped)), wiring, limits)
    with pytest.raises(MisuseError, match=r"output is analog.*Section\.play"):
        check(round_of(Train(level)), wiring, limits)


@pytest.mark.parametrize("connector", ["ch5m1", "d1"])
def test_an_output_the_model_has_not(
    attempt: Section, limits: Limits, rewired: Callable[..., Wiring], connector: str
) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match="has no such output"):
        check(round_of(Train(attempt)), rewired("spin_pump", connector=connector), limits)


def test_light_of_a_pulse_sequencer_in_a_train_names_the_wire(
    attempt: Section, limits: Limits, rewired: Callable[..., Wiring]
) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(
        MisuseError, match=r"light on a pulse sequencer inside the attempt train \(wire pulser.d5 -> spin_pump\)"
    ):
        check(round_of(Train(attempt)), rewired("spin_pump", instrument="pulser", connector="d5"), limits)


def test_light_of_the_timeline_during_the_train_names_the_wire(
    attempt: Section, wiring: Wiring, limits: Limits
) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    round_ = round_of(Train(attempt, 10, branch=attempt))
    # The train starts at 1 us and lasts 10 attempts and a branch of 1 us each: until 12 us.
    round_.timeline.on("charge_light", at_ps=12_000 * ns, length_ps=100 * ns)
    check(round_, wiring, limits)
    round_.timeline.on("charge_light", at_ps=11_990 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=r"inside the attempt train \(wire pulser.d1 -> charge_light\)"):
        check(round_, wiring, limits)


def test_a_line_of_the_pulse_sequencer_can_not_branch(
    attempt: Section, limits: Limits, rewired: Callable[..., Wiring]
) -> None:
    attempt.on("microwave_switch", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match="can't branch after a herald"):
        check(round_of(Train(attempt)), rewired("microwave_switch", instrument="pulser", connector="d5"), limits)


def test_triggered_outputs_have_no_place_in_the_timeline(wiring: Wiring, limits: Limits) -> None:
    timeline = Section("round", 10_000 * ns)
    timeline.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=r"spin_pump \(awg.ch1m1\).*stands in the round's timeline"):
        check(Round("test", timeline), wiring, limits)


def test_light_in_the_first_sample_of_a_waiting_line(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=0, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=r"first sample.*earliest legal start is 1000 ps"):
        check(round_of(Train(attempt)), wiring, limits)


def test_trains_longer_than_the_round(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match=r"last until 12000000 ps.*smallest legal round is 12000000 ps"):
        check(round_of(Train(attempt, 10, branch=attempt), period_ps=11_999 * ns), wiring, limits)


def test_nothing_triggers_the_instrument(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    with pytest.raises(MisuseError, match="nothing triggers awg"):
        check(round_of(Train(attempt)), Wiring(wiring.outputs), limits)


def test_another_signal_triggers_the_instrument(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    outputs = {**wiring.outputs, "other_trigger": Output("pulser", "d7", "trigger", 0)}
    with pytest.raises(MisuseError, match=r"triggered by 'other_trigger'.*'round_trigger'"):
        check(round_of(Train(attempt)), Wiring(outputs, {"awg": "other_trigger"}), limits)


def test_a_round_with_trains_has_one_trigger(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    silent = Round("silent", Section("round", 10_000 * ns), "round_trigger", ((Train(attempt),),))
    with pytest.raises(MisuseError, match="0 pulses on its trigger 'round_trigger'"):
        check(silent, wiring, limits)


def test_a_sample_rate_without_whole_picoseconds(attempt: Section, wiring: Wiring, limits: Limits) -> None:
    attempt.on("spin_pump", at_ps=10 * ns, length_ps=10 * ns)
    fast = dataclasses.replace(limits["awg"], sample_rate_hz=1_200_000_000)
    with pytest.raises(MisuseError, match="1200000000 Hz has no whole picoseconds"):
        check(round_of(Train(attempt)), wiring, {**limits, "awg": fast})
