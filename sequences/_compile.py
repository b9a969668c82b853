"""From a round to the programs of its instruments, in the instruments' own integers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from drivers.roles import (
    AwgChannelSettings,
    AwgElement,
    AwgLimits,
    AwgProgram,
    AwgWaveform,
    PulseLimits,
    PulseProgram,
)
from sequences._check import check, players
from sequences._placed import Limits, Placed, grid_ps, place
from sequences.language import Round, Section, Train
from sequences.wiring import Connector, Wiring

__all__ = ["compile"]

AWG_ZERO = 8191
"""DAC word of 0 V; words go from 0 to twice that."""
PULSER_FULL_SCALE = 0x7FFF
"""DAC word of +1 V at a pulse sequencer's analog output."""


def compile(
    round_: Round, wiring: Wiring, limits: Mapping[str, Limits], *, runs: int = 1
) -> dict[str, PulseProgram | AwgProgram]:
    """Compile a round for the instruments that play it.

    Args:
        round_: the round.
        wiring: who carries which signal.
        limits: instrument to the limits of its model.
        runs: how many rounds a pulse sequencer plays.

    Returns:
        Instrument to program, for each instrument that has a pulse in the round.

    Raises:
        MisuseError: see `check`, which runs first.
    """
    check(round_, wiring, limits)
    programs: dict[str, PulseProgram | AwgProgram] = {}
    timeline = place(round_.timeline, wiring, limits)
    for instrument in sorted({one.output.instrument for one in timeline}):
        model = limits[instrument]
        if isinstance(model, PulseLimits):
            mine = [one for one in timeline if one.output.instrument == instrument]
            programs[instrument] = _pulse_program(mine, round_.period_ps, model, runs)
    for instrument in sorted(players(round_, wiring, limits)):
        model = limits[instrument]
        if isinstance(model, AwgLimits):
            programs[instrument] = _Table(instrument, wiring, limits, model).program(round_)
    return programs


