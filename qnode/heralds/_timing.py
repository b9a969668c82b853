"""When things happen in a round, from the lab file's wires: leads, gates, windows, and whether the loop closes.

All in picoseconds. A photon of attempt a must reach the herald logic inside a gate of attempt a, and the herald line must
be back at each AWG's event input before that attempt's waveform ends. What is not a whole nanosecond is rounded to the
sequencers' tick, at the cost of the detection window's edge.
"""

from __future__ import annotations

from dataclasses import dataclass

from qnode.errors import MisuseError
from qnode.heralds._rules import LONGEST_WINDOW_PS, rules_of
from qnode.labfile import HERALD_LOGIC, Lab, Link

__all__ = ["LinkTiming", "NodeOffsets", "TimingError", "link_timing", "through"]

NS = 1_000
GATE_LEAD_PS = 1_000_000
"""From the midpoint's round sync to the first gate: room for START's set-up."""
RECORDING_TAIL_PS = 1_000_000
REARM_PS = 500_000
"""From the end of a branch to the next round trigger: an AWG that is still playing ignores its trigger."""


class TimingError(MisuseError):
    """The loop of a link can't close in time."""

    code = "timing"


@dataclass(frozen=True)
class NodeOffsets:
    """What a node's sequence says of time, with no lead; from the round trigger's edge at the pulser's output."""

    trigger_edge_ps: int
    """The edge itself, from the start of the round."""
    optical_centre_ps: int
    """Centre of the first optical pulse of attempt 0, at the qubit."""
    attempts_start_ps: int
    """Start of attempt 0 at the AWG: the trigger wire's delay."""
    event_setup_ps: int
    """From the event input's edge to the earliest jump, the AWG's set-up time."""


@dataclass(frozen=True)
class LinkTiming:
    """All offsets of one link's round."""

    lead_ps: dict[str, int]
    """Node: from the pulse per second's edge at its pulser to the charge slot, so that photons meet."""
    branch_ps: int
    """Longest branch that fits into the branch slot at every node."""
    midpoint_trigger_ps: int
    """Midpoint: from its start edge to the round sync on d0."""
    gate_ps: int
    """Midpoint: from the round sync at the pulser's output to the opening of gate 0 at the herald logic."""
    recording_ps: int
    """Length of a sub-acquisition."""
    click_open_ps: int
    """Opening of window 0, from the round sync's tag to a click's tag."""
    line_open_ps: int
    """The same at the midpoint's own tag of the herald line, of the window in which the line fires (the last one of
    an attempt)."""
    node_line_open_ps: dict[str, int]
    """Node: that window's opening from its round sync's tag to its tag of the herald line."""
    sync_from_pps_ps: dict[str, int]
    """Node: from the tag of T0's pulse per second to the tag of the first round sync."""
    slack_ps: dict[str, int]
    """Node: time between the latest herald at the AWG and the last moment that still jumps; negative: too late."""
    smallest_attempt_ps: int
    """Smallest attempt period with which the loop closes at every node."""
    click_from_t0_ps: int
    """From T0 to the opening of window 0 of round 0 at the click's tag."""


def through(lab: Lab, end: str) -> int | None:
    """Delay of the wire into an input; None where no wire reaches it."""
    wire = lab.into(end)
    return None if wire is None else wire.delay_ps


