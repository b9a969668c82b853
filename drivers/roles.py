"""What the stack asks of an instrument, by role, and the frozen data that travels between them.

`sequences` compile to the programs below, drivers ship them unchanged and read them back, node daemons compare.
Everything in a program is in the instrument's own integers (nanosecond ticks, DAC words), so that what is drawn,
hashed and compared is what plays. numpy only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Awg",
    "AwgChannelSettings",
    "AwgElement",
    "AwgLimits",
    "AwgProgram",
    "AwgWaveform",
    "ChannelLimits",
    "DetectorCounts",
    "DetectorDriver",
    "EventInput",
    "Identity",
    "Laser",
    "LaserState",
    "MicrowaveCarrier",
    "MicrowaveSource",
    "PulseLimits",
    "PulseProgram",
    "PulseSequencer",
    "RawTags",
    "RecordingStatus",
    "Role",
    "RoleInstrument",
    "SetPoint",
    "TimeController",
    "TimeTagger",
    "TriggerInput",
]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an instrument says it is."""

    maker: str
    model: str
    serial: str
    firmware: str


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """What one analog output can do."""

    minimum_vpp: float
    maximum_vpp: float
    dac_bits: int


# --- pulse sequencer -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PulseLimits:
    """Limits of a pulse sequencer model, with the source in the driver that states them."""

    tick_ps: int
    digital_channels: int
    analog_channels: int
    maximum_steps: int
    minimum_step_ticks: int
    maximum_step_ticks: int


@dataclass(frozen=True, eq=False)
class PulseProgram:
    """Run-length steps of a pulse sequencer; the whole is played ``n_runs`` times without a gap.

    Step i holds for ``ticks[i]`` ticks the digital outputs ``digital[i]`` (bit n = output dn) and the analog outputs
    ``analog[i]``. It starts on a rising edge at the trigger input, once.
    """

    ticks: NDArray[np.uint32]
    """Shape (n,), length of each step in ticks of the model (`PulseLimits.tick_ps`)."""
    digital: NDArray[np.uint8]
    """Shape (n,), bit mask of high outputs."""
    analog: NDArray[np.int16]
    """Shape (n, 2), DAC words: 0x7fff is +1 V."""
    n_runs: int
    """Times to play; at least 1."""
    final_digital: int = 0
    """Outputs after the last run; 0 is dark."""

    def sha256(self) -> str:
        """Hash (hex) of what plays in one run; ``n_runs`` is not in it."""
        return _sha256(self.ticks.astype("<u4"), self.digital, self.analog.astype("<i2"), self.final_digital)


@runtime_checkable
class RoleInstrument(Protocol):
    """What every instrument of ours answers."""

    @property
    def name(self) -> str:
        """As the lab file calls it."""

    def identify(self) -> Identity:
        """Ask the instrument who it is.

        Raises:
            InstrumentError: no answer, or another model than this driver is for.
        """

    def reference_locked(self) -> bool:
        """Whether the external 10 MHz reference is in use and good."""

    def enter_safe_state(self) -> None:
        """Dark and still, as the lab file says; must work in any state, twice, and right after connecting."""

    def close(self) -> None:
        """Give the connection back."""


class PulseSequencer(RoleInstrument, Protocol):
    """Plays what is the same in every round. Role ``pulse_sequencer``."""

    limits: PulseLimits

    def arm(self, program: PulseProgram) -> None:
        """Upload and wait for one rising edge at the trigger input, which then plays all runs.

        Raises:
            InstrumentError: refused, or what was read back differs.
        """

    def state(self) -> Literal["idle", "armed", "streaming", "finished", "error"]:
        """What it is doing now."""

    def abort(self) -> None:
        """Stop at once; all outputs to the final state of darkness."""


# --- arbitrary waveform generator ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwgLimits:
    """Limits of an AWG model, with the source in the driver that states them."""

    sample_rate_hz: int
    channels: int
    markers_per_channel: int
    analog: ChannelLimits
    minimum_waveform_samples: int
    """Below it, a hardware sequencer falls back to a slow one, or refuses."""
    maximum_elements: int
    maximum_loop_count: int
    event_to_output_ps: int
    """From an edge at the event input to the first sample of the jump target, and the set-up time of a jump."""


@dataclass(frozen=True, eq=False)
class AwgWaveform:
    """One waveform in the memory of one channel.

    Each word holds the DAC value in bits 0..13 (0 to 16382, 8191 is 0 V, ``v = (word - 8191) / 8191 * vpp / 2``),
    marker 1 in bit 14, marker 2 in bit 15: the integer format of Tektronix AWG5000 manuals.
    """

    name: str
    """Carries a hash of the content, so that equal waveforms are uploaded once and a changed one never plays old."""
    words: NDArray[np.uint16]
    """Shape (samples,)."""


