"""The state of a Pulse Streamer without its sockets: two slots, a trigger, and what plays.

How it behaves follows the maker's client (names and values of states, triggers and slot actions) and, where that is
silent, is labelled [K]: engineer's knowledge, not checked on the bench.

Slots follow each other without a gap on the instrument. Here the world tells that a slot is over and only then gets
the next one, so the switch takes as long as the world needs to look; within a slot all is exact.
"""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Literal

from simulators.instruments.swabian._json_rpc import RefusedError
from simulators.instruments.swabian._steps import DARK, OutputState, Steps
from simulators.kit import PulserPlayback

__all__ = [
    "ClockSource",
    "NextAction",
    "OnNoData",
    "Player",
    "Rearm",
    "Slot",
    "State",
    "StateCondition",
    "TriggerStart",
    "When",
]


class ClockSource(IntEnum):
    """selectClock."""

    INTERNAL = 0
    EXT_125MHZ = 1
    EXT_10MHZ = 2


class TriggerStart(IntEnum):
    """setTrigger, first argument."""

    IMMEDIATE = 0
    SOFTWARE = 1
    HARDWARE_RISING = 2
    HARDWARE_FALLING = 3
    HARDWARE_RISING_AND_FALLING = 4


class Rearm(IntEnum):
    """setTrigger, second argument."""

    AUTO = 0
    MANUAL = 1


class NextAction(IntEnum):
    """What follows a slot."""

    STOP = 0
    SWITCH_SLOT = 1
    SWITCH_SLOT_EXPECT_NEW_DATA = 2
    REPEAT_SLOT = 3


class When(IntEnum):
    """When it follows."""

    IMMEDIATE = 0
    TRIGGER = 1


class OnNoData(IntEnum):
    """What happens where new data is expected and none came."""

    ERROR = 0
    WAIT_IDLING = 1
    WAIT_REPEATING = 2


class State(IntEnum):
    """getStreamingState, State."""

    IDLING = 0
    BREAKPOINT = 1
    STREAMING = 2
    FINISHED = 3
    ERROR = 4


class StateCondition(IntEnum):
    """getStreamingState, StateCondition."""

    NONE = 0
    WAIT_FOR_TRIGGER = 1
    WAIT_FOR_REARM = 2
    WAIT_FOR_DATA = 3
    WAIT_FOR_START = 4


@dataclass(frozen=True, eq=False)
class Slot:
    """A sequence with what follows it. ``n_runs`` of -1 is for ever; ``idle`` is shown when it is over."""

    steps: Steps
    n_runs: int
    idle: OutputState
    next_action: NextAction = NextAction.STOP
    when: When = When.IMMEDIATE
    on_no_data: OnNoData = OnNoData.ERROR

    def __post_init__(self) -> None:
        """Refuse what can't be played."""
        if self.n_runs < -1 or self.n_runs == 0:
            raise RefusedError(f"n_runs is {self.n_runs}: a positive number, or -1 for ever")
        if not len(self.steps.duration_ps):
            raise RefusedError("the sequence is empty")


class _Phase(Enum):
    OFF = "off"
    IDLE = "idle"
    WAIT_START = "a slot is loaded and no start came"
    WAIT_TRIGGER = "the trigger input, or startNow for a software trigger, starts it"
    WAIT_REARM = "over, and to be armed by hand"
    WAIT_DATA = "the next slot has nothing new"
    STARTED = "started by a command; the world has not looked yet"
    STREAMING = "the world plays it"
    FINISHED = "over"
    ERROR = "over, as the next slot had nothing new"


