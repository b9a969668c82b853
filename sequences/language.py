"""The pulse language: pulses on named signals in sections, sections in rounds.

Times are integer picoseconds and say when a pulse acts at the qubit, counted from the start of its section; wire
delays are taken out by the compiler. What can be wrong by itself (a negative time, a pulse that leaves its section)
is refused in the line that writes it; what needs the rack (signals, grids, ranges) by `sequences.check`.

Example:
    >>> from sequences import Gaussian, Section, Square, ns
    >>> attempt = Section("attempt", 5_500 * ns)
    >>> attempt.on("spin_pump", at_ps=10 * ns, length_ps=1_990 * ns)
    >>> attempt.rotate("microwave", 1.98, at_ps=2_500 * ns, shape=Gaussian(100 * ns, 20 * ns), rabi_mhz_per_volt=10)
    >>> attempt.play("optical_pulse", Square(2 * ns), at_ps=3_000 * ns, amplitude_v=1.0)
    >>> [pulse.signal for pulse in attempt.pulses]
    ['spin_pump', 'microwave', 'optical_pulse']
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qnode.errors import MisuseError
from sequences.shapes import Shape

__all__ = ["Pulse", "Round", "Section", "Train", "ms", "ns", "us"]

ns = 1_000
"""Picoseconds in a nanosecond."""
us = 1_000_000
"""Picoseconds in a microsecond."""
ms = 1_000_000_000
"""Picoseconds in a millisecond."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse on one signal. Made by the verbs of `Section`."""

    name: str
    signal: str
    start_ps: int
    length_ps: int
    shape: Shape | None = None
    """None: a digital output is high."""
    amplitude_v: float | None = None
    """Peak, volts; None for a digital output, and for a rotation, whose amplitude follows from its angle."""
    phase_rad: float | None = None
    """None: one output. Else the pulse is I = cos(phase), Q = sin(phase) on ``signal_i`` and ``signal_q``."""
    angle_rad: float | None = None
    rabi_mhz_per_volt: float | None = None

    @property
    def stop_ps(self) -> int:
        """First moment after the pulse."""
        return self.start_ps + self.length_ps

    @property
    def carriers(self) -> tuple[str, ...]:
        """The signals of the wiring that carry it."""
        return (self.signal,) if self.phase_rad is None else (f"{self.signal}_i", f"{self.signal}_q")

    def peak_v(self, sample_ps: int) -> float:
        """Peak voltage of the envelope before it is split into I and Q.

        A rotation solves angle = 2 pi f integral(V dt) for the peak, with the sum over the samples that will play
        in place of the integral, so that a coarse grid costs no accuracy.
        """
        if self.amplitude_v is not None:
            return self.amplitude_v
        if self.angle_rad is None or self.rabi_mhz_per_volt is None or self.shape is None:
            return 0.0
        area_us = float(self.shape.samples(sample_ps).sum()) * sample_ps / us
        return self.angle_rad / (2 * math.pi * self.rabi_mhz_per_volt * area_us)


