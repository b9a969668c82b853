"""The slow instruments of a site: lasers, microwave carrier, detector bias. On for plans, watched while they play.

Nothing of a round's timing depends on them, so they are set and asked in their own threads, about once a second; what
is no longer as a plan needs it ends the plan with that reason. Only outputs that a wire leaves are switched on.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from drivers.roles import LaserState, MicrowaveCarrier, SetPoint
from qnode.daemons._health import Look
from qnode.daemons._host import InstrumentHost
from qnode.errors import InstrumentError, QnodeError
from qnode.labfile import Lab
from qnode.runs import log_event

__all__ = ["SlowInstruments"]

WATCH_S = 1.0
"""Wall time between two looks at each instrument."""
SWITCH_ON_S = 25.0
"""Wall time for one switch: a repump laser settles its temperature first."""
ASK_S = 10.0
SAFE_S = 5.0
TOUCHED = "did somebody touch it, or did it lose its mains?"
SWITCHED_OFF = "did somebody switch it off, or did it lose its mains?"

Tell = Callable[[str, Any], None]
"""Topic and payload of a message on the tap."""


class _Member(Protocol):
    """One slow instrument, as its role is handled here."""

    async def switch_on(self) -> None:
        """What is wired, at its set-points; nothing where it is on."""

    async def compare(self, look: Look) -> None:
        """Hold what it says now against what `switch_on` left.

        Raises:
            InstrumentError: it differs, and can't be mended from here.
        """


class SlowInstruments:
    """The lasers, microwave sources and detector drivers of a site.

    Args:
        host: owns them.
        lab: its wires say which outputs are needed.
        tell: sends on the tap.
    """

    def __init__(self, host: InstrumentHost, lab: Lab, tell: Tell | None = None) -> None:
        self._host = host
        self._members: dict[str, _Member] = {}
        for name, entry in host.site.rack.items():
            wired = [channel for channel in entry.channels if lab.out_of(f"{host.site_name}.{name}.{channel}")]
            if not wired:
                continue
            if entry.role == "laser":
                self._members[name] = _Laser(host, name, wired)
            elif entry.role == "microwave_source":
                self._members[name] = _Carrier(host, name)
            elif entry.role == "detector_driver":
                alarm = functools.partial(_alarm, f"{host.site_name}.{name}", tell)
                self._members[name] = _Detectors(host, name, wired, alarm)
        self._tell = tell
        self._watching: asyncio.Task[Any] | None = None

    async def switch_on(self) -> None:
        """All on, at once; returns when all are.

        Raises:
            InstrumentError: the first that is not, after all have been tried.
        """
        results = await asyncio.gather(*map(self._switch_on_one, self._members), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _switch_on_one(self, name: str) -> None:
        # Whoever lost its mains since the last plan fails this once, and is connected anew by the next call.
        with contextlib.suppress(InstrumentError):
            await self._host.call(name, "identify", timeout_s=ASK_S)
        await self._members[name].switch_on()

    async def switch_off(self) -> None:
        """All to their safe states; what fails is logged and keeps none from the rest.

        A watch that is under way ends first: what goes off now is no stranger's doing, and no detector is brought back.
        """
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching], timeout=SAFE_S)
        names = list(self._members)
        calls = (self._host.call(name, "enter_safe_state", timeout_s=SAFE_S) for name in names)
        for name, result in zip(names, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(result, Exception):
                _alarm(f"{self._host.site_name}.{name}", self._tell, f"not switched off: {result}")

    async def watch(self, failed: Callable[[QnodeError], None]) -> None:
        """Look at each about once a second; returns after the first that is not as it must be, once told.

        Meanwhile nobody else needs to look: what is seen here is their health, too.
        """
        self._host.watched_by_plan = frozenset(self._members)
        self._watching = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                for name, member in self._members.items():
                    group.create_task(self._watch_one(name, member))
        except* QnodeError as errors:
            failed(errors.exceptions[0])  # type: ignore[arg-type]
        finally:
            self._watching = None
            self._host.watched_by_plan = frozenset()

    async def _watch_one(self, name: str, member: _Member) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await member.compare(await self._host.look(name))
            except QnodeError as error:
                _alarm(f"{self._host.site_name}.{name}", self._tell, str(error))
                raise


class _Laser:
    """Role ``laser``: emission at every head that a wire leaves."""

    def __init__(self, host: InstrumentHost, name: str, heads: list[str]) -> None:
        self._host, self._name, self._heads = host, name, heads
        self._held: dict[str, Mapping[str, SetPoint]] = {}

    async def switch_on(self) -> None:
        dark = [head for head in self._heads if not (await self._state(head)).emitting]
        if dark:
            await self._host.restore(self._name)
        for head in dark:
            await self._host.call(self._name, "start_emission", head, timeout_s=SWITCH_ON_S)
        self._held = {head: await self._set_points(head) for head in self._heads}

    async def compare(self, look: Look) -> None:
        for head in self._heads:
            if what := _not_emitting(head, look.heads[head]):
                raise InstrumentError(f"{self._host.site_name}.{self._name}{what[0]}", hint=what[1])
            if drift := _drift(head, self._held.get(head, {}), await self._set_points(head)):
                raise InstrumentError(f"{self._host.site_name}.{self._name}, {drift}", hint=TOUCHED)

    async def _set_points(self, head: str) -> Mapping[str, SetPoint]:
        points: Mapping[str, SetPoint] = await self._host.call(self._name, "set_points", head, timeout_s=ASK_S)
        return points

    async def _state(self, head: str) -> LaserState:
        state: LaserState = await self._host.call(self._name, "head_state", head, timeout_s=ASK_S)
        return state


def _drift(thing: str, held: Mapping[str, SetPoint], now: Mapping[str, SetPoint]) -> str:
    """Which set-points of a head or detector are others than when it was switched on; empty: none."""
    differ = [what for what in held if what in now and now[what] != held[what]]
    changes = [f"its {what} is {now[what]}, and was {held[what]} when it was switched on" for what in differ]
    return f"{thing}: {', '.join(changes)}" if changes else ""


def _not_emitting(head: str, state: LaserState) -> tuple[str, str] | None:
    """What keeps a head from emitting as it should, after the instrument's name, and what a person does about it."""
    # One loop and one key for all heads of a controller: which head was asked first says nothing.
    if state.interlock_open:
        return ": the interlock is open", "close the interlock loop, then run again"
    if state.key_locked:
        return ": the key is off", "turn the key, then run again"
    if state.fault:
        return f", {head}: {state.fault}", "mend it, then run again"
    if not state.emitting:
        return f", {head}: emission is off", SWITCHED_OFF
    if state.frequency_locked is False:
        return f", {head}: the frequency lock is lost", "lock it again"
    return None