_REPORTED = {
    _Phase.OFF: (State.IDLING, StateCondition.NONE),
    _Phase.IDLE: (State.IDLING, StateCondition.NONE),
    _Phase.WAIT_START: (State.IDLING, StateCondition.WAIT_FOR_START),
    _Phase.WAIT_TRIGGER: (State.IDLING, StateCondition.WAIT_FOR_TRIGGER),
    _Phase.WAIT_REARM: (State.FINISHED, StateCondition.WAIT_FOR_REARM),
    _Phase.WAIT_DATA: (State.IDLING, StateCondition.WAIT_FOR_DATA),
    _Phase.STARTED: (State.STREAMING, StateCondition.NONE),
    _Phase.STREAMING: (State.STREAMING, StateCondition.NONE),
    _Phase.FINISHED: (State.FINISHED, StateCondition.NONE),
    _Phase.ERROR: (State.ERROR, StateCondition.NONE),
}

_RUNNING = (_Phase.STARTED, _Phase.STREAMING)

_HARDWARE = (
    TriggerStart.HARDWARE_RISING,
    TriggerStart.HARDWARE_FALLING,
    TriggerStart.HARDWARE_RISING_AND_FALLING,
)
_RISING = (TriggerStart.HARDWARE_RISING, TriggerStart.HARDWARE_RISING_AND_FALLING)
"""A playback can't say "falling edge": waiting for that one looks idle to the world."""


