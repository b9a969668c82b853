"""Bytes as the time controller sends them, made by hand, to columns and heralds."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from _plans import a_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.roles import RawTags, RecordingStatus
from qnode.errors import InstrumentError
from qnode.heralds import ColumnArrays, Decision, Engine, Herald, LinkTiming, Plan, Reason, most_credit_rounds

NS = 1_000
N, ATTEMPT, ROUND, WINDOW = 4, 1_000 * NS, 10_000 * NS, 25 * NS
CLICK_OPEN, LINE_OPEN, CLICK_FROM_T0 = 980 * NS, 1_090 * NS, 103_083 * NS
DET1, DET2, SYNC, LINE = 1, 2, 3, 4

TIMING = LinkTiming(
    lead_ps={},
    branch_ps=0,
    midpoint_trigger_ps=0,
    gate_ps=0,
    recording_ps=0,
    click_open_ps=CLICK_OPEN,
    line_open_ps=LINE_OPEN,
    node_line_open_ps={},
    sync_from_pps_ps={},
    slack_ps={},
    smallest_attempt_ps=0,
    click_from_t0_ps=CLICK_FROM_T0,
)

Tag = tuple[int, int, int]
"""Input, round, picoseconds after the round's sync."""


def plan(rounds: int = 12) -> Plan:
    return a_plan(rounds=rounds, attempts=N, round_period_ps=ROUND, attempt_period_ps=ATTEMPT)


def engine(rounds: int = 12, psi_plus_on: str = "det1") -> Engine:
    return Engine(plan(rounds), TIMING, WINDOW, psi_plus_on)


def sync(round_: int) -> Tag:
    return SYNC, round_, 0


def click(channel: int, round_: int, attempt: int, offset_ps: int = 0) -> Tag:
    return channel, round_, CLICK_OPEN + attempt * ATTEMPT + offset_ps


def line(round_: int, attempt: int, offset_ps: int = 0) -> Tag:
    return LINE, round_, LINE_OPEN + attempt * ATTEMPT + offset_ps


def stamped(tags: Iterable[Tag], *, absolute: bool) -> dict[int, bytes]:
    """One stream an input: u64 pairs. Absolute stamps count from the first START, others from each."""
    streams = dict.fromkeys((DET1, DET2, SYNC, LINE), b"")
    for channel, round_, rel in sorted(tags, key=lambda tag: (tag[1], tag[2])):
        start = 20 * NS + (round_ * ROUND if absolute else 0)
        streams[channel] += struct.pack("<QQ", round_, start + rel)
    return streams


def feed(to: Engine, streams: dict[int, bytes]) -> None:
    to.feed([RawTags("idq_u64_ref", data, channel) for channel, data in streams.items()])


def decided(tags: Iterable[Tag], rounds: int, *, absolute: bool = True, psi_plus_on: str = "det1") -> Decision:
    it = engine(rounds, psi_plus_on)
    feed(it, stamped(tags, absolute=absolute))
    return it.decide(rounds)


def rows(column: ColumnArrays) -> list[tuple[int, int, int]]:
    return list(zip(column.attempt.tolist(), column.pattern.tolist(), column.mask.tolist(), strict=True))


BY_HAND: list[tuple[list[Tag], tuple[int, int, int]]] = [
    ([sync(0)], (-1, 0, 0)),
    ([sync(1), click(DET1, 1, 2, 3 * NS), line(1, 2, 3 * NS)], (2, 1, 0)),
    ([sync(2), click(DET2, 2, 0), line(2, 0)], (0, 2, 0)),
    # Both detectors in one window: vetoed by whoever settles, no herald.
    ([sync(3), click(DET2, 3, 1, 9 * NS), click(DET1, 3, 1, 4 * NS), line(3, 1, 4 * NS)], (1, 3, 0)),
    # Just before a window, and just at its end.
    ([sync(4), click(DET1, 4, 1, -1), click(DET1, 4, 2, WINDOW)], (-1, 0, 0)),
    # Only the first pattern counts, whatever the order of detectors.
    ([sync(5), click(DET1, 5, 3), click(DET2, 5, 1, WINDOW - 1), line(5, 1, WINDOW - 1)], (1, 2, 0)),
    # The line says another attempt than the clicks.
    ([sync(6), click(DET1, 6, 1), line(6, 2)], (-1, 0, Reason.LINE_DIFFERS)),
    ([click(DET1, 7, 1), line(7, 1)], (-1, 0, Reason.TAG_GAP)),
    ([sync(8), (SYNC, 8, 5_000 * NS), click(DET1, 8, 1), line(8, 1)], (-1, 0, Reason.TAG_GAP)),
    ([sync(9), line(9, 0)], (-1, 0, Reason.LINE_DIFFERS)),
    ([sync(10), click(DET2, 10, 3)], (-1, 0, Reason.LINE_DIFFERS)),
    # Two clicks of one detector in a window are one click.
    ([sync(11), click(DET1, 11, 3, 1 * NS), click(DET1, 11, 3, 2 * NS), line(11, 3, 1 * NS)], (3, 1, 0)),
]


