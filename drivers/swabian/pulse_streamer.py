"""Swabian Instruments Pulse Streamer 8/2, over the maker's client ``pulsestreamer``.

The client speaks JSON-RPC on port 8050 and uploads on binary port 21328; this driver adds time-outs in words, the
arming check and the role `drivers.roles.PulseSequencer`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numpy as np
import pulsestreamer
import pulsestreamer.jrpc.pulse_streamer_jrpc as _vendor_jrpc
import pulsestreamer.pulse_streamer_base as _vendor_base
from pulsestreamer import ClockSource, OutputState, Sequence, State, StateCondition, TriggerRearm, TriggerStart
from qcodes.instrument import Instrument

from drivers._cores import fault, idn_of
from drivers.roles import Identity, PulseLimits, PulseProgram
from qnode.errors import InstrumentError

__all__ = ["PulseStreamer"]

_log = logging.getLogger(__name__)
_MODEL = "Pulse Streamer 8/2"
_ARMING_TIMEOUT_S = 2.0
_POLL_S = 0.01

T = TypeVar("T")


def _print_to_log(*words: object, **_: object) -> None:
    _log.debug("%s", " ".join(str(word) for word in words))


# The maker's client greets on stdout, which belongs to the program that uses us (it may be one JSON document).
for _module in (_vendor_jrpc, _vendor_base):
    vars(_module)["print"] = _print_to_log


class _Client(pulsestreamer.PulseStreamer):  # type: ignore[misc]  # the maker ships no annotations
    # The maker's destructor reads this also when the constructor failed, and would complain on stderr.
    _has_binary = False
    _socket: Any = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class PulseStreamer(Instrument):
    """Pulse Streamer 8/2: 8 digital and 2 analog outputs, steps of 1 ns, started by an edge at its trigger input.

    It can't branch inside a sequence, so it plays what is the same in every round. Not thread-safe: one thread
    owns it.

    Args:
        name: name in the lab file.
        address: IP address, host name or serial number (the client looks the latter up by broadcast).
        **kwargs: passed on to `qcodes.instrument.Instrument`.

    Raises:
        InstrumentError: nobody answers at the address.

    Example:
        ``pulser = PulseStreamer("pulser", "192.168.1.20"); pulser.temperature()``
    """

    limits: PulseLimits = PulseLimits(
        tick_ps=1000,  # steps count in ns: maker's client, class docstring of PulseStreamer
        digital_channels=8,  # maker's client, OutputState.digital_channel
        analog_channels=2,
        maximum_steps=2_000_000,  # maker's client, enc_binary
        minimum_step_ticks=1,  # not verified: the client accepts 1; trains of shorter than 8 ns may underflow
        maximum_step_ticks=0xFFFF_FFFF,  # u32 of the binary protocol
    )
    call_timeout_s: float = 10.0
    """Time-out of one call, fixed in the maker's client for HTTP and for the binary socket."""

    def __init__(self, name: str, address: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._address = address
        self._client: _Client | None = None
        self.temperature = self.add_parameter(
            "temperature",
            label="Board temperature",
            unit="degC",
            get_cmd=lambda: self._call("getTemperature", lambda client: client.getTemperature()),
            docstring="Temperature inside the box, in degrees Celsius.",
        )
        self.serial = self.add_parameter(
            "serial",
            label="Serial number",
            get_cmd=lambda: self._call("getSerial", lambda client: client.getSerial()),
            docstring="Serial number, which is also its MAC address.",
        )
        self.clock = self.add_parameter(
            "clock",
            label="Clock source",
            get_cmd=self._get_clock,
            set_cmd=self._select_clock,
            val_mapping={source.name: source.name for source in ClockSource},
            docstring="INTERNAL, EXT_125MHZ or EXT_10MHZ.",
        )
        self.underflow = self.add_parameter(
            "underflow",
            label="Underflow",
            get_cmd=lambda: self._call("getUnderflow", lambda client: bool(client.getUnderflow())),
            docstring="True when steps were too short for its memory, and outputs came late.",
        )
        try:
            if self._get_clock() != ClockSource.EXT_10MHZ.name:
                self._select_clock(ClockSource.EXT_10MHZ.name)
        except Exception:
            self.close()
            raise

    # --- role ------------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask serial number and firmware; see `drivers.roles.RoleInstrument`."""
        serial, firmware = self._call(
            "getSerial, getFirmwareVersion", lambda client: (client.getSerial(), client.getFirmwareVersion())
        )
        return Identity(maker="Swabian Instruments", model=_MODEL, serial=str(serial), firmware=str(firmware))

    def get_idn(self) -> dict[str, str | None]:
        """`identify` in the words of QCoDeS."""
        return idn_of(self.identify())

    def reference_locked(self) -> bool:
        """Whether the external 10 MHz input is the selected clock; the box tells no more than that."""
        return self._get_clock() == str(ClockSource.EXT_10MHZ.name)

    def arm(self, program: PulseProgram) -> None:
        """Upload ``program`` and wait for one rising edge at the trigger input.

        Clock (external 10 MHz) and trigger (hardware rising, manual rearm) are set before and read back after.

        Raises:
            InstrumentError: a limit is broken, the box refuses, or it is not armed afterwards; outputs are dark then.
        """
        self._check(program)
        steps = np.empty(len(program.ticks), dtype=Sequence.pulse_dtype)
        steps["count"], steps["digi"] = program.ticks, program.digital
        steps["a0"], steps["a1"] = program.analog[:, 0], program.analog[:, 1]
        final = OutputState([bit for bit in range(8) if program.final_digital >> bit & 1])
        self._call("setTrigger", lambda client: client.setTrigger(TriggerStart.HARDWARE_RISING, TriggerRearm.MANUAL))
        # Selected only when it is not: a running PLL is not made to lock again for every run.
        if self._get_clock() != ClockSource.EXT_10MHZ.name:
            self._select_clock(ClockSource.EXT_10MHZ.name)
        self._call("stream", lambda client: client.stream(steps, program.n_runs, final))
        try:
            self._verify_armed()
        except InstrumentError:
            self.abort()
            raise

    def state(self) -> Literal["idle", "armed", "streaming", "finished", "error"]:
        """What it is doing now; a breakpoint, which `arm` never sets, counts as ``error``."""
        answer = self._call("getStreamingState", lambda client: client.getStreamingState())
        state, condition = answer["State"], answer["StateCondition"]
        if state in (State.ERROR, State.BREAKPOINT):
            return "error"
        if condition is StateCondition.WAIT_FOR_TRIGGER:
            return "armed"
        if state is State.STREAMING:
            return "streaming"
        return "finished" if state is State.FINISHED else "idle"

    def abort(self) -> None:
        """Stop at once, all outputs to zero."""
        self._call("constant", lambda client: client.constant(OutputState.ZERO()))

    def enter_safe_state(self) -> None:
        """All outputs to zero; works in any state."""
        self.abort()

    def close(self) -> None:
        """Give the connection back; outputs stay as they are."""
        self._drop()
        super().close()

    # --- details ---------------------------------------------------------------------------------------------------

    def _get_clock(self) -> str:
        return str(self._call("getClock", lambda client: client.getClock()).name)

    def _select_clock(self, source: str) -> None:
        self._call("selectClock", lambda client: client.selectClock(ClockSource[source]))

    def _check(self, program: PulseProgram) -> None:
        steps, limits = len(program.ticks), self.limits
        wrong = ""
        if not 1 <= steps <= limits.maximum_steps:
            wrong = f"{steps} steps; it holds 1 to {limits.maximum_steps}"
        elif program.digital.shape != (steps,) or program.analog.shape != (steps, limits.analog_channels):
            wrong = f"ticks {program.ticks.shape}, digital {program.digital.shape}, analog {program.analog.shape}"
        elif int(program.ticks.min()) < limits.minimum_step_ticks:
            wrong = f"step {int(program.ticks.argmin())} lasts {int(program.ticks.min())} ticks"
        elif not 1 <= program.n_runs <= 2**62:
            wrong = f"n_runs {program.n_runs}; it must be at least 1"
        elif not 0 <= program.final_digital <= 0xFF:
            wrong = f"final_digital {program.final_digital:#x}; it has 8 digital outputs"
        if wrong:
            raise self._fault(f"program refused before upload: {wrong}", hint="change the sequence")

    def _verify_armed(self) -> None:
        start, rearm = self._call(
            "getTriggerStart, getTriggerRearm", lambda client: (client.getTriggerStart(), client.getTriggerRearm())
        )
        if (start, rearm) != (TriggerStart.HARDWARE_RISING, TriggerRearm.MANUAL):
            raise self._fault(
                f"trigger read back as {start.name}, {rearm.name} after setting HARDWARE_RISING, MANUAL",
                hint="another client may be connected: close it",
            )
        if (clock := self._get_clock()) != ClockSource.EXT_10MHZ.name:
            raise self._fault(
                f"clock read back as {clock} after selecting EXT_10MHZ",
                hint="check the 10 MHz cable at its clock input",
            )
        deadline = time.monotonic() + _ARMING_TIMEOUT_S
        while (state := self.state()) != "armed":
            if time.monotonic() >= deadline or state == "error":
                raise self._fault(
                    f"{state} instead of armed, {_ARMING_TIMEOUT_S:g} s after the upload",
                    hint="an edge may have come too early: arm in the second before the start; else reset the box",
                    waited_s=_ARMING_TIMEOUT_S,
                )
            time.sleep(_POLL_S)

    def _call(self, asked: str, call: Callable[[_Client], T]) -> T:
        started = time.monotonic()
        try:
            if self._client is None:
                self._client = _Client(self._address)
            return call(self._client)
        # The maker's client raises AssertionError, struct.error, requests' and tinyrpc's errors for the same causes.
        except Exception as error:
            # A late reply on the old binary connection would be read as the next one.
            self._drop()
            waited_s = time.monotonic() - started
            raise self._fault(
                f"{asked} failed after {waited_s:.1f} s: {str(error) or type(error).__name__}",
                hint="check power, network cable and address; TCP ports 8050 and 21328 must be reachable",
                asked=asked,
                waited_s=waited_s,
            ) from error

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _fault(self, what: str, *, hint: str, **context: object) -> InstrumentError:
        return fault(self.name, _MODEL, self._address, what, hint=hint, **context)