def link_timing(lab: Lab, link: Link, offsets: dict[str, NodeOffsets]) -> LinkTiming:
    """The offsets of a link's round.

    Args:
        lab: the lab.
        link: the link.
        offsets: of each node's sequence.

    Raises:
        TimingError: the herald can't be back in time (the text gives the smallest legal attempt period), or the
            nodes' fibres differ by more than the branch slot has room for.
    """
    mid = link.via
    detector, logic = _element(lab, mid, "detector"), _element(lab, mid, HERALD_LOGIC[link.protocol])
    pulser = f"{mid}.{_name(lab, mid, 'pulse_sequencer')}"
    tagger = f"{mid}.{_name(lab, mid, 'time_controller')}"
    trigger_ps: dict[str, int] = {}
    at_detector: dict[str, int] = {}
    for node in link.between:
        pps = _needed(lab, f"{node}.{_name(lab, node, 'pulse_sequencer')}.trigger")
        trigger_ps[node] = pps + offsets[node].trigger_edge_ps
        flight = _photon_ps(lab, node, detector)
        at_detector[node] = trigger_ps[node] + offsets[node].optical_centre_ps + flight
    photons_ps = max(at_detector.values())
    lead = {node: _tick(photons_ps - at_detector[node]) for node in link.between}
    click_logic, click_tag = _delay(lab, f"{detector}.out", logic), _delay(lab, f"{detector}.out", tagger)
    pps = _needed(lab, f"{pulser}.trigger")
    mid_trigger = (photons_ps + click_logic - pps - GATE_LEAD_PS) // NS * NS
    if mid_trigger < 0:
        raise TimingError(
            f"link {link.name}: photons reach {mid} {photons_ps / 1e6:g} us after the start, before its first gate",
            hint="make charge_check_us at least 1",
        )
    sync_tag = _needed(lab, f"{tagger}.in3")
    click_open = photons_ps + click_tag - (pps + mid_trigger + sync_tag)
    latency = round(lab.elements()[logic].latency_ns * 1e3)
    fires = photons_ps + click_logic + latency + rules_of(link.protocol).last_window_ps
    own_line = through(lab, f"{tagger}.in4")
    line_open = fires + (own_line or 0) - (pps + mid_trigger + sync_tag)
    node_line: dict[str, int] = {}
    sync_from_pps: dict[str, int] = {}
    slack: dict[str, int] = {}
    smallest = 0
    for node in link.between:
        tag_in = f"{node}.{_name(lab, node, 'time_tagger')}"
        edge = trigger_ps[node] + lead[node]
        sync_wire = through(lab, f"{tag_in}.in2") or 0
        node_line[node] = fires + (through(lab, f"{tag_in}.in3") or 0) - (edge + sync_wire)
        sync_from_pps[node] = edge + sync_wire - (through(lab, f"{tag_in}.in4") or 0)
        event = through(lab, f"{node}.{_name(lab, node, 'awg')}.event")
        latest = fires + (event or 0) + link.detection_window_ps + offsets[node].event_setup_ps
        needed = latest - (edge + offsets[node].attempts_start_ps)
        slack[node] = link.attempt_period_ps - needed
        smallest = max(smallest, needed)
    timing = LinkTiming(
        lead_ps=lead,
        branch_ps=round(link.round.branch_us * 1e6) - _round_up(max(lead.values()) + REARM_PS, 1_000_000),
        midpoint_trigger_ps=mid_trigger,
        gate_ps=photons_ps + click_logic - pps - mid_trigger,
        recording_ps=GATE_LEAD_PS + link.round.attempts * link.attempt_period_ps + RECORDING_TAIL_PS,
        click_open_ps=click_open,
        line_open_ps=line_open,
        node_line_open_ps=node_line,
        sync_from_pps_ps=sync_from_pps,
        slack_ps=slack,
        smallest_attempt_ps=_round_up(smallest, NS),
        click_from_t0_ps=photons_ps + click_tag,
    )
    _check(link, timing)
    return timing


def _check(link: Link, timing: LinkTiming) -> None:
    late = [node for node, slack in timing.slack_ps.items() if slack < 0]
    if late:
        raise TimingError(
            f"link {link.name}: the herald line is back at {' and '.join(late)} after the attempt of "
            f"{link.attempt_period_us:g} us has ended",
            hint=f"the smallest legal attempt_period_us is {timing.smallest_attempt_ps / 1e6:g}",
            smallest_attempt_period_us=timing.smallest_attempt_ps / 1e6,
        )
    if rules_of(link.protocol).windows > 1 and link.detection_window_ps > LONGEST_WINDOW_PS:
        raise TimingError(
            f"link {link.name}: the first window of {link.detection_window_ns:g} ns is still open when the microwave pi "
            f"begins",
            hint=f"make detection_window_ns at most {LONGEST_WINDOW_PS / 1e3:g}",
        )
    if timing.branch_ps <= 0:
        raise TimingError(
            f"link {link.name}: branch_us {link.round.branch_us:g} leaves no room for the nodes' different fibres",
            hint=f"make branch_us larger than {(max(timing.lead_ps.values()) + REARM_PS) / 1e6:g}",
        )
    end = timing.midpoint_trigger_ps + timing.recording_ps
    if end > link.round_period_ps:
        missing_us = (end - link.round_period_ps) / 1e6
        raise TimingError(
            f"link {link.name}: the last photons of a round arrive after the midpoint's round has ended",
            hint=f"make branch_us larger by {missing_us:g}",
        )


def _name(lab: Lab, site: str, role: str) -> str:
    return lab.sites[site].by_role(role)  # type: ignore[arg-type]


def _needed(lab: Lab, end: str) -> int:
    """Delay into an input; 0 where the wire is missing (the effect will be missing too, and is reported there)."""
    return through(lab, end) or 0


def _element(lab: Lab, site: str, kind: str) -> str:
    """The first element of a kind at a site, by name."""
    names = sorted(n for n, e in lab.elements().items() if e.kind == kind and n.startswith(f"{site}."))
    if not names:
        raise TimingError(
            f"{site} has no element of the kind {kind}",
            hint=f"add `{{element: {site}.NAME, kind: {kind}}}` to `wires:`",
        )
    return names[0]


def _delay(lab: Lab, output: str, thing: str) -> int:
    """Delay from an output to an input of a thing; 0 where no wire joins them."""
    for wire in lab.out_of(output):
        if any(end.rpartition(".")[0] == thing for end in wire.ends):
            return wire.delay_ps
    return 0


def _photon_ps(lab: Lab, node: str, detector: str) -> int:
    """From a node's emitter through fibre and beam splitter to a detector's input."""
    fibre = lab.out_of(f"{_element(lab, node, 'emitter')}.zero_phonon_line")
    return (fibre[0].delay_ps if fibre else 0) + _needed(lab, f"{detector}.in")


def _tick(value_ps: int) -> int:
    return round(value_ps / NS) * NS


def _round_up(value_ps: int, unit_ps: int) -> int:
    return -(-value_ps // unit_ps) * unit_ps