@pytest.mark.parametrize("absolute", [True, False])
def test_rounds_by_hand(absolute):
    decision = decided([tag for tags, _ in BY_HAND for tag in tags], 12, absolute=absolute)
    assert rows(decision.column) == [row for _, row in BY_HAND]
    assert decision.column.first_round == 0
    expected = [
        (1, 2, 1, "psi+", 3 * NS),
        (2, 0, 2, "psi-", 0),
        (5, 1, 2, "psi-", WINDOW - 1),
        (11, 3, 1, "psi+", NS),
    ]
    clicks = [
        Herald(
            plan_id="00000000000000aa",
            round=round_,
            attempt=attempt,
            pattern=pattern,
            bell=bell,
            click_ps=103_083_000 + round_ * 10_000_000 + attempt * 1_000_000 + offset,
            valid_until_ps=10_000_103_083_000 + round_ * 10_000_000 + attempt * 1_000_000 + offset,
        )
        for round_, attempt, pattern, bell, offset in expected
    ]
    assert decision.heralds == clicks


def test_the_other_detector_may_be_the_one_of_psi_plus():
    tags = [sync(0), click(DET1, 0, 0), line(0, 0), sync(1), click(DET2, 1, 0), line(1, 0)]
    heralds = decided(tags, 2, psi_plus_on="det2").heralds
    assert [(herald.pattern, herald.bell) for herald in heralds] == [(1, "psi-"), (2, "psi+")]


@pytest.mark.parametrize(
    ("offset_ps", "seen"),
    [(-5_000, True), (-5_001, False), (0, True), (WINDOW + 4_999, True), (WINDOW + 5_000, False)],
)
def test_the_lines_tag_may_lie_five_nanoseconds_outside_its_window(offset_ps, seen):
    decision = decided([sync(0), click(DET1, 0, 1), line(0, 1, offset_ps)], 1)
    assert rows(decision.column) == [(1, 1, 0) if seen else (-1, 0, Reason.LINE_DIFFERS)]
    assert len(decision.heralds) == seen


def test_only_the_first_line_of_a_round_is_compared():
    decision = decided([sync(0), click(DET1, 0, 1), line(0, 1), line(0, 3)], 1)
    assert rows(decision.column) == [(1, 1, 0)]


def status(acquisitions: dict[int, int], timestamps: dict[int, int]) -> RecordingStatus:
    return RecordingStatus(acquisitions, timestamps, recording=True)


def test_rounds_are_complete_when_every_input_has_finished_them_and_every_stamp_is_here():
    it = engine(rounds=5)
    assert it.inputs == (1, 2, 3, 4)
    streams = stamped([sync(0), sync(1), sync(2), click(DET1, 1, 0), line(1, 0)], absolute=True)
    counts = {1: 1, 2: 0, 3: 3, 4: 1}
    assert it.complete(status({}, {})) == 0
    assert it.complete(status({1: 3, 2: 3, 3: 3, 4: 3}, counts)) == 0, "nothing has arrived"
    feed(it, {**streams, SYNC: streams[SYNC][:-1]})
    assert it.complete(status({1: 3, 2: 3, 3: 3, 4: 3}, counts)) == 0, "one stamp is cut"
    feed(it, {SYNC: streams[SYNC][-1:]})
    assert it.complete(status({1: 3, 2: 2, 3: 3, 4: 3}, counts)) == 2
    assert it.complete(status({1: 3, 2: 3, 3: 3, 4: 3}, counts)) == 3
    assert it.complete(status({1: 9, 2: 9, 3: 9, 4: 9}, counts)) == 5, "a plan has no more rounds"
    it.decide(2)
    assert it.complete(status({1: 3, 2: 3, 3: 3, 4: 3}, {**counts, 2: 1})) == 2


