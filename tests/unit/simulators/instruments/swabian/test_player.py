import struct

import pytest

from simulators.instruments.swabian._json_rpc import RefusedError
from simulators.instruments.swabian._player import (
    ClockSource,
    NextAction,
    OnNoData,
    Player,
    Rearm,
    Slot,
    TriggerStart,
)
from simulators.instruments.swabian._steps import DARK, OutputState, decode_pulses

HIGH = OutputState(0xFF, (0.0, 0.0))


def steps(mask=1):
    return decode_pulses(struct.pack("<IBhh", 10, mask, 0, 0))


@pytest.fixture
def player():
    player = Player()
    player.power_on()
    return player


def play(player):
    player.world_started(player.playback.revision, 100)
    player.world_finished(player.playback.revision, 200)


def test_without_mains_nothing_plays():
    assert Player().playback.state == "off"


def test_revision_grows_with_each_change(player):
    seen = [player.playback.revision]
    for change in (
        lambda: player.constant(HIGH),
        lambda: player.set_trigger(TriggerStart.HARDWARE_RISING, Rearm.AUTO),
        lambda: player.stream(steps(), 1, DARK),
        player.force_final,
        player.reset,
        player.power_off,
    ):
        change()
        seen.append(player.playback.revision)
    assert seen == sorted(set(seen))


def test_playback_of_before_stays_as_it_was(player):
    player.stream(steps(3), 4, DARK)
    before = player.playback
    player.reset()
    assert before.digital.tolist() == [3]
    assert before.state == "software_start"


def test_falling_edge_can_not_be_told_to_the_world(player):
    player.set_trigger(TriggerStart.HARDWARE_FALLING, Rearm.AUTO)
    player.stream(steps(), 1, DARK)
    assert player.playback.state == "idle"
    player.set_trigger(TriggerStart.HARDWARE_RISING_AND_FALLING, Rearm.AUTO)
    assert player.playback.state == "armed"


def test_finish_before_start_is_ignored(player):
    player.stream(steps(), 1, HIGH)
    player.world_finished(player.playback.revision, 0)
    assert player.is_streaming
    assert not player.has_finished


def test_stop_during_the_run_is_not_overruled_by_the_world(player):
    player.stream(steps(), 1, HIGH)
    running = player.playback.revision
    player.world_started(running, 0)
    player.constant(DARK)
    player.world_finished(running, 10)
    assert player.playback.idle_digital == 0
    assert not player.has_finished


@pytest.mark.parametrize(
    "change",
    [
        lambda player: player.upload(1, Slot(steps(2), 1, DARK)),
        lambda player: player.set_trigger(TriggerStart.HARDWARE_RISING, Rearm.AUTO),
        lambda player: player.select_clock(ClockSource.EXT_10MHZ),
    ],
    ids=["upload", "trigger", "clock"],
)
def test_the_run_goes_on_to_its_end_over_changes_beside_it(player, change):
    player.stream(steps(1), 1, HIGH)
    running = player.playback.revision
    player.world_started(running, 0)
    change(player)
    assert player.playback.state == "streaming"
    assert player.playback.digital.tolist() == [1]
    player.world_finished(running, 10)
    assert player.has_finished
    assert player.playback.idle_digital == 0xFF


def test_repeats_until_data_comes(player):
    player.upload(
        0,
        Slot(steps(1), 1, DARK, NextAction.SWITCH_SLOT_EXPECT_NEW_DATA, on_no_data=OnNoData.WAIT_REPEATING),
    )
    player.start(0, -1)
    play(player)
    assert player.playback.digital.tolist() == [1]
    assert player.playback.state == "software_start"
    player.upload(1, Slot(steps(2), 1, DARK))
    play(player)
    assert player.playback.digital.tolist() == [2]
    play(player)
    assert player.has_finished


def test_data_for_the_slot_that_is_over_does_not_end_the_wait_for_the_other(player):
    slot = Slot(steps(1), 1, DARK, NextAction.SWITCH_SLOT_EXPECT_NEW_DATA, on_no_data=OnNoData.WAIT_IDLING)
    player.upload(0, slot)
    player.start(0, -1)
    play(player)
    player.upload(0, slot)
    assert not player.is_streaming
    player.upload(1, Slot(steps(2), 1, DARK))
    assert player.playback.digital.tolist() == [2]
    assert player.is_streaming


def test_slots_in_turn_for_as_many_as_were_asked(player):
    player.upload(0, Slot(steps(1), 1, DARK, NextAction.SWITCH_SLOT))
    player.upload(1, Slot(steps(2), 1, DARK, NextAction.SWITCH_SLOT))
    player.start(0, 3)
    played = []
    while not player.has_finished:
        played += player.playback.digital.tolist()
        play(player)
    assert played == [1, 2, 1]


def test_start_now_waits_for_the_rearm_by_hand(player):
    player.set_trigger(TriggerStart.SOFTWARE, Rearm.MANUAL)
    player.stream(steps(), 1, DARK)
    player.start_now()
    play(player)
    player.start_now()
    assert not player.is_streaming
    assert player.rearm()
    player.start_now()
    assert player.is_streaming


@pytest.mark.parametrize(
    ("refused", "text"),
    [
        (lambda player: player.stream(steps(), 0, DARK), "n_runs"),
        (lambda player: player.stream(steps(), -2, DARK), "n_runs"),
        (lambda player: player.stream(decode_pulses(b""), 1, DARK), "empty"),
        (lambda player: player.start(0, 1), "holds no sequence"),
        (lambda player: player.start(2, 1), "slots 0 and 1"),
        (lambda player: player.start_now(), "no sequence"),
        (lambda player: player.ready_for_data(-1), "slots 0 and 1"),
    ],
)
def test_refusals_say_why_and_change_nothing(player, refused, text):
    before = player.playback
    with pytest.raises(RefusedError, match=text):
        refused(player)
    assert player.playback is before


def test_start_of_no_slots_is_refused(player):
    player.upload(0, Slot(steps(), 1, DARK))
    with pytest.raises(RefusedError, match="slots_to_run"):
        player.start(0, 0)
