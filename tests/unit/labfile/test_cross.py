"""What entries must agree on: each disagreement is one fault at the line that is to be changed."""

import pytest

from qnode.labfile import element_inputs

TAGGER = """      tagger:
        type: drivers.sfifteen.tdc1.TDC1
        address: data:tty/alice-tagger
"""
RACK = (
    "      tagger: {role: time_tagger, simulated: true, safe_state: stopped, "
    "channels: {in1: {}, in2: {}, in3: {}, in4: {}}}\n"
)
BOB_CLOCK = '  bob: {reference: external_10mhz, pps: true, lab_time: "tcp://127.0.1.1:5600"}\n'
ALICE_PHOTON = "to: midpoint.beam_splitter.in1, kind: photon, delay_ns: 10"
PULSE = "from: alice.awg.ch3, to: alice.qubit.optical_pulse"
TOGETHER = [
    ("missing instrument", TAGGER, "", ("      tagger: {role: time_tagger", 1),
     "rack entry alice.tagger: no instrument of that name under `nodes.alice.instruments`"),
    ("missing rack entry", RACK, "", ("      tagger:", 1),
     "instrument alice.tagger has no entry under `nodes.alice.rack`"),
    ("link to nowhere", "via: midpoint", "via: moon", "via: moon", "link alice-bob: there is no midpoint moon"),
    ("shared address", "address: 127.0.1.22", "address: 127.0.1.12", ("address: 127.0.1.12", 2),
     "bob.pulser and alice.pulser have the same address 127.0.1.12"),
    ("window", "detection_window_ns: 25", "detection_window_ns: 6000", "detection_window_ns: 6000",
     "link alice-bob: detection window 6000 ns is longer than the attempt of 5.5 us"),
    ("window off the tick", "detection_window_ns: 25", "detection_window_ns: 25.0005", "25.0005",
     "link alice-bob: detection_window_ns must be a whole number of nanoseconds"),
    ("no such output", PULSE, PULSE.replace("ch3", "ch4"), "from: alice.awg.ch4",
     "wire from alice.awg.ch4: alice.awg has no output ch4; it has ch1, ch1m1, ch1m2, ch2, ch2m1, ch2m2, ch3"),
    ("an input is no output", PULSE, PULSE.replace("ch3", "event"), "from: alice.awg.event,",
     "wire from alice.awg.event: alice.awg has no output event; it has ch1, ch1m1, ch1m2, ch2, ch2m1, ch2m2, ch3"),
    ("no such instrument", PULSE, PULSE.replace("alice.awg", "alice.dimmer"), "alice.dimmer",
     "wire from alice.dimmer.ch3: there is no alice.dimmer in this lab"),
    ("no site in a wire", PULSE, PULSE.replace("alice.awg.", "eve.awg."), "from: eve.awg",
     "wire from eve.awg.ch3: there is no site eve in this lab"),
    ("half a name", PULSE, PULSE.replace("alice.awg.ch3", "ch3"), "from: ch3",
     "wire from ch3: there is no ch3 in this lab"),
    ("no such input", "to: alice.tagger.in1", "to: alice.tagger.in9", "in9",
     "wire to alice.tagger.in9: alice.tagger has no input in9; it has in1, in2, in3, in4, ref"),
    ("two wires, one input", PULSE, PULSE.replace("optical_pulse", "readout_light"), "from: alice.awg.ch2m1",
     "input alice.qubit.readout_light is reached by two wires; take one of them out"),
    ("element twice", "  - {element: bob.qubit", "  - {element: alice.qubit, kind: emitter}\n  - {element: bob.qubit",
     ("element: alice.qubit", 2), "element alice.qubit stands twice"),
    ("clock", BOB_CLOCK, "", ("  bob:", 1), "bob has no entry under `clocks:`"),
    ("clock of nobody", BOB_CLOCK, BOB_CLOCK + BOB_CLOCK.replace("bob", "eve"), "  eve:",
     "clock of eve: there is no site of that name"),
    ("one socket for two", "bus: {address: 127.0.1.20}", "bus: {address: 127.0.1.10} # bob", "# bob",
     "bob and alice both listen on 127.0.1.10:5700"),
    ("one port for two", "bus: {address: 127.0.1.20}", "bus: {address: 127.0.1.20, tap_port: 5701}", "tap_port: 5701",
     "bob: tap_port and stream_port are both 5701"),
    ("detector", "psi_plus_on: {value: det1", "psi_plus_on: {value: left", "value: left",
     "calibration of alice-bob: psi_plus_on is det1 or det2, not left"),
    ("world: a node too many", "world:\n  seed: 5", "world:\n  clocks: {eve: {}}\n  seed: 5", "clocks: {eve",
     "`world.clocks.eve`: no site of that name"),
    ("world: a delay of no wire", "world:\n  seed: 5", "world:\n  wire_delays_ns: {alice.qubit.nose: 3}\n  seed: 5",
     "alice.qubit.nose", "`world.wire_delays_ns.alice.qubit.nose`: no wire reaches that input"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "where", "text"), [case[1:] for case in TOGETHER], ids=[c[0] for c in TOGETHER]
)
def test_one_disagreement_is_one_line_at_its_place(changed, old, new, where, text):
    lab = changed((old, new))
    line = lab.line(where) if isinstance(where, str) else lab.line(*where)
    assert lab.faults() == [(line, text)]


def test_a_lasers_input_takes_a_laser(changed):
    lab = changed((PULSE, PULSE.replace("optical_pulse", "resonant_laser")))
    text = "wire from alice.awg.ch3 to alice.qubit.resonant_laser: that input takes the output of a laser"
    assert (lab.line("from: alice.awg.ch3"), text) in lab.faults()