def test_nothing_at_all_is_a_range_of_tag_gaps():
    it = engine()
    decision = it.decide(3)
    assert rows(decision.column) == [(-1, 0, Reason.TAG_GAP)] * 3
    assert (decision.heralds, it.decided) == ([], 3)


def test_what_comes_for_decided_rounds_changes_nothing():
    it = engine()
    feed(it, stamped([sync(0), sync(1)], absolute=True))
    it.decide(1)
    feed(it, stamped([click(DET1, 0, 0), line(0, 0)], absolute=True))
    assert rows(it.decide(2).column) == [(-1, 0, 0)]


@pytest.mark.parametrize(("form", "channel"), [("idq_u64", 1), ("idq_u64_ref", 7)])
def test_tags_of_another_format_or_input_are_refused(form, channel):
    with pytest.raises(InstrumentError, match=f"{form} of input {channel}"):
        engine().feed([RawTags(form, b"", channel)])


# --- any data, any chunks -------------------------------------------------------------------------------------------

ROUNDS = 12
events = st.lists(
    st.one_of(
        st.tuples(st.just(SYNC), st.integers(0, ROUNDS - 1), st.integers(1, 900 * NS)),
        st.builds(
            click,
            st.sampled_from([DET1, DET2]),
            st.integers(0, ROUNDS - 1),
            st.integers(0, N),
            st.integers(-9 * NS, 30 * NS),
        ),
        st.builds(line, st.integers(0, ROUNDS - 1), st.integers(0, N), st.integers(-9 * NS, 34 * NS)),
        st.integers(0, ROUNDS - 1).flatmap(
            lambda r: st.integers(0, N - 1).map(lambda a: ("herald", r, a))  # a click with its own line
        ),
    ),
    max_size=30,
)
missing_syncs = st.sets(st.integers(0, ROUNDS - 1), max_size=2)


def tags_of(drawn: list[tuple[str | int, int, int]], without: set[int]) -> list[Tag]:
    tags = [sync(round_) for round_ in range(ROUNDS) if round_ not in without]
    for what, round_, value in drawn:
        if what == "herald":
            tags += [click(DET1, round_, value), line(round_, value)]
        else:
            tags.append((int(what), round_, value))
    return tags


def oracle(tags: list[Tag]) -> list[tuple[int, int, int]]:
    """The rules of a round, tag by tag."""
    result = []
    for round_ in range(ROUNDS):
        mine = sorted((rel, channel) for channel, r, rel in tags if r == round_)
        syncs = [rel for rel, channel in mine if channel == SYNC]
        if len(syncs) != 1:
            result.append((-1, 0, int(Reason.TAG_GAP)))
            continue
        seen: dict[int, int] = {}
        lines = []
        for rel, channel in mine:
            for attempt in range(N):
                since_click = rel - syncs[0] - CLICK_OPEN - attempt * ATTEMPT
                since_line = rel - syncs[0] - LINE_OPEN - attempt * ATTEMPT
                if channel in (DET1, DET2) and 0 <= since_click < WINDOW:
                    seen[attempt] = seen.get(attempt, 0) | channel
                if channel == LINE and -5_000 <= since_line < WINDOW + 5_000:
                    lines.append(attempt)
        first = min(seen, default=-1)
        if first != min(lines, default=-1):
            result.append((-1, 0, int(Reason.LINE_DIFFERS)))
        else:
            result.append((first, seen.get(first, 0), 0))
    return result


