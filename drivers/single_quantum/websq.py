"""Single Quantum EOS (Atlas) detector driver, over its WebSQ server.

Two TCP ports: labels and commands as JSON, and a stream of counts, one line a measurement period. Written from the
maker's Python client.
"""

from __future__ import annotations

import math
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from qcodes import validators
from qcodes.instrument import Instrument

from drivers._cores import fault, idn_of
from drivers.roles import DetectorCounts, Identity, SetPoint
from drivers.single_quantum._labels import ControlLine, Label
from qnode.errors import InstrumentError, MisuseError

__all__ = ["WebSQ"]

_MODEL = "Single Quantum WebSQ"
_CONTROL_PORT = 12000
_COUNTS_PORT = 12345
_MAXIMUM_BIAS_UA = 90.9
"""Of either sign: maker's client."""
_MINIMUM_PERIOD_MS = 10
"""Maker's client."""
_TOLERANCE = 0.1
"""Between a set-point and what is read back, in uA, mV and ms: converters have steps."""
_POLL_S = 0.02
_MILLIVOLT = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "µV": 1e-3, "": 1.0}
"""The maker's client prints mV; a server that tells its unit is believed."""
_MARKER = "NumberOfDetectors"
_MAXIMUM_LINE_BYTES = 1 << 16

T = TypeVar("T")


