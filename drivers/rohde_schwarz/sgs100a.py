"""Rohde & Schwarz SGS100A, on top of the QCoDeS driver.

QCoDeS brings the parameters; this driver adds the role `drivers.roles.MicrowaveSource`, its safe state, errors in
words, and a fresh connection after a failure.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pyvisa.errors import VisaIOError
from qcodes.instrument_drivers.rohde_schwarz import RohdeSchwarzSGS100A as QcodesSGS100A

from drivers._cores import fault
from drivers.roles import Identity, MicrowaveCarrier
from qnode.errors import InstrumentError, MisuseError

__all__ = ["RohdeSchwarzSGS100A"]

_MODEL = "R&S SGS100A"
_RESOLUTION = 0.01
"""In Hz and dBm: QCoDeS sends two decimals."""

T = TypeVar("T")


class RohdeSchwarzSGS100A(QcodesSGS100A):
    """SGS100A: the carrier of a node's microwave; role `drivers.roles.MicrowaveSource`.

    At connecting it is set to the external 10 MHz reference. Safe state: RF output off, all else kept. Not
    thread-safe: one thread owns it.

    Args:
        name: name in the lab file.
        address: VISA resource, as ``TCPIP0::192.168.1.60::5025::SOCKET``.
        **kwargs: passed on to the QCoDeS driver; ``visalib`` is ``@py`` unless given.

    Raises:
        InstrumentError: no answer, or another model.

    Example:
        ``source = RohdeSchwarzSGS100A("microwave", "TCPIP0::192.168.1.60::5025::SOCKET"); source.start_output()``
    """

    def __init__(self, name: str, address: str, **kwargs: Any) -> None:
        kwargs.setdefault("visalib", "@py")
        self._resource = address
        self._visalib: str | None = kwargs["visalib"]
        self._stale = False
        try:
            super().__init__(name, address, **kwargs)
            self.identify()
            if not self.reference_locked():
                self._apply("SOUR:ROSC:EXT:FREQ 10MHz", "SOUR:ROSC:SOUR EXT")
        except InstrumentError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise fault(
                name, _MODEL, address, f"can't connect: {error}", hint="check power, network cable and address"
            ) from error

    # --- role ------------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask ``*IDN?``; the answer must name an SGS100A."""
        text = self.ask("*IDN?")
        fields = [field.strip() for field in text.split(",")]
        if len(fields) < 4 or not fields[1].upper().startswith("SGS100A"):
            raise self._fault(f"another device answers *IDN?: {text!r}", hint="give the address of the SGS100A")
        return Identity(*fields[:4])

    def reference_locked(self) -> bool:
        """Whether the external reference is the selected one; that it is good, it tells by an error only."""
        return self.ask("SOUR:ROSC:SOUR?").strip().upper().startswith("EXT")

    def set_carrier(self, frequency_hz: float, power_dbm: float) -> None:
        """Set frequency and power, and read them back; see `drivers.roles.MicrowaveSource`."""
        for parameter, value in ((self.frequency, frequency_hz), (self.power, power_dbm)):
            try:
                parameter.validate(value)
            except (TypeError, ValueError) as error:
                raise MisuseError(
                    f"{self.name}: {parameter.name} {value!r} {parameter.unit} is refused",
                    hint=f"it takes {parameter.vals}",
                ) from error
        self._apply(f"SOUR:FREQ {frequency_hz:.2f}", f"SOUR:POW {power_dbm:.2f}")
        held = self.carrier()
        for asked, got, unit in ((frequency_hz, held.frequency_hz, "Hz"), (power_dbm, held.power_dbm, "dBm")):
            if not math.isclose(asked, got, rel_tol=0, abs_tol=_RESOLUTION):
                raise self._fault(
                    f"it holds {got:.2f} {unit} after {asked:.2f} {unit} was set",
                    hint="look at its limits of frequency and power",
                )

    def carrier(self) -> MicrowaveCarrier:
        """What it holds now."""
        return MicrowaveCarrier(
            frequency_hz=float(self.ask("SOUR:FREQ?")),
            power_dbm=float(self.ask("SOUR:POW?")),
            output_on=self._is_on(":OUTP:STAT?"),
            iq_on=self._is_on(":IQ:STAT?"),
        )

    def start_output(self) -> None:
        """I/Q modulation on, then RF output on; see `drivers.roles.MicrowaveSource`."""
        self._switch(":IQ:STAT", True)
        self._switch(":OUTP:STAT", True)

    def stop_output(self) -> None:
        """RF output off."""
        self._switch(":OUTP:STAT", False)

    def enter_safe_state(self) -> None:
        """RF output off; works in any state."""
        self.stop_output()

    def connect_message(self, idn_param: str = "IDN", begin_time: float | None = None) -> None:
        """Greet in the log; QCoDeS prints, but stdout belongs to the program that uses us."""
        self.log.info("connected to %s", self._resource)

    # --- line ------------------------------------------------------------------------------------------------------

    def write_raw(self, cmd: str) -> None:
        """Send one line.

        Raises:
            InstrumentError: it is not taken in time.
        """
        self._guarded(cmd, lambda: super(RohdeSchwarzSGS100A, self).write_raw(cmd))

    def ask_raw(self, cmd: str) -> str:
        """Send one line and read one.

        Raises:
            InstrumentError: no answer in time. The next call opens the connection anew, so that a late answer is
                never read as the next one.
        """
        return self._guarded(cmd, lambda: super(RohdeSchwarzSGS100A, self).ask_raw(cmd))

    def _guarded(self, asked: str, call: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            if self._stale:
                self._reopen()
            return call()
        # pyvisa-py raises a plain Exception when it can't connect.
        except Exception as error:
            self._stale = True
            waited_s = time.monotonic() - started
            silent = isinstance(error, VisaIOError) and "TMO" in error.abbreviation
            raise self._fault(
                f"no answer to {asked!r} within {waited_s:.1f} s" if silent else f"{asked!r} failed: {error}",
                hint="check power and network cable; the next call connects anew",
                asked=asked,
                waited_s=waited_s,
            ) from error

    def _reopen(self) -> None:
        timeout_s = self.timeout.cache.get(get_if_invalid=False)
        self.set_address(self._resource, self._visalib)
        self.set_terminator(self.default_terminator)
        self.timeout.set(timeout_s)
        self._stale = False

    def _apply(self, *commands: str) -> None:
        """Send commands, and refuse what they leave in the error queue."""
        self.write("*CLS")
        for command in commands:
            self.write(command)
        answer = self.ask("SYST:ERR:ALL?").strip()
        if answer.split(",")[0].strip() not in ("0", "+0"):
            raise self._fault(
                f"{'; '.join(commands)!r} left errors: {answer}",
                hint="the operating manual lists the codes",
                asked="; ".join(commands),
            )

    def _is_on(self, question: str) -> bool:
        return self.ask(question).strip().upper() in ("1", "ON")

    def _switch(self, header: str, on: bool) -> None:
        # The state itself counts: an old error in the queue must not hide that it is dark.
        self.write(f"{header} {int(on)}")
        if self._is_on(f"{header}?") is not on:
            raise self._fault(
                f"{header}? says {'off' if on else 'on'} after {header} {int(on)}; "
                f"its errors: {self.ask('SYST:ERR:ALL?').strip()}",
                hint="look at its error list; if it has to be dark, switch it off at its front",
            )

    def _fault(self, what: str, *, hint: str, **context: object) -> InstrumentError:
        return fault(self.name, _MODEL, self._resource, what, hint=hint, **context)
