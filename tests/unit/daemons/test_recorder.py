"""A node's record of its rounds from tags that were made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from _plans import a_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.daemons._recorder import NodeRecorder, PpsError, PpsLabels, ShotCounter
from qnode.heralds import ColumnArrays, NodeRow, NodeWindows, Plan, Reason
from qnode.tags import TagBlock

NS, US, S = 1_000, 1_000_000, 10**12
PHOTON, SYNC, LINE, PPS = 1, 2, 3, 4

N, ATTEMPT, ROUND = 4, 1 * US, 10 * US
WINDOWS = NodeWindows(
    charge_open_ps=-2 * US,
    charge_close_ps=-500 * NS,
    line_open_ps=700 * NS,
    line_width_ps=25 * NS,
    readout_open_ps=100 * NS,
    readout_close_ps=400 * NS,
)
T0, FIRST = 1 * US, 4 * US
"""The pulse of second 1000, and the first round sync."""

Tag = tuple[int, int]
"""Time in ps, input."""


def plan(rounds: int = 10, period_ps: int = ROUND) -> Plan:
    return a_plan(
        rounds=rounds, attempts=N, round_period_ps=period_ps, attempt_period_ps=ATTEMPT, bases={"alice": "XYZ"}
    )


def labelled(*pulses_ps: int) -> PpsLabels:
    labels = PpsLabels()
    labels.feed(np.array(pulses_ps[:1], np.int64), 1000.1)
    labels.feed(np.array(pulses_ps[1:], np.int64), 0.0)
    return labels


def recorder(
    rounds: int = 10,
    *,
    windows: NodeWindows = WINDOWS,
    labels: PpsLabels | None = None,
    first_sync_ps: int = FIRST,
    period_ps: int = ROUND,
) -> NodeRecorder:
    return NodeRecorder(
        plan(rounds, period_ps),
        "alice",
        windows,
        labels or labelled(T0),
        first_sync_ps=first_sync_ps,
        charge_threshold=2,
        readout_threshold=2,
        signs={"X": 1, "Y": -1, "Z": 1},
    )


def block(tags: list[Tag], gaps: list[tuple[int, int]] | None = None) -> TagBlock:
    ordered = sorted(tags)
    return TagBlock.from_arrays([t for t, _ in ordered], [c for _, c in ordered], gaps=gaps or None)


def sync_of(round_: int) -> int:
    return FIRST + round_ * ROUND


def a_round(round_: int, attempt: int | None = None, *, charge: int = 5, readout: int = 0) -> list[Tag]:
    """Tags of a healthy round; the line 3 ns into its window."""
    at = sync_of(round_)
    tags = [(at, SYNC), *((at - 1_900 * NS + i * 10 * NS, PHOTON) for i in range(charge))]
    if attempt is not None:
        tags.append((at + 703 * NS + attempt * ATTEMPT, LINE))
        branch = at + (attempt + 1) * ATTEMPT
        tags += [(branch + 150 * NS + i * 10 * NS, PHOTON) for i in range(readout)]
    return tags


def recorded(
    tags: list[Tag], rounds: int, *, gaps: list[tuple[int, int]] | None = None, it: NodeRecorder | None = None
) -> tuple[list[tuple[int, int]], list[NodeRow]]:
    it = it or recorder(rounds)
    it.feed(block(tags, gaps), 10**9)
    column, node_rows = it.record(rounds)
    assert column.first_round == 0
    assert not column.pattern.any()
    return list(zip(column.attempt.tolist(), column.mask.tolist(), strict=True)), node_rows


# --- rounds ---------------------------------------------------------------------------------------------------------


def test_rounds_by_hand():
    tags = [
        *a_round(0),
        *a_round(1, 2, readout=2),
        *a_round(2, 0, readout=1),
        *a_round(3, 3, charge=2),
        *a_round(4, 1, readout=3),
        *a_round(5),
    ]
    column, node_rows = recorded(tags, 6)
    assert column == [(-1, 0), (2, 0), (0, 0), (3, 0), (1, 0), (-1, 0)]
    assert node_rows == [
        # Round 1 is read in Y, whose sign is -1: bright is -1. Then Z dark, X dark, Y bright.
        NodeRow(1, 2, "Y", 5, 2, True, -1),
        NodeRow(2, 0, "Z", 5, 1, False, -1),
        NodeRow(3, 3, "X", 2, 0, False, -1),
        NodeRow(4, 1, "Y", 5, 3, True, -1),
    ]


def test_a_dark_spin_has_the_other_sign():
    _, node_rows = recorded([*a_round(0), *a_round(1, 0)], 2)
    assert [(row.basis, row.bright, row.outcome) for row in node_rows] == [("Y", False, 1)]


@pytest.mark.parametrize(
    ("photons_ns", "mask"),
    [
        ([-1_900, -1_800], 0),
        ([-1_900], Reason.CHARGE),
        ([], Reason.CHARGE),
        # The slot is half open.
        ([-2_000, -501], 0),
        ([-1_900, -500], Reason.CHARGE),
        ([-2_001, -1_900], Reason.CHARGE),
    ],
)
def test_too_few_photons_of_the_charge_check_mask_a_round(photons_ns, mask):
    tags = [*a_round(0), *a_round(1, 2, charge=0, readout=2)]
    tags += [(sync_of(1) + ns * NS, PHOTON) for ns in photons_ns]
    column, node_rows = recorded(tags, 2)
    assert column == [(-1, 0), (2, mask)]
    assert [row.round for row in node_rows] == [1], "a masked round keeps its row"


@pytest.mark.parametrize(
    ("offset_ns", "counted"), [(99, False), (100, True), (399, True), (400, False)]
)  # fmt: skip
def test_the_readout_window_is_half_open_and_begins_with_the_branch(offset_ns, counted):
    tags = [*a_round(0, 1), (sync_of(0) + 2 * ATTEMPT + offset_ns * NS, PHOTON)]
    _, (row,) = recorded(tags, 1)
    assert row.readout_counts == int(counted)


@pytest.mark.parametrize(
    ("offset_ps", "seen"),
    [(-10 * NS, True), (-10 * NS - 1, False), (25 * NS, True), (35 * NS - 1, True), (35 * NS, False)],
)
def test_the_lines_tag_may_lie_ten_nanoseconds_outside_its_window(offset_ps, seen):
    tags = [*a_round(0), (sync_of(0) + 700 * NS + 2 * ATTEMPT + offset_ps, LINE)]
    column, node_rows = recorded(tags, 1)
    assert column == [(2 if seen else -1, 0)]
    assert len(node_rows) == seen


def test_the_first_line_of_a_round_ends_it_and_a_line_before_the_first_sync_is_nobodys():
    tags = [(FIRST - 9 * US, LINE), *a_round(0, 1), (sync_of(0) + 703 * NS + 3 * ATTEMPT, LINE)]
    column, _ = recorded(tags, 1)
    assert column == [(1, 0)]


@pytest.mark.parametrize(
    ("gap", "touched"),
    [
        ((sync_of(1) + 3 * US, sync_of(1) + 3 * US + 1), [1]),
        # Rounds go from the opening of their charge slot to the next one's: 2 us before the syncs.
        ((sync_of(0), sync_of(1) - 2 * US), [0]),
        ((sync_of(0), sync_of(1) - 2 * US + 1), [0, 1]),
        ((sync_of(2) - 2 * US, sync_of(2) - 2 * US + 1), [2]),
        ((sync_of(2) - 2 * US - 1, sync_of(9)), [1, 2]),
    ],
)
def test_a_tag_gap_masks_every_round_that_it_touches(gap, touched):
    tags = [*a_round(0, charge=0), *a_round(1, 1), *a_round(2)]
    column, _ = recorded(tags, 3, gaps=[gap])
    assert [round_ for round_, (_, mask) in enumerate(column) if mask == Reason.TAG_GAP] == touched
    assert [attempt for attempt, _ in column] == [-1, 1, -1]


def moved_sync(by_ps: int) -> list[Tag]:
    """Three rounds, of which the middle one comes late as a whole."""
    late = [(t + by_ps, c) for t, c in a_round(1, 2, readout=2)]
    return [*a_round(0), *late, *a_round(2)]


def without_sync(round_: int) -> list[Tag]:
    return [tag for tag in moved_sync(0) if tag != (sync_of(round_), SYNC)]


@pytest.mark.parametrize(
    ("tags", "masked"),
    [
        (moved_sync(20 * NS), []),
        (moved_sync(-20 * NS), []),
        (moved_sync(20 * NS + 1), [1]),
        (moved_sync(-20 * NS - 1), [1]),
        (without_sync(0), [0]),
        (without_sync(1), [1]),
        (without_sync(2), [2]),
        ([*moved_sync(0), (sync_of(1) + 5 * US, SYNC)], [1]),
        ([*moved_sync(0), (sync_of(1) - 1 * US, SYNC)], [1]),
        ([*moved_sync(0), (sync_of(0) + 10 * NS, SYNC)], [0]),
        # Before the first charge slot, when nothing of the plan plays.
        ([*moved_sync(0), (sync_of(0) - 2 * US - 1, SYNC)], []),
        ([tag for tag in moved_sync(0) if tag[1] != SYNC], [0, 1, 2]),
    ],
)
def test_a_missing_stray_or_shifted_sync_masks_its_round(tags, masked):
    column, _ = recorded(tags, 3)
    assert [mask for _, mask in column] == [Reason.CLOCK_FAULT if r in masked else 0 for r in range(3)]


def test_windows_count_from_the_rounds_own_sync():
    # 15 ns late as a whole, the line at the very end of its tolerance after its own sync.
    tags = [(t + 15 * NS, c) for t, c in a_round(0)] + [(sync_of(0) + 15 * NS + 735 * NS - 1, LINE)]
    assert recorded(tags, 1)[0] == [(0, 0)]


def test_clock_fault_outranks_charge_and_a_tag_gap_both():
    labels = labelled(T0, T0 + S // 2)
    it = recorder(2, labels=labels, first_sync_ps=T0 + S // 2 + 3 * US)
    gap = (it._end_of_round(0), it._end_of_round(0) + 1)
    column, _ = recorded([(T0 + S // 2 + 3 * US, SYNC)], 2, it=it, gaps=[gap])
    assert [mask for _, mask in column] == [Reason.CLOCK_FAULT, Reason.TAG_GAP]


def test_rounds_of_a_second_without_its_pulse_or_after_a_stray_one_are_masked():
    period = 400 * 10**9
    # Pulses at 0, 1, (2 missing), 3, a stray one at 4.3, 4, 5, 6 s after T0; rounds at 0.1 s + 0.4 s x k.
    labels = labelled(*(T0 + round(s * 10) * S // 10 for s in (0, 1, 3, 4, 4.3, 5, 6)))
    first = T0 + S // 10
    syncs = [first + k * period for k in range(16)]
    tags = [(t, SYNC) for t in syncs] + [(t - d * US, PHOTON) for t in syncs for d in (1, 2)]
    column, _ = recorded(tags, 16, it=recorder(16, labels=labels, first_sync_ps=first, period_ps=period))
    masked = [k for k, (_, mask) in enumerate(column) if mask]
    # At 2.1, 2.5, 2.9; and in 4.3 .. 5.3: 4.5, 4.9 (a round at 5.3 is just over).
    assert masked == [5, 6, 7, 11, 12]
    assert {column[k][1] for k in masked} == {Reason.CLOCK_FAULT}


NO_CHARGE_SLOT = NodeWindows(-100 * NS, -100 * NS, 700 * NS, 25 * NS, 100 * NS, 400 * NS)


def test_without_a_charge_slot_no_round_is_masked_for_its_charge_and_each_keeps_its_sync():
    it = recorder(3, windows=NO_CHARGE_SLOT)
    tags = [tag for round_ in range(3) for tag in a_round(round_, round_, charge=0)]
    it.feed(block(tags), 10**9)
    columns = [it.record(stop)[0] for stop in (1, 2, 3)]
    assert ColumnArrays.joined(columns).attempt.tolist() == [0, 1, 2]
    assert not ColumnArrays.joined(columns).mask.any()


def test_a_round_is_complete_when_the_next_charge_slot_has_begun():
    it = recorder(3)
    nothing = block([])
    # Round 0 ends 2 us before the sync of round 1.
    for horizon, complete in ((0, 0), (FIRST + 8 * US - 1, 0), (FIRST + 8 * US, 1), (FIRST + 18 * US - 1, 1)):
        it.feed(nothing, horizon)
        assert it.complete() == complete
    it.feed(nothing, FIRST)
    assert it.complete() == 1, "a horizon never goes back"
    it.feed(nothing, 10**9)
    assert it.complete() == 3, "a plan has no more rounds"


def test_nothing_at_all_masks_every_round():
    it = recorder(2)
    column, node_rows = it.record(2)
    assert column.attempt.tolist() == [-1, -1]
    assert column.mask.tolist() == [Reason.CHARGE, Reason.CHARGE]
    assert node_rows == []


ROUNDS = 8
anywhere = st.tuples(st.integers(0, (ROUNDS + 1) * ROUND), st.sampled_from([PHOTON, SYNC, LINE]))
healthy = st.builds(
    lambda round_, attempt, charge, readout: a_round(round_, attempt, charge=charge, readout=readout),
    st.integers(0, ROUNDS - 1),
    st.one_of(st.none(), st.integers(0, N - 1)),
    st.integers(0, 3),
    st.integers(0, 3),
)
gaps_drawn = st.lists(st.tuples(st.integers(0, ROUNDS * ROUND), st.integers(1, 3 * US)), max_size=2)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(healthy, max_size=ROUNDS, unique_by=lambda tags: tags[0]),
    st.lists(anywhere, max_size=4),
    gaps_drawn,
    st.lists(st.integers(1, 12), min_size=1, max_size=6),
    st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_tags_in_any_pieces_give_the_same_record(rounds, extra, gaps, sizes, record_now):
    tags = sorted([tag for some in rounds for tag in some] + extra)
    holes = [(start, start + length) for start, length in gaps]
    whole = recorder(ROUNDS)
    whole.feed(block(tags, holes), 10**9)
    column, node_rows = whole.record(ROUNDS)

    it = recorder(ROUNDS)
    columns, pieces_rows, position, turn = [], [], 0, 0
    while position < len(tags) or it.recorded < ROUNDS:
        piece = tags[position : position + sizes[turn % len(sizes)]]
        position += len(piece)
        horizon = tags[position][0] if position < len(tags) else 10**9
        # A gap is told with the tags before which it begins.
        told = [hole for hole in holes if hole[0] <= horizon]
        holes = [hole for hole in holes if hole[0] > horizon]
        it.feed(block(piece, told), horizon)
        if (record_now[turn % len(record_now)] or horizon == 10**9) and it.complete() > it.recorded:
            part, some = it.record(it.complete())
            columns.append(part)
            pieces_rows += some
        turn += 1
    joined = ColumnArrays.joined(columns)
    assert joined.attempt.tolist() == column.attempt.tolist()
    assert joined.mask.tolist() == column.mask.tolist()
    assert pieces_rows == node_rows


# --- pulses per second ----------------------------------------------------------------------------------------------


def pulses(*seconds: float) -> np.ndarray:
    return np.array([round(s * 10**6) * 10**6 for s in seconds], np.int64)


def test_the_first_pulse_is_labelled_by_lab_time_the_others_by_counting():
    labels = PpsLabels()
    labels.feed(pulses(7.25), 1000.08)
    assert labels.last_label == 1000
    labels.feed(pulses(8.25, 9.25), 0.0)
    assert (labels.last_label, labels.last_ps, labels.faults) == (1002, 9_250_000_000_000, [])
    assert labels.tag_of(1002) == 9_250_000_000_000
    assert labels.tag_of(1005) == 12_250_000_000_000
    assert labels.tag_of(1000) == 7_250_000_000_000


def test_of_several_pulses_in_the_first_block_the_last_one_is_now():
    labels = PpsLabels()
    labels.feed(pulses(7, 8, 9), 1002.1)
    assert labels.last_label == 1002
    assert labels.tag_of(1000) == 7 * S


def test_missing_pulses_are_counted_over_and_told():
    labels = PpsLabels()
    labels.feed(pulses(1, 2), 1001.0)
    labels.feed(pulses(5), 1004.0)
    assert labels.last_label == 1004
    assert labels.faults == ["2 pulse(s) per second missing after 1001"]


@pytest.mark.parametrize(
    ("second", "says"), [(1.000001, "0.000001"), (1.3, "0.300000"), (2.000002, "1.000002"), (1.999998, "0.999998")]
)
def test_a_pulse_that_is_no_whole_second_after_the_last_is_stray_and_moves_no_label(second, says):
    labels = PpsLabels()
    labels.feed(pulses(1), 1000.0)
    labels.feed(pulses(second), 1001.0)
    assert (labels.last_label, labels.last_ps) == (1000, S)
    assert labels.faults == [f"a pulse per second came {says} s after the one of 1000"]
    labels.feed(pulses(3), 1002.0)
    assert labels.last_label == 1002


def test_a_pulse_may_be_a_microsecond_off():
    labels = PpsLabels()
    labels.feed(pulses(1, 2.000001, 3.0), 1002.0)
    assert (labels.last_label, labels.faults) == (1002, [])


def test_doubtful_moments():
    labels = PpsLabels()
    labels.feed(pulses(1, 2, 4, 4.5, 5), 1004.0)
    moments = {
        0.5: True,  # before the first pulse
        1.0: False,
        1.9: False,
        3.0: False,  # a microsecond of grace: its own pulse may be that late
        3.000001: False,
        3.000002: True,
        3.9: True,
        4.0: False,
        4.499999: False,
        4.5: True,
        5.4: True,
        5.5: False,
    }
    assert labels.doubtful(pulses(*moments)).tolist() == list(moments.values())


def test_without_a_pulse_every_moment_is_doubtful_and_there_is_no_label():
    labels = PpsLabels()
    assert labels.doubtful(pulses(1, 2)).tolist() == [True, True]
    for ask in (lambda: labels.tag_of(1000), lambda: labels.check(1000.0)):
        with pytest.raises(PpsError, match="no pulse per second has come"):
            ask()


@pytest.mark.parametrize(
    ("now", "agrees"), [(999.71, True), (999.69, False), (1000.9, True), (1001.29, True), (1001.31, False)]
)
def test_a_label_is_checked_against_lab_time(now, agrees):
    labels = PpsLabels()
    labels.feed(pulses(7), 1000.0)
    if agrees:
        assert labels.check(now) == 1000
    else:
        with pytest.raises(PpsError, match=f"is labelled 1000, but lab time is {now}0"):
            labels.check(now)


def test_weeks_of_pulses_are_not_kept():
    labels = PpsLabels()
    labels.feed(pulses(*range(10_000)), 10_000.0)
    assert labels.last_label == 10_000
    assert labels.doubtful(pulses(9_000.5)).tolist() == [False]
    assert labels.doubtful(pulses(1_000.5)).tolist() == [True]


# --- readout calibration --------------------------------------------------------------------------------------------


def test_shots_are_counted_in_their_windows_of_every_sound_round():
    it = ShotCounter(plan(4), [(1 * US, 2 * US), (3 * US, 4 * US)], FIRST)
    photons = {0: [1_000, 1_999, 3_500], 1: [1_500], 2: [1_500, 3_500], 3: [999, 2_000, 3_000]}
    tags = [(sync_of(r) + ns * NS, PHOTON) for r, some in photons.items() for ns in some]
    # Round 1 has lost its sync; round 3 comes 20 ns late as a whole, a tag gap lies in round 2.
    late = [(t + 20 * NS, c) if t >= sync_of(3) else (t, c) for t, c in tags]
    syncs = [(sync_of(0), SYNC), (sync_of(2), SYNC), (sync_of(3) + 20 * NS, SYNC)]
    it.feed(block([*late, *syncs], [(sync_of(2) + 9 * US, sync_of(3))]), FIRST + 4 * ROUND - 1)
    assert not it.done
    it.feed(block([]), FIRST + 4 * ROUND)
    assert it.done
    assert it.counts().tolist() == [[2, 1], [0, 1]]


def test_a_calibration_without_any_sync_has_no_shots():
    it = ShotCounter(plan(2), [(0, 1), (2, 3), (4, 5)], FIRST)
    it.feed(block([(FIRST, PHOTON)]), 10**9)
    assert it.counts().shape == (0, 3)
