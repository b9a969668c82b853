"""All that an AWG5014C is set to, and what its outputs do with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from simulators.instruments.tektronix._waveform import Waveform
from simulators.kit import AwgElementPlayback, AwgPlayback
from simulators.kit.scpi import ScpiError

__all__ = [
    "CHANNELS",
    "MAX_ELEMENTS",
    "MIN_HARDWARE_POINTS",
    "Channel",
    "Element",
    "Input",
    "Marker",
    "RunMode",
    "Settings",
]

CHANNELS = 4
MAX_ELEMENTS = 8000
MIN_HARDWARE_POINTS = 250
"""[K] Shorter waveforms are played by the software sequencer."""

RunMode = Literal["CONT", "TRIG", "GAT", "SEQ"]


@dataclass
class Marker:
    """One marker output."""

    high_v: float = 1.0
    low_v: float = 0.0
    delay_s: float = 0.0


@dataclass
class Channel:
    """One channel: an analog output with two markers; ``on`` switches all three."""

    waveform: str = ""
    on: bool = False
    amplitude_vpp: float = 1.0
    offset_v: float = 0.0
    markers: tuple[Marker, Marker] = field(default_factory=lambda: (Marker(), Marker()))
    filter_hz: float = math.inf
    direct: bool = False
    add_input: bool = False
    dc_v: float = 0.0
    dac_bits: int = 14


@dataclass
class Input:
    """The trigger or the event input."""

    level_v: float = 1.4
    rising: bool = True
    impedance_ohm: int = 1000


@dataclass
class Element:
    """One line of the sequence table."""

    waveforms: list[str] = field(default_factory=lambda: [""] * CHANNELS)
    loop_count: int = 1
    loop_for_ever: bool = False
    wait: bool = False
    go_to_on: bool = False
    go_to: int = 1
    jump_type: Literal["IND", "NEXT", "OFF"] = "OFF"
    jump: int = 1
    playback: AwgElementPlayback | None = None
    """Of the last time; None when something has changed since."""


@dataclass
class Settings:
    """Factory settings, until told otherwise. Defaults are [K] where QCoDeS does not show them."""

    sample_rate_hz: float = 1e9
    internal_clock: bool = True
    internal_reference: bool = True
    run_mode: RunMode = "CONT"
    channels: tuple[Channel, ...] = field(default_factory=lambda: tuple(Channel() for _ in range(CHANNELS)))
    dc_on: bool = False
    trigger: Input = field(default_factory=Input)
    trigger_gate_high: bool = True
    external_trigger: bool = True
    trigger_timer_s: float = 0.1
    event: Input = field(default_factory=Input)
    synchronous_jump: bool = False
    dynamic_jump: bool = False
    dynamic_targets: dict[int, int] = field(default_factory=dict)
    waveforms: dict[str, Waveform] = field(default_factory=dict)
    elements: list[Element] = field(default_factory=list)
    setup_name: str = ""

    def waveforms_changed(self) -> None:
        """Forget what the table played, as waveforms or the number of lines are others now."""
        for element in self.elements:
            element.playback = None

    def set_length(self, lines: int) -> None:
        """Cut the table, or add empty lines."""
        del self.elements[lines:]
        self.elements += [Element() for _ in range(lines - len(self.elements))]
        self.waveforms_changed()

    def delete_waveforms(self, names: set[str]) -> bool:
        """Take ``names`` out of the list and out of all that plays them; whether something did.

        A channel that played one is switched off.
        """
        for name in names:
            del self.waveforms[name]
        in_use = False
        for index, channel in enumerate(self.channels):
            used = channel.waveform in names
            if used:
                channel.waveform = ""
            for element in self.elements:
                if element.waveforms[index] in names:
                    element.waveforms[index] = ""
                    element.playback = None
                    used = True
            channel.on = channel.on and not used
            in_use = in_use or used
        return in_use

    def channel_has_waveform(self, channel: int) -> bool:
        """Whether a channel (from 1) has something to play."""
        if self.run_mode == "SEQ":
            return any(element.waveforms[channel - 1] for element in self.elements)
        return bool(self.channels[channel - 1].waveform)

    def check_playable(self) -> None:
        """Refuse to run what can't be played.

        Raises:
            ScpiError: nothing is assigned, or waveforms of unequal length are to be played together.
        """
        lines = [element.waveforms for element in self.elements]
        if self.run_mode != "SEQ":
            lines = [[channel.waveform for channel in self.channels]]
        if not lines:
            raise ScpiError(-221, "the sequence is empty")
        for number, names in enumerate(lines, start=1):
            lengths = {self.waveforms[name].points for name in names if name}
            if not lengths:
                raise ScpiError(-221, f"no waveform in element {number}")
            if len(lengths) > 1:
                raise ScpiError(-221, f"waveforms of unequal length in element {number}")

    @property
    def hardware_sequencer(self) -> bool:
        """Whether the table has no waveform that is too short for it."""
        used = {name for element in self.elements for name in element.waveforms if name}
        return all(self.waveforms[name].points >= MIN_HARDWARE_POINTS for name in used)

    @property
    def starts_with_wait(self) -> bool:
        """Whether it waits for a trigger first."""
        if self.run_mode == "SEQ":
            return bool(self.elements) and self.elements[0].wait
        return self.run_mode != "CONT"

    def playback(self, revision: int, running: bool) -> AwgPlayback:
        """What the outputs do."""
        return AwgPlayback(
            revision=revision,
            running=running,
            sequence_mode=self.run_mode == "SEQ",
            sample_rate_hz=self.sample_rate_hz,
            elements=self._table() if self.run_mode == "SEQ" else self._single(),
            output_on={number: channel.on for number, channel in self._numbered()},
            amplitude_vpp={number: channel.amplitude_vpp for number, channel in self._numbered()},
            offset_v={number: channel.offset_v for number, channel in self._numbered()},
            marker_high_v={
                (number, index): marker.high_v
                for number, channel in self._numbered()
                for index, marker in enumerate(channel.markers, start=1)
            },
            # With the internal timer chosen, no edge at the input is high enough.
            trigger_level_v=self.trigger.level_v if self.external_trigger else math.inf,
            trigger_rising=self.trigger.rising,
            event_level_v=self.event.level_v,
            event_rising=self.event.rising,
            # [K] SYNC jumps at the end of the waveform and ASYNC at once; a text quoted from the manual says the
            # opposite, others remember it like this: a test on the bench has to tell.
            event_timing="synchronous" if self.synchronous_jump else "asynchronous",
            hardware_sequencer=self.run_mode != "SEQ" or self.hardware_sequencer,
            external_reference=not self.internal_reference,
        )

    def _numbered(self) -> list[tuple[int, Channel]]:
        return list(enumerate(self.channels, start=1))

    def _single(self) -> tuple[AwgElementPlayback, ...]:
        """Without a sequence. Gated mode plays nothing here: a playback can't follow the gate."""
        playing = {
            number: self.waveforms[channel.waveform].words for number, channel in self._numbered() if channel.waveform
        }
        if self.run_mode == "GAT" or not playing:
            return ()
        continuous = self.run_mode == "CONT"
        return (
            AwgElementPlayback(
                waveforms=playing,
                loop_count=-1 if continuous else 1,
                wait_for_trigger=not continuous,
                go_to=1,
                jump_to=None,
            ),
        )

    def _table(self) -> tuple[AwgElementPlayback, ...]:
        return tuple(
            element.playback or self._element(element, line) for line, element in enumerate(self.elements, start=1)
        )

    def _element(self, element: Element, line: int) -> AwgElementPlayback:
        following = line + 1 if line < len(self.elements) else 1
        # A target beyond the end is left from a longer table.
        go_to = element.go_to if element.go_to_on and element.go_to <= len(self.elements) else following
        jump_to: int | None = None
        if not self.dynamic_jump and element.jump_type == "NEXT":
            jump_to = following
        elif not self.dynamic_jump and element.jump_type == "IND" and element.jump <= len(self.elements):
            jump_to = element.jump
        element.playback = AwgElementPlayback(
            waveforms={
                channel: self.waveforms[name].words for channel, name in enumerate(element.waveforms, start=1) if name
            },
            loop_count=-1 if element.loop_for_ever else element.loop_count,
            wait_for_trigger=element.wait,
            go_to=go_to,
            jump_to=jump_to,
        )
        return element.playback