@settings(max_examples=60, deadline=None)
@given(
    events,
    missing_syncs,
    st.sets(st.integers(1, ROUNDS - 1), max_size=4),
    st.lists(st.integers(1, 70), min_size=1, max_size=9),
    st.booleans(),
)
def test_any_chunks_and_ranges_give_what_the_rules_say(drawn, without, cuts, sizes, absolute):
    tags = tags_of(drawn, without)
    streams = stamped(tags, absolute=absolute)
    it = engine(ROUNDS)
    given_out = dict.fromkeys(streams, 0)
    parts, heralds, turn = [], [], 0
    for stop in (*sorted(cuts), ROUNDS):
        for channel, data in streams.items():
            needed = 16 * sum(1 for c, round_, _ in tags if c == channel and round_ < stop)
            while given_out[channel] < needed:
                size = sizes[turn % len(sizes)]
                turn += 1
                chunk = data[given_out[channel] : given_out[channel] + size]
                it.feed([RawTags("idq_u64_ref", chunk, channel)])
                given_out[channel] += len(chunk)
        decision = it.decide(stop)
        parts.append(decision.column)
        heralds += decision.heralds
    expected = oracle(tags)
    assert rows(ColumnArrays.joined(parts)) == expected
    assert [(h.round, h.attempt, h.pattern) for h in heralds] == [
        (round_, attempt, pattern) for round_, (attempt, pattern, _) in enumerate(expected) if pattern in (1, 2)
    ]


def test_numba_and_numpy_decide_the_same(monkeypatch):
    rng = np.random.default_rng(7)
    count = 400
    tags: list[Tag] = [sync(round_) for round_ in range(count) if round_ % 17]
    for round_ in range(count):
        for _ in range(rng.integers(0, 4)):
            attempt, offset = int(rng.integers(0, N)), int(rng.integers(-5 * NS, 30 * NS))
            tags.append(click(int(rng.integers(1, 3)), round_, attempt, offset))
            if rng.random() < 0.8:
                tags.append(line(round_, attempt, offset))
    outcomes = []
    for backend in ("numba", "numpy"):
        monkeypatch.setenv("QNODE_TAGS_BACKEND", backend)
        outcomes.append(decided(tags, count))
    numba, numpy = outcomes
    assert rows(numba.column) == rows(numpy.column)
    assert numba.heralds == numpy.heralds
    assert len(numba.heralds) > 50
    for field in ("attempt", "pattern", "mask"):
        assert getattr(numba.column, field).dtype == getattr(numpy.column, field).dtype


# --- double click ---------------------------------------------------------------------------------------------------

APART = 500 * NS


def double(rounds: int) -> Engine:
    timing = dataclasses.replace(TIMING, line_open_ps=LINE_OPEN + APART)
    return Engine(msgspec.structs.replace(plan(rounds), protocol="double_click"), timing, WINDOW, "det2")


def late(channel: int, round_: int, attempt: int, offset_ps: int = 0) -> Tag:
    """A click in the second window; of the line: what that click fires."""
    _, round_, rel = (
        line(round_, attempt, offset_ps) if channel == LINE else click(channel, round_, attempt, offset_ps)
    )
    return channel, round_, rel + APART


