"""Offsets of a round, worked out on paper from the delays of config/two_nodes.yaml (all in ns below)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.heralds import LinkTiming, NodeOffsets, TimingError, link_timing
from qnode.labfile import Lab

NS = 1_000

OFFSETS = NodeOffsets(
    trigger_edge_ps=100_010 * NS, optical_centre_ps=3_041 * NS, attempts_start_ps=10 * NS, event_setup_ps=1_304 * NS
)
"""Charge slot of 100 us, trigger 10 ns later; optical pulse 3 us into the attempt, 1 ns to its centre, 10 + 30 ns of
wires; the AWG's 1304 ns."""

Edit = Callable[[Any], None]


def timing_of(lab: Lab, **offsets: NodeOffsets) -> LinkTiming:
    return link_timing(lab, lab.links[0], {"alice": OFFSETS, "bob": OFFSETS, **offsets})


def link_edit(**changes: Any) -> Edit:
    def change(tree: Any) -> None:
        link = tree["links"][0]
        for name, value in changes.items():
            (link["round"] if name in link["round"] else link)[name] = value

    return change


def renamed(old: str, new: str) -> Edit:
    """Another name for an element or instrument, everywhere on the wires."""
    site, _, name = new.partition(".")

    def change(tree: Any) -> None:
        for entry in tree["wires"]:
            if entry.get("element") == old:
                entry["element"] = new
            if "from" in entry:
                ends = [entry["to"]] if isinstance(entry["to"], str) else entry["to"]
                entry["to"] = [new + end[len(old) :] if end.startswith(old + ".") else end for end in ends]
                if entry["from"].startswith(old + "."):
                    entry["from"] = new + entry["from"][len(old) :]
        for part in ("nodes", "midpoints"):
            for block in ("instruments", "rack"):
                known = tree[part].get(site, {}).get(block, {})
                if (moved := known.pop(old.partition(".")[2], None)) is not None:
                    known[name] = moved

    return change


def test_the_two_node_lab(lab_with):
    t = timing_of(lab_with())
    # Photons: 5 pps + 100 010 + 3 041 + fibre 10 (bob 12) + splitter to detector 5: alice 103 071, bob 103 073.
    assert t.lead_ps == {"alice": 2 * NS, "bob": 0}
    # At the logic 10 later, 103 083; the gate opens 1 us after the trigger, 103 083 - 1 000 - 5 pps.
    assert t.midpoint_trigger_ps == 102_078 * NS
    assert t.gate_ps == 1_000 * NS
    # Tag of the sync: 102 078 + 5 + 20 = 102 103; of the click: 103 083.
    assert t.click_open_ps == 980 * NS
    assert t.click_from_t0_ps == 103_083 * NS
    # The line leaves the logic at 103 083 + 100 = 103 183, and is tagged 10 later.
    assert t.line_open_ps == (103_193 - 102_103) * NS
    # Edges: alice 5 + 100 010 + 2 = 100 017, bob 100 015; their sync tags 10 later; lines of 10 and 12.
    assert t.node_line_open_ps == {"alice": (103_193 - 100_027) * NS, "bob": (103_195 - 100_025) * NS}
    # Both PPS wires take 5.
    assert t.sync_from_pps_ps == {"alice": 100_022 * NS, "bob": 100_020 * NS}
    # Latest line at the AWG: 103 193 + 25 window + 1 304 = 104 522, attempt 0 begins at 100 027: 4 495 of 5 500.
    assert t.slack_ps == {"alice": 1_005 * NS, "bob": 1_001 * NS}
    assert t.smallest_attempt_ps == 4_499 * NS
    # Of 20 us branch: 2 lead + 500 to re-arm, in whole microseconds.
    assert t.branch_ps == 19_000 * NS
    assert t.recording_ps == (1_000 + 250 * 5_500 + 1_000) * NS


@pytest.fixture
def far(lab_with, delay):
    """25 km to alice and 20 km to bob at 4.9 us/km, both ways."""

    def make(*edits: Edit) -> Lab:
        return lab_with(
            delay("midpoint.beam_splitter.in1", 122_500),
            delay("midpoint.beam_splitter.in2", 98_000),
            *(delay(f"alice.{end}", 122_500) for end in ("awg.event", "tagger.in3")),
            *(delay(f"bob.{end}", 98_000) for end in ("awg.event", "tagger.in3")),
            link_edit(attempts=20, attempt_period_us=250, branch_us=280),
            *edits,
        )

    return make


