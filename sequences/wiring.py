"""Who plays a signal, over which wire, and who triggers whom: what the compiler must know of a rack.

Signals are the names at the far end of the wires ("spin_pump", "optical_pulse", "herald_gate"), so that a sequence
says what happens at the qubit and never which box does it. A microwave signal is carried by two outputs, its name
followed by ``_i`` and ``_q``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from qnode.errors import MisuseError

__all__ = ["Connector", "Output", "Wiring"]

_DIGITAL = re.compile(r"d([0-7])$")
_PULSER_ANALOG = re.compile(r"a([01])$")
_ANALOG = re.compile(r"ch([1-9])$")
_MARKER = re.compile(r"ch([1-9])m([12])$")


@dataclass(frozen=True, slots=True)
class Connector:
    """An output socket, taken apart: ``d3``, ``a0``, ``ch2``, ``ch2m1``."""

    analog: bool
    channel: int
    """Bit of a digital output, number (from 0) of a pulser's analog output, channel (from 1) of an AWG."""
    marker: int = 0
    """1 or 2 for a marker of an AWG's channel, else 0."""
    of_awg: bool = False

    @classmethod
    def parse(cls, name: str) -> Connector:
        """Read a connector's name.

        Raises:
            MisuseError: no output is called so.
        """
        if match := _DIGITAL.match(name):
            return cls(analog=False, channel=int(match[1]))
        if match := _PULSER_ANALOG.match(name):
            return cls(analog=True, channel=int(match[1]))
        if match := _ANALOG.match(name):
            return cls(analog=True, channel=int(match[1]), of_awg=True)
        if match := _MARKER.match(name):
            return cls(analog=False, channel=int(match[1]), marker=int(match[2]), of_awg=True)
        raise MisuseError(
            f"no output connector is called {name!r}", hint="name it d0..d7, a0, a1, ch1..ch9, ch1m1 or ch1m2"
        )


@dataclass(frozen=True, slots=True)
class Output:
    """The output that carries a signal, and the wire behind it."""

    instrument: str
    connector: str
    """``d0``, ``a0``, ``ch1`` or ``ch1m1``."""
    kind: str
    """Kind of the wire: ``light``, ``microwave``, ``trigger``."""
    delay_ps: int
    """From the output to where the signal acts."""
    amplitude_vpp: float | None = None
    """Range that an analog output is set to; None for digital ones."""


@dataclass(frozen=True)
class Wiring:
    """The outputs of one site by signal, and which signal triggers which instrument."""

    outputs: Mapping[str, Output]
    triggers: Mapping[str, str] = field(default_factory=dict)
    """Instrument to the signal whose rising edge starts it. The delay of that signal's wire is the trigger's."""

    def output(self, signal: str) -> Output:
        """The output that carries a signal.

        Raises:
            MisuseError: no wire does.
        """
        try:
            return self.outputs[signal]
        except KeyError:
            known = ", ".join(sorted(self.outputs)) or "none"
            raise MisuseError(
                f"no wire carries the signal {signal!r}", hint=f"signals of this wiring: {known}", signal=signal
            ) from None

    def trigger_delay_ps(self, instrument: str) -> int:
        """From the edge at the pulser's output to the trigger input of an instrument, picoseconds.

        Raises:
            MisuseError: nothing triggers it.
        """
        return self.output(self.trigger_of(instrument)).delay_ps

    def trigger_of(self, instrument: str) -> str:
        """The signal that starts an instrument.

        Raises:
            MisuseError: nothing triggers it.
        """
        if instrument not in self.triggers:
            raise MisuseError(
                f"nothing triggers {instrument}", hint="wire an output of the pulse sequencer to its trigger input"
            )
        return self.triggers[instrument]

    def reach_ps(self, instrument: str) -> int:
        """The longest way from an instrument's outputs to where they act, picoseconds; 0 without outputs.

        For an output that triggers an instrument it is the way of the trigger plus that instrument's own reach: a
        round trigger acts where the first sample of the triggered waveform acts.

        Raises:
            MisuseError: instruments trigger each other in a circle.
        """
        return self._reach_ps(instrument, ())

    def way_ps(self, signal: str) -> int:
        """From the output of a signal to where it acts, picoseconds; see `reach_ps` for triggers.

        Raises:
            MisuseError: no wire carries the signal, or instruments trigger each other in a circle.
        """
        return self._way_ps(signal, ())

    def _reach_ps(self, instrument: str, before: tuple[str, ...]) -> int:
        if instrument in before:
            raise MisuseError(
                f"instruments trigger each other in a circle: {' -> '.join((*before, instrument))}",
                hint="correct the trigger wires",
            )
        mine = [signal for signal, output in self.outputs.items() if output.instrument == instrument]
        return max((self._way_ps(signal, (*before, instrument)) for signal in mine), default=0)

    def _way_ps(self, signal: str, before: tuple[str, ...]) -> int:
        started = [name for name, trigger in self.triggers.items() if trigger == signal]
        beyond = max((self._reach_ps(name, before) for name in started), default=0)
        return self.output(signal).delay_ps + beyond

    def shift_ps(self, signal: str, grid_ps: int) -> int:
        """How much later than written a signal is played, so that all of its instrument's signals act together.

        ``reach - way``, to the nearest step of the instrument's grid: what is left, at most half a step, is the
        skew that no program can take out.
        """
        late_ps = self.reach_ps(self.output(signal).instrument) - self.way_ps(signal)
        return (2 * late_ps + grid_ps) // (2 * grid_ps) * grid_ps
