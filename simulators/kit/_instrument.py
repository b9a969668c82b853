"""The base of a simulated instrument: a name, a mains plug, sockets that live in one event loop."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

__all__ = ["PlugState", "SimInstrument", "SimTime"]

PlugState = Literal["plugged", "unplugged"]


class SimTime(Protocol):
    """Lab time inside the simulators' process."""

    def now_ps(self) -> int:
        """Lab time now, TAI picoseconds; callable from any thread."""

    async def wait_until(self, until_ps: int) -> None:
        """Return when lab time is there; does not bound lab time."""


class SimInstrument(abc.ABC):
    """One simulated instrument.

    A subclass lives in ``simulators.instruments.<maker>.<model>``, has the class name of the driver in
    ``drivers.<maker>.<model>``, takes the constructor below, binds its sockets in `power_up`, and keeps
    ``self.playback`` (see `simulators.kit`) true. Its protocol is written from the maker's documents, never from our
    driver.

    Args:
        name: ``site.instrument`` as in the lab file.
        address: as the driver takes it, ``data:`` resolved.
        time: lab time.
    """

    def __init__(self, name: str, address: str, time: SimTime) -> None:
        self.name = name
        self.address = address
        self.time = time
        self.plug_state: PlugState = "unplugged"
        self.loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Plug in; the sockets are bound when this returns.

        Raises:
            InstrumentError: the address is taken or not on this machine; the text says which.
        """
        self.loop = asyncio.get_running_loop()
        await self.plug()

    async def stop(self) -> None:
        """Unplug for good."""
        await self.unplug()

    async def plug(self) -> None:
        """Mains on: factory settings, nothing armed, outputs off."""
        if self.plug_state == "unplugged":
            await self.power_up()
            self.plug_state = "plugged"

    async def unplug(self) -> None:
        """Mains off: connections break, listeners close, outputs dark, volatile memory lost."""
        if self.plug_state == "plugged":
            self.plug_state = "unplugged"
            await self.power_down()

    def faults(self) -> Mapping[str, Callable[[], None]]:
        """What may happen to it besides losing its mains, by name; each is called in the event loop."""
        return {}

    @abc.abstractmethod
    async def power_up(self) -> None:
        """Set factory state and bind the sockets."""

    @abc.abstractmethod
    async def power_down(self) -> None:
        """Publish a dark playback first, then close listeners and connections."""
