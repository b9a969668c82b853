"""Every kind of wrong value: the line on which it stands, and a text that a colleague could have written."""

import pytest

ALPHA = "bright_state: {alice: 0.30"
PULSE = "to: alice.qubit.optical_pulse, kind: light, delay_ns: 30"
A_DATE = "{value: 10.0, error: 0.01, date: 2026-11-20, run: rabi-alice-0412}"
COLLECTION = "collection_efficiency: 4.0e-4"
SPELLED = [
    (
        "lab: two_nodes",
        "lab: Two",
        "lab: Two",
        "`lab`: expected a name of small letters, digits and _ that begins with a letter, not Two",
    ),
    ("schema: 1", "schema: 2", "schema: 2", "`schema`: expected 1, not 2"),
    ("lab: two_nodes", "lab: two_nodes\nlinkz: []", "linkz", "unknown key `linkz`; did you mean `links`?"),
    (
        "lab: two_nodes",
        "lab: two_nodes\nfoo: 1",
        "foo: 1",
        ("unknown key `foo`; known are calibration, clocks, data, lab, links, midpoints, nodes, schema, wires"),
    ),
    (ALPHA, "bright_state: {alice: 1.3", "alice: 1.3", "`links.alice-bob.bright_state.alice`: 1.3 is not below 1"),
    (ALPHA, "bright_state: {alice: 0", "{alice: 0,", "`links.alice-bob.bright_state.alice`: 0 is not above 0"),
    (
        ALPHA,
        "bright_state: {alice: much",
        "alice: much",
        "`links.alice-bob.bright_state.alice`: expected a number, not much",
    ),
    (
        "between: [alice, bob]",
        "between: [alice, bob, eve]",
        "between:",
        "`links.alice-bob.between`: expected at most 2 entries, not 3",
    ),
    (
        "between: [alice, bob]",
        "between: [alice]",
        "between:",
        "`links.alice-bob.between.1`: one more entry is expected",
    ),
    ("between: [alice, bob]", "between: alice", "between:", "`links.alice-bob.between`: expected a list, not alice"),
    (
        "protocol: single_click",
        "protocol: magic",
        "protocol:",
        "`links.alice-bob.protocol`: expected single_click or double_click, not magic",
    ),
    (
        "attempts: 250",
        "attempts: 2.5",
        "attempts: 2.5",
        "`links.alice-bob.round.attempts`: expected a whole number, not 2.5",
    ),
    ("attempts: 250", "attempts: 32768", "attempts:", "`links.alice-bob.round.attempts`: 32768 is above 32767"),
    ("attempts: 250", "attempts: 0", "attempts:", "`links.alice-bob.round.attempts`: 0 is below 1"),
    (
        "detection_window_ns: 25",
        "detection_window_ns: .nan",
        "detection_window",
        "`links.alice-bob.detection_window_ns`: expected a finite number, not nan",
    ),
    (
        "attempt_period_us: 5.5",
        "attempt_period_us: .inf",
        "attempt_period",
        "`links.alice-bob.attempt_period_us`: expected a finite number, not inf",
    ),
    (
        "attempt_period_us: 5.5",
        "attempt_period_us: ",
        "attempt_period",
        "`links.alice-bob.attempt_period_us`: expected a number, not nothing",
    ),
    (
        PULSE,
        PULSE.replace(" kind: light,", ""),
        "alice.qubit.optical_pulse",
        "wire from alice.awg.ch3: `kind` is missing",
    ),
    (
        PULSE,
        PULSE.replace("light", "fibre"),
        "alice.qubit.optical_pulse",
        (
            "wire from alice.awg.ch3: `kind`: expected trigger, herald, photon, microwave, light, bias,"
            " clock or pps, not fibre"
        ),
    ),
    (
        PULSE,
        PULSE.replace("30", "-3"),
        "alice.qubit.optical_pulse",
        "wire from alice.awg.ch3: `delay_ns`: -3 is below 0",
    ),
    (
        PULSE,
        PULSE.replace("delay_ns", "delay_us"),
        "alice.qubit.optical_pulse",
        "wire from alice.awg.ch3: unknown key `delay_us`; did you mean `delay_ns`?",
    ),
    (
        "to: alice.qubit.charge_light",
        "to: 3",
        "to: 3",
        "wire from alice.pulser.d1: `to`: expected text or a list, not 3",
    ),
    (
        "- {element: alice.qubit, kind: emitter}",
        "- alice.qubit # first",
        "# first",
        "entry 1 of wires: expected keys with values, not alice.qubit",
    ),
    (
        "{element: bob.qubit, kind: emitter}",
        "{element: bob.qubit, kind: emiter}",
        "emiter",
        (
            "element bob.qubit: `kind`: expected emitter, beam_splitter, detector, gated_or, two_window_latch or "
            "fan_out, not emiter"
        ),
    ),
    (
        "pulser: {role: pulse_sequencer, sim",
        "pulser: {sim",
        "pulser: {sim",
        "`nodes.alice.rack.pulser.role` is missing",
    ),
    (
        "pulser: {role: pulse_sequencer, simulated: true",
        "pulser: {role: pulse_sequencer, simulated: maybe",
        "maybe",
        "`nodes.alice.rack.pulser.simulated`: expected true or false, not maybe",
    ),
    (
        "type: drivers.swabian.pulse_streamer.PulseStreamer",
        "type: PulseStreamer",
        "type: PulseStreamer",
        (
            "`nodes.alice.instruments.pulser.type`: expected module.Class, such as "
            "drivers.sfifteen.tdc1.TDC1, not PulseStreamer"
        ),
    ),
    (
        "bus: {address: 127.0.1.20}",
        "bus: {address: 127.0.1.20, command_port: 99999}",
        "99999",
        "`nodes.bob.bus.command_port`: 99999 is above 65535",
    ),
    (
        A_DATE,
        A_DATE.replace("2026-11-20", "yesterday"),
        "yesterday",
        (
            "`calibration.nodes.alice.microwave_rabi_mhz_per_volt.date`: expected a date such as "
            "2026-11-20, not yesterday"
        ),
    ),
    (
        '  alice: {reference: external_10mhz, pps: true, lab_time: "tcp://127.0.1.1:5600"}',
        "  alice: {reference: external_10mhz, pps: true, lab_time: noon}",
        "noon",
        "`clocks.alice.lab_time`: expected host or tcp://address:port, not noon",
    ),
    ("schema: 1", "schema: 1\ndata: {folder: 3}", "folder: 3", "`data.folder`: expected text, not 3"),
    ("seed: 5", "seed: -1", "seed: -1", "`world.seed`: -1 is below 0"),
    ("speed: 1", "speed: fast", "speed: fast", "`world.speed`: expected a number or max, not fast"),
    ("speed: 1", "speed: 0", "speed: 0", "`world.speed`: 0 is not above 0"),
    (
        COLLECTION,
        "collection_efficiency: 4.0",
        "efficiency: 4.0,",
        "`world.nodes.alice.emitter.collection_efficiency`: 4.0 is above 1",
    ),
    (
        'control: "tcp://127.0.1.1:5601"',
        "control: here",
        "control: here",
        "`world.control`: expected tcp://address:port, not here",
    ),
]