def test_unequal_fibres(far):
    t = timing_of(far())
    # At the detector: alice 103 056 + 122 500 + 5 = 225 561, bob 201 061.
    assert t.lead_ps == {"alice": 0, "bob": 24_500 * NS}
    assert t.midpoint_trigger_ps == (225_561 + 10 - 5 - 1_000) * NS
    # Line out at 225 671. Alice: + 122 500 + 25 + 1 304 - 100 025; bob: + 98 000 + 1 329 - 124 525.
    assert t.slack_ps == {"alice": (250_000 - 249_475) * NS, "bob": (250_000 - 200_475) * NS}
    assert t.smallest_attempt_ps == 249_475 * NS
    assert t.node_line_open_ps == {"alice": (348_171 - 100_025) * NS, "bob": (323_671 - 124_525) * NS}
    # 24.5 us of lead + 0.5 us are a whole 25 us.
    assert t.branch_ps == (280_000 - 25_000) * NS


def test_an_attempt_that_ends_before_the_line_is_back_is_refused_with_the_smallest_legal_one(far):
    smallest_us = 249.475
    assert timing_of(far(link_edit(attempt_period_us=smallest_us))).slack_ps["alice"] == 0
    with pytest.raises(TimingError, match=r"back at alice after the attempt of 249\.474 us has ended") as caught:
        timing_of(far(link_edit(attempt_period_us=249.474)))
    assert caught.value.hint == "the smallest legal attempt_period_us is 249.475"
    assert caught.value.context == {"smallest_attempt_period_us": smallest_us}
    with pytest.raises(TimingError, match="back at alice and bob after"):
        timing_of(far(link_edit(attempt_period_us=10)))


def test_what_is_no_whole_nanosecond_is_rounded_up_in_the_smallest_attempt(far, delay):
    assert timing_of(far(delay("alice.awg.event", 122_500.001))).smallest_attempt_ps == 249_476 * NS


def test_a_branch_slot_without_room_for_the_lead_is_refused(far):
    assert timing_of(far(link_edit(branch_us=127))).branch_ps == 102_000 * NS
    with pytest.raises(TimingError, match="leaves no room for the nodes' different fibres") as caught:
        timing_of(far(link_edit(branch_us=25)))
    assert caught.value.hint == "make branch_us larger than 25"


def test_a_round_that_ends_before_its_last_photons_is_refused(far):
    # Trigger at 224 566, recording 2 us longer than the train; 100 us of charge slot leave 126.566 for the branch.
    timing_of(far(link_edit(branch_us=126.566)))
    with pytest.raises(TimingError, match="arrive after the midpoint's round has ended") as caught:
        timing_of(far(link_edit(branch_us=126.5)))
    assert caught.value.hint == "make branch_us larger by 0.066"


def test_photons_before_the_first_gate_are_refused(lab_with):
    early = NodeOffsets(10 * NS, 900 * NS, 10 * NS, 0)
    with pytest.raises(TimingError, match="before its first gate") as caught:
        timing_of(lab_with(), alice=early, bob=early)
    assert caught.value.hint == "make charge_check_us at least 1"


@pytest.mark.parametrize("kind", ["gated_or", "detector", "emitter"])
def test_a_missing_element_is_named(lab_with, kind):
    def without(tree: Any) -> None:
        tree["wires"] = [entry for entry in tree["wires"] if entry.get("kind") != kind]

    site = "alice" if kind == "emitter" else "midpoint"
    with pytest.raises(TimingError, match=f"{site} has no element of the kind {kind}"):
        timing_of(lab_with(without))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("midpoint.tagger", "midpoint.counter"),
        ("midpoint.herald_logic", "midpoint.cpld"),
        ("midpoint.det1", "midpoint.apd_a"),
        ("midpoint.beam_splitter", "midpoint.cube"),
        ("alice.qubit", "alice.nv"),
        ("alice.tagger", "alice.clicks"),
        ("bob.awg", "bob.waves"),
    ],
)
def test_names_of_things_do_not_matter(lab_with, old, new):
    assert timing_of(lab_with(renamed(old, new))) == timing_of(lab_with())