class _Carrier:
    """Role ``microwave_source``: output and I/Q modulation on, frequency and power as they were at the start."""

    def __init__(self, host: InstrumentHost, name: str) -> None:
        self._host, self._name = host, name
        self._held: MicrowaveCarrier | None = None

    async def switch_on(self) -> None:
        # Also where it is on already: somebody else may have tuned it at its front panel since the last plan.
        await self._host.restore(self._name)
        held = await self._carrier()
        if not (held.output_on and held.iq_on):
            await self._host.call(self._name, "start_output", timeout_s=SWITCH_ON_S)
            held = await self._carrier()
        self._held = held

    async def compare(self, _look: Look) -> None:
        now = await self._carrier()
        if now == self._held:
            return
        if not now.output_on:
            what = "its output is off"
        elif not now.iq_on:
            what = "its I/Q modulation is off"
        else:
            was = self._held or now
            what = (
                f"its carrier is {now.frequency_hz:.0f} Hz, {now.power_dbm:g} dBm; when it was switched on "
                f"{was.frequency_hz:.0f} Hz, {was.power_dbm:g} dBm"
            )
        raise InstrumentError(f"{self._host.site_name}.{self._name}: {what}", hint=TOUCHED)

    async def _carrier(self) -> MicrowaveCarrier:
        carrier: MicrowaveCarrier = await self._host.call(self._name, "carrier", timeout_s=ASK_S)
        return carrier


class _Detectors:
    """Role ``detector_driver``: bias on; a latched detector that a wire leaves is brought back."""

    def __init__(self, host: InstrumentHost, name: str, channels: list[str], alarm: Callable[[str], None]) -> None:
        self._host, self._name, self._alarm = host, name, alarm
        self._detectors = sorted(int(channel.removeprefix("ch")) for channel in channels)
        self._held: dict[int, Mapping[str, SetPoint]] = {}

    async def switch_on(self) -> None:
        if not await self._host.call(self._name, "enabled", timeout_s=ASK_S):
            await self._host.restore(self._name)
            await self._host.call(self._name, "enable_detectors", timeout_s=SWITCH_ON_S)
        await self._recover(await self._host.call(self._name, "latched", timeout_s=ASK_S))
        self._held = {detector: await self._set_points(detector) for detector in self._detectors}

    async def compare(self, look: Look) -> None:
        if not await self._host.call(self._name, "enabled", timeout_s=ASK_S):
            raise InstrumentError(f"{self._host.site_name}.{self._name}: the bias is off", hint=SWITCHED_OFF)
        for detector, held in self._held.items():
            if drift := _drift(f"detector {detector}", held, await self._set_points(detector)):
                raise InstrumentError(f"{self._host.site_name}.{self._name}, {drift}", hint=TOUCHED)
        await self._recover(look.latched)

    async def _set_points(self, detector: int) -> Mapping[str, SetPoint]:
        points: Mapping[str, SetPoint] = await self._host.call(self._name, "set_points", detector, timeout_s=ASK_S)
        return points

    async def _recover(self, latched: Collection[int]) -> None:
        for detector in sorted(set(latched).intersection(self._detectors)):
            self._alarm(f"detector {detector} is latched")
            await self._host.call(self._name, "recover", detector, timeout_s=SWITCH_ON_S)
            self._alarm(f"detector {detector} counts again")


def _alarm(instrument: str, tell: Tell | None, what: str) -> None:
    """On the log and on the tap."""
    log_event("alarm", level=logging.ERROR, instrument=instrument, what=what)
    if tell is not None:
        tell("alarm", {"instrument": instrument, "what": what})
