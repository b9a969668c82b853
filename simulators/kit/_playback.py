"""What an instrument's outputs will do: the seam between simulated instruments and the world.

An instrument replaces its playback whenever something that was sent to it changes it; the world, in its own thread,
reads the attribute (one reference, so no lock) and follows edges from there. `revision` grows with each change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AwgElementPlayback",
    "AwgPlayback",
    "AwgSim",
    "DetectorPlayback",
    "DetectorSim",
    "LaserBeam",
    "LaserPlayback",
    "LaserSim",
    "MicrowavePlayback",
    "MicrowaveSim",
    "PulserPlayback",
    "PulserSim",
    "TaggerPlayback",
    "TaggerSim",
]


@dataclass(frozen=True, eq=False)
class PulserPlayback:
    """A pulse sequencer: run-length steps, and what starts them."""

    revision: int
    state: Literal["off", "idle", "armed", "software_start", "streaming"]
    """off: no mains. armed: the next rising edge at the trigger input starts it. software_start: it was started by a
    command and plays from now on, as soon as the world sees it. streaming: the world has started it."""
    duration_ps: NDArray[np.int64]
    """Shape (n,), of one run."""
    digital: NDArray[np.uint8]
    """Shape (n,), bit n = output dn."""
    analog_v: NDArray[np.float64]
    """Shape (n, 2)."""
    n_runs: int
    """-1 is for ever."""
    idle_digital: int
    """Outputs while nothing streams."""
    output_high_v: float = 3.3
    trigger_threshold_v: float = 1.0
    external_reference: bool = False


@dataclass(frozen=True, eq=False)
class AwgElementPlayback:
    """One line of the sequence table; lines count from 1."""

    waveforms: Mapping[int, NDArray[np.uint16]]
    """Channel (from 1) to words: DAC in bits 0..13, marker 1 in bit 14, marker 2 in bit 15. Empty: nothing plays."""
    loop_count: int
    """-1 is for ever."""
    wait_for_trigger: bool
    go_to: int
    """Next line when done."""
    jump_to: int | None
    """Line after an event; None: events are ignored."""


@dataclass(frozen=True, eq=False)
class AwgPlayback:
    """An AWG: the table, the outputs and the inputs."""

    revision: int
    running: bool
    """False: stopped or without mains; nothing plays."""
    sequence_mode: bool
    sample_rate_hz: float
    elements: tuple[AwgElementPlayback, ...]
    output_on: Mapping[int, bool]
    """Channel (from 1), analog and markers together, as on this model."""
    amplitude_vpp: Mapping[int, float]
    offset_v: Mapping[int, float]
    marker_high_v: Mapping[tuple[int, int], float]
    """(channel, marker)."""
    trigger_level_v: float
    trigger_rising: bool
    event_level_v: float
    event_rising: bool
    event_timing: Literal["synchronous", "asynchronous"]
    """synchronous: jump at the end of the waveform that is playing; asynchronous: at once."""
    hardware_sequencer: bool
    """False: a waveform below the minimum length made the model fall back; its gaps are milliseconds."""
    external_reference: bool = False


@dataclass(frozen=True, eq=False)
class TaggerPlayback:
    """A tagger: which inputs look for edges, and from which level on."""

    revision: int
    powered: bool
    enabled: Mapping[int, bool]
    """Input (from 1; 0 is START where there is one)."""
    threshold_v: Mapping[int, float]
    external_reference: bool = False


@dataclass(frozen=True, eq=False)
class LaserBeam:
    """What leaves one laser head."""

    emission: bool
    """False: dark, whatever the other fields say."""
    power_mw: float
    """Behind the head; 0 when dark."""
    detuning_mhz: float
    """From the frequency that the head has at its factory settings, which is where the lab's transition is."""
    scan_mhz: float = 0.0
    """Peak to peak, when a scan runs around that detuning."""
    modulated: bool = False
    """True: light only while the head's modulation input is high."""


@dataclass(frozen=True, eq=False)
class LaserPlayback:
    """A laser, or a controller of several."""

    revision: int
    powered: bool
    interlock_open: bool
    """True: all beams are dark, by hardware."""
    beams: Mapping[str, LaserBeam]
    """By output: ``laser1``, ``laser2``."""


@dataclass(frozen=True, eq=False)
class MicrowavePlayback:
    """A microwave source."""

    revision: int
    powered: bool
    on: bool
    """The output switch."""
    frequency_hz: float
    power_dbm: float
    """Of the carrier, at full I/Q drive."""
    phase_deg: float
    iq_on: bool
    """False: the I and Q inputs do nothing, the carrier runs through."""
    pulse_modulated: bool = False
    """True: the carrier passes only while the pulse modulator lets it."""
    external_reference: bool = False


@dataclass(frozen=True, eq=False)
class DetectorPlayback:
    """A driver of superconducting detectors; channels count from 1."""

    revision: int
    powered: bool
    bias_ua: Mapping[int, float]
    """Current that flows: 0 while the channel is disabled."""
    enabled: Mapping[int, bool]
    latched: Mapping[int, bool]
    """True: the wire stays normal, no pulse comes until the bias has been taken away."""
    efficiency: Mapping[int, float]
    """Of what it is at the working bias, 0 to 1; 0 when disabled or latched."""
    dark_rate: Mapping[int, float]
    """Of what it is at the working bias; 0 when disabled or latched."""


class PulserSim(Protocol):
    """A pulse sequencer as the world sees it. Methods are called from the world's thread and return at once."""

    name: str

    @property
    def playback(self) -> PulserPlayback:
        """The newest one; read-only for the world."""

    def world_started(self, revision: int, at_ps: int) -> None:
        """The edge came and it streams; ignored when the instrument has changed since ``revision``."""

    def world_finished(self, revision: int, at_ps: int) -> None:
        """The last run is over."""


class AwgSim(Protocol):
    """An AWG as the world sees it."""

    name: str

    @property
    def playback(self) -> AwgPlayback:
        """The newest one; read-only for the world."""

    def world_playing(self, playing: bool) -> None:
        """Whether triggers keep it playing just now (else it waits for one)."""


class TaggerSim(Protocol):
    """A tagger as the world sees it."""

    name: str

    @property
    def playback(self) -> TaggerPlayback:
        """The newest one; read-only for the world."""

    def deliver(self, origin_ps: int, t_ps: NDArray[np.int64], channel: NDArray[np.uint8], until_ps: int) -> None:
        """Edges at its inputs, sorted in time, all that came up to lab time ``until_ps``; may be empty.

        Lab time of edge i is ``origin_ps + t_ps[i]``; ``channel`` is the input (from 1; 0 is START). Called from the
        world's thread in order of time; edges below the threshold or at a disabled input are left out already.
        """


class LaserSim(Protocol):
    """A laser as the world sees it."""

    name: str

    @property
    def playback(self) -> LaserPlayback:
        """The newest one; read-only for the world."""


class MicrowaveSim(Protocol):
    """A microwave source as the world sees it."""

    name: str

    @property
    def playback(self) -> MicrowavePlayback:
        """The newest one; read-only for the world."""


class DetectorSim(Protocol):
    """A detector driver as the world sees it."""

    name: str

    @property
    def playback(self) -> DetectorPlayback:
        """The newest one; read-only for the world."""

    def deliver_counts(self, counts: Mapping[int, int], until_ps: int) -> None:
        """Pulses per channel since the last call, all that came up to lab time ``until_ps``.

        Called from the world's thread, at least once a measurement period, also with nothing. A driver that is never
        called counts what its detectors do in the dark.
        """