WIRES = {
    "alice.pulser.trigger": 50,
    "bob.pulser.trigger": 50,
    "midpoint.pulser.trigger": 50,
    "midpoint.beam_splitter.in1": 60_000,
    "midpoint.beam_splitter.in2": 60_000,
    "alice.awg.event": 60_000,
    "bob.awg.event": 60_000,
    "alice.tagger.in2": 300,
    "alice.tagger.in3": 60_000,
    "midpoint.tagger.in3": 300,
    "midpoint.tagger.in4": 300,
}
"""Inputs and the longest delay, ns, that the property tries."""


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({end: st.integers(0, most * 10) for end, most in WIRES.items()}), st.integers(0, 2_000))
def test_photons_meet_inside_their_gates_and_the_line_is_back_in_time(lab_with, delay, tenths, latency_ns):
    """Followed edge by edge from T0, with no formula of the module."""
    ns = {end: tenth / 10 for end, tenth in tenths.items()}

    def slow_logic(tree: Any) -> None:
        for entry in tree["wires"]:
            if entry.get("kind") == "gated_or":
                entry["latency_ns"] = latency_ns

    lab = lab_with(
        *(delay(end, value) for end, value in ns.items()),
        slow_logic,
        link_edit(attempt_period_us=400, attempts=3, branch_us=500),
    )
    t = timing_of(lab)
    ps = {end: round(value * NS) for end, value in ns.items()}
    round_sync = ps["midpoint.pulser.trigger"] + t.midpoint_trigger_ps
    sync_tag = round_sync + ps["midpoint.tagger.in3"]
    window = 25 * NS
    for attempt in range(3):
        later = attempt * 400_000 * NS
        gate_opens = round_sync + t.gate_ps + later
        line_out = gate_opens + latency_ns * NS
        for node, fibre in (("alice", "in1"), ("bob", "in2")):
            edge = ps[f"{node}.pulser.trigger"] + OFFSETS.trigger_edge_ps + t.lead_ps[node]
            emitted = edge + OFFSETS.optical_centre_ps + later
            detected = emitted + ps[f"midpoint.beam_splitter.{fibre}"] + 5 * NS
            at_logic = detected + 10 * NS
            assert abs(at_logic - gate_opens) <= NS // 2, "half a tick of the pulser at the most"
            assert abs(detected + 10 * NS - sync_tag - t.click_open_ps - later) <= NS // 2
            ends = edge + OFFSETS.attempts_start_ps + later + 400_000 * NS
            latest = line_out + window + ps[f"{node}.awg.event"] + OFFSETS.event_setup_ps
            assert ends - latest == t.slack_ps[node] >= 0
        assert line_out + ps["midpoint.tagger.in4"] - sync_tag - later == t.line_open_ps
        alice_sync = (
            ps["alice.pulser.trigger"] + OFFSETS.trigger_edge_ps + t.lead_ps["alice"] + ps["alice.tagger.in2"]
        )
        assert line_out + ps["alice.tagger.in3"] - alice_sync - later == t.node_line_open_ps["alice"]
    assert t.gate_ps >= 1_000 * NS
    assert round_sync + t.recording_ps > gate_opens + window


def test_the_line_of_double_click_comes_500_ns_later(lab_with, double_click):
    single, double = timing_of(lab_with(link_edit(attempt_period_us=10))), timing_of(lab_with(double_click))
    assert double == dataclasses.replace(
        single,
        line_open_ps=(1_090 + 500) * NS,
        node_line_open_ps={"alice": (3_166 + 500) * NS, "bob": (3_170 + 500) * NS},
        slack_ps={"alice": (1_005 + 4_500 - 500) * NS, "bob": (1_001 + 4_500 - 500) * NS},
        smallest_attempt_ps=(4_499 + 500) * NS,
    )
    with pytest.raises(TimingError, match=r"after the attempt of 4\.998 us has ended") as caught:
        timing_of(lab_with(double_click, link_edit(attempt_period_us=4.998)))
    assert caught.value.hint == "the smallest legal attempt_period_us is 4.999"


def test_a_window_that_reaches_into_the_microwave_pi_is_refused(lab_with, double_click):
    timing_of(lab_with(double_click, link_edit(detection_window_ns=150)))
    with pytest.raises(TimingError, match="still open when the microwave pi begins") as caught:
        timing_of(lab_with(double_click, link_edit(detection_window_ns=151)))
    assert caught.value.hint == "make detection_window_ns at most 150"


def test_double_click_needs_its_own_logic(lab_with, double_click):
    def other_logic(tree: Any) -> None:
        double_click(tree)
        for entry in tree["wires"]:
            if entry.get("kind") == "two_window_latch":
                entry["kind"] = "gated_or"

    with pytest.raises(TimingError, match="midpoint has no element of the kind two_window_latch"):
        timing_of(lab_with(other_logic))
