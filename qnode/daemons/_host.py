"""The instruments of one site: loaded by QCoDeS from the lab file's station block, one owner thread each."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from drivers.roles import Identity
from qnode.errors import InstrumentError, MisuseError, QnodeError
from qnode.labfile import Site, resolve_address

__all__ = ["HostError", "InstrumentHost", "extend_driver_path"]

# Wall time that an instrument has for each step.
CONNECT_S = 30.0
IDENTIFY_S = 10.0
SAFE_S = 10.0
CLOSE_S = 5.0
RESTORE_S = 10.0


class HostError(InstrumentError):
    """An instrument can't be loaded, or did not answer its owner in time."""

    code = "instrument_host"


def extend_driver_path(lab_path: Path) -> None:
    """Let a lab drop ``drivers/mylaser.py`` and ``sequences/mysequence.py`` beside its lab file."""
    for package in ("drivers", "sequences"):
        folder = lab_path.resolve().parent / package
        if folder.is_dir():
            path = importlib.import_module(package).__path__
            if str(folder) not in path:
                path.append(str(folder))


class InstrumentHost:
    """Owns the instruments of a site.

    QCoDeS instruments are not thread-safe, so each has one thread in which it is made, used and closed. Calls to one
    instrument wait for each other; calls to different ones do not.

    Args:
        site_name: node or midpoint.
        site: its part of the lab file.
        data_folder: what ``data:`` in an address stands for.
    """

    def __init__(self, site_name: str, site: Site, data_folder: Path) -> None:
        self.site_name = site_name
        self.site = site
        self.identities: dict[str, Identity] = {}
        self._data_folder = data_folder
        self._threads = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"{site_name}.{name}") for name in site.instruments
        }
        self._instruments: dict[str, Any] = {}
        self._station: Any = None
        self._set_points: dict[str, dict[Any, Any]] = {}
        """Instrument to its set-points: those of the station block, with what was set since by whoever asked us."""

    def name_of(self, role: str) -> str:
        """Name of the instrument that plays a role."""
        return self.site.by_role(role)  # type: ignore[arg-type]

    def limits(self, role: str) -> Any:
        """The limits that the driver of a role states."""
        return self._instruments[self.name_of(role)].limits

    async def connect(self) -> None:
        """Load every instrument, ask who it is, and enter its safe state.

        Raises:
            HostError: with all instruments that failed, one line each.
        """
        from qcodes.station import Station

        self._station = Station(default=False)
        self._station.load_config(json.dumps({"instruments": self._blocks()}))
        results = await asyncio.gather(*(self._connect_one(name) for name in self._threads), return_exceptions=True)
        if failed := self._failures(results):
            raise HostError("\n".join(failed), hint="is it switched on, and its address right in the lab file?")

    async def call(self, name: str, method: str, *args: Any, timeout_s: float = 30.0) -> Any:
        """Call a method of an instrument in its own thread.

        A call that has timed out is still carried out when its turn comes: a safe state is late rather than dropped.

        Raises:
            InstrumentError: what the driver raised, or no answer within ``timeout_s``.
        """
        return await self._in_thread(name, method, args, timeout_s, self._invoke)

    async def restore(self, name: str) -> None:
        """Set the set-points of an instrument again, which it may have lost with its mains.

        They are the parameters with an ``initial_value`` in the station block, at the values last set from here.

        Raises:
            InstrumentError: not taken, or no answer in time.
        """
        await self._in_thread(name, "its set-points", (), RESTORE_S, self._restore)

    async def safe_all(self) -> list[str]:
        """Every instrument to its safe state; gives what failed, one line each. Never raises."""
        return self._failures(await self._on_all("enter_safe_state", SAFE_S))

    async def close(self) -> None:
        """Close every instrument and end the threads; what hangs is left behind."""
        await self._on_all("close", CLOSE_S)
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    async def _on_all(self, method: str, timeout_s: float) -> list[Any]:
        """Results or errors, in the order of the threads. An instrument that is just being made is waited for."""
        return await asyncio.gather(
            *(self._in_thread(name, method, (), timeout_s, self._invoke_if_made) for name in self._threads),
            return_exceptions=True,
        )

    async def _in_thread(
        self, name: str, method: str, args: tuple[Any, ...], timeout_s: float, invoke: Callable[..., Any]
    ) -> Any:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads[name], invoke, name, method, args)
        try:
            # Not wait_for(): before Python 3.12 it swallows a cancellation that comes with the answer, and a loop
            # that polls an instrument would never end.
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(future)
        except TimeoutError:
            future.add_done_callback(lambda f: f.cancelled() or f.exception())
            raise HostError(
                f"{self.site_name}.{name}: no answer to {method} within {timeout_s:g} s",
                hint="is it switched on? `qnode status` shows its last answer",
            ) from None

    def _invoke_if_made(self, name: str, method: str, args: tuple[Any, ...]) -> Any:
        return self._invoke(name, method, args) if name in self._instruments else None

    def _invoke(self, name: str, method: str, args: tuple[Any, ...]) -> Any:
        instrument = self._instruments.get(name)
        if instrument is None:
            raise HostError(f"{self.site_name}.{name} is not connected")
        return self._spoken(name, method, lambda: getattr(instrument, method)(*args))

    def _spoken(self, name: str, what: str, call: Callable[[], Any]) -> Any:
        """The result of a call to an instrument; what it raises names site and instrument."""
        try:
            return call()
        except QnodeError as error:
            # A driver knows its short name only; two sites have an `awg`.
            if error.message.startswith(f"{name} "):
                error.message = f"{self.site_name}.{error.message}"
            raise
        except Exception as error:
            # What a maker's client raises is its own business; here it is an instrument that failed.
            raise InstrumentError(f"{self.site_name}.{name}.{what}: {type(error).__name__}: {error}") from error

    def _blocks(self) -> dict[str, Any]:
        blocks = {}
        for name, block in self.site.instruments.items():
            document = block.model_dump(mode="json", exclude_defaults=True)
            if block.address is not None:
                document["address"] = resolve_address(block.address, self._data_folder)
            blocks[name] = document
        return blocks

    def _failures(self, results: list[Any]) -> list[str]:
        """One line, led by its name, for each instrument whose result is an error."""
        lines = []
        for name, error in zip(self._threads, results, strict=True):
            if isinstance(error, BaseException):
                text, me = " ".join(str(error).split()) or type(error).__name__, f"{self.site_name}.{name}"
                # A driver knows its short name only.
                text = f"{self.site_name}.{text}" if text.startswith(f"{name} ") else text
                lines.append(text if text.startswith(me) else f"{me}: {text}")
        return lines

    async def _connect_one(self, name: str) -> None:
        loading = asyncio.get_running_loop().run_in_executor(self._threads[name], self._load, name)
        try:
            await asyncio.wait_for(loading, CONNECT_S)
        except TimeoutError:
            raise HostError(f"{self.site_name}.{name}: not connected within {CONNECT_S:g} s") from None
        self.identities[name] = await self.call(name, "identify", timeout_s=IDENTIFY_S)
        await self.call(name, "enter_safe_state", timeout_s=SAFE_S)

    def _load(self, name: str) -> None:
        from qcodes.utils import getattr_indexed

        block = self.site.instruments[name]
        module = block.type.rpartition(".")[0]
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MisuseError(
                f"driver {block.type} can't be imported: {error}", hint="correct `type:` in the lab file"
            ) from error
        instrument = self._station.load_instrument(name, update_snapshot=False)
        self._set_points[name] = held = {}
        for path, options in block.parameters.items():
            if "initial_value" in options:
                parameter = instrument
                for part in path.split("."):
                    parameter = getattr_indexed(parameter, part)
                held[parameter] = options["initial_value"]
                parameter.on_set_callback = held.__setitem__
        self._instruments[name] = instrument

    def _restore(self, name: str, _what: str, _args: tuple[Any, ...]) -> None:
        for parameter, value in list(self._set_points.get(name, {}).items()):
            self._spoken(name, parameter.name, functools.partial(parameter.set, value))
