"""Back from a program to edges and volts: what will really play, read from what is uploaded and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.roles import AwgProgram, AwgWaveform, PulseProgram

__all__ = ["DecodedLine", "Trace", "decode"]

STEP_PS = 1_000
"""One sample at 1 GS/s, one tick of a Pulse Streamer."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The voltage of one analog output: ``volts[i]`` holds from ``start_ps[i]`` to the next start or the end."""

    start_ps: NDArray[np.int64]
    volts: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DecodedLine:
    """One line of a sequence table, or one run of a pulse sequencer, at the connectors; times from its start."""

    number: int
    """From 1, as on the instrument."""
    length_ps: int
    loop_count: int
    wait_for_trigger: bool
    go_to: int
    """The line that follows when the loops are done."""
    jump_to: int | None
    edges_ps: Mapping[str, NDArray[np.int64]]
    """Digital and marker connectors: shape (n, 2), rise and fall of each stretch of high level."""
    volts: Mapping[str, Trace]
    """Analog connectors."""


def decode(program: PulseProgram | AwgProgram, step_ps: int = STEP_PS) -> tuple[DecodedLine, ...]:
    """Decode a program.

    Args:
        program: what was compiled, or read back from the instrument.
        step_ps: length of a sample or tick, picoseconds.

    Returns:
        One line for a pulse sequencer (looped ``n_runs`` times), all lines of the table for an AWG.
    """
    if isinstance(program, PulseProgram):
        return (_decode_pulses(program, step_ps),)
    channels = {
        (channel, name): _decode_channel(channel, waveform, program.channels[channel].amplitude_vpp, step_ps)
        for element in program.elements
        for channel, name in element.waveforms.items()
        for waveform in (program.waveforms[name],)
    }
    lines = []
    for number, element in enumerate(program.elements, 1):
        edges: dict[str, NDArray[np.int64]] = {}
        volts: dict[str, Trace] = {}
        length = 0
        for channel, name in element.waveforms.items():
            channel_edges, trace = channels[channel, name]
            edges |= channel_edges
            offset_v = program.channels[channel].offset_v
            volts[f"ch{channel}"] = Trace(trace.start_ps, trace.volts + offset_v)
            length = program.waveforms[name].words.size
        following = number % len(program.elements) + 1
        lines.append(
            DecodedLine(
                number=number,
                length_ps=length * step_ps,
                loop_count=element.loop_count,
                wait_for_trigger=element.wait_for_trigger,
                go_to=element.go_to or following,
                jump_to=element.jump_to,
                edges_ps=edges,
                volts=volts,
            )
        )
    return tuple(lines)


def _decode_pulses(program: PulseProgram, step_ps: int) -> DecodedLine:
    stops_ps = np.cumsum(program.ticks.astype(np.int64)) * step_ps
    starts_ps = stops_ps - program.ticks.astype(np.int64) * step_ps
    length_ps = int(stops_ps[-1]) if stops_ps.size else 0
    edges = {}
    for bit in range(8):
        edges[f"d{bit}"] = _stretches((program.digital >> bit & 1).astype(np.bool_), starts_ps, length_ps)
    volts = {f"a{n}": Trace(starts_ps, program.analog[:, n] / 0x7FFF) for n in range(program.analog.shape[1])}
    return DecodedLine(1, length_ps, program.n_runs, True, 1, None, edges, volts)


def _decode_channel(
    channel: int, waveform: AwgWaveform, amplitude_vpp: float, step_ps: int
) -> tuple[dict[str, NDArray[np.int64]], Trace]:
    words = waveform.words
    starts_ps = np.arange(words.size, dtype=np.int64) * step_ps
    length_ps = words.size * step_ps
    dac = (words & 0x3FFF).astype(np.int64)
    trace = Trace(starts_ps, (dac - 8191) / 8191 * amplitude_vpp / 2)
    edges = {
        f"ch{channel}m{marker}": _stretches((words >> (13 + marker) & 1).astype(np.bool_), starts_ps, length_ps)
        for marker in (1, 2)
    }
    return edges, trace


def _stretches(high: NDArray[np.bool_], starts_ps: NDArray[np.int64], length_ps: int) -> NDArray[np.int64]:
    """Rise and fall of each stretch of high steps, shape (n, 2)."""
    change = np.diff(np.concatenate(([False], high, [False])).astype(np.int8))
    times_ps = np.append(starts_ps, length_ps)
    return np.column_stack((times_ps[np.flatnonzero(change == 1)], times_ps[np.flatnonzero(change == -1)]))