@pytest.mark.parametrize(("old", "new", "where", "text"), SPELLED)
def test_one_wrong_value_is_one_line_at_its_place(changed, old, new, where, text):
    lab = changed((old, new))
    assert lab.faults() == [(lab.line(where), text)]


def test_a_key_that_is_misspelt_is_named_beside_the_one_that_is_missing(changed):
    lab = changed((COLLECTION, "colection_efficiency: 4.0e-4"))
    line = lab.line("colection_efficiency: 4.0e-4")
    name = "world.nodes.alice.emitter"
    assert lab.faults() == [
        (line, f"`{name}.collection_efficiency` is missing"),
        (line, f"unknown key `{name}.colection_efficiency`; did you mean `collection_efficiency`?"),
    ]


def test_names_that_are_also_words_of_the_checker_stay_in_the_place(changed):
    # "str" and "<wire>" are how pydantic calls members of unions; a node may have such a name.
    lab = changed(("clocks:\n", "clocks:\n  str: {reference: sun, pps: true, lab_time: host}\n"))
    assert lab.faults() == [(lab.line("sun"), "`clocks.str.reference`: expected external_10mhz or internal, not sun")]


def test_lists_of_inputs_name_the_entry(changed):
    lab = changed(("to: [alice.awg.event, alice.tagger.in3]", "to: [alice.awg.event, [x]]"))
    assert lab.faults() == [
        (lab.line("[x]"), "wire from midpoint.herald_logic.out: `to.1`: expected text, not a list")
    ]