class WebSQ(Instrument):
    """Bias and counters of superconducting nanowire detectors; role `drivers.roles.DetectorDriver`.

    Safe state: detectors disabled, which takes every bias away; bias currents and trigger levels stay as set-points.
    Bias currents, trigger levels and voltages are lists, detector 1 first. Not thread-safe: one thread owns it.

    Args:
        name: name in the lab file.
        address: IP address or host name.
        latched_above_mv: a detector whose bias voltage is above it is latched: a superconducting wire drops a few
            mV in its leads, a normal-conducting one much more. Measure it with the detectors of the lab.
        timeout_s: time-out of one question.
        control_port: for labels and commands.
        counts_port: for counts.
        **kwargs: passed on to `qcodes.instrument.Instrument`.

    Raises:
        InstrumentError: no answer, or no WebSQ server.

    Example:
        ``driver = WebSQ("snspd", "192.168.1.1"); driver.bias_current([18.0, 21.5]); driver.enable_detectors()``
    """

    detectors: int

    def __init__(
        self,
        name: str,
        address: str,
        *,
        latched_above_mv: float = 100.0,
        timeout_s: float = 3.0,
        control_port: int = _CONTROL_PORT,
        counts_port: int = _COUNTS_PORT,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self._address = address
        self._latched_above_mv = latched_above_mv
        self._timeout_s = timeout_s
        self._control_port = control_port
        self._counts_port = counts_port
        self._line: ControlLine | None = None
        self._told: deque[str] = deque(maxlen=10)
        self.bias_current = self.add_parameter(
            "bias_current",
            label="Bias currents",
            unit="uA",
            get_cmd=lambda: self._numbers("BiasCurrent"),
            set_cmd=self._set_bias_currents,
            vals=validators.Lists(validators.Numbers(-_MAXIMUM_BIAS_UA, _MAXIMUM_BIAS_UA)),
            docstring="Set-points, one a detector; they flow while the detectors are enabled.",
        )
        self.trigger_level = self.add_parameter(
            "trigger_level",
            label="Trigger levels",
            unit="mV",
            get_cmd=lambda: self._numbers("TriggerLevel"),
            set_cmd=lambda levels: self._set_list("SetAllTriggerLevels", "TriggerLevel", levels),
            vals=validators.Lists(validators.Numbers()),
            docstring="Threshold of the counters, one a detector.",
        )
        self.bias_voltage = self.add_parameter(
            "bias_voltage",
            label="Bias voltages",
            unit="mV",
            get_cmd=self._bias_voltages,
            set_cmd=False,
            docstring="Voltages over the detectors and their leads, measured now.",
        )
        self.measurement_period = self.add_parameter(
            "measurement_period",
            label="Measurement period",
            unit="ms",
            get_cmd=lambda: self._number("InptMeasurementPeriod"),
            set_cmd=lambda period_ms: self._set("SetMeasurementPeriod", "InptMeasurementPeriod", period_ms),
            vals=validators.Numbers(min_value=_MINIMUM_PERIOD_MS),
            docstring="Time over which one line of counts is taken.",
        )
        self.enabled = self.add_parameter(
            "enabled",
            label="Detectors enabled",
            get_cmd=lambda: _all_true(self._read("DetectorEnable").value),
            set_cmd=lambda on: self._set("DetectorEnable", "DetectorEnable", bool(on)),
            vals=validators.Bool(),
            docstring="Whether the bias currents flow.",
        )
        try:
            self.detectors = int(self._number(_MARKER))
        except Exception:
            self.close()
            raise

    # --- role ------------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask for the number of detectors, which only a WebSQ server knows; it tells no serial number or firmware."""
        if (number := int(self._number(_MARKER))) != self.detectors:
            raise self._fault(
                f"it has {number} detectors, {self.detectors} at connecting", hint="close it and connect anew"
            )
        return Identity("Single Quantum", f"WebSQ with {number} detectors", serial="", firmware="")

    def get_idn(self) -> dict[str, str | None]:
        """`identify` in the words of QCoDeS."""
        return idn_of(self.identify())

    def reference_locked(self) -> bool:
        """It takes no 10 MHz: always true."""
        return True

    def enable_detectors(self) -> None:
        """Bias on, at the set-points."""
        self.enabled(True)

    def disable_detectors(self) -> None:
        """Bias off; nothing clicks."""
        self.enabled(False)

    def set_points(self, detector: int) -> dict[str, SetPoint]:
        """Bias current and trigger level of a detector; see `drivers.roles.DetectorDriver`."""
        self._check(detector)
        return {
            "bias current": SetPoint(self._numbers("BiasCurrent")[detector - 1], "uA"),
            "trigger level": SetPoint(self._numbers("TriggerLevel")[detector - 1], "mV"),
        }

    def latched(self) -> tuple[int, ...]:
        """Detectors whose bias voltage is above ``latched_above_mv``, ascending."""
        voltages_mv = self._bias_voltages()
        return tuple(detector for detector, mv in enumerate(voltages_mv, start=1) if self._is_latched(mv))

    def recover(self, detector: int) -> None:
        """Take the bias of one detector away until its voltage falls, and bring it back.

        The others keep their bias; the set-point comes back also when it fails.

        Raises:
            InstrumentError: its voltage stays, or it latches again at this bias.
            MisuseError: no such detector.
        """
        self._check(detector)
        bias_ua = self._numbers("BiasCurrent")
        without = [0.0 if index == detector - 1 else current for index, current in enumerate(bias_ua)]
        try:
            self._set_bias_currents(without)
            self._await_superconducting(detector)
        finally:
            self._set_bias_currents(bias_ua)
        voltage_mv = self._bias_voltages()[detector - 1]
        if self._is_latched(voltage_mv):
            raise self._fault(
                f"detector {detector} latches again at {bias_ua[detector - 1]:g} uA: {voltage_mv:g} mV, and above "
                f"{self._latched_above_mv:g} mV counts as latched",
                hint="lower its bias; look for bright light, and at the temperature of the cryostat",
            )

    def counts(self, timeout_s: float) -> DetectorCounts:
        """The first whole period that begins after the call; see `drivers.roles.DetectorDriver`.

        Connects to the stream for each call: one that nobody reads fills buffers, and what stands in them is old.

        Raises:
            InstrumentError: no such line within ``timeout_s``, or one that is not counts.
        """
        period_ms = self._number("InptMeasurementPeriod")
        started = time.monotonic()
        try:
            line = self._second_line(started + timeout_s)
        except TimeoutError as error:
            waited_s = time.monotonic() - started
            raise self._fault(
                f"no counts at port {self._counts_port} within {waited_s:.1f} s",
                hint=f"wait longer than two measurement periods of {period_ms:g} ms",
                waited_s=waited_s,
            ) from error
        except OSError as error:
            raise self._fault(
                f"counts at port {self._counts_port} failed: {error}", hint="check power and network cable"
            ) from error
        try:
            unix_time_s, *counts = (float(field) for field in line.split(","))
            whole = tuple(int(count) for count in counts)
        except (ValueError, OverflowError) as error:
            raise self._fault(f"{line!r} is no line of counts", hint="check its firmware") from error
        if len(whole) != self.detectors:
            raise self._fault(
                f"{len(whole)} counts in {line!r}, but it has {self.detectors} detectors", hint="check its firmware"
            )
        return DetectorCounts(whole, period_ms, unix_time_s)

    def enter_safe_state(self) -> None:
        """Detectors disabled; works in any state."""
        self.disable_detectors()

    def close(self) -> None:
        """Give the connection back; the detectors stay as they are."""
        line, self._line = self._line, None
        if line is not None:
            line.close()
        super().close()

    # --- line ------------------------------------------------------------------------------------------------------

    def _read(self, name: str) -> Label:
        return self._guarded(name, lambda line: line.read(name))

    def _number(self, name: str) -> float:
        value = self._read(name).value
        if not isinstance(value, int | float):
            raise self._fault(f"{name} is {value!r}, not a number", hint="check its firmware")
        return float(value)

    def _numbers(self, name: str, label: Label | None = None) -> list[float]:
        values = (label or self._read(name)).value
        if (
            not isinstance(values, list)
            or len(values) != self.detectors
            or not all(isinstance(value, int | float) for value in values)
        ):
            raise self._fault(
                f"{name} is {values!r}, not a number for each of {self.detectors} detectors",
                hint="check its firmware",
            )
        return [float(value) for value in values]

    def _bias_voltages(self) -> list[float]:
        label = self._guarded("BiasVoltage", lambda line: line.read_measured("BiasVoltage", _MARKER))
        if label.unit not in _MILLIVOLT:
            raise self._fault(f"BiasVoltage is in {label.unit!r}", hint="V, mV or uV is expected: check its firmware")
        return [value * _MILLIVOLT[label.unit] for value in self._numbers("BiasVoltage", label)]

    def _check(self, detector: int) -> None:
        if not 1 <= detector <= self.detectors:
            raise MisuseError(f"{self.name}: no detector {detector}", hint=f"its detectors are 1 to {self.detectors}")

    def _set_bias_currents(self, currents_ua: Sequence[float]) -> None:
        self._set_list("SetAllBiasCurrents", "BiasCurrent", currents_ua)

    def _set_list(self, command: str, label: str, values: Sequence[float]) -> None:
        if len(values) != self.detectors:
            raise MisuseError(
                f"{self.name}: {len(values)} values of {label} for {self.detectors} detectors",
                hint="give one a detector, detector 1 first",
            )
        bounds = self._read(label).bounds
        if bounds is not None and not all(bounds[0] <= value <= bounds[1] for value in values):
            raise MisuseError(
                f"{self.name}: {label} {list(values)} is refused", hint=f"it takes {bounds[0]:g} to {bounds[1]:g}"
            )
        self._set(command, label, [float(value) for value in values])

    def _set(self, command: str, label: str, value: Any) -> None:
        """Send a command, and read its label until it has the value or time is out."""
        self._told.clear()
        self._guarded(command, lambda line: line.send({"command": command, "label": label, "value": value}))
        deadline = time.monotonic() + self._timeout_s
        while not _same(value, held := self._read(label).value):
            if self._told or time.monotonic() >= deadline:
                raise self._fault(
                    f"{label} is {held} after {command} {value}; it tells: {'; '.join(self._told) or 'nothing'}",
                    hint="look at the page of the WebSQ server",
                    asked=command,
                )
            time.sleep(_POLL_S)

    def _is_latched(self, voltage_mv: float) -> bool:
        return abs(voltage_mv) > self._latched_above_mv

    def _await_superconducting(self, detector: int) -> None:
        deadline = time.monotonic() + self._timeout_s
        while detector in self.latched():
            if time.monotonic() >= deadline:
                raise self._fault(
                    f"detector {detector} stays latched {self._timeout_s:g} s without bias",
                    hint="look at the temperature of the cryostat",
                    waited_s=self._timeout_s,
                )
            time.sleep(_POLL_S)

    def _second_line(self, deadline: float) -> str:
        """The first line ends a period that began before the call."""
        with socket.create_connection((self._address, self._counts_port), _left(deadline)) as stream:
            data = b""
            while data.count(b"\n") < 2:
                stream.settimeout(_left(deadline))
                if not (chunk := stream.recv(4096)):
                    raise ConnectionResetError("the server closed the connection")
                data += chunk
                if len(data) > _MAXIMUM_LINE_BYTES:
                    raise ConnectionError(f"no lines come from it: {data[:60]!r}")
        return data.split(b"\n")[1].decode("ascii", errors="replace").strip()

    def _guarded(self, asked: str, call: Callable[[ControlLine], T]) -> T:
        started = time.monotonic()
        try:
            if self._line is None:
                self._line = ControlLine(self._address, self._control_port, self._timeout_s)
            result = call(self._line)
        except OSError as error:
            # A new connection has nothing of the old one under way.
            line, self._line = self._line, None
            if line is not None:
                line.close()
            waited_s = time.monotonic() - started
            raise self._fault(
                f"no answer to {asked} within {waited_s:.1f} s"
                if isinstance(error, TimeoutError)
                else f"{asked} failed: {error}",
                hint="check power and network cable; the next call connects anew",
                asked=asked,
                waited_s=waited_s,
            ) from error
        for text in self._line.take_errors():
            self.log.warning("the server tells of an error: %s", text)
            self._told.append(text)
        return result

    def _fault(self, what: str, *, hint: str, **context: object) -> InstrumentError:
        return fault(self.name, _MODEL, self._address, what, hint=hint, **context)


def _left(deadline: float) -> float:
    if (left_s := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left_s


def _all_true(value: Any) -> bool:
    return all(value) if isinstance(value, list) else bool(value)


def _same(wanted: Any, held: Any) -> bool:
    if isinstance(wanted, list):
        return isinstance(held, list) and len(wanted) == len(held) and all(map(_same, wanted, held))
    if isinstance(wanted, bool):
        return all(bool(value) is wanted for value in (held if isinstance(held, list) else [held]))
    return isinstance(held, int | float) and math.isclose(wanted, held, rel_tol=0, abs_tol=_TOLERANCE)
