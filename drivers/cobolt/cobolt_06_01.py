"""Cobolt 06-01 diode laser over its serial line (USB-CDC).

Lines of text ended by CR, one answer to each, ended by CR LF: a value, or ``OK``. Commands are those of the maker's
list, and of drivers that labs use.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import serial
from qcodes import validators

from drivers._cores import TerminalInstrument, idn_of
from drivers.roles import Identity, LaserState, SetPoint
from qnode.errors import InstrumentError, MisuseError

__all__ = ["Cobolt0601"]

_HEAD = "laser1"
_POLL_S = 0.02
_OFF_S = 2.0
_STATES: Mapping[str, str] = {
    "0": "off",
    "1": "waiting for key",
    "2": "continuous",
    "3": "on/off modulation",
    "4": "modulation",
    "5": "fault",
    "6": "aborted",
}
_WAITING_FOR_KEY = "1"
_FAULTS: Mapping[str, str] = {
    "0": "",
    "1": "temperature error",
    "3": "interlock error",
    "4": "constant power time-out",
}


class Cobolt0601(TerminalInstrument):
    """Cobolt 06-01: one head, ``laser1``; role `drivers.roles.Laser`.

    Safe state: laser off; power, current and mode are kept. Not thread-safe: one thread owns it.

    Args:
        name: name in the lab file.
        address: path of its terminal, as ``/dev/ttyACM1`` or a link to it.
        timeout_s: time-out of one question.
        start_s: how long it may take to emit; with autostart it settles its temperature first.
        **kwargs: passed on to `qcodes.instrument.Instrument`.

    Raises:
        InstrumentError: no such terminal, no answer, or another device.

    Example:
        ``laser = Cobolt0601("repump", "/dev/ttyACM1"); laser.power(0.02); laser.start_emission()``
    """

    model = "Cobolt 06-01"
    heads: tuple[str, ...] = (_HEAD,)

    def __init__(
        self, name: str, address: str, *, timeout_s: float = 2.0, start_s: float = 20.0, **kwargs: Any
    ) -> None:
        super().__init__(name, address, timeout_s=timeout_s, **kwargs)
        self._start_s = start_s
        self.emission = self.add_parameter(
            "emission", get_cmd="l?", get_parser=_flag, docstring="Whether the laser is on."
        )
        self.power = self.add_parameter(
            "power",
            unit="W",
            get_cmd="p?",
            set_cmd=lambda watt: self._command(f"p {watt:.6f}"),
            get_parser=float,
            vals=validators.Numbers(min_value=0),
            docstring="Set-point in mode ``constant_power``.",
        )
        self.power_actual = self.add_parameter(
            "power_actual", unit="W", get_cmd="pa?", get_parser=float, docstring="Power it measures."
        )
        self.current = self.add_parameter(
            "current",
            unit="mA",
            get_cmd=False,
            set_cmd=lambda current_ma: self._command(f"slc {current_ma:.3f}"),
            vals=validators.Numbers(min_value=0),
            docstring="Set-point in mode ``constant_current``; it can't be asked.",
        )
        self.current_actual = self.add_parameter(
            "current_actual", unit="mA", get_cmd="i?", get_parser=float, docstring="Current that flows."
        )
        self.mode = self.add_parameter(
            "mode",
            get_cmd=False,
            set_cmd=self._command,
            val_mapping={"constant_power": "cp", "constant_current": "ci", "modulation": "em"},
            docstring="What it keeps: power, current, or follow its modulation inputs.",
        )
        self.operating_state = self.add_parameter(
            "operating_state",
            get_cmd="gom?",
            get_parser=lambda code: _STATES.get(code, f"state {code}"),
            docstring="What it does, in words.",
        )
        self.interlock_open = self.add_parameter(
            "interlock_open", get_cmd="ilk?", get_parser=_flag, docstring="Whether the interlock loop is open."
        )
        self.hours = self.add_parameter(
            "hours", unit="h", get_cmd="hrs?", get_parser=float, docstring="Hours that the head has been on."
        )
        try:
            self._open()
            self.identify()
        except Exception:
            self.close()
            raise

    # --- role ------------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask for its serial number; it has no question for model and firmware in common to all firmwares."""
        number = self.ask_raw("gsn?")
        if not re.fullmatch(r"[\w-]+", number):
            raise self._fault(f"another device answers gsn?: {number!r}", hint="give the terminal of the laser")
        return Identity("Cobolt", "06-01", serial=number, firmware="")

    def get_idn(self) -> dict[str, str | None]:
        """`identify` in the words of QCoDeS."""
        return idn_of(self.identify())

    def reference_locked(self) -> bool:
        """It takes no 10 MHz: always true."""
        return True

    def start_emission(self, head: str | None = None) -> None:
        """Laser on, and wait for it; see `drivers.roles.Laser`.

        Raises:
            InstrumentError: interlock open, a fault, or not on in time; it is switched off again then.
            MisuseError: no head of that name.
        """
        self._check(head)
        if self._ask_flag("ilk?"):
            raise self._fault(
                "the interlock is open", hint="close the interlock loop, clear_fault(), then start again"
            )
        if text := self._fault_text():
            raise self._fault(text, hint="mend it, clear_fault(), then start again")
        try:
            # With autostart the laser refuses `l1`; firmware without the question has no autostart.
            self._command("@cob1" if self.ask_raw("@cobas?") == "1" else "l1")
            self._await_emission(True, self._start_s)
        except InstrumentError:
            self.stop_emission()
            raise

    def stop_emission(self, head: str | None = None) -> None:
        """Laser off, and wait for it; see `drivers.roles.Laser`.

        Raises:
            InstrumentError: it does not take it, or is still on after 2 s.
            MisuseError: no head of that name.
        """
        self._check(head)
        self._command("l0")
        self._await_emission(False, _OFF_S)

    def head_state(self, head: str) -> LaserState:
        """What it does now; see `drivers.roles.Laser`."""
        self._check(head)
        return LaserState(
            emitting=self._ask_flag("l?"),
            interlock_open=self._ask_flag("ilk?"),
            key_locked=self.ask_raw("gom?") == _WAITING_FOR_KEY,
            fault=self._fault_text(),
        )

    def set_points(self, head: str) -> dict[str, SetPoint]:
        """The power that it keeps in mode ``constant_power``; mode and current can't be asked."""
        self._check(head)
        return {"power": SetPoint(self.power(), "W")}

    def clear_fault(self) -> None:
        """Forget a fault whose cause is mended; until then the laser stays dark."""
        self._command("cf")

    def enter_safe_state(self) -> None:
        """Laser off; works in any state."""
        self.stop_emission()

    # --- line ------------------------------------------------------------------------------------------------------

    def write_raw(self, cmd: str) -> None:
        """Send a command and take its ``OK``.

        Raises:
            InstrumentError: no answer, or another one.
        """
        self._command(cmd)

    def ask_raw(self, cmd: str) -> str:
        """Send one line and read one, stripped.

        Raises:
            InstrumentError: the terminal is gone, or no whole line came within the time-out.
        """
        return self._text(cmd, self._guarded(cmd, lambda port: self._exchange(port, cmd)))

    def _exchange(self, port: serial.Serial, cmd: str) -> bytes:
        # What came late for an earlier question must not answer this one.
        port.reset_input_buffer()
        port.write(cmd.encode("ascii") + b"\r")
        line: bytes = port.read_until(b"\n")
        return line

    def _command(self, cmd: str) -> None:
        if (answer := self.ask_raw(cmd)) != "OK":
            raise self._fault(
                f"{cmd!r} answers {answer!r} instead of OK", hint="check the value and its firmware", asked=cmd
            )

    def _ask_flag(self, question: str) -> bool:
        answer = self.ask_raw(question)
        try:
            return _flag(answer)
        except ValueError as error:
            raise self._fault(
                f"{question!r} answers {answer!r}, expected 0 or 1", hint="check its firmware"
            ) from error

    def _fault_text(self) -> str:
        code = self.ask_raw("f?")
        return _FAULTS.get(code, f"fault {code}")

    def _check(self, head: str | None) -> None:
        if head not in (None, *self.heads):
            raise MisuseError(f"{self.name}: no head {head!r}", hint=f"its only head is {_HEAD}")

    def _await_emission(self, wanted: bool, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while self._ask_flag("l?") is not wanted:
            if time.monotonic() >= deadline:
                raise self._fault(
                    f"still {'off' if wanted else 'on'} {limit_s:g} s after it was switched "
                    f"{'on' if wanted else 'off'}: {self.operating_state()}",
                    hint="turn its key on" if wanted else "turn its key off",
                    waited_s=limit_s,
                )
            time.sleep(_POLL_S)


def _flag(answer: str) -> bool:
    if answer not in ("0", "1"):
        raise ValueError(f"{answer!r} is neither 0 nor 1")
    return answer == "1"