class Player:
    """Slots, trigger and outputs. Commands come from the event loop, the world's words from its thread.

    `playback` is replaced on each change that the world must see, with a greater ``revision``. `world_started`, and
    changes that leave alone what plays, keep the revision: it is still what the world has read.
    """

    playback: PulserPlayback

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._revision = 0
        self._set_factory(_Phase.OFF)

    def _set_factory(self, phase: _Phase) -> None:
        with self._lock:
            self._trigger = TriggerStart.IMMEDIATE
            self._rearm = Rearm.AUTO
            self._clock = ClockSource.INTERNAL
            self._slot_changes = 0
            self._streaming_ps = 0
            self._clear(phase, DARK)

    def _clear(self, phase: _Phase, idle: OutputState) -> None:
        self._phase = phase
        self._idle = idle
        self._slots: list[Slot | None] = [None, None]
        self._fresh = [False, False]
        self._current = 0
        self._slots_left = 0
        self._first = (0, 1)
        self._finished = False
        self._started_ps = 0
        self._publish()

    def power_on(self) -> None:
        """Factory settings: nothing loaded, outputs at 0 V, started at once, internal clock."""
        self._set_factory(_Phase.IDLE)

    reset = power_on

    def power_off(self) -> None:
        """Dark, and all forgotten."""
        self._set_factory(_Phase.OFF)

    # What the client sets.

    def stream(self, steps: Steps, n_runs: int, final: OutputState) -> None:
        """Replace all that was loaded by one sequence, and start it as the trigger says.

        Raises:
            RefusedError: there is nothing to play.
        """
        slot = Slot(steps, n_runs, final)
        with self._lock:
            self._slots, self._fresh = [slot, None], [True, False]
            self._begin(0, 1)

    def upload(self, slot_nr: int, slot: Slot) -> None:
        """Put ``slot`` into slot 0 or 1; it waits for `start`, or for its turn.

        Raises:
            RefusedError: there is no such slot, or it plays or waits to be played.
        """
        with self._lock:
            if not self.ready_for_data(slot_nr):
                raise RefusedError(f"slot {slot_nr} still holds what was not played")
            self._slots[slot_nr], self._fresh[slot_nr] = slot, True
            if self._phase is _Phase.WAIT_DATA and slot_nr != self._current:
                self._go_on_with(slot_nr, When.IMMEDIATE)
                self._publish()
                return
            if self._phase in (_Phase.IDLE, _Phase.FINISHED, _Phase.ERROR):
                self._phase = _Phase.WAIT_START
            self._refresh()

    def start(self, slot_nr: int, slots_to_run: int) -> None:
        """Start uploaded slots as the trigger says; ``slots_to_run`` of -1 is until they end by themselves.

        Raises:
            RefusedError: nothing is in that slot.
        """
        with self._lock:
            if self._slots[_checked(slot_nr)] is None:
                raise RefusedError(f"slot {slot_nr} holds no sequence")
            if slots_to_run < -1 or slots_to_run == 0:
                raise RefusedError(f"slots_to_run is {slots_to_run}: a positive number, or -1")
            self._begin(slot_nr, slots_to_run)

    def start_now(self) -> None:
        """Start what is loaded. [K] No effect with a hardware trigger, while it plays, or before a rearm.

        Raises:
            RefusedError: nothing is loaded.
        """
        with self._lock:
            if self._slots[self._first[0]] is None:
                raise RefusedError("no sequence is loaded")
            if self._trigger in _HARDWARE or self._phase in (*_RUNNING, _Phase.WAIT_REARM):
                return
            if self._phase is not _Phase.WAIT_TRIGGER:
                self._begin(*self._first)
            self._phase = _Phase.STARTED
            self._publish()

    def rearm(self) -> bool:
        """Arm again what is over; whether there was something to arm."""
        with self._lock:
            if self._phase is not _Phase.WAIT_REARM:
                return False
            self._begin(*self._first)
            return True

    def constant(self, state: OutputState) -> None:
        """Show ``state`` until something else comes; what was loaded is gone."""
        with self._lock:
            self._clear(_Phase.IDLE, state)

    def force_final(self) -> None:
        """Stop and show the state that the sequence would have ended with; what was loaded is gone.

        That the memory is cleared is taken from the maker's client, which forgets its slots then.
        """
        with self._lock:
            slot = self._slots[self._current]
            self._clear(_Phase.IDLE, self._idle if slot is None else slot.idle)

    def set_trigger(self, start: TriggerStart, rearm: Rearm) -> None:
        """What starts a sequence, and whether its end arms it again."""
        with self._lock:
            self._trigger, self._rearm = start, rearm
            self._refresh()

    def select_clock(self, clock: ClockSource) -> None:
        """Where the 125 MHz or 10 MHz come from."""
        with self._lock:
            self._clock = clock
            self._refresh()

    # What the client asks.

    @property
    def trigger(self) -> tuple[TriggerStart, Rearm]:
        """As set."""
        return self._trigger, self._rearm

    @property
    def clock(self) -> ClockSource:
        """As set."""
        return self._clock

    def slot(self, slot_nr: int) -> Slot | None:
        """What is in slot 0 or 1."""
        return self._slots[_checked(slot_nr)]

    def ready_for_data(self, slot_nr: int) -> bool:
        """Whether `upload` takes this slot now."""
        with self._lock:
            playing = self._current == _checked(slot_nr) and self._phase in _RUNNING
            return not playing and not (self._fresh[slot_nr] and self._phase is not _Phase.WAIT_START)

    @property
    def is_streaming(self) -> bool:
        """Whether steps are being played."""
        return self._phase in _RUNNING

    @property
    def has_sequence(self) -> bool:
        """Whether something is loaded."""
        return any(slot is not None for slot in self._slots)

    @property
    def has_finished(self) -> bool:
        """Whether the last run of what was started is over; false again from the next start or rearm on."""
        return self._finished

    def streaming_state(self, now_ps: int) -> dict[str, object]:
        """The fields of getStreamingState; times in ns [K]."""
        with self._lock:
            state, condition = _REPORTED[self._phase]
            running_ps = max(0, now_ps - self._started_ps) if self._phase is _Phase.STREAMING else 0
            streaming_ns = (self._streaming_ps + running_ps) // 1000
            return {
                "TotalTime": streaming_ns,
                "StreamingTime": streaming_ns,
                "UnderflowTime": 0,
                "WaitingDataTime": 0,
                "State": int(state),
                "StateCondition": int(condition),
                "ErrorMessage": "no data in the next slot" if self._phase is _Phase.ERROR else "",
                "SlotChanges": self._slot_changes,
            }

    # What the world says.

    def world_started(self, revision: int, at_ps: int) -> None:
        """It plays since ``at_ps``; ignored when something changed since ``revision``."""
        with self._lock:
            if revision != self._revision or self.playback.state not in ("armed", "software_start"):
                return
            self._phase = _Phase.STREAMING
            self._finished = False
            self._started_ps = at_ps
            self.playback = dataclasses.replace(self.playback, state="streaming")

    def world_finished(self, revision: int, at_ps: int) -> None:
        """The last run is over; ignored when something changed since ``revision``."""
        with self._lock:
            slot = self._slots[self._current]
            if revision != self._revision or self._phase is not _Phase.STREAMING or slot is None:
                return
            self._streaming_ps += max(0, at_ps - self._started_ps)
            self._fresh[self._current] = False
            self._idle = slot.idle
            if self._slots_left > 0:
                self._slots_left -= 1
            if slot.next_action is NextAction.STOP or self._slots_left == 0:
                self._end()
            else:
                self._follow(slot)
            self._publish()

    # How it goes on.

    def _begin(self, slot_nr: int, slots_to_run: int) -> None:
        self._first = (slot_nr, slots_to_run)
        self._current, self._slots_left = slot_nr, slots_to_run
        self._finished = False
        self._phase = _Phase.STARTED if self._trigger is TriggerStart.IMMEDIATE else _Phase.WAIT_TRIGGER
        self._publish()

    def _end(self) -> None:
        self._finished = True
        if self._trigger is TriggerStart.IMMEDIATE:
            self._phase = _Phase.FINISHED
        elif self._rearm is Rearm.MANUAL:
            self._phase = _Phase.WAIT_REARM
        elif self._trigger is TriggerStart.SOFTWARE:
            self._phase = _Phase.FINISHED
        else:
            self._current, self._slots_left = self._first
            self._phase = _Phase.WAIT_TRIGGER

    def _follow(self, slot: Slot) -> None:
        following = self._current if slot.next_action is NextAction.REPEAT_SLOT else 1 - self._current
        needs_new = slot.next_action is NextAction.SWITCH_SLOT_EXPECT_NEW_DATA
        if self._slots[following] is not None and (self._fresh[following] or not needs_new):
            self._go_on_with(following, slot.when)
        elif slot.on_no_data is OnNoData.WAIT_REPEATING:
            self._go_on_with(self._current, When.IMMEDIATE)
        elif slot.on_no_data is OnNoData.WAIT_IDLING:
            self._phase = _Phase.WAIT_DATA
        else:
            self._phase = _Phase.ERROR

    def _go_on_with(self, slot_nr: int, when: When) -> None:
        self._slot_changes += slot_nr != self._current
        self._current = slot_nr
        self._phase = _Phase.STARTED if when is When.IMMEDIATE else _Phase.WAIT_TRIGGER

    def _refresh(self) -> None:
        """Tell of a change that leaves alone what plays: the world still means this revision by its words then."""
        if self._phase not in _RUNNING:
            self._revision += 1
        self._set_playback()

    def _publish(self) -> None:
        self._revision += 1
        self._set_playback()

    def _set_playback(self) -> None:
        slot = self._slots[self._current]
        steps = Steps.none() if slot is None else slot.steps
        self.playback = PulserPlayback(
            revision=self._revision,
            state=self._playback_state(),
            duration_ps=steps.duration_ps,
            digital=steps.digital,
            analog_v=steps.analog_v,
            n_runs=1 if slot is None else slot.n_runs,
            idle_digital=self._idle.digital,
            external_reference=self._clock is ClockSource.EXT_10MHZ,
        )

    def _playback_state(self) -> Literal["off", "idle", "armed", "software_start", "streaming"]:
        if self._phase is _Phase.OFF:
            return "off"
        if self._phase is _Phase.STARTED:
            return "software_start"
        if self._phase is _Phase.STREAMING:
            return "streaming"
        if self._phase is _Phase.WAIT_TRIGGER and self._trigger in _RISING:
            return "armed"
        return "idle"


def _checked(slot_nr: int) -> int:
    if slot_nr not in (0, 1):
        raise RefusedError(f"slot {slot_nr}: there are slots 0 and 1")
    return slot_nr
