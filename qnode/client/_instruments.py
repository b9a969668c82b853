"""Instruments of a site from afar: their QCoDeS parameters, got and set by the daemon that owns them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from qnode.client._front import CALL_S, Front

__all__ = ["ParameterInfo", "RemoteInstrument", "RemoteModule", "RemoteParameter"]


class ParameterInfo(msgspec.Struct, frozen=True):
    """What a driver says of one of its parameters."""

    name: str
    """As it is typed behind the instrument: ``ch1_amp``, or ``ch1.amp`` for one of a submodule."""
    label: str
    unit: str
    doc: str
    gettable: bool
    settable: bool
    allowed: str
    """Values that its validator allows, in the words of QCoDeS."""


class _Nothing:
    """A value that was not given."""


NOTHING: Final = _Nothing()


class RemoteParameter:
    """A QCoDeS parameter of a remote instrument.

    Example::

        awg.ch1_amp()                  # ask the instrument
        awg.ch1_amp(1.5)               # set it; refused while a plan is under way
        awg.ch1_amp.get(timeout_s=30)
    """

    def __init__(self, front: Front, site: str, instrument: str, info: ParameterInfo) -> None:
        self._front, self._site, self._instrument = front, site, instrument
        self.info = info
        self.name: str = info.name
        self.full_name = f"{site}.{instrument}.{info.name}"
        self.label: str = info.label
        self.unit: str = info.unit
        self.__doc__ = f"{self!r}\n\n{info.doc}" if info.doc else repr(self)

    def __call__(self, value: Any = NOTHING, *, timeout_s: float = CALL_S) -> Any:
        """`get` without a value, `set` with one."""
        return self.get(timeout_s=timeout_s) if value is NOTHING else self.set(value, timeout_s=timeout_s)

    def get(self, *, timeout_s: float = CALL_S) -> Any:
        """Ask the instrument now.

        Args:
            timeout_s: wall time for the answer.

        Returns:
            The value in `unit`, as number, text, bool, None, list or dict.

        Raises:
            MisuseError: it can only be set, or not be read in the instrument's present state.
            InstrumentError: the instrument does not answer.
            NetworkError: the daemon does not.
        """
        return self._front.call(self._site, "get_parameter", self._address(), timeout_s=timeout_s)

    def set(self, value: Any, *, timeout_s: float = CALL_S) -> None:
        """Set it.

        Args:
            value: in `unit`.
            timeout_s: wall time for the answer.

        Raises:
            MisuseError: it can only be read, its validator does not allow the value, or a plan is under way.
            InstrumentError: the instrument did not take it.
            NetworkError: the daemon does not answer.
        """
        self._front.call(self._site, "set_parameter", {**self._address(), "value": value}, timeout_s=timeout_s)

    def __repr__(self) -> str:
        ways = " and ".join(way for way, can in (("get", self.info.gettable), ("set", self.info.settable)) if can)
        unit = f" [{self.unit}]" if self.unit else ""
        allowed = f"; allows {self.info.allowed}" if self.info.settable else ""
        return f"<{self.full_name}{unit}: {self.label}; {ways or 'neither get nor set'}{allowed}>"

    def _address(self) -> dict[str, Any]:
        return {"instrument": self._instrument, "parameter": self.name}


class RemoteModule:
    """A part of a remote instrument: parameters and parts as attributes, for tab completion too."""

    def __init__(self, instrument: RemoteInstrument, prefix: str) -> None:
        self._owner = instrument
        self._prefix = prefix

    @property
    def full_name(self) -> str:
        """``site.instrument.part``."""
        return f"{self._owner.full_name}.{self._prefix}"

    @property
    def parameters(self) -> Mapping[str, RemoteParameter]:
        """Parameters by name, those of parts under ``part.name``."""
        start = f"{self._prefix}."
        return {n.removeprefix(start): p for n, p in self._owner.parameters.items() if n.startswith(start)}

    def __getattr__(self, name: str) -> RemoteParameter | RemoteModule:
        # Python and notebooks look for special names all the time: they are never parameters.
        if name.startswith("_"):
            raise AttributeError(name)
        parameters = self.parameters
        if name in parameters:
            return parameters[name]
        if any(known.startswith(f"{name}.") for known in parameters):
            return RemoteModule(self._owner, self._inner(name))
        raise AttributeError(f"{self.full_name} has no parameter {name!r}; it has {', '.join(sorted(self._names()))}")

    def __dir__(self) -> Iterator[str]:
        return iter(sorted({*object.__dir__(self), *self._names()}))

    def __repr__(self) -> str:
        return f"<{self.full_name}: {', '.join(sorted(self._names()))}>"

    def _names(self) -> set[str]:
        return {name.partition(".")[0] for name in self.parameters}

    def _inner(self, name: str) -> str:
        return f"{self._prefix}.{name}"


class RemoteInstrument(RemoteModule):
    """An instrument of a site, owned by that site's daemon.

    Parameters are attributes: ``awg.ch1_amp()``. They are asked for once, when one is first needed.
    """

    def __init__(self, front: Front, site: str, name: str, role: str, simulated: bool) -> None:
        super().__init__(self, "")
        self._front, self._site = front, site
        self.name = name
        self.role = role
        """As in the lab file: ``awg``, ``pulse_sequencer`` ..."""
        self.simulated = simulated
        self._parameters: dict[str, RemoteParameter] | None = None

    @property
    def full_name(self) -> str:
        """``site.instrument``."""
        return f"{self._site}.{self.name}"

    @property
    def parameters(self) -> Mapping[str, RemoteParameter]:
        """Parameters by name, those of parts under ``part.name``."""
        if self._parameters is None:
            told = self._front.call(self._site, "parameters", {"instrument": self.name})
            infos = msgspec.convert(told, list[ParameterInfo])
            self._parameters = {
                info.name: RemoteParameter(self._front, self._site, self.name, info) for info in infos
            }
        return self._parameters

    def __repr__(self) -> str:
        kind = "simulated " if self.simulated else ""
        return f"<{self.full_name}: {kind}{self.role}>"

    def _inner(self, name: str) -> str:
        return name
