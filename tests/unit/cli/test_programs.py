"""Programs of a link that can't be made: each fault at the line of the lab file that is to be changed."""

from pathlib import Path

import pytest

from qnode.cli._programs import checked_programs
from qnode.labfile import LabFileError, load_lab

EXAMPLE = Path(__file__).parents[3] / "config" / "two_nodes.yaml"


def faults(tmp_path, *changes):
    text = EXAMPLE.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    lab = load_lab(path)
    with pytest.raises(LabFileError) as caught:
        checked_programs(path, lab, lab.links[0])
    lines = text.splitlines()
    return [(lines[fault.line - 1].strip(), fault.text) for fault in caught.value.faults]


def test_what_the_sites_can_t_play_comes_at_once(tmp_path):
    found = faults(
        tmp_path,
        ("channels: {d0: {}, d1: {}, d2: {}}", "channels: {d0: {}, d1: {}, d2: {}, d3: {}}"),
        ("from: alice.awg.ch1m1", "from: alice.pulser.d3"),
        ("from: bob.awg.ch1m1", "from: bob.pulser.d3"),
    )
    assert [text.split(":")[0] for _, text in found] == ["alice", "bob"]
    for site, (line, _) in zip(("alice", "bob"), found, strict=True):
        assert line.startswith(f"- {{from: {site}.pulser.d3, to: {site}.qubit.spin_pump")


def test_drivers_that_can_t_be_loaded_come_at_once_at_their_type(tmp_path):
    found = faults(tmp_path, ("tdc1.TDC1", "tdc1.TDC2"), ("drivers.idquantique.id900.", "drivers.idquantique.id901."))
    assert [line for line, _ in found] == [
        "type: drivers.sfifteen.tdc1.TDC2",
        "type: drivers.sfifteen.tdc1.TDC2",
        "type: drivers.idquantique.id901.ID900",
    ]
    assert [text.partition(":")[0] for _, text in found] == ["alice.tagger", "bob.tagger", "midpoint.tagger"]


def test_an_attempt_that_is_over_too_early_names_the_smallest_for_its_wires(tmp_path):
    # 1 us more each way for bob's photon and herald: 2 us more for bob alone, beyond his 4.499 us and alice's.
    short = faults(tmp_path, ("attempt_period_us: 5.5", "attempt_period_us: 1"))
    photon = "to: midpoint.beam_splitter.in2, kind: photon, delay_ns: "
    herald = "to: [bob.awg.event, bob.tagger.in3], kind: herald, delay_ns: "
    longer = [(f"{wire}12", f"{wire}1012") for wire in (photon, herald)]
    [(line, text)] = faults(tmp_path, *longer)
    assert "attempt_period_us: 5.5" in line
    assert short[0][1].endswith("the smallest legal attempt_period_us is 4.499")
    assert text.endswith("the smallest legal attempt_period_us is 6.499")


def test_a_missing_wire_of_a_signal_is_at_the_link(tmp_path):
    gate = "  - {from: midpoint.pulser.d1, to: midpoint.herald_logic.gate, kind: trigger, delay_ns: 10}\n"
    [(line, text)] = faults(tmp_path, (gate, ""))
    assert line.startswith("- {name: alice-bob")
    assert text.startswith("link alice-bob, midpoint: no wire carries the signal 'herald_gate'")
