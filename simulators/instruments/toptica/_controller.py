"""The controller: all parameters of a DLC pro, its commands, and who wants to know when something changes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from qnode.clock import PS_PER_NS, PS_PER_S, TAI_MINUS_UTC_S
from simulators.instruments.toptica._decof import (
    ACCESS_DENIED,
    OUT_OF_RANGE,
    READ_ONLY,
    WRONG_TYPE,
    DecofError,
    Value,
)
from simulators.instruments.toptica._head import Head
from simulators.instruments.toptica._tree import Command, as_kind, empty, find_parameter
from simulators.kit import LaserBeam, SimTime

__all__ = ["FIRMWARE", "Controller", "Result"]

FIRMWARE = "3.3.3"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOARDS = re.compile(r"(?:(?P<board>cc|pc)(?P<slot>[12]):channel1|tc1:channel(?P<channel>[12])):(?P<rest>.+)")
_NO_EFFECT = 1
"""Warning of a setting that is taken and changes nothing."""

Result = tuple[str | bytes | None, Value | None]
"""What a command puts out, and what it returns."""


class Controller:
    """Parameters, commands and safety of one DLC pro with two heads. All methods belong to the event loop.

    Args:
        time: lab time.
        serial_number: as it shows it.
        host: its address.
        changed: called after each change.
    """

    def __init__(self, time: SimTime, serial_number: str, host: str, changed: Callable[[], None]) -> None:
        self._time = time
        self._changed = changed
        self._identity = {"serial-number": serial_number, "net-conf:ip-addr": host}
        self._values: dict[str, Value] = {}
        self._started_ps = time.now_ps()
        self.heads = tuple(Head(name, self._values, self._may_emit) for name in ("laser1", "laser2"))
        self._derived: dict[str, Callable[[], Value]] = {
            "emission": lambda: any(head.emission for head in self.heads),
            "uptime": lambda: self._uptime_s,
            "uptime-txt": lambda: str(timedelta(seconds=self._uptime_s)),
            "time": self.timestamp,
        }
        self._limits: dict[str, Callable[[], tuple[float, float]]] = {}
        for head in self.heads:
            self._derived.update(head.derived())
            self._limits.update(head.limits())
        self.watchers: set[asyncio.Event] = set()
        self.connections: dict[str, int] = {"command line": 0, "monitoring line": 0}
        self._fill()

    @property
    def serial_number(self) -> str:
        """Of the controller."""
        return self._identity["serial-number"]

    def factory(self) -> None:
        """Power-up state: all settings as new, all lasers off."""
        self._fill()
        self._tell()

    def _fill(self) -> None:
        self._values.clear()
        self._values.update(self._identity)
        self._values.update(
            {
                "emission-button-enabled": True,
                "interlock-open": False,
                "frontkey-locked": False,
                "system-health-txt": "OK",
                "system-type": "DLC pro",
                "system-model": "DLC pro",
                "fw-ver": FIRMWARE,
                "ssw-ver": FIRMWARE,
                "decof-ver": "2.0",
                "ul": 3,
                "net-conf:cmd-port": 1998,
                "net-conf:mon-port": 1999,
                "licenses:options:dual-laser-operation:enabled": True,
            }
        )
        for head in self.heads:
            head.factory()
        self._started_ps = self._time.now_ps()

    # Safety, from outside.

    def set_interlock(self, is_open: bool) -> None:
        """Open or close the interlock; opening switches all lasers off."""
        self._set_safety("interlock-open", is_open)

    def set_key(self, locked: bool) -> None:
        """Turn the key at the front; locking switches all lasers off."""
        self._set_safety("frontkey-locked", locked)

    def _set_safety(self, path: str, engaged: bool) -> None:
        self._values[path] = engaged
        if engaged:
            for head in self.heads:
                head.switch_off()
        self._tell()

    @property
    def interlock_open(self) -> bool:
        """Whether it is."""
        return bool(self._values["interlock-open"])

    def _may_emit(self) -> bool:
        values = self._values
        return bool(values["emission-button-enabled"]) and not (values["interlock-open"] or values["frontkey-locked"])

    def beams(self) -> dict[str, LaserBeam]:
        """What leaves each head."""
        return {head.name: head.beam() for head in self.heads}

    # Parameters.

    def get(self, path: str) -> Value:
        """The value of a parameter now.

        Raises:
            DecofError: there is none.
        """
        parameter = find_parameter(path)
        own = self._own_path(path)
        derived = self._derived.get(own)
        return derived() if derived is not None else self._values.get(own, empty(parameter.kind))

    def text(self, path: str) -> str:
        """The value of a parameter, in words for people."""
        return str(self.get(path))

    def put(self, path: str, value: Value) -> int:
        """Set a parameter.

        Returns:
            0, or a positive number as a warning.

        Raises:
            DecofError: there is none, it is read-only, or it does not take ``value``.
        """
        parameter = find_parameter(path)
        if not parameter.writable:
            raise DecofError(READ_ONLY, path)
        value = as_kind(value, parameter.kind, path)
        own = self._own_path(path)
        if path == "time":
            return _NO_EFFECT
        head_name, _, end = path.partition(":scan:")
        if end in ("start", "end"):
            self._put_scan_end(head_name, end, value)
        else:
            self._check(own, value)
            self._values[own] = value
        self._tell()
        return 0

    def _check(self, own: str, value: Value) -> None:
        limits = self._limits.get(own)
        if limits is not None and isinstance(value, (int, float)):
            low, high = limits()
            if not low <= value <= high:
                raise DecofError(OUT_OF_RANGE, f"{own} from {low:g} to {high:g}")
        locked = self._values["interlock-open"] or self._values["frontkey-locked"]
        if own.endswith(":dl:cc:enabled") and value and locked:
            raise DecofError(ACCESS_DENIED, f"{own}: interlock open or key locked")

    def _put_scan_end(self, head_name: str, end: str, value: Value) -> None:
        head = next((head for head in self.heads if head.name == head_name), None)
        if head is None:
            self._values[f"{head_name}:scan:{end}"] = value
            return
        other = self.get(f"{head_name}:scan:{'end' if end == 'start' else 'start'}")
        assert isinstance(value, float)
        assert isinstance(other, float)
        settings = head.scan_range(value, other)
        for path, setting in settings.items():
            self._check(path, setting)
        self._values.update(settings)

    def _own_path(self, path: str) -> str:
        """Where the value of ``path`` is kept: boards and heads show the same things under two names."""
        found = _BOARDS.fullmatch(path)
        if found is not None:
            return f"laser{found['slot'] or found['channel']}:dl:{found['board'] or 'tc'}:{found['rest']}"
        for head in self.heads:
            if path == f"{head.name}:enabled":
                return f"{head.name}:dl:cc:enabled"
            if path == f"{head.name}:scan:offset":
                return head.scan_offset_path()
        return path

    def _tell(self) -> None:
        self._changed()
        for watcher in self.watchers:
            watcher.set()

    # Commands.

    def execute(self, command: Command, arguments: tuple[Value, ...]) -> Result:
        """Carry out a command. Those that mean nothing without hardware answer that they are done.

        Raises:
            DecofError: the arguments do not fit.
        """
        if len(arguments) != len(command.arguments):
            raise DecofError(WRONG_TYPE, f"{command.path} takes {len(command.arguments)} arguments")
        for value, kind in zip(arguments, command.arguments, strict=True):
            as_kind(value, kind, command.path)
        for head in self.heads:
            if command.path == f"{head.name}:dl:factory-settings:apply":
                head.factory()
                self._tell()
        if command.path == "system-connections":
            lines = [f"{count} {line}\n" for line, count in self.connections.items()]
            return "".join(lines), sum(self.connections.values())
        if command.path == "system-summary":
            lit = ", ".join(head.name for head in self.heads if head.emission) or "none"
            return f"DLC pro {self.serial_number}, firmware {FIRMWARE}\nemission: {lit}\n", None
        output: str | bytes | None = None
        if command.output is not None:
            output = b"" if command.output == "x" else ""
        return output, None if command.returns is None else empty(command.returns)

    # Time.

    @property
    def _uptime_s(self) -> int:
        return (self._time.now_ps() - self._started_ps) // PS_PER_S

    def timestamp(self) -> str:
        """UTC now, to the millisecond."""
        utc_us = (self._time.now_ps() - TAI_MINUS_UTC_S * PS_PER_S) // (1000 * PS_PER_NS)
        text = (_EPOCH + timedelta(microseconds=utc_us)).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
