"""Pulses on connectors: a section's pulses after wiring, I/Q splitting, calibration and delay compensation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.roles import AwgLimits, PulseLimits
from qnode.errors import MisuseError
from sequences.language import Pulse, Section
from sequences.wiring import Connector, Output, Wiring

__all__ = ["Limits", "Placed", "grid_ps", "place"]

Limits = PulseLimits | AwgLimits


@dataclass(frozen=True, slots=True)
class Placed:
    """One pulse on one connector."""

    pulse: Pulse
    signal: str
    output: Output
    connector: Connector
    start_ps: int
    """At the connector, counted from the start of the section."""
    volts: float | None
    """Signed peak; None on a digital output."""

    @property
    def stop_ps(self) -> int:
        """First moment after the pulse, at the connector."""
        return self.start_ps + self.pulse.length_ps

    @property
    def where(self) -> str:
        """Instrument and connector."""
        return f"{self.output.instrument}.{self.output.connector}"


def grid_ps(limits: Limits) -> int:
    """The step of an instrument's time, picoseconds.

    Raises:
        MisuseError: the sample rate has no whole number of picoseconds a sample.
    """
    if isinstance(limits, PulseLimits):
        return limits.tick_ps
    step_ps, rest = divmod(10**12, limits.sample_rate_hz)
    if rest:
        raise MisuseError(
            f"a sample rate of {limits.sample_rate_hz} Hz has no whole picoseconds a sample",
            hint="use 1000000000 Hz (1000 ps)",
        )
    return step_ps


def place(section: Section, wiring: Wiring, limits: Mapping[str, Limits]) -> list[Placed]:
    """Put the pulses of a section on connectors.

    Raises:
        MisuseError: a signal that no wire carries, or an instrument without limits.
    """
    placed = []
    for pulse in section.pulses:
        for signal, share in zip(pulse.carriers, _shares(pulse), strict=True):
            output = _output(pulse, signal, section, wiring)
            if output.instrument not in limits:
                raise MisuseError(
                    f"pulse {pulse.name!r} in section {section.name!r} is wired to {output.instrument}, "
                    "whose limits are not known",
                    hint=f"limits were given for {', '.join(sorted(limits)) or 'no instrument'}",
                )
            step_ps = grid_ps(limits[output.instrument])
            volts = None if pulse.shape is None else pulse.peak_v(step_ps) * share
            start_ps = pulse.start_ps + wiring.shift_ps(signal, step_ps)
            placed.append(Placed(pulse, signal, output, Connector.parse(output.connector), start_ps, volts))
    return placed


def _shares(pulse: Pulse) -> tuple[float, ...]:
    return (1.0,) if pulse.phase_rad is None else (math.cos(pulse.phase_rad), math.sin(pulse.phase_rad))


def _output(pulse: Pulse, signal: str, section: Section, wiring: Wiring) -> Output:
    try:
        return wiring.output(signal)
    except MisuseError as fault:
        raise MisuseError(
            f"pulse {pulse.name!r} in section {section.name!r}: {fault.message}", hint=fault.hint, signal=signal
        ) from None
