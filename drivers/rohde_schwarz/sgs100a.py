"""Rohde & Schwarz SGS100A, on top of the QCoDeS driver.

QCoDeS brings the parameters; this driver adds the role `drivers.roles.MicrowaveSource`, its safe state, errors in
words, and a fresh connection after a failure.
"""

from __future__ import annotations

import math

from qcodes.instrument_drivers.rohde_schwarz import RohdeSchwarzSGS100A as QcodesSGS100A

from drivers._cores import GuardedVisa
from drivers.roles import Identity, MicrowaveCarrier
from qnode.errors import MisuseError

__all__ = ["RohdeSchwarzSGS100A"]

_RESOLUTION = 0.01
"""In Hz and dBm: QCoDeS sends two decimals."""


class RohdeSchwarzSGS100A(GuardedVisa, QcodesSGS100A):
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

    model = "R&S SGS100A"

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
        """Reference, I/Q modulation, then RF output on; see `drivers.roles.MicrowaveSource`.

        It may have lost its mains since it was connected, and with them the external reference.
        """
        self._select_reference()
        self._switch(":IQ:STAT", True)
        self._switch(":OUTP:STAT", True)

    def stop_output(self) -> None:
        """RF output off."""
        self._switch(":OUTP:STAT", False)

    def enter_safe_state(self) -> None:
        """RF output off; works in any state."""
        self.stop_output()

    # --- line ------------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self.identify()
        self._select_reference()

    def _select_reference(self) -> None:
        if not self.reference_locked():
            self._apply("SOUR:ROSC:EXT:FREQ 10MHz", "SOUR:ROSC:SOUR EXT")

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