def test_a_laser_feeds_its_own_inputs_alone(changed):
    head = "      probe:\n        type: drivers.cobolt.cobolt_06_01.Cobolt0601\n        address: data:tty/probe\n"
    entry = "      probe: {role: laser, simulated: true, safe_state: outputs_off, channels: {laser1: {}}}\n"
    lab = changed((TAGGER, head + TAGGER), (RACK, entry + RACK), (PULSE, PULSE.replace("awg.ch3", "probe.laser1")))
    text = (
        "wire from alice.probe.laser1 to alice.qubit.optical_pulse: the output of a laser goes to resonant_laser of "
        "emitters, spin_pump_laser of emitters, repump_laser of emitters alone"
    )
    assert lab.faults() == [(lab.line("from: alice.probe"), text)]


def test_wires_of_one_missing_thing_are_counted_in_one_fault(changed):
    lab = changed((TAGGER, ""), (RACK, ""))
    wires = "wire to alice.tagger.ref (and 4 more wires): there is no alice.tagger in this lab"
    assert lab.faults() == [
        (lab.line("    rack:", 1), "alice has no instrument with the role time_tagger"),
        (lab.line("alice.clock.ref_10mhz"), wires),
    ]


def test_a_link_to_a_node_that_is_not_there_names_it(changed):
    lab = changed(("between: [alice, bob]", "between: [alice, eve]"))
    assert (lab.line("between:"), "link alice-bob: there is no node eve") in lab.faults()


def test_a_photon_is_not_faster_than_light_in_its_fibre(changed):
    # 2 km of silica, group index 1.468: 2e3 * 1.468 / 299792458 s = 9793.44 ns.
    lab = changed(("fibre: {length_km: 0.002", "fibre: {length_km: 2"))
    assert lab.faults() == [
        (
            lab.line("length_km: 2,"),
            "wire from alice.qubit.zero_phonon_line to midpoint.beam_splitter.in1: 10 ns is less than the 9793.44 ns "
            "that light needs for 2 km of fibre; correct `delay_ns` or `length_km`",
        )
    ]


@pytest.mark.parametrize(("delay_ns", "legal"), [(9793.43, False), (9793.45, True)])
def test_the_true_delay_of_a_wire_counts_where_the_world_gives_one(changed, delay_ns, legal):
    lab = changed(
        ("fibre: {length_km: 0.002", "fibre: {length_km: 2"),
        ("world:\n", f"world:\n  wire_delays_ns: {{midpoint.beam_splitter.in1: {delay_ns}}}\n"),
    )
    assert (lab.faults() == []) is legal


AWG_SIMULATED = "      awg:\n        role: awg\n        simulated: true"
CARRIER = "microwave: {role: microwave_source, simulated: true"


def test_a_real_awg_among_simulated_instruments_is_one_fault(changed):
    # Trigger: alice.pulser. Herald line: the midpoint's logic, and so its gate, bob's AWG, and all taggers.
    lab = changed((AWG_SIMULATED, AWG_SIMULATED.replace("true", "false")))
    text = (
        "alice.awg is real, but what trigger, photon and herald wires join it with is simulated (alice.pulser, "
        "alice.tagger, bob.pulser, bob.awg, bob.tagger, midpoint.pulser, midpoint.tagger); make all of these real, or "
        "all simulated"
    )
    assert lab.faults() == [(lab.line("simulated: false"), text)]


def test_a_simulated_midpoint_of_real_nodes_is_named(changed):
    real = [
        *[("{role: pulse_sequencer, simulated: true", "{role: pulse_sequencer, simulated: false")] * 2,
        *[("        role: awg\n        simulated: true", "        role: awg\n        simulated: false")] * 2,
        *[("{role: time_tagger, simulated: true", "{role: time_tagger, simulated: false")] * 2,
    ]
    lab = changed(*real)
    ((line, text),) = lab.faults()
    assert line == lab.line("pulser: {role: pulse_sequencer, simulated: true")
    assert text.startswith(
        "midpoint.pulser and midpoint.tagger are simulated, but what trigger, photon and herald wires "
    )
    assert text.endswith(
        " is real (alice.pulser, alice.awg, alice.tagger, bob.pulser, bob.awg, bob.tagger); make all of "
        "these real, or all simulated"
    )


def test_slow_instruments_may_be_real_among_simulated_ones(changed):
    assert changed((CARRIER, CARRIER.replace("true", "false"))).faults() == []


def test_inputs_of_elements():
    assert element_inputs("gated_or") == {"in1", "in2", "gate"}


@pytest.mark.parametrize(
    ("protocol", "kind", "text"),
    [
        ("double_click", "two_window_latch", None),
        (
            "double_click",
            "gated_or",
            "link alice-bob: double_click needs a two_window_latch at midpoint, and midpoint.herald_logic is a gated_or; "
            "correct its `kind` or the link's `protocol`",
        ),
        (
            "single_click",
            "two_window_latch",
            "link alice-bob: single_click needs a gated_or at midpoint, and midpoint.herald_logic is a "
            "two_window_latch; correct its `kind` or the link's `protocol`",
        ),
    ],
)
def test_the_herald_logic_is_the_one_that_the_protocol_needs(changed, protocol, kind, text):
    lab = changed(("protocol: single_click", f"protocol: {protocol}"), ("kind: gated_or", f"kind: {kind}"))
    assert lab.faults() == ([] if text is None else [(lab.line("protocol:"), text)])
