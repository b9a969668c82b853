"""The labels of a WebSQ: what they hold, and the commands that change them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulators.instruments.single_quantum._nanowire import Nanowire

__all__ = ["Control", "RefusedError"]

MAX_BIAS_UA = 50.0
MAX_TRIGGER_MV = 1000.0
MIN_PERIOD_MS, MAX_PERIOD_MS = 10, 10_000
_SWITCHING_UA = (25.0, 24.5, 25.5, 24.0)
"""No two wires are alike."""
_STEP_DIGITS = 3
"""The current source makes steps of 1 nA."""


class RefusedError(Exception):
    """A command that is not carried out; its text is what the client is told."""


class Control:
    """All settings of the instrument, as they are when it is plugged in.

    Args:
        broadcast: called with label and value of what has changed.
        changed: called when the detectors have changed.
        search: called when a client starts the search for bias currents.
    """

    def __init__(
        self,
        broadcast: Callable[[str, object], None],
        changed: Callable[[], None],
        search: Callable[[], None],
    ) -> None:
        self._broadcast = broadcast
        self._changed = changed
        self._search = search
        self.wires = tuple(Nanowire(switching_ua) for switching_ua in _SWITCHING_UA)
        self.period_ms = 100
        self.trigger_mv = [100.0] * len(self.wires)
        self.wanted_dark_counts = [100.0] * len(self.wires)
        self.found_ua = [0.0] * len(self.wires)
        self.searching = False
        self._commands: Mapping[str, Callable[[Any], None]] = {
            "SetMeasurementPeriod": self._set_period,
            "SetAllBiasCurrents": self._set_bias,
            "SetAllTriggerLevels": self._set_trigger,
            "DetectorEnable": self._enable,
            "DarkCountsAutoIV": self._set_dark_counts,
            "AutoCaliBiasCurrents": self._start_search,
        }

    def values(self) -> dict[str, object]:
        """Label to value, now."""
        return {
            "NumberOfDetectors": len(self.wires),
            "BiasCurrent": [wire.set_ua for wire in self.wires],
            "TriggerLevel": list(self.trigger_mv),
            "InptMeasurementPeriod": self.period_ms,
            "BiasVoltage": [wire.voltage_mv for wire in self.wires],
            "DetectorEnable": any(wire.enabled for wire in self.wires),
            "StartAutoIV": self.searching,
            "DarkCountsAutoIV": list(self.wanted_dark_counts),
            "BiasCurrentAutoIV": list(self.found_ua),
        }

    def properties(self) -> dict[str, dict[str, object]]:
        """Label to value, unit and bounds."""
        units: dict[str, tuple[str, list[float]]] = {
            "NumberOfDetectors": ("", [len(self.wires), len(self.wires)]),
            "BiasCurrent": ("uA", [0.0, MAX_BIAS_UA]),
            "TriggerLevel": ("mV", [0.0, MAX_TRIGGER_MV]),
            "InptMeasurementPeriod": ("ms", [MIN_PERIOD_MS, MAX_PERIOD_MS]),
            "BiasVoltage": ("mV", [0.0, MAX_BIAS_UA]),
            "DetectorEnable": ("", [0, 1]),
            "StartAutoIV": ("", [0, 1]),
            "DarkCountsAutoIV": ("Hz", [0.0, 1e6]),
            "BiasCurrentAutoIV": ("uA", [0.0, MAX_BIAS_UA]),
        }
        return {
            label: {"value": value, "unit": units[label][0], "bounds": units[label][1]}
            for label, value in self.values().items()
        }

    def obey(self, command: object, value: object) -> None:
        """Carry out a command.

        Raises:
            RefusedError: it is not known, or does not take ``value``.
        """
        carry_out = self._commands.get(str(command))
        if carry_out is None:
            raise RefusedError(f"unknown command {command}")
        carry_out(value)

    def search_ends(self) -> None:
        """Set the bias currents that were looked for."""
        self.searching = False
        self.found_ua = [
            round(wire.bias_for_dark_rate_ua(rate_hz), _STEP_DIGITS)
            for wire, rate_hz in zip(self.wires, self.wanted_dark_counts, strict=True)
        ]
        self._tell("BiasCurrentAutoIV")
        self._set_bias(self.found_ua)
        self._tell("StartAutoIV")

    def latch(self) -> None:
        """A flash of light on all detectors."""
        for wire in self.wires:
            wire.latch()
        self._detectors_changed()

    # Commands.

    def _set_period(self, value: Any) -> None:
        self.period_ms = round(_number(value, MIN_PERIOD_MS, MAX_PERIOD_MS, "the measurement period"))
        self._tell("InptMeasurementPeriod")

    def _set_bias(self, value: Any) -> None:
        for wire, bias_ua in zip(self.wires, self._numbers(value, MAX_BIAS_UA, "a bias current"), strict=True):
            wire.set_ua = bias_ua
        self._tell("BiasCurrent")
        self._detectors_changed()

    def _set_trigger(self, value: Any) -> None:
        self.trigger_mv = self._numbers(value, MAX_TRIGGER_MV, "a trigger level")
        self._tell("TriggerLevel")
        self._changed()

    def _enable(self, value: Any) -> None:
        if value not in (True, False):
            raise RefusedError(f"DetectorEnable takes true or false, not {value}")
        for wire in self.wires:
            wire.enabled = bool(value)
        self._tell("DetectorEnable")
        self._detectors_changed()

    def _set_dark_counts(self, value: Any) -> None:
        self.wanted_dark_counts = self._numbers(value, 1e6, "a dark count rate")
        self._tell("DarkCountsAutoIV")

    def _start_search(self, value: Any) -> None:
        if value not in (True, False):
            raise RefusedError(f"AutoCaliBiasCurrents takes true or false, not {value}")
        if bool(value) and not self.searching:
            self.searching = True
            self._tell("StartAutoIV")
            self._search()

    def _detectors_changed(self) -> None:
        for wire in self.wires:
            wire.settle()
        self._tell("BiasVoltage")
        self._changed()

    def _tell(self, label: str) -> None:
        self._broadcast(label, self.values()[label])

    def _numbers(self, value: Any, high: float, what: str) -> list[float]:
        if not isinstance(value, list) or len(value) != len(self.wires):
            raise RefusedError(f"{what} for each of {len(self.wires)} detectors was expected, not {value}")
        return [_number(item, 0.0, high, what) for item in value]


def _number(value: Any, low: float, high: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RefusedError(f"{what} is from {low:g} to {high:g}, not {value}")
    return float(value)