DOUBLE_BY_HAND: list[tuple[list[Tag], tuple[int, int, int]]] = [
    ([], (-1, 0, 0)),
    # One click in each window: the same detector, then different ones.
    ([click(DET1, 1, 2, 9), late(DET1, 1, 2, 3), late(LINE, 1, 2, 3)], (2, 0b0101, 0)),
    ([click(DET2, 2, 0), late(DET2, 2, 0, 7), late(LINE, 2, 0, 7)], (0, 0b1010, 0)),
    ([click(DET1, 3, 1), late(DET2, 3, 1, WINDOW - 1), late(LINE, 3, 1, WINDOW - 1)], (1, 0b1001, 0)),
    ([click(DET2, 4, 3, WINDOW - 1), late(DET1, 4, 3), late(LINE, 4, 3)], (3, 0b0110, 0)),
    # Clicks in one window only are nothing, also in windows of two attempts, and a herald may follow them.
    ([click(DET1, 5, 0), late(DET1, 5, 1), click(DET2, 5, 2), click(DET1, 5, 2)], (-1, 0, 0)),
    ([late(DET2, 6, 0), click(DET1, 6, 1), click(DET1, 6, 3), late(DET1, 6, 3, 5), late(LINE, 6, 3, 5)], (3, 5, 0)),
    # Both in a window and one in the other: the latch fired, no herald.
    ([click(DET1, 7, 1), click(DET2, 7, 1, 4), late(DET1, 7, 1), late(LINE, 7, 1)], (1, 0b0111, 0)),
    ([click(DET2, 8, 1), late(DET2, 8, 1, 4), late(DET1, 8, 1, 2), late(LINE, 8, 1, 2)], (1, 0b1110, 0)),
    # Just outside the second window; a line without a pattern; a pattern without a line.
    ([click(DET1, 9, 1), late(DET1, 9, 1, WINDOW)], (-1, 0, 0)),
    ([click(DET1, 10, 1), late(LINE, 10, 1)], (-1, 0, Reason.LINE_DIFFERS)),
    ([click(DET1, 11, 1), late(DET1, 11, 1)], (-1, 0, Reason.LINE_DIFFERS)),
]


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_double_click_by_hand(monkeypatch, backend):
    monkeypatch.setenv("QNODE_TAGS_BACKEND", backend)
    it = double(12)
    tags = [sync(round_) for round_ in range(12)] + [tag for mine, _ in DOUBLE_BY_HAND for tag in mine]
    feed(it, stamped(tags, absolute=True))
    decision = it.decide(12)
    assert rows(decision.column) == [row for _, row in DOUBLE_BY_HAND]
    # The click that fired the line dates the herald: 500 ns after the opening of the first window, and its offset.
    assert [(h.round, h.attempt, h.pattern, h.bell, h.click_ps) for h in decision.heralds] == [
        (1, 2, 5, "psi+", 103_583_000 + 10_000_000 + 2_000_000 + 3),
        (2, 0, 10, "psi+", 103_583_000 + 20_000_000 + 7),
        (3, 1, 9, "psi-", 103_583_000 + 30_000_000 + 1_000_000 + 24_999),
        (4, 3, 6, "psi-", 103_583_000 + 40_000_000 + 3_000_000),
        (6, 3, 5, "psi+", 103_583_000 + 60_000_000 + 3_000_000 + 5),
    ]
    # All clicks inside windows, of both windows.
    detected = [tag for tag in tags if tag[0] in (DET1, DET2)]
    assert len(decision.offsets_ps) == len(detected) - 1


def test_rounds_without_their_sync_are_gaps_of_the_tags_and_no_others() -> None:
    tags = decided([sync(0), click(DET1, 1, 1), sync(3), (SYNC, 5, 0), (SYNC, 5, 7 * NS)], 6).tags
    assert tags.t_ps.tolist() == [0, 3 * ROUND]
    assert tags.gaps.tolist() == [[ROUND, 3 * ROUND], [4 * ROUND, 6 * ROUND]]
    assert not len(decided([sync(0), sync(1)], 2).tags.gaps)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([DET1, DET2]), st.integers(0, 5), st.integers(0, N - 1), st.booleans(), st.integers(0, 24)
        ),
        max_size=40,
    ),
    st.integers(1, 5),
)
def test_double_click_of_any_clicks_is_what_a_latch_does(drawn, cut):
    """The latch tag by tag gives the line; the engine must agree with it in every round."""
    tags = [sync(round_) for round_ in range(6)]
    tags += [(late if second else click)(channel, r, a, off * NS) for channel, r, a, second, off in drawn]
    expected = []
    for round_ in range(6):
        fired = (-1, 0, 0)
        for attempt in range(N):
            seen = [(c, second, off) for c, r, a, second, off in drawn if (r, a) == (round_, attempt)]
            firsts, seconds = ({c for c, second, _ in seen if second == which} for which in (False, True))
            if firsts and seconds:
                fired = (attempt, sum(firsts) + 4 * sum(seconds), 0)
                tags.append(late(LINE, round_, attempt, min(off for _, second, off in seen if second) * NS))
                break
        expected.append(fired)
    it = double(6)
    feed(it, stamped(tags, absolute=False))
    parts = [it.decide(cut), it.decide(6)]
    assert rows(ColumnArrays.joined([part.column for part in parts])) == expected
    assert [h.pattern for part in parts for h in part.heralds] == [p for _, p, _ in expected if p in (5, 6, 9, 10)]


# --- credit ---


@pytest.mark.parametrize("period_ps", [1_495_000 * NS, 10_120_000 * NS, 4_000_000_000 * NS])
def test_the_largest_credit_makes_no_herald_late(period_ps: int) -> None:
    """Lab time runs to the end of the credit, a round more, and a second at the end of a plan; heralds live 10 s."""
    rounds = most_credit_rounds(period_ps)
    assert rounds >= 1
    assert (rounds + 1) * period_ps + 10**12 < 10 * 10**12
    assert most_credit_rounds(1_495_000 * NS) >= 1024