@dataclass(frozen=True, slots=True)
class AwgElement:
    """One line of the sequence table. Lines count from 1, as on the instrument."""

    waveforms: Mapping[int, str]
    """Channel (from 1) to the name of a waveform; all of one length."""
    loop_count: int = 1
    wait_for_trigger: bool = False
    go_to: int | None = None
    """Next line when done; None: the following one, from the last line to the first."""
    jump_to: int | None = None
    """Line to play after an event; None: events are ignored in this line."""


@dataclass(frozen=True, slots=True)
class AwgChannelSettings:
    """Output settings of one channel."""

    amplitude_vpp: float
    offset_v: float = 0.0
    marker_high_v: float = 2.0
    marker_low_v: float = 0.0


@dataclass(frozen=True, slots=True)
class TriggerInput:
    """Rising edge at the trigger input."""

    level_v: float = 1.0


@dataclass(frozen=True, slots=True)
class EventInput:
    """The input that makes a line jump. SYNC: at the end of the waveform that is playing (see the driver's note)."""

    level_v: float = 1.0
    timing: Literal["synchronous", "asynchronous"] = "synchronous"


@dataclass(frozen=True, eq=False)
class AwgProgram:
    """All of an AWG: waveforms, table and inputs."""

    waveforms: Mapping[str, AwgWaveform]
    elements: Sequence[AwgElement]
    channels: Mapping[int, AwgChannelSettings]
    trigger: TriggerInput = field(default_factory=TriggerInput)
    event: EventInput = field(default_factory=EventInput)

    def sha256(self) -> str:
        """Hash (hex) of waveforms, table and settings."""
        parts: list[object] = [self.channels[ch] for ch in sorted(self.channels)]
        parts += [sorted(self.channels), self.trigger, self.event]
        for name in sorted(self.waveforms):
            parts += [name, self.waveforms[name].words.astype("<u2")]
        for element in self.elements:
            parts += [sorted(element.waveforms.items()), element.loop_count, element.wait_for_trigger]
            parts += [element.go_to, element.jump_to]
        return _sha256(*parts)


class Awg(RoleInstrument, Protocol):
    """Plays what differs after a herald. Role ``awg``."""

    limits: AwgLimits

    def load(self, program: AwgProgram) -> None:
        """Upload what is not there yet, and the table; outputs stay off until `run`.

        Raises:
            InstrumentError: refused, a limit of the model is broken, or the error queue is not empty afterwards.
        """

    def read_back(self) -> AwgProgram:
        """Ask the instrument for waveforms, table and settings, as it holds them now."""

    def run(self) -> None:
        """Outputs on, sequence mode, and wait for the trigger of line 1.

        Raises:
            InstrumentError: it does not get there, or would play by the software sequencer.
        """

    def state(self) -> Literal["stopped", "waiting_for_trigger", "running"]:
        """What it is doing now."""

    def stop(self) -> None:
        """Stop playing and switch the outputs off."""


# --- taggers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RawTags:
    """Bytes as the instrument sent them; `qnode.tags` decodes by the name of the format."""

    format: str
    """``sfifteen_tdc1``, ``idq_u64`` or ``idq_u64_ref``."""
    data: bytes
    channel: int = 0
    """The input they belong to (from 1), 0 where the format says it itself."""


class TimeTagger(RoleInstrument, Protocol):
    """A tagger that streams words without end. Role ``time_tagger``."""

    def start(self) -> None:
        """Stream from now on; stamps count from here.

        Raises:
            InstrumentError: it does not start.
        """

    def read(self, timeout_s: float) -> RawTags:
        """What has come since the last call; waits up to ``timeout_s`` for the first byte, then gives what is there.

        Raises:
            InstrumentError: the connection broke.
        """

    def stop(self) -> None:
        """End the stream; what is still under way is dropped."""


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """Where a recording stands, one input each."""

    acquisitions: Mapping[int, int]
    """Input to sub-acquisitions that are complete and sent."""
    timestamps: Mapping[int, int]
    """Input to stamps sent in them: when as many have arrived here, nothing of those acquisitions is missing."""
    recording: bool


class TimeController(RoleInstrument, Protocol):
    """A tagger that records sub-acquisitions, each started by its START input. Role ``time_controller``."""

    def start(self, channels: Sequence[int], acquisitions: int, duration_ps: int) -> None:
        """Record ``acquisitions`` sub-acquisitions of ``duration_ps``, each opened by an edge at START.

        Stamps come with their reference index (``idq_u64_ref``): which sub-acquisition, counted from 0.

        Raises:
            InstrumentError: refused, or a stream can't be opened.
        """

    def read(self, timeout_s: float) -> list[RawTags]:
        """All that has come since the last call, in order of arrival per channel; waits for the first message."""

    def status(self) -> RecordingStatus:
        """Counts of what has been sent so far."""

    def stop(self) -> None:
        """End recording and streams."""


