"""The instruments of one site: loaded by QCoDeS from the lab file's station block, one owner thread each."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from drivers.roles import Identity
from qnode.daemons._gone import HOST_TIME, simulators_gone
from qnode.daemons._health import NO_REFERENCE, InstrumentHealth, Look, is_busy, look_at
from qnode.errors import InstrumentError, MisuseError, QnodeError
from qnode.labfile import Site, resolve_address
from qnode.runs import log_event

__all__ = ["HostError", "InstrumentHost", "extend_driver_path"]

# Wall time that an instrument has for each step.
CONNECT_S = 30.0
IDENTIFY_S = 10.0
SAFE_S = 10.0
CLOSE_S = 5.0
RESTORE_S = 10.0
HEALTH_S = 10.0
MAINS = "is it switched on, and its address right in the lab file?"
GONE_AFTER_S = 0.3
"""Wall time after which it is asked whether simulated instruments that do not answer are played by anybody."""
LOOK_S = 1.0
"""Wall time between two looks at an instrument, and age of an answer that is as good as a look while a plan plays."""


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
        lab_time: where the site's lab time comes from: who gives simulated time plays the simulated instruments.
    """

    def __init__(self, site_name: str, site: Site, data_folder: Path, lab_time: str = HOST_TIME) -> None:
        self.site_name = site_name
        self.site = site
        self.identities: dict[str, Identity] = {}
        self.health = {name: InstrumentHealth() for name in site.instruments}
        self._data_folder = data_folder
        self._lab_time = lab_time
        self._threads = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"{site_name}.{name}") for name in site.instruments
        }
        self._instruments: dict[str, Any] = {}
        self._station: Any = None
        self.watched_by_plan: frozenset[str] = frozenset()
        """Instruments that somebody else looks at for as long as a plan plays."""
        self._set_points: dict[str, dict[str, Any]] = {}
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
        left, failed = await self.try_connect(list(self._threads))
        if failed:
            busy = any(self.health[name].state == "locked" for name in left)
            hint = "another program holds it: `fuser -v` with the path of its terminal says which" if busy else MAINS
            raise HostError("\n".join(failed), hint=hint)

    async def try_connect(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """As `connect`, for some of them; gives the names of those that failed, and a line for each."""
        from qcodes.station import Station

        if self._station is None:
            self._station = Station(default=False)
            self._station.load_config(json.dumps({"instruments": self._blocks()}))
        results = await asyncio.gather(*(self._connect_one(name) for name in names), return_exceptions=True)
        left = [name for name, result in zip(names, results, strict=True) if isinstance(result, BaseException)]
        return left, self._failures(names, results)

    async def watch(self, playing: Callable[[], bool]) -> None:
        """Look at each instrument again and again, and connect anew what was gone; never returns.

        Args:
            playing: whether a plan is under way: then nothing is connected anew, and no instrument that answers the
                plan is asked anything else.
        """
        await asyncio.gather(*(self._watch_one(name, playing) for name in self._threads))

    async def call(self, name: str, method: str, *args: Any, timeout_s: float = 30.0) -> Any:
        """Call a method of an instrument in its own thread.

        A call that has timed out is still carried out when its turn comes: a safe state is late rather than dropped.

        Raises:
            InstrumentError: what the driver raised, or no answer within ``timeout_s``.
        """
        return await self._in_thread(name, method, args, timeout_s, self._invoke)

    async def apply(self, name: str, what: str, work: Callable[[Any], Any], *, timeout_s: float = 30.0) -> Any:
        """Do ``work(instrument)`` in the instrument's own thread; ``what`` names it in errors.

        Raises:
            MisuseError: the site has no such instrument.
            InstrumentError: as `call`.
        """
        if name not in self._threads:
            raise MisuseError(
                f"{self.site_name} has no instrument {name!r}", hint=f"it has {', '.join(sorted(self._threads))}"
            )
        return await self._in_thread(name, what, (work,), timeout_s, self._work)

    async def restore(self, name: str) -> None:
        """Set the set-points of an instrument again, which it may have lost with its mains.

        They are the parameters with an ``initial_value`` in the station block, at the values last set from here.

        Raises:
            InstrumentError: not taken, or no answer in time.
        """
        await self._in_thread(name, "its set-points", (), RESTORE_S, self._restore)

    async def look(self, name: str) -> Look:
        """Ask an instrument how it is; what it says, or that it does not answer, stands in its health, too.

        Raises:
            InstrumentError: it does not answer.
        """
        try:
            look: Look = await self._in_thread(name, "look", (), HEALTH_S, self._look_now)
        except (HostError, MisuseError) as error:
            # What the driver itself has raised stands there already, in its own words.
            self._doubt(name, "look", error)
            raise
        return look

    async def safe_all(self) -> list[str]:
        """Every instrument to its safe state; gives what failed, one line each. Never raises.

        What does not answer has 10 s; simulated ones have less when the process that plays them is gone.
        """
        return self._failures(list(self._threads), await self._on_all("enter_safe_state", SAFE_S))

    async def simulators_gone(self) -> None:
        """Return when the process that plays the simulated instruments is gone for sure."""
        await simulators_gone(self._lab_time)

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
        future.add_done_callback(_taken_note_of)
        try:
            # Not wait_for(): before Python 3.12 it swallows a cancellation that comes with the answer, and a loop
            # that polls an instrument would never end.
            async with asyncio.timeout(timeout_s):
                await self._answer_or_nobody(name, future)
                return await asyncio.shield(future)
        except TimeoutError:
            raise HostError(
                f"{self.site_name}.{name}: no answer to {method} within {timeout_s:g} s",
                hint="is it switched on? `qnode status` shows its last answer",
            ) from None

    async def _answer_or_nobody(self, name: str, future: asyncio.Future[Any]) -> None:
        """Return when a call is done.

        Raises:
            HostError: the instrument is simulated, and the process that plays it is gone.
        """
        # Nearly all are done by then, and nothing has to be found out.
        if not self.site.rack[name].simulated or (await asyncio.wait({future}, timeout=GONE_AFTER_S))[0]:
            return
        looking = asyncio.ensure_future(self.simulators_gone())
        try:
            await asyncio.wait({future, looking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
        if not future.done():
            raise HostError(
                f"{self.site_name}.{name}: no answer, and the simulators do not run any more",
                hint="see `qnode logs`, then start the lab again",
            )

    def _invoke_if_made(self, name: str, method: str, args: tuple[Any, ...]) -> Any:
        return self._invoke(name, method, args) if name in self._instruments else None

    def _invoke(self, name: str, method: str, args: tuple[Any, ...]) -> Any:
        return self._work(name, method, (lambda instrument: getattr(instrument, method)(*args),))

    def _work(self, name: str, what: str, args: tuple[Callable[[Any], Any]]) -> Any:
        """Do something with an instrument; ``what`` names it in errors."""
        instrument = self._instruments.get(name)
        if instrument is None:
            raise HostError(f"{self.site_name}.{name} is not connected")
        return self._spoken(name, what, lambda: args[0](instrument))

    def _spoken(self, name: str, what: str, call: Callable[[], Any]) -> Any:
        """The result of a call to an instrument; what it raises names site and instrument."""
        try:
            answer = call()
            self._note(name, what, answer)
            return answer
        except MisuseError as error:
            self._name_whole(name, error)
            raise
        except QnodeError as error:
            self._name_whole(name, error)
            self._doubt(name, what, error)
            raise
        except Exception as error:
            self._doubt(name, what, error)
            # What a maker's client raises is its own business; here it is an instrument that failed.
            raise InstrumentError(f"{self.site_name}.{name}.{what}: {type(error).__name__}: {error}") from error

    def _name_whole(self, name: str, error: QnodeError) -> None:
        """A driver knows its short name only; two sites have an `awg`."""
        if error.message.startswith(f"{name} "):
            error.message = f"{self.site_name}.{error.message}"

    # --- how they are --------------------------------------------------------------------------------------------

    def _note(self, name: str, method: str, answer: Any) -> None:
        """A call has succeeded. Reading gives nothing, too, when there is nobody to read from."""
        if method == "read" and not (answer.data if self._streams(name) else answer):
            return
        health = self.health[name]
        health.answered()
        gone = ("connecting", "disconnected", "locked") if self._streams(name) else ("disconnected",)
        if health.state in gone:
            # Who has answered a plan must not be connected anew, and so made dark, behind its back.
            health.found("ready")

    def _doubt(self, name: str, method: str, error: BaseException) -> None:
        health = self.health[name]
        health.doubted = True
        if method == "look" or self._streams(name):
            health.found("locked" if is_busy(error) else "disconnected", _first_line(error))

    def _streams(self, name: str) -> bool:
        """Whether it talks all the time and can't be asked; its owner reads it and starts it again."""
        return self.site.rack[name].role == "time_tagger"

    async def _watch_one(self, name: str, playing: Callable[[], bool]) -> None:
        if self._streams(name):
            return
        health = self.health[name]
        while True:
            await asyncio.sleep(LOOK_S)
            if health.state not in ("ready", "degraded"):
                if not playing():
                    await self._reconnect(name)
                continue
            if playing() and name in self.watched_by_plan:
                continue
            fresh = health.answered_s is not None and time.monotonic() - health.answered_s < LOOK_S
            if playing() and fresh and not health.doubted:
                continue
            before = health.detail
            with contextlib.suppress(QnodeError):
                await self.look(name)
            if health.detail == NO_REFERENCE != before and not playing():
                # As after mains that were gone for so short a time that nobody saw it. Once: a cable may be missing.
                await self._reconnect(name)

    def _look_now(self, name: str, what: str, _args: tuple[Any, ...]) -> Look:
        health, role = self.health[name], self.site.rack[name].role
        health.asked_s = time.monotonic()
        try:
            look: Look = self._work(name, what, (lambda instrument: look_at(instrument, role),))
        finally:
            health.asked_s = None
        health.found("degraded" if look.fault else "ready", look.fault)
        return look

    async def _reconnect(self, name: str) -> None:
        """Connect an instrument as at the start, once it answers again: it may have been without mains."""
        try:
            if name in self._instruments:
                await self._in_thread(name, "identify", (), IDENTIFY_S, self._invoke)
        except QnodeError:
            return
        left, _ = await self.try_connect([name])
        if not left:
            log_event("connected again", instrument=f"{self.site_name}.{name}")

    def _blocks(self) -> dict[str, Any]:
        blocks = {}
        for name, block in self.site.instruments.items():
            document = block.model_dump(mode="json", exclude_defaults=True)
            if block.address is not None:
                document["address"] = resolve_address(block.address, self._data_folder)
            blocks[name] = document
        return blocks

    def _failures(self, names: Sequence[str], results: list[Any]) -> list[str]:
        """One line, led by its name, for each instrument whose result is an error."""
        lines = []
        for name, error in zip(names, results, strict=True):
            if isinstance(error, BaseException):
                text, me = " ".join(str(error).split()) or type(error).__name__, f"{self.site_name}.{name}"
                # A driver knows its short name only.
                text = f"{self.site_name}.{text}" if text.startswith(f"{name} ") else text
                lines.append(text if text.startswith(me) else f"{me}: {text}")
        return lines

    async def _connect_one(self, name: str) -> None:
        try:
            await self._connect_anew(name)
        except Exception as error:
            self._doubt(name, "look", error)
            raise
        with contextlib.suppress(QnodeError):
            await self.look(name)

    async def _connect_anew(self, name: str) -> None:
        self.health[name].found("connecting")
        loading = asyncio.get_running_loop().run_in_executor(self._threads[name], self._load, name)
        loading.add_done_callback(_taken_note_of)
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._answer_or_nobody(name, loading)
                await asyncio.shield(loading)
        except TimeoutError:
            raise HostError(f"{self.site_name}.{name}: not connected within {CONNECT_S:g} s") from None
        self.identities[name] = await self.call(name, "identify", timeout_s=IDENTIFY_S)
        await self.call(name, "enter_safe_state", timeout_s=SAFE_S)

    def _load(self, name: str) -> None:
        block = self.site.instruments[name]
        module = block.type.rpartition(".")[0]
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MisuseError(
                f"driver {block.type} can't be imported: {error}", hint="correct `type:` in the lab file"
            ) from error
        # One that is there from before is closed first; if it can't be made again, there is none.
        if (old := self._instruments.pop(name, None)) is not None:
            with contextlib.suppress(Exception):
                self._station.close_and_remove_instrument(old)
        instrument = self._station.load_instrument(name, update_snapshot=False)
        held = self._set_points.setdefault(name, {})
        for path, options in block.parameters.items():
            if "initial_value" in options:
                parameter = _parameter(instrument, path)
                parameter.on_set_callback = functools.partial(_hold, held, path)
                if path in held:
                    # Connected anew: what was tuned since the first time counts, not the lab file.
                    parameter.set(held[path])
                else:
                    held[path] = options["initial_value"]
        self._instruments[name] = instrument

    def _restore(self, name: str, _what: str, _args: tuple[Any, ...]) -> None:
        for path, value in list(self._set_points.get(name, {}).items()):
            parameter = _parameter(self._instruments[name], path)
            self._spoken(name, parameter.name, functools.partial(parameter.set, value))


def _parameter(instrument: Any, path: str) -> Any:
    """The parameter of a key of the station block: ``power``, ``laser1.current``."""
    from qcodes.utils import getattr_indexed

    for part in path.split("."):
        instrument = getattr_indexed(instrument, part)
    return instrument


def _hold(held: dict[str, Any], path: str, _parameter: Any, value: Any) -> None:
    held[path] = value


def _taken_note_of(future: asyncio.Future[Any]) -> None:
    """Of a call that nobody may wait for any more: its error stands in the instrument's health."""
    if not future.cancelled():
        future.exception()


def _first_line(error: BaseException) -> str:
    text = str(error.message if isinstance(error, QnodeError) else error) or type(error).__name__
    return " ".join(text.split())
