"""Toptica DLC pro: one controller, up to two diode laser heads, over the maker's client.

Paths and types are those of the maker's client for firmware 1.4.0 to 3.3.3; it is used through its plain ``get`` and
``set``, which are the same in all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from qcodes import validators
from qcodes.instrument import Instrument, InstrumentChannel

from drivers._cores import fault, idn_of
from drivers.roles import Identity, LaserState, SetPoint
from drivers.toptica._decof import DecofLine, DecopError, DecopValue
from qnode.errors import InstrumentError, MisuseError

__all__ = ["DLCpro", "LaserHead"]

_MODEL = "Toptica DLC pro"
_PORT = 1998
_SWITCH_S = 5.0
"""How long emission may take to follow its switch."""
_POLL_S = 0.02
_DECIMALS = 4
"""Of set-points in mA, V and degrees: finer than the DACs, and never written with an exponent, which DeCoF refuses
where the number has no point."""

_HEAD_PARAMETERS: tuple[tuple[str, str, type[Any], bool, str, str], ...] = (
    ("emission", "emission", bool, False, "", "Whether it emits now."),
    ("current_enabled", "dl:cc:enabled", bool, True, "", "The switch of the diode current."),
    ("current", "dl:cc:current-set", float, True, "mA", "Set-point of the diode current."),
    ("current_actual", "dl:cc:current-act", float, False, "mA", "Diode current that flows."),
    ("current_limit", "dl:cc:current-clip", float, False, "mA", "Highest current it lets flow."),
    ("piezo_enabled", "dl:pc:enabled", bool, True, "", "The switch of the piezo voltage."),
    ("piezo_voltage", "dl:pc:voltage-set", float, True, "V", "Set-point of the piezo voltage."),
    ("piezo_voltage_actual", "dl:pc:voltage-act", float, False, "V", "Voltage at the piezo."),
    ("temperature", "dl:tc:temp-set", float, True, "°C", "Set-point of the diode's temperature."),
    ("temperature_actual", "dl:tc:temp-act", float, False, "°C", "Temperature of the diode."),
    ("temperature_ready", "dl:tc:ready", bool, False, "", "Whether the temperature has settled."),
    ("lock_enabled", "dl:lock:lock-enabled", bool, True, "", "The switch of the frequency lock."),
    ("lock_state", "dl:lock:state", int, False, "", "State of the lock as a number."),
    ("lock_state_text", "dl:lock:state-txt", str, False, "", "State of the lock in words."),
)
"""Name, path below the head, type, whether it can be set, unit, and what it is."""
_VALIDATORS: Mapping[type[Any], validators.Validator[Any]] = {
    bool: validators.Bool(),
    float: validators.Numbers(),
}

_SET_PARSERS: Mapping[type[Any], Callable[[Any], DecopValue]] = {
    bool: bool,
    float: lambda value: round(float(value), _DECIMALS),
}

T = TypeVar("T", bool, int, float, str)


class LaserHead(InstrumentChannel):
    """One diode laser head; all its set-points stay when it is switched off.

    Args:
        parent: the controller.
        name: ``laser1`` or ``laser2``.
        resonance_v: piezo voltage at detuning 0.
        hz_per_v: change of the optical frequency with the piezo voltage, Hz/V, with its sign.
    """

    def __init__(self, parent: DLCpro, name: str, resonance_v: float = 0.0, hz_per_v: float = 0.0) -> None:
        super().__init__(parent, name)
        self._controller = parent
        self._path = name
        self._resonance_v = resonance_v
        self._hz_per_v = hz_per_v
        for parameter, path, kind, settable, unit, text in _HEAD_PARAMETERS:
            self.add_parameter(
                parameter,
                label=f"{name} {parameter.replace('_', ' ')}",
                unit=unit,
                get_cmd=partial(self.ask_path, path, kind),
                set_cmd=partial(self.set_path, path) if settable else False,
                set_parser=_SET_PARSERS.get(kind),
                vals=_VALIDATORS.get(kind),
                docstring=text,
            )
        self.add_parameter(
            "detuning",
            label=f"{name} detuning",
            unit="Hz",
            get_cmd=self._get_detuning,
            set_cmd=self._set_detuning,
            vals=validators.Numbers(),
            docstring="Optical frequency minus that at ``resonance_v``, from the piezo voltage and ``hz_per_v``.",
        )

    def ask_path(self, path: str, kind: type[T]) -> T:
        """A parameter below this head, as ``dl:cc:current-act``; see `DLCpro.get_path`."""
        return self._controller.get_path(f"{self._path}:{path}", kind)

    def set_path(self, path: str, value: DecopValue) -> None:
        """Set a parameter below this head; see `DLCpro.set_path`."""
        self._controller.set_path(f"{self._path}:{path}", value)

    def _tuning(self) -> float:
        if not self._hz_per_v:
            raise MisuseError(
                f"{self.full_name}: its tuning is not known",
                hint=f"give `init: {{tuning: {{{self._path}: {{resonance_v: .., hz_per_v: ..}}}}}}` in the lab file",
            )
        return self._hz_per_v

    def _get_detuning(self) -> float:
        return self._tuning() * (self.ask_path("dl:pc:voltage-set", float) - self._resonance_v)

    def _set_detuning(self, detuning_hz: float) -> None:
        self.parameters["piezo_voltage"].set(self._resonance_v + detuning_hz / self._tuning())


class DLCpro(Instrument):
    """DLC pro with its heads as channels ``laser1``, ``laser2``; role `drivers.roles.Laser`.

    A head emits when its current is switched on here, the emission button at the front was pressed, the key is on and
    the interlock closed. Safe state: currents off, locks off, set-points kept. Not thread-safe: one thread owns it.

    Args:
        name: name in the lab file.
        address: IP address, host name, serial number or label of the controller.
        heads: the heads that are there.
        tuning: by head, ``resonance_v`` and ``hz_per_v`` of its piezo, for the parameter ``detuning``.
        port: of the command line.
        timeout_s: time-out of one question.
        **kwargs: passed on to `qcodes.instrument.Instrument`.

    Raises:
        InstrumentError: no answer, or another device.
        MisuseError: no such head.

    Example:
        ``laser = DLCpro("laser", "192.168.1.50"); laser.laser1.current(95.0); laser.start_emission("laser1")``
    """

    def __init__(
        self,
        name: str,
        address: str,
        *,
        heads: Sequence[str] = ("laser1", "laser2"),
        tuning: Mapping[str, Mapping[str, float]] | None = None,
        port: int = _PORT,
        timeout_s: float = 3.0,
        **kwargs: Any,
    ) -> None:
        tuning = tuning or {}
        if unknown := sorted(set(tuning) - set(heads)):
            raise MisuseError(
                f"{name}: tuning of {', '.join(unknown)}, but its heads are {', '.join(heads)}",
                hint="correct `heads` or `tuning`",
            )
        for head, values in tuning.items():
            if set(values) != {"resonance_v", "hz_per_v"} or not values["hz_per_v"]:
                raise MisuseError(
                    f"{name}: tuning of {head} is {dict(values)}", hint="give resonance_v, and hz_per_v other than 0"
                )
        super().__init__(name, **kwargs)
        self._address = address
        self._timeout_s = timeout_s
        self._line = DecofLine(address, port, timeout_s)
        self.heads: tuple[str, ...] = tuple(heads)
        self._channels = {head: LaserHead(self, head, **tuning.get(head, {})) for head in self.heads}
        for head, channel in self._channels.items():
            self.add_submodule(head, channel)
        for parameter, path, kind, text in (
            ("emission", "emission", bool, "Whether any head emits."),
            ("interlock_open", "interlock-open", bool, "Whether the interlock loop is open."),
            ("frontkey_locked", "frontkey-locked", bool, "Whether the key at the front is off."),
            ("emission_button_enabled", "emission-button-enabled", bool, "Whether the button at the front acts."),
            ("uptime", "uptime", int, "Seconds since power-up."),
            ("health", "system-health", int, "0 when nothing is wrong."),
            ("health_text", "system-health-txt", str, "What the controller says of itself."),
        ):
            self.add_parameter(parameter, get_cmd=partial(self.get_path, path, kind), set_cmd=False, docstring=text)
        try:
            self.identify()
        except Exception:
            self.close()
            raise

    # --- role ------------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask for type, serial number and firmware; the type must be a DLC pro."""
        model = self.get_path("system-type", str)
        if "DLC" not in model.upper():
            raise self._fault(
                f"another device answers: its system-type is {model!r}", hint="give the address of the DLC pro"
            )
        return Identity("Toptica", model, self.get_path("serial-number", str), self.get_path("fw-ver", str))

    def get_idn(self) -> dict[str, str | None]:
        """`identify` in the words of QCoDeS."""
        return idn_of(self.identify())

    def reference_locked(self) -> bool:
        """It takes no 10 MHz: always true."""
        return True

    def start_emission(self, head: str | None = None) -> None:
        """Current on, and wait for the light; see `drivers.roles.Laser`.

        Raises:
            InstrumentError: interlock open, key off, or no light within 5 s; the current is off again then.
            MisuseError: no head of that name.
        """
        chosen = self._chosen(head)
        if self.get_path("interlock-open", bool):
            raise self._fault("the interlock is open", hint="close the interlock loop, then start again")
        if self.get_path("frontkey-locked", bool):
            raise self._fault("the key at the front is off", hint="turn the key, then start again")
        try:
            for name in chosen:
                self.set_path(f"{name}:dl:cc:enabled", True)
            for name in chosen:
                self._await_emission(
                    name, True, hint="press the emission button at the front; check key and interlock"
                )
        except InstrumentError:
            self._switch_off(chosen)
            raise

    def stop_emission(self, head: str | None = None) -> None:
        """Current off, and wait for the dark; see `drivers.roles.Laser`.

        Every chosen head is tried, also when one fails.

        Raises:
            InstrumentError: a head did not take it, or still emits after 5 s.
            MisuseError: no head of that name.
        """
        self._switch_off(self._chosen(head))

    def head_state(self, head: str) -> LaserState:
        """What a head does now; see `drivers.roles.Laser`."""
        (name,) = self._chosen(head)
        ask = self._channels[name].ask_path
        locking = ask("dl:lock:lock-enabled", bool)
        return LaserState(
            emitting=ask("emission", bool),
            interlock_open=self.get_path("interlock-open", bool),
            key_locked=self.get_path("frontkey-locked", bool),
            frequency_locked=ask("dl:lock:state-txt", str).strip().lower() == "locked" if locking else None,
            fault=self.get_path("system-health-txt", str) if self.get_path("system-health", int) else "",
        )

    def set_points(self, head: str) -> dict[str, SetPoint]:
        """Current, temperature and piezo of a head, and whether its lock is on; see `drivers.roles.Laser`.

        A lock tunes the piezo: while it is on, the voltage is not told.
        """
        (name,) = self._chosen(head)
        ask = self._channels[name].ask_path
        locking = ask("dl:lock:lock-enabled", bool)
        points = {
            "current": SetPoint(ask("dl:cc:current-set", float), "mA"),
            "temperature": SetPoint(ask("dl:tc:temp-set", float), "°C"),
            "frequency lock": SetPoint(locking),
        }
        if not locking:
            points["piezo voltage"] = SetPoint(ask("dl:pc:voltage-set", float), "V")
        return points

    def enter_safe_state(self) -> None:
        """Dark first, then locks off: a lock without light would drive the piezo to its end."""
        self._switch_off(self.heads)
        for name in self.heads:
            self.set_path(f"{name}:dl:lock:lock-enabled", False)

    def close(self) -> None:
        """Give the connection back; the light stays as it is."""
        line = getattr(self, "_line", None)
        if line is not None:
            line.close()
        super().close()

    # --- line ------------------------------------------------------------------------------------------------------

    def get_path(self, path: str, kind: type[T]) -> T:
        """Ask for any parameter of the controller.

        Args:
            path: as in the maker's command reference, ``laser1:dl:tc:temp-act``.
            kind: its type.

        Raises:
            InstrumentError: no answer, refused, or of another type.
        """
        return self._guarded(path, lambda: self._line.get(path, kind))

    def set_path(self, path: str, value: DecopValue) -> None:
        """Set any parameter of the controller; a warning goes to the log.

        Raises:
            InstrumentError: no answer, or refused.
        """
        warning = self._guarded(f"{path} {value}", lambda: self._line.set(path, value))
        if warning:
            self.log.warning("%s %s: warning %d", path, value, warning)

    def _guarded(self, asked: str, call: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return call()
        except TimeoutError as error:
            waited_s = time.monotonic() - started
            raise self._fault(
                f"no answer to {asked!r} within {waited_s:.1f} s",
                hint="check power and network cable; the next call connects anew",
                asked=asked,
                waited_s=waited_s,
            ) from error
        except (DecopError, OSError) as error:
            raise self._fault(
                f"{asked!r} failed: {str(error) or type(error).__name__}",
                hint="check the value, power and network cable; the next call connects anew if it has to",
                asked=asked,
            ) from error

    def _chosen(self, head: str | None) -> tuple[str, ...]:
        if head is None:
            return self.heads
        if head not in self.heads:
            raise MisuseError(f"{self.name}: no head {head!r}", hint=f"its heads are {', '.join(self.heads)}")
        return (head,)

    def _switch_off(self, heads: Sequence[str]) -> None:
        failed: list[str] = []
        for name in heads:
            try:
                self.set_path(f"{name}:dl:cc:enabled", False)
                self._await_emission(name, False, hint="turn the key at the front off")
            except InstrumentError as error:
                failed.append(error.message)
        if failed:
            raise self._fault(f"may still emit: {'; '.join(failed)}", hint="turn the key at the front off")

    def _await_emission(self, head: str, wanted: bool, *, hint: str) -> None:
        deadline = time.monotonic() + _SWITCH_S
        while self.get_path(f"{head}:emission", bool) is not wanted:
            if time.monotonic() >= deadline:
                raise self._fault(
                    f"{head} {'is dark' if wanted else 'still emits'} {_SWITCH_S:g} s after its current was switched "
                    f"{'on' if wanted else 'off'}",
                    hint=hint,
                    waited_s=_SWITCH_S,
                )
            time.sleep(_POLL_S)

    def _fault(self, what: str, *, hint: str, **context: object) -> InstrumentError:
        return fault(self.name, _MODEL, self._address, what, hint=hint, **context)