def _pulse_program(placed: list[Placed], period_ps: int, model: PulseLimits, runs: int) -> PulseProgram:
    tick_ps = model.tick_ps
    period = period_ps // tick_ps
    marks = {0, period}
    for one in placed:
        start, stop = one.start_ps // tick_ps, one.stop_ps // tick_ps
        marks |= set(range(start, stop + 1)) if one.connector.analog else {start, stop}
    starts = np.array(sorted(marks), np.int64)
    digital = np.zeros(starts.size, np.uint8)
    analog = np.zeros((starts.size, 2), np.int16)
    for one in placed:
        first, last = np.searchsorted(starts, (one.start_ps // tick_ps, one.stop_ps // tick_ps))
        if one.connector.analog:
            words = np.rint(_volts(one, tick_ps) * PULSER_FULL_SCALE).astype(np.int16)
            analog[first:last, one.connector.channel] = words[starts[first:last] - one.start_ps // tick_ps]
        else:
            digital[first:last] |= np.uint8(1 << one.connector.channel)
    return _run_lengths(np.diff(starts), digital[:-1], analog[:-1], model.maximum_step_ticks, runs)


def _run_lengths(
    ticks: NDArray[np.int64], digital: NDArray[np.uint8], analog: NDArray[np.int16], longest: int, runs: int
) -> PulseProgram:
    """Join equal neighbours and split what is longer than a step may be."""
    new = np.ones(ticks.size, np.bool_)
    new[1:] = (digital[1:] != digital[:-1]) | (analog[1:] != analog[:-1]).any(axis=1)
    first = np.flatnonzero(new)
    joined = np.add.reduceat(ticks, first)
    pieces = -(-joined // longest)
    short = joined // pieces
    split = np.repeat(short, pieces)
    split[np.cumsum(pieces) - 1] += joined - short * pieces
    where = np.repeat(first, pieces)
    return PulseProgram(split.astype(np.uint32), digital[where], analog[where], runs)


def _volts(one: Placed, step_ps: int) -> NDArray[np.float64]:
    shape = one.pulse.shape
    if shape is None or one.volts is None:
        return np.zeros(0)
    return shape.samples(step_ps) * one.volts


class _Table:
    """Waveforms and sequence table of one AWG."""

    def __init__(self, instrument: str, wiring: Wiring, limits: Mapping[str, Limits], model: AwgLimits) -> None:
        self._instrument = instrument
        self._wiring = wiring
        self._limits = limits
        self._model = model
        self._step_ps = grid_ps(model)
        self._settings = self._channels()
        self._waveforms: dict[str, AwgWaveform] = {}
        self._of_section: dict[int, dict[int, str]] = {}

    def program(self, round_: Round) -> AwgProgram:
        """Lines in the order of playing: each train, and behind it its branch, which the train skips."""
        last = sum(_lines(trains) for trains in round_.trains)
        elements: list[AwgElement] = []

        def add(section: Section, times: int, waits: bool, then: int, jump_to: int | None) -> None:
            line = len(elements) + 1
            following = line + 1 if line < last else 1
            then = then if then <= last else 1
            go_to = None if then == following else then
            elements.append(AwgElement(self._section(section), times, waits, go_to, jump_to))

        for trains in round_.trains:
            after = len(elements) + 1 + _lines(trains)
            for number, train in enumerate(trains):
                line = len(elements) + 1
                if train.branch is None:
                    add(train.section, train.times, number == 0, line + 1, None)
                else:
                    add(train.section, train.times, number == 0, line + 2, line + 1)
                    add(train.branch, 1, False, after, None)
        return AwgProgram(self._waveforms, elements, self._settings)

    def _channels(self) -> dict[int, AwgChannelSettings]:
        """Settings of each channel that a wire leaves, by an analog output or by a marker."""
        amplitude_vpp: dict[int, float] = {}
        for output in self._wiring.outputs.values():
            if output.instrument == self._instrument:
                connector = Connector.parse(output.connector)
                amplitude_vpp.setdefault(connector.channel, self._model.analog.minimum_vpp)
                if output.amplitude_vpp is not None:
                    amplitude_vpp[connector.channel] = output.amplitude_vpp
        return {channel: AwgChannelSettings(amplitude_vpp[channel]) for channel in sorted(amplitude_vpp)}

    def _section(self, section: Section) -> dict[int, str]:
        """Names of the waveforms of a section, by channel; made once a section."""
        if id(section) not in self._of_section:
            words = self._words(section)
            self._of_section[id(section)] = {channel: self._store(words[channel]) for channel in words}
        return self._of_section[id(section)]

    def _words(self, section: Section) -> dict[int, NDArray[np.uint16]]:
        samples = section.length_ps // self._step_ps
        words = {channel: np.full(samples, AWG_ZERO, np.uint16) for channel in self._settings}
        for one in place(section, self._wiring, self._limits):
            if one.output.instrument != self._instrument:
                continue
            channel = one.connector.channel
            part = words[channel][one.start_ps // self._step_ps : one.stop_ps // self._step_ps]
            if one.connector.marker:
                part |= np.uint16(1 << (13 + one.connector.marker))
            else:
                full_v = self._settings[channel].amplitude_vpp / 2
                dac = np.rint(_volts(one, self._step_ps) / full_v * AWG_ZERO).astype(np.int32) + AWG_ZERO
                part[:] = (part & 0xC000) | dac.astype(np.uint16)
        return words

    def _store(self, words: NDArray[np.uint16]) -> str:
        """Name by content: equal waveforms are one, and a changed one never plays under an old name."""
        name = "qn" + hashlib.sha256(words.astype("<u2").tobytes()).hexdigest()[:20]
        self._waveforms.setdefault(name, AwgWaveform(name, words))
        return name


def _lines(trains: Iterable[Train]) -> int:
    return sum(1 if train.branch is None else 2 for train in trains)
