"""Rack evaluation: what the uploaded programs do at the ends of the wires.

A pulser's steps become intervals in which each output is high. A line of an AWG's table becomes a list of operations
on the qubit, in time: microwave rotations, optical pulses, light. Everything is found by following wires; an output
that is off, a missing wire, a closed switch or an absent marker shows as a missing operation, by itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from qnode.labfile import WorldNode
from simulators.kit import AwgElementPlayback, AwgPlayback, PulserPlayback
from simulators.world.drive import Drive
from simulators.world.rotations import detuned, excited_rad, resonant
from simulators.world.wiring import Wiring, crosses

__all__ = [
    "SWITCH_THRESHOLD_V",
    "AwgRack",
    "Excitation",
    "Light",
    "LinePath",
    "Operation",
    "PulserRun",
    "Rotation",
    "Segment",
    "Waveform",
    "pulser_run",
]

SWITCH_THRESHOLD_V = 1.0
"""Level from which on a switch or an AOM driver is on: a TTL input."""

MIDDLE_WORD = 8191
MARKER_BIT = {1: 14, 2: 15}

MOST_DIGESTS = 1024
"""Waveforms whose digests are kept; a simulator that runs for days sees many."""

_CONNECTOR = re.compile(r"^ch(\d+)(?:m(\d+))?$")


@dataclass(frozen=True, eq=False)
class PulserRun:
    """One run of a pulser's program."""

    period_ps: int
    high_ps: tuple[NDArray[np.int64], ...]
    """Per output d0.. d7, shape (m, 2): [start, stop) of each interval in which it is high."""

    def edges_ps(self, output: int, rising: bool = True) -> NDArray[np.int64]:
        """Times of an output's edges within a run.

        Runs follow each other without a gap, so a level that holds over the end of a run has no edge there.
        """
        high = self.high_ps[output]
        if high.size and high[0, 0] == 0 and high[-1, 1] == self.period_ps:
            return high[1:, 0] if rising else high[:-1, 1]
        return high[:, 0 if rising else 1]


def pulser_run(playback: PulserPlayback) -> PulserRun:
    """Intervals of one run; a level that holds over the run's end gives two, cut at the end."""
    stops = np.cumsum(playback.duration_ps, dtype=np.int64)
    starts = stops - playback.duration_ps
    high = []
    for output in range(8):
        bits = (playback.digital >> output) & 1 if playback.digital.size else np.zeros(0, dtype=np.uint8)
        padded = np.concatenate([[0], bits, [0]]).astype(np.int8)
        changes = np.diff(padded)
        first, last = np.flatnonzero(changes == 1), np.flatnonzero(changes == -1) - 1
        high.append(
            np.stack([starts[first], stops[last]], axis=1) if first.size else np.zeros((0, 2), dtype=np.int64)
        )
    return PulserRun(int(stops[-1]) if stops.size else 0, tuple(high))


@dataclass(frozen=True, eq=False)
class Rotation:
    """A microwave pulse, taken at the centre of its area."""

    at_ps: int
    unitary: NDArray[np.complex128]
    """(2, 2), index 1 = bright: the product over all samples, so that a phase that changes in mid-pulse counts.

    With a detuned carrier the turn by the detuning is left to what comes before and after, up to the centre.
    """


@dataclass(frozen=True)
class Excitation:
    """An optical pulse."""

    at_ps: int
    """Centre of its area."""
    angle_rad: float


@dataclass(frozen=True)
class Light:
    """Light that is on."""

    at_ps: int
    stop_ps: int
    name: str
    """``spin_pump`` or ``readout_light``."""
    rate: float = 1.0
    """Of spin pumping, as a factor of the nominal one."""

    @property
    def duration_ps(self) -> int:
        """How long it is on."""
        return self.stop_ps - self.at_ps


Operation = Rotation | Excitation | Light


@dataclass(frozen=True, eq=False)
class Waveform:
    """One pass of a line's waveforms, as operations at the qubit; times count from its first sample at the AWG."""

    digest: str
    """Of the words and of all settings that act on them."""
    samples: int
    sample_rate_hz: float
    operations: tuple[Operation, ...]
    """In order of time."""
    microwave_mean_square_v2: float
    """Mean of I^2 + Q^2 that passes the switch, over the waveform; as strong as the carrier is against the nominal."""

    def start_ps(self, loop: int) -> int:
        """Start of a pass, counted from the first one."""
        return round(loop * self.samples * 1e12 / self.sample_rate_hz)

    @property
    def excitations(self) -> tuple[Excitation, ...]:
        """The optical pulses of a pass."""
        return tuple(op for op in self.operations if isinstance(op, Excitation))

    @property
    def excitation(self) -> Excitation | None:
        """The first optical pulse of a pass. More than one a pass is more than a single-click link knows of."""
        return next(iter(self.excitations), None)

    @property
    def readouts(self) -> tuple[Light, ...]:
        """Readout light of a pass."""
        return tuple(op for op in self.operations if isinstance(op, Light) and op.name == "readout_light")