# --- slow instruments: set once, watched while the others play -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetPoint:
    """One value that an instrument was told to hold, as it says it now."""

    value: float | bool
    """A switch is a bool."""
    unit: str = ""

    def __str__(self) -> str:
        if isinstance(self.value, bool):
            return "on" if self.value else "off"
        return f"{self.value:.7g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class LaserState:
    """What one laser head does now, and what keeps it from emitting."""

    emitting: bool
    interlock_open: bool
    """The interlock loop is open: it can't emit, and a person has to close it."""
    key_locked: bool
    """The key switch is off or was not turned since power-up; False where the laser can't be asked."""
    frequency_locked: bool | None = None
    """Whether its frequency lock holds; None: the head has no lock, or it is switched off."""
    fault: str = ""
    """The laser's own words for what is wrong; empty: nothing."""


class Laser(RoleInstrument, Protocol):
    """One laser or several heads on one controller. Role ``laser``.

    Current, power and tuning are parameters of the driver: set-points that stay when the light goes. The safe state
    is emission off at every head, and the set-points kept, so that `start_emission` brings the same light back.
    """

    @property
    def heads(self) -> Sequence[str]:
        """Names of its heads, as the channels of the lab file call them (``laser1``, ``laser2``)."""

    def start_emission(self, head: str | None = None) -> None:
        """Emit at the set-points; comes back when it does. None: every head.

        Raises:
            InstrumentError: interlock, key or a fault keeps it dark; it is switched off again then.
            MisuseError: no head of that name.
        """

    def stop_emission(self, head: str | None = None) -> None:
        """Dark, set-points kept; comes back when it is. None: every head.

        Raises:
            InstrumentError: it still says that it emits.
            MisuseError: no head of that name.
        """

    def head_state(self, head: str) -> LaserState:
        """What a head does now.

        Raises:
            MisuseError: no head of that name.
        """

    def set_points(self, head: str) -> Mapping[str, SetPoint]:
        """What decides on power and wavelength of a head's light, by the name that a person knows it by.

        Nobody but its owner changes these while a plan plays; what the laser tunes by itself is not among them.

        Raises:
            MisuseError: no head of that name.
        """


@dataclass(frozen=True, slots=True)
class MicrowaveCarrier:
    """Settings of a microwave source, as it holds them."""

    frequency_hz: float
    power_dbm: float
    output_on: bool
    """Whether the RF output is switched on."""
    iq_on: bool
    """Whether the I/Q inputs modulate the carrier."""


class MicrowaveSource(RoleInstrument, Protocol):
    """The carrier that an AWG's I and Q modulate. Role ``microwave_source``.

    The safe state is RF output off; frequency and power are kept.
    """

    def set_carrier(self, frequency_hz: float, power_dbm: float) -> None:
        """Set frequency and power; output and modulation stay as they are.

        Raises:
            InstrumentError: not taken.
            MisuseError: outside the range of the model.
        """

    def carrier(self) -> MicrowaveCarrier:
        """What it holds now."""

    def start_output(self) -> None:
        """I/Q modulation on, then RF output on.

        Raises:
            InstrumentError: it does not say so afterwards.
        """

    def stop_output(self) -> None:
        """RF output off.

        Raises:
            InstrumentError: it does not say so afterwards.
        """


@dataclass(frozen=True, slots=True)
class DetectorCounts:
    """Counts of one measurement period."""

    counts: tuple[int, ...]
    """One an input, detector 1 first."""
    period_ms: float
    unix_time_s: float
    """End of the period by the instrument's own clock: for eyes only, never for dating tags."""


class DetectorDriver(RoleInstrument, Protocol):
    """Biases superconducting detectors and counts their clicks. Role ``detector_driver``.

    Detectors count from 1. The safe state is bias off at all of them; bias currents and trigger levels are kept as
    set-points, so that `enable_detectors` brings them back.
    """

    @property
    def detectors(self) -> int:
        """How many there are."""

    def enable_detectors(self) -> None:
        """Bias on, at the set-points.

        Raises:
            InstrumentError: it does not say so afterwards.
        """

    def disable_detectors(self) -> None:
        """Bias off; nothing clicks.

        Raises:
            InstrumentError: it does not say so afterwards.
        """

    def enabled(self) -> bool:
        """Whether the bias is on at all of them."""

    def set_points(self, detector: int) -> Mapping[str, SetPoint]:
        """What decides on a detector's efficiency and dark counts, by the name that a person knows it by.

        Raises:
            MisuseError: no such detector.
        """

    def latched(self) -> Sequence[int]:
        """Detectors that stay normal-conducting under bias: they count nothing until `recover`."""

    def recover(self, detector: int) -> None:
        """Take the bias of one detector away and bring it back.

        Raises:
            InstrumentError: it does not become superconducting, or latches again at this bias.
            MisuseError: no such detector.
        """

    def counts(self, timeout_s: float) -> DetectorCounts:
        """The first whole period that begins after the call.

        Raises:
            InstrumentError: it has not come within ``timeout_s``.
        """


Role = Literal[
    "pulse_sequencer", "awg", "time_tagger", "time_controller", "laser", "microwave_source", "detector_driver"
]


def _sha256(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
