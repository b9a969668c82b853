"""From the lab file's wires to wirings, programs and windows; numbers from config/two_nodes.yaml by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from _limits import AWG

from drivers.roles import AwgLimits, AwgProgram, PulseLimits, PulseProgram
from qnode.errors import MisuseError
from qnode.heralds import LinkPrograms, NodeWindows, driver_limits, programs_sha256, site_wiring
from qnode.labfile import Lab
from sequences import Output, Wiring, decode

NS = 1_000
PULSER = PulseLimits(1_000, 8, 2, 1_000_000, 1, 0xFFFF_FFFF)
LIMITS: Mapping[str, Any] = {
    "alice": {"awg": AWG, "pulser": PULSER},
    "bob": {"awg": AWG, "pulser": PULSER},
    "midpoint": {"pulser": PULSER},
}
Edit = Callable[[Any], None]


def programs_of(lab: Lab, alice: str = "XYZ", *, echo: bool = True) -> LinkPrograms:
    return LinkPrograms(lab, lab.links[0], {"alice": alice, "bob": "XYZ"}, limits=LIMITS, echo=echo)


def hashes(programs: LinkPrograms, runs: int = 10) -> dict[str, str]:
    return {site: programs_sha256(programs.heralding(site, runs)) for site in ("alice", "bob", "midpoint")}


def at(*path: str | int, value: Any) -> Edit:
    """An edit of one value of the document."""

    def change(tree: Any) -> None:
        for key in path[:-1]:
            tree = tree[key]
        assert tree[path[-1]] != value
        tree[path[-1]] = value

    return change


def test_wiring_of_a_node(lab_with):
    assert site_wiring(lab_with(), "alice") == Wiring(
        {
            "round_trigger": Output("pulser", "d0", "trigger", 10 * NS),
            "charge_light": Output("pulser", "d1", "light", 50 * NS),
            "repump_light": Output("pulser", "d2", "light", 50 * NS),
            "microwave_i": Output("awg", "ch1", "microwave", 30 * NS, 3.0),
            "microwave_q": Output("awg", "ch2", "microwave", 30 * NS, 3.0),
            "microwave_switch": Output("awg", "ch2m2", "trigger", 30 * NS),
            "optical_pulse": Output("awg", "ch3", "light", 30 * NS, 3.0),
            "spin_pump": Output("awg", "ch1m1", "light", 30 * NS),
            "excitation_gate": Output("awg", "ch1m2", "light", 30 * NS),
            "readout_light": Output("awg", "ch2m1", "light", 30 * NS),
        },
        {"awg": "round_trigger"},
    )


def test_wiring_of_a_midpoint_triggers_its_time_controller_and_gates_the_logic(lab_with):
    assert site_wiring(lab_with(), "midpoint") == Wiring(
        {
            "round_trigger": Output("pulser", "d0", "trigger", 5 * NS),
            "herald_gate": Output("pulser", "d1", "trigger", 10 * NS),
        }
    )


def test_a_signal_without_its_wire_is_refused_by_name(lab_with):
    def cut(tree: Any) -> None:
        tree["wires"] = [entry for entry in tree["wires"] if entry.get("to") != "alice.qubit.spin_pump"]

    programs = programs_of(lab_with(cut))
    with pytest.raises(MisuseError, match="no wire carries the signal 'spin_pump'"):
        programs.heralding("alice", 1)


def test_equal_input_gives_equal_hashes_whatever_the_number_of_rounds(lab_with):
    first, second = programs_of(lab_with()), programs_of(lab_with())
    assert hashes(first, 10) == hashes(second, 99)
    assert len(set(hashes(first).values())) == 3
    for runs in (10, 99):
        program = first.heralding("alice", runs)["pulser"]
        assert isinstance(program, PulseProgram)
        assert program.n_runs == runs


RABI = ("calibration", "nodes", "alice", "microwave_rabi_mhz_per_volt", "value")
OPTICAL = ("calibration", "nodes", "alice", "optical_pi_volt", "value")
LINK = ("links", 0)


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (at(*LINK, "bright_state", "alice", value=0.31), {"alice"}),
        (at(*RABI, value=10.5), {"alice"}),
        (at(*OPTICAL, value=0.9), {"alice"}),
        (at("nodes", "alice", "rack", "awg", "channels", "ch1", "amplitude_vpp", value=2.9), {"alice"}),
        (at(*LINK, "attempt_period_us", value=5.6), {"alice", "bob", "midpoint"}),
        (at(*LINK, "round", "attempts", value=249), {"alice", "bob", "midpoint"}),
        (at(*LINK, "detection_window_ns", value=26), {"midpoint"}),
        (at(*LINK, "round", "charge_check_us", value=90), {"alice", "bob", "midpoint"}),
    ],
)
def test_each_number_of_the_physics_is_in_the_hashes_of_who_plays_it(lab_with, edit, changed):
    before, after = hashes(programs_of(lab_with())), hashes(programs_of(lab_with(edit)))
    assert {site for site in before if before[site] != after[site]} == changed


@pytest.mark.parametrize(
    ("end", "delay_ns", "changed"),
    [
        # Alice's photons come later by 3 ns, 1 ns later than bob's: she leads by 2 ns less, bob and the gates wait.
        ("midpoint.beam_splitter.in1", 13, {"alice", "bob", "midpoint"}),
        # 1 ns is within her lead: bob and the midpoint play what they did.
        ("midpoint.beam_splitter.in1", 11, {"alice"}),
        ("alice.qubit.spin_pump", 20, {"alice"}),
        ("midpoint.herald_logic.gate", 20, {"midpoint"}),
        # The way to the readout's tagger moves windows, not programs.
        ("alice.tagger.in1", 60, set()),
    ],
)
def test_a_wire_is_in_the_hashes_of_those_whose_pulses_it_moves(lab_with, delay, end, delay_ns, changed):
    before, after = hashes(programs_of(lab_with())), hashes(programs_of(lab_with(delay(end, delay_ns))))
    assert {site for site in before if before[site] != after[site]} == changed


def test_bases_and_echo_are_in_the_hash_of_their_node(lab_with):
    lab = lab_with()
    before, other = hashes(programs_of(lab)), hashes(programs_of(lab, "XZY"))
    assert [site for site in before if before[site] != other[site]] == ["alice"]
    bare = hashes(programs_of(lab, echo=False))
    assert [site for site in before if before[site] != bare[site]] == ["alice", "bob"]


def test_a_table_has_two_lines_a_basis_and_the_branch_is_the_event_target(lab_with):
    program = programs_of(lab_with(), "XZ").heralding("alice", 1)["awg"]
    assert isinstance(program, AwgProgram)
    lines = [(e.wait_for_trigger, e.loop_count, e.jump_to, e.go_to) for e in program.elements]
    attempt_then_branch = [(True, 250, 2, 3), (False, 1, None, 3), (True, 250, 4, 1), (False, 1, None, 1)]
    assert [(w, n, j, g or following) for (w, n, j, g), following in zip(lines, (2, 3, 4, 1), strict=True)] == (
        attempt_then_branch
    )


def optical_centre_ps(program: AwgProgram) -> int:
    """Centre of what is not dark on ch3 in the first line."""
    trace = decode(program)[0].volts["ch3"]
    lit = np.flatnonzero(trace.volts > 0.01)
    stop = trace.start_ps[lit[-1] + 1]
    return int(trace.start_ps[lit[0]] + stop) // 2


@pytest.mark.parametrize(("node", "fibre_ns", "line_ns"), [("alice", 10, 10), ("bob", 12, 12)])
def test_what_is_uploaded_brings_photons_into_the_gates_and_the_line_back_in_time(lab_with, node, fibre_ns, line_ns):
    """From the decoded programs along the wires, edge by edge from T0."""
    programs = programs_of(lab_with())
    gates = decode(programs.heralding("midpoint", 1)["pulser"])[0].edges_ps
    mine = programs.heralding(node, 1)
    trigger = int(decode(mine["pulser"])[0].edges_ps["d0"][0, 0])
    awg = mine["awg"]
    assert isinstance(awg, AwgProgram)
    starts = (5 + 10) * NS + trigger
    emitted = starts + optical_centre_ps(awg) + 30 * NS
    opens = gates["d1"][:, 0] + (5 + 10) * NS
    closes = gates["d1"][:, 1] + (5 + 10) * NS
    attempts = np.arange(250) * 5_500 * NS
    assert (opens == emitted + (fibre_ns + 5 + 10) * NS + attempts).all()
    assert (closes - opens == 25 * NS).all()
    last_jump = closes + (100 + line_ns + 1_304) * NS
    assert (last_jump < starts + attempts + 5_500 * NS).all()


@pytest.mark.parametrize(("node", "fibre_ns", "line_ns"), [("alice", 10, 10), ("bob", 12, 12)])
def test_double_clicks_photons_reach_two_gates_an_attempt(lab_with, double_click, node, fibre_ns, line_ns):
    """From the decoded programs along the wires, as above: both pulses, and the jump before the attempt ends."""
    programs = programs_of(lab_with(double_click))
    gates = decode(programs.heralding("midpoint", 1)["pulser"])[0].edges_ps["d1"] + (5 + 10) * NS
    mine = programs.heralding(node, 1)
    awg = mine["awg"]
    assert isinstance(awg, AwgProgram)
    starts = (5 + 10) * NS + int(decode(mine["pulser"])[0].edges_ps["d0"][0, 0])
    trace = decode(awg)[0].volts["ch3"]
    lit = trace.start_ps[np.flatnonzero(trace.volts > 0.01)]
    assert lit.min() == 3_000 * NS
    assert lit.max() in (3_500 * NS, 3_501 * NS)
    first, second = 3_001 * NS, 3_501 * NS
    attempts = np.arange(250) * 10_000 * NS
    later = starts + (30 + fibre_ns + 5 + 10) * NS + attempts
    assert gates.shape == (500, 2)
    assert (gates[0::2, 0] == later + first).all()
    assert (gates[1::2, 0] == later + second).all()
    assert (gates[:, 1] - gates[:, 0] == 25 * NS).all()
    last_jump = gates[1::2, 1] + (100 + line_ns + 1_304) * NS
    assert (last_jump < starts + attempts + 10_000 * NS).all()


def test_windows_of_a_node(lab_with):
    # Photons reach in1 after 40, the sync in2 after 10: tags 30 later than at the qubit. Light is counted 20 beyond it.
    assert programs_of(lab_with()).windows("alice") == NodeWindows(
        # Light from the start of the slot (pulser to qubit 50), the trigger 100 us + 10 later: 50 - 100 010 + 30.
        charge_open_ps=(-99_930 - 20) * NS,
        charge_close_ps=(-930 + 20) * NS,
        line_open_ps=3_166 * NS,
        line_width_ps=25 * NS,
        # From 10 + 30 after the edge; echo 100, basis as far behind it as the rotation is before (2 500): 3 200.
        # Its 100 and a gap of 100: readout light from 3 400 for 3 700.
        readout_open_ps=(40 + 3_400 + 30 - 20) * NS,
        readout_close_ps=(40 + 7_100 + 30 + 20) * NS,
    )


def test_without_a_charge_slot_a_round_still_begins_before_its_sync(lab_with):
    windows = programs_of(lab_with(at(*LINK, "round", "charge_check_us", value=0))).windows("alice")
    assert windows.charge_open_ps == windows.charge_close_ps == -100 * NS


def test_shot_windows_of_a_readout_calibration(lab_with):
    programs = programs_of(lab_with())
    shots, uploads = programs.calibration("alice", 7)
    windows = programs.shot_windows("alice", shots)
    # A shot is 2 700 of pump and rotation, 3 700 of light, 300 of tail; 250 x 5 500 + 19 000 have room for 2 x 104.
    assert len(windows) == 208
    assert windows[0] == ((10 + 30 + 2_700 + 30 - 20) * NS, (2_770 + 3_700 + 20) * NS)
    starts = np.array([start for start, _ in windows])
    assert (np.diff(starts) == 6_700 * NS).all()
    assert programs_sha256(uploads) != programs_sha256(programs.heralding("alice", 7))


def test_one_hash_of_several_programs_depends_on_their_names_and_not_on_their_order(lab_with):
    uploads = programs_of(lab_with()).heralding("alice", 1)
    assert programs_sha256(dict(reversed(uploads.items()))) == programs_sha256(uploads)
    swapped = {"pulser": uploads["awg"], "awg": uploads["pulser"]}
    assert programs_sha256(swapped) != programs_sha256(uploads)


def test_limits_come_from_the_drivers_and_a_missing_driver_is_named(lab_with):
    limits = driver_limits(lab_with(), "alice")
    assert isinstance(limits["awg"], AwgLimits)
    assert isinstance(limits["pulser"], PulseLimits)
    for path in ("drivers.swabian.nothing.PulseStreamer", "drivers.swabian.pulse_streamer.Nothing"):
        lab = lab_with(at("nodes", "alice", "instruments", "pulser", "type", value=path))
        with pytest.raises(MisuseError, match=f"driver {path} can't be loaded") as caught:
            driver_limits(lab, "alice")
        assert caught.value.hint == "correct `type:` in the lab file"