@dataclass(frozen=True, eq=False)
class Segment:
    """A line while it plays."""

    line: int
    waveform: Waveform
    loops: int
    start_ps: int
    """From the trigger, or from the jump."""
    jump_to: int | None

    @property
    def stop_ps(self) -> int:
        """Its end, if nothing ends it earlier."""
        return self.start_ps + self.waveform.start_ps(self.loops)

    def loop_at(self, time_ps: int) -> int:
        """The pass that plays at a time; its start belongs to it."""
        period = self.waveform.samples * 1e12 / self.waveform.sample_rate_hz
        loop = int((time_ps - self.start_ps) // period)
        while self.start_ps + self.waveform.start_ps(loop + 1) <= time_ps:
            loop += 1
        return loop


@dataclass(frozen=True, eq=False)
class LinePath:
    """What an AWG plays from a line on, until it waits for a trigger again."""

    segments: tuple[Segment, ...]
    next_line: int | None
    """The line that waits then; None: it never waits again."""
    key: tuple[object, ...]
    """Equal for paths that play the same if no event comes."""

    @property
    def stop_ps(self) -> int:
        """When it waits again."""
        return self.segments[-1].stop_ps if self.segments else 0

    @property
    def attempts(self) -> Segment | None:
        """The segment that excites: the attempt train."""
        return next((segment for segment in self.segments if segment.waveform.excitation is not None), None)

    def segment_at(self, time_ps: int) -> Segment | None:
        """What plays at a time, counted as the segments' starts are."""
        return next((s for s in self.segments if s.start_ps <= time_ps < s.stop_ps), None)


class AwgRack:
    """One AWG with the qubit at the ends of its wires.

    Args:
        awg: ``site.instrument``.
        qubit: ``site.element`` of its emitter.
        wiring: the lab's wires.
        node: the truth of this node.
    """

    def __init__(self, awg: str, qubit: str, wiring: Wiring, node: WorldNode) -> None:
        self._node = node
        self._inputs: dict[str, tuple[int, int | None, int]] = {}
        for name in ("microwave_i", "microwave_q", "microwave_switch", "optical_pulse", "excitation_gate"):
            self._connect(name, awg, qubit, wiring)
        for name in ("spin_pump", "readout_light"):
            self._connect(name, awg, qubit, wiring)
        self._digests: dict[int, tuple[NDArray[np.uint16], str]] = {}
        self._waveforms: dict[tuple[object, ...], Waveform] = {}

    def _connect(self, name: str, awg: str, qubit: str, wiring: Wiring) -> None:
        source = wiring.source(f"{qubit}.{name}")
        if source is None or not source[0].startswith(f"{awg}."):
            return
        match = _CONNECTOR.match(source[0].rpartition(".")[2])
        if match is not None:
            marker = int(match[2]) if match[2] else None
            self._inputs[name] = (int(match[1]), marker, source[1])

    def path(self, playback: AwgPlayback, line: int, limit_ps: int, drive: Drive) -> LinePath:
        """What plays from a line on.

        Args:
            playback: of this AWG.
            line: starts at once, whether or not it waits for a trigger.
            limit_ps: a line that loops for ever is looked at up to here; it never waits again.
            drive: light and carrier that it switches and modulates.
        """
        segments: list[Segment] = []
        at_ps = 0
        current = line
        next_line: int | None = None
        for _ in range(len(playback.elements) + 1):
            element = playback.elements[current - 1]
            waveform = self.waveform(playback, element, drive)
            if waveform is not None and waveform.samples:
                loops = element.loop_count
                if loops < 0:
                    loops = max(1, int((limit_ps - at_ps) // max(waveform.start_ps(1), 1)))
                segments.append(Segment(current, waveform, loops, at_ps, element.jump_to))
                at_ps = segments[-1].stop_ps
                if element.loop_count < 0:
                    break
            if not 1 <= element.go_to <= len(playback.elements):
                break
            current = element.go_to
            if playback.elements[current - 1].wait_for_trigger:
                next_line = current
                break
        key = tuple((s.waveform.digest, s.loops, s.start_ps) for s in segments)
        return LinePath(tuple(segments), next_line, key)

    def waveform(self, playback: AwgPlayback, element: AwgElementPlayback, drive: Drive) -> Waveform | None:
        """One pass of a line, evaluated once for each set of words, settings and drive; None: it has no waveform."""
        if not element.waveforms:
            return None
        used = sorted(element.waveforms)
        settings = tuple(
            (
                channel,
                self._digest(element.waveforms[channel]),
                playback.output_on.get(channel, False),
                playback.amplitude_vpp.get(channel, 0.0),
                playback.offset_v.get(channel, 0.0),
                tuple(playback.marker_high_v.get((channel, marker), 0.0) for marker in (1, 2)),
            )
            for channel in used
        )
        key = (playback.sample_rate_hz, drive, *settings)
        if key not in self._waveforms:
            digest = hashlib.sha256(repr(key).encode()).hexdigest()
            self._waveforms[key] = self._evaluate(playback, element, drive, digest)
        return self._waveforms[key]

    def _digest(self, words: NDArray[np.uint16]) -> str:
        # The array is kept beside its digest, so that its id can't come back for another one.
        known = self._digests.get(id(words))
        if known is None:
            if len(self._digests) >= MOST_DIGESTS:
                self._digests.clear()
            known = (words, hashlib.sha256(np.ascontiguousarray(words).tobytes()).hexdigest())
            self._digests[id(words)] = known
        return known[1]

    def _evaluate(self, playback: AwgPlayback, element: AwgElementPlayback, drive: Drive, digest: str) -> Waveform:
        samples = min(words.size for words in element.waveforms.values())
        reader = _Reader(playback, element, samples, self._inputs)
        microwave, start_ps = reader.microwave(drive, self._node.microwave.full_drive_v)
        operations: list[Operation] = [
            *self._rotations(microwave, start_ps, reader.sample_ps, drive),
            *self._excitations(reader, drive),
            *_lights(reader, "spin_pump", drive.pumping),
        ]
        if drive.resonant:
            operations += _lights(reader, "readout_light", 1.0)
        operations.sort(key=lambda operation: operation.at_ps)
        power = float(np.mean(np.abs(microwave) ** 2)) if samples else 0.0
        return Waveform(digest, samples, playback.sample_rate_hz, tuple(operations), power)

    def _rotations(
        self, microwave: NDArray[np.complex128], start_ps: int, sample_ps: float, drive: Drive
    ) -> Iterator[Rotation]:
        turn_rad = 2 * pi * drive.carrier_hz * sample_ps * 1e-12
        for first, stop in _runs(microwave != 0):
            part = microwave[first:stop]
            at_ps = _centre_ps(np.abs(part), first, start_ps, sample_ps)
            angles = part * (2 * pi * self._node.spin.rabi_mhz_per_volt * 1e6 * sample_ps * 1e-12)
            if turn_rad == 0:
                yield Rotation(at_ps, resonant(angles))
            else:
                yield Rotation(at_ps, detuned(angles, turn_rad, (at_ps - start_ps) / sample_ps - first))

    def _excitations(self, reader: _Reader, drive: Drive) -> Iterator[Excitation]:
        rabi_mhz_per_volt = self._node.emitter.optical_rabi_mhz_per_volt
        optical, start_ps = reader.gated("optical_pulse", "excitation_gate")
        for first, stop in _runs(optical != 0) if drive.resonant else ():
            volts = optical[first:stop]
            at_ps = _centre_ps(np.abs(volts), first, start_ps, reader.sample_ps)
            if drive.resonant_mhz == 0 and drive.scan_mhz == 0:
                angle = 2 * pi * rabi_mhz_per_volt * 1e6 * float(volts.sum()) * reader.sample_ps * 1e-12
                yield Excitation(at_ps, angle * sqrt(drive.resonant))
            else:
                angles = volts * (2 * pi * rabi_mhz_per_volt * 1e-6 * reader.sample_ps * sqrt(drive.resonant))
                turn_rad = 2 * pi * drive.resonant_mhz * 1e-6 * reader.sample_ps
                scan_rad = 2 * pi * drive.scan_mhz * 1e-6 * reader.sample_ps
                yield Excitation(at_ps, excited_rad(angles, turn_rad, scan_rad))


class _Reader:
    """Voltages at the qubit's inputs during one pass, on the AWG's sample grid."""

    def __init__(
        self,
        playback: AwgPlayback,
        element: AwgElementPlayback,
        samples: int,
        inputs: dict[str, tuple[int, int | None, int]],
    ) -> None:
        self._playback = playback
        self._element = element
        self._samples = samples
        self._inputs = inputs
        self.sample_ps = 1e12 / playback.sample_rate_hz

    def microwave(self, drive: Drive, full_drive_v: float) -> tuple[NDArray[np.complex128], int]:
        """I + iQ where the switch lets it pass, as strong as the carrier is, and the delay of its first sample.

        Without modulation the whole carrier runs through instead.
        """
        if not drive.modulated:
            level, delay_ps = self.switch("microwave_switch")
            return level * np.complex128(full_drive_v * drive.carrier), delay_ps
        in_phase, delay_i = self._volts("microwave_i")
        quadrature, delay_q = self._volts("microwave_q")
        delay = delay_i if delay_i is not None else delay_q
        if delay is None:
            return np.zeros(self._samples, dtype=np.complex128), 0
        total = np.zeros(self._samples, dtype=np.complex128)
        if delay_i is not None:
            total += in_phase
        if delay_q is not None:
            total += 1j * self._shift(quadrature, delay_q - delay)
        return total * self._gate("microwave_switch", delay) * drive.carrier, delay

    def gated(self, signal: str, gate: str) -> tuple[NDArray[np.float64], int]:
        """An analog signal where its gate is open, and the delay of its first sample."""
        volts, delay = self._volts(signal)
        if delay is None:
            return volts, 0
        return volts * self._gate(gate, delay), delay

    def switch(self, name: str) -> tuple[NDArray[np.bool_], int]:
        """Where a digital input is on, and the delay of its first sample."""
        connection = self._inputs.get(name)
        if connection is None:
            return np.zeros(self._samples, dtype=np.bool_), 0
        channel, marker, delay = connection
        words = self._words(channel)
        if words is None:
            return np.zeros(self._samples, dtype=np.bool_), delay
        if marker is None:
            return self._analog(channel, words) > SWITCH_THRESHOLD_V, delay
        high_v = self._playback.marker_high_v.get((channel, marker), 0.0)
        on = (words >> MARKER_BIT[marker]) & 1
        return (on == 1) & crosses(high_v, SWITCH_THRESHOLD_V), delay

    def _gate(self, name: str, delay_ps: int) -> NDArray[np.float64]:
        level, gate_delay_ps = self.switch(name)
        return self._shift(level.astype(np.float64), gate_delay_ps - delay_ps)

    def _volts(self, name: str) -> tuple[NDArray[np.float64], int | None]:
        connection = self._inputs.get(name)
        dark = np.zeros(self._samples)
        if connection is None:
            return dark, None
        channel, marker, delay = connection
        words = self._words(channel)
        if words is None:
            return dark, delay
        if marker is not None:
            high_v = self._playback.marker_high_v.get((channel, marker), 0.0)
            return ((words >> MARKER_BIT[marker]) & 1).astype(np.float64) * high_v, delay
        return self._analog(channel, words), delay

    def _words(self, channel: int) -> NDArray[np.uint16] | None:
        """The words of a channel whose output is on."""
        words = self._element.waveforms.get(channel)
        if words is None or not self._playback.output_on.get(channel, False):
            return None
        return words[: self._samples]

    def _analog(self, channel: int, words: NDArray[np.uint16]) -> NDArray[np.float64]:
        dac = (words & 0x3FFF).astype(np.float64)
        amplitude = self._playback.amplitude_vpp.get(channel, 0.0)
        volts = (dac - MIDDLE_WORD) / MIDDLE_WORD * amplitude / 2 + self._playback.offset_v.get(channel, 0.0)
        return np.asarray(volts)

    def _shift(self, values: NDArray[np.float64], later_ps: int) -> NDArray[np.float64]:
        """Move by whole samples; what leaves the pass at one end is dropped."""
        by = round(later_ps / self.sample_ps)
        if by == 0:
            return values
        moved = np.zeros_like(values)
        if by > 0:
            moved[by:] = values[:-by]
        else:
            moved[:by] = values[-by:]
        return moved


def _lights(reader: _Reader, name: str, rate: float) -> Iterator[Light]:
    level, start_ps = reader.switch(name)
    for first, stop in _runs(level) if rate else ():
        begin, end = (round(start_ps + n * reader.sample_ps) for n in (first, stop))
        yield Light(begin, end, name, rate)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[first, stop) of each run of true values."""
    changes = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(changes == 1).tolist(), np.flatnonzero(changes == -1).tolist(), strict=True))


def _centre_ps(weight: NDArray[np.float64], first: int, start_ps: int, sample_ps: float) -> int:
    positions = np.arange(weight.size) + 0.5
    return round(start_ps + (first + float(np.average(positions, weights=weight))) * sample_ps)