class Section:
    """A stretch of time with pulses in it: an attempt, a branch, a calibration shot.

    Args:
        name: what it is called in drawings and faults.
        length_ps: its fixed length, picoseconds.
    """

    def __init__(self, name: str, length_ps: int) -> None:
        self.name = name
        self.length_ps = _whole(length_ps, f"the length of section {name!r}")
        if self.length_ps <= 0:
            raise MisuseError(f"section {name!r} is {length_ps} ps long", hint="make it longer than 0 ps")
        self._pulses: list[Pulse] = []

    @property
    def pulses(self) -> tuple[Pulse, ...]:
        """All pulses, in the order in which they were written."""
        return tuple(self._pulses)

    def on(self, signal: str, *, at_ps: int, length_ps: int, name: str = "") -> None:
        """Hold a digital signal high: light through a modulator, a gate, a trigger.

        Raises:
            MisuseError: the pulse does not lie in this section.
        """
        self._add(Pulse(name or signal, signal, at_ps, length_ps))

    def play(self, signal: str, shape: Shape, *, at_ps: int, amplitude_v: float, name: str = "") -> None:
        """Play an envelope with a peak of ``amplitude_v`` volts on an analog signal.

        Raises:
            MisuseError: the pulse does not lie in this section, or its amplitude is no number.
        """
        self._add(Pulse(name or signal, signal, at_ps, shape.length_ps, shape, amplitude_v))

    def drive(
        self, signal: str, shape: Shape, *, at_ps: int, amplitude_v: float, phase_rad: float = 0.0, name: str = ""
    ) -> None:
        """Play an envelope on the I and Q of a microwave signal, its peak given in volts (as in a Rabi sweep).

        Raises:
            MisuseError: the pulse does not lie in this section, or its amplitude or phase is no number.
        """
        self._add(Pulse(name or signal, signal, at_ps, shape.length_ps, shape, amplitude_v, phase_rad))

    def rotate(
        self,
        signal: str,
        angle_rad: float,
        *,
        at_ps: int,
        shape: Shape,
        rabi_mhz_per_volt: float,
        phase_rad: float = 0.0,
        name: str = "",
    ) -> None:
        """Rotate the spin by an angle about the axis cos(phase) X + sin(phase) Y.

        Args:
            signal: microwave signal; ``signal_i`` and ``signal_q`` must be wired.
            angle_rad: rotation angle; angle = 2 pi f integral(V dt).
            at_ps: start of the envelope.
            shape: the envelope.
            rabi_mhz_per_volt: the calibration f, cycles per microsecond for one volt.
            phase_rad: direction of the axis in the equator, from X.
            name: what it is called in drawings and faults.

        Raises:
            MisuseError: the pulse does not lie in this section, or a value is no number.
        """
        if not (math.isfinite(rabi_mhz_per_volt) and rabi_mhz_per_volt > 0):
            raise MisuseError(
                f"rotation {name or signal!r}: a calibration of {rabi_mhz_per_volt} MHz/V",
                hint="measure it with a Rabi oscillation; it is above 0",
            )
        self._add(
            Pulse(
                name or signal,
                signal,
                at_ps,
                shape.length_ps,
                shape,
                phase_rad=phase_rad,
                angle_rad=angle_rad,
                rabi_mhz_per_volt=rabi_mhz_per_volt,
            )
        )

    def _add(self, pulse: Pulse) -> None:
        what = f"pulse {pulse.name!r} on {pulse.signal} in section {self.name!r}"
        start_ps = _whole(pulse.start_ps, f"the start of {what}")
        length_ps = _whole(pulse.length_ps, f"the length of {what}")
        for value in (pulse.amplitude_v, pulse.phase_rad, pulse.angle_rad):
            if value is not None and not math.isfinite(value):
                raise MisuseError(f"{what} has a value of {value}", hint="give a finite number")
        if length_ps <= 0:
            raise MisuseError(f"{what} is {length_ps} ps long", hint="make it longer than 0 ps")
        if start_ps < 0:
            raise MisuseError(
                f"{what} starts at {start_ps} ps, before its section", hint="the earliest legal start is 0 ps"
            )
        if pulse.stop_ps > self.length_ps:
            latest_ps = self.length_ps - length_ps
            hint = (
                f"the latest legal start is {latest_ps} ps"
                if latest_ps >= 0
                else f"make the section at least {length_ps} ps long"
            )
            raise MisuseError(f"{what} ends at {pulse.stop_ps} ps, outside its {self.length_ps} ps", hint=hint)
        self._pulses.append(pulse)


@dataclass(frozen=True)
class Train:
    """A section played ``times`` times back to back, and the branch that a herald jumps to.

    The instrument with the event input plays it: when the herald line rises, the section that is playing is played
    to its end, then the branch, and the rest of the train is not played.
    """

    section: Section
    times: int = 1
    branch: Section | None = None
    """Played after a herald; None: heralds are ignored."""


@dataclass(frozen=True)
class Round:
    """One round: what is the same every time, and what is started by its trigger.

    Attributes:
        name: what it is called.
        timeline: what a pulse sequencer plays in every round; its length is the round's period.
        trigger: the signal of the timeline that starts the trains.
        trains: what the triggered instruments play in round 0, 1, ...; after the last one from the first again.
            Each entry is played front to back after one trigger.
    """

    name: str
    timeline: Section
    trigger: str = "round_trigger"
    trains: tuple[tuple[Train, ...], ...] = ()

    @property
    def period_ps(self) -> int:
        """Length of the round."""
        return self.timeline.length_ps


def _whole(value: float, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        near = f"{math.floor(value)} or {math.ceil(value)}" if math.isfinite(value) else "0, 1, 2, ..."
        raise MisuseError(f"{what} is {value!r} ps", hint=f"times are whole picoseconds: {near}")
    return int(value)
