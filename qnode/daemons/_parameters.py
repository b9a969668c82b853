"""Parameters of a site's instruments, for people: list, get, set, snapshot; each in its instrument's own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from qnode.bus import Handler, plain
from qnode.daemons._host import InstrumentHost
from qnode.errors import MisuseError, QnodeError

__all__ = ["Parameters"]

PARAMETER_S = 10.0
"""Wall time for one parameter."""
SNAPSHOT_S = 60.0
"""Wall time for all parameters of an instrument."""


class Parameters:
    """Answers calls about the QCoDeS parameters of a site.

    A parameter is named as one types it: ``ch1_amp``, or ``ch1.amp`` for one of a submodule.

    Args:
        host: owner of the instruments.
        playing: the plan under way, or None. While there is one nothing is set, and snapshots ask no instrument.
    """

    def __init__(self, host: InstrumentHost, playing: Callable[[], str | None]) -> None:
        self._host = host
        self._playing = playing

    def handlers(self) -> dict[str, Handler]:
        """Calls, by name."""
        return {
            "parameters": self._list,
            "get_parameter": self._get,
            "set_parameter": self._set,
            "snapshot": self._snapshot,
        }

    async def _list(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """All parameters of ``instrument``: name, label, unit, doc, whether it can be read and set, what it allows."""
        described: list[dict[str, Any]] = await self._host.apply(
            params["instrument"],
            "parameters",
            lambda instrument: [_described(name, parameter) for name, parameter in _walk(instrument)],
            timeout_s=PARAMETER_S,
        )
        return described

    async def _get(self, params: dict[str, Any]) -> Any:
        """The value of ``parameter`` of ``instrument``, asked now.

        Raises:
            MisuseError: there is none, or it can only be set.
            InstrumentError: no answer.
        """
        name, path = params["instrument"], params["parameter"]

        def get(instrument: Any) -> Any:
            parameter = self._find(instrument, name, path)
            if not parameter.gettable:
                raise MisuseError(f"{self._full(name, path)} can only be set")
            return plain(parameter.get())

        return await self._host.apply(name, path, get, timeout_s=PARAMETER_S)

    async def _set(self, params: dict[str, Any]) -> None:
        """Set ``parameter`` of ``instrument`` to ``value``.

        Raises:
            MisuseError: there is none, it can only be read, it does not allow that value, or a plan is under way.
            InstrumentError: the instrument did not take it.
        """
        name, path, value = params["instrument"], params["parameter"], params["value"]

        def set_(instrument: Any) -> None:
            parameter = self._find(instrument, name, path)
            if not parameter.settable:
                raise MisuseError(f"{self._full(name, path)} can only be read")
            try:
                parameter.validate(value)
            except (TypeError, ValueError, KeyError) as error:
                # QCoDeS says its own name of the parameter behind the reason.
                said = str(error.args[0] if error.args else error).partition("; Parameter:")[0]
                raise MisuseError(
                    f"{self._full(name, path)} can't be {value!r}: {' '.join(said.split())}",
                    hint=f"it allows {_allowed(parameter)}",
                ) from error
            # Not before: the plan may have come while this waited for the thread.
            self._refuse_while_playing(name, path)
            parameter.set(value)

        self._refuse_while_playing(name, path)
        await self._host.apply(name, path, set_, timeout_s=PARAMETER_S)

    async def _snapshot(self, params: dict[str, Any]) -> dict[str, Any]:
        """QCoDeS snapshots of all instruments, in the form of a station's; an instrument that fails is an ``error``.

        What was never read is read now; with ``update`` all is. Nothing is while a plan is under way.
        """
        update = False if self._playing() else (params["update"] or None)
        names = list(self._host.site.instruments)
        snapshots = await asyncio.gather(*(self._snapshot_of(name, update) for name in names))
        return {"instruments": dict(zip(names, snapshots, strict=True))}

    async def _snapshot_of(self, name: str, update: bool | None) -> Any:
        try:
            return await self._host.apply(
                name,
                "snapshot",
                lambda instrument: _printable(instrument.snapshot(update=update)),
                timeout_s=SNAPSHOT_S,
            )
        except QnodeError as error:
            return {"error": str(error)}

    def _refuse_while_playing(self, name: str, path: str) -> None:
        if plan := self._playing():
            raise MisuseError(
                f"{self._full(name, path)} can't be set while plan {plan} is under way",
                hint="wait for its end, or abort it",
            )

    def _find(self, instrument: Any, name: str, path: str) -> Any:
        found = dict(_walk(instrument))
        if path not in found:
            raise MisuseError(
                f"{self._host.site_name}.{name} has no parameter {path!r}", hint=f"it has {', '.join(sorted(found))}"
            )
        return found[path]

    def _full(self, name: str, path: str) -> str:
        return f"{self._host.site_name}.{name}.{path}"


def _walk(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name and parameter of an instrument and its submodules; tuples of channels stand under their own names too."""
    for name, parameter in module.parameters.items():
        yield prefix + name, parameter
    for name, submodule in module.submodules.items():
        if hasattr(submodule, "parameters") and hasattr(submodule, "submodules"):
            yield from _walk(submodule, f"{prefix}{name}.")


def _described(name: str, parameter: Any) -> dict[str, Any]:
    # QCoDeS appends a listing of the settings that are told here one by one.
    doc = (parameter.__doc__ or "").partition("Parameter class:")[0].strip()
    return {
        "name": name,
        "label": str(getattr(parameter, "label", "") or name),
        "unit": str(getattr(parameter, "unit", "") or ""),
        "doc": doc,
        "gettable": bool(parameter.gettable),
        "settable": bool(parameter.settable),
        "allowed": _allowed(parameter),
    }


def _allowed(parameter: Any) -> str:
    validator = getattr(parameter, "vals", None)
    return "anything" if validator is None else repr(validator).strip("<>")


def _printable(value: Any) -> Any:
    """A snapshot with everything that can't travel as its text: there it is for eyes."""
    if isinstance(value, dict):
        return {str(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    try:
        return plain(value)
    except MisuseError:
        return str(value)
