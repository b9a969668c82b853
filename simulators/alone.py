"""One slow instrument by itself, outside any world: for whoever takes it for a real one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from qnode.clock import HostClock
from qnode.errors import MisuseError
from qnode.labfile import load_lab, resolve_address
from simulators.lab import simulator_class, start_instrument

__all__ = ["run_alone"]

SLOW = ("laser", "microwave_source", "detector_driver")
"""Roles that need nobody else: neither triggers nor photons reach them."""


class _HostTime:
    """Lab time of an instrument that no world drives (`simulators.kit.SimTime`)."""

    def __init__(self, now_ps: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._start_ps, self._start_s = now_ps, self._loop.time()

    def now_ps(self) -> int:
        return self._start_ps + round((self._loop.time() - self._start_s) * 1e12)

    async def wait_until(self, until_ps: int) -> None:
        while (left_ps := until_ps - self.now_ps()) > 0:
            await asyncio.sleep(left_ps / 1e12)


def run_alone(
    lab_path: Path | str,
    data_folder: Path | str,
    instrument: str,
    address: str | None = None,
    ready: Callable[[], None] | None = None,
) -> None:
    """Run the simulator of one instrument of a lab until SIGTERM or SIGINT.

    It answers as the instrument would; its light, carrier or bias reaches nothing.

    Args:
        lab_path: lab file; its `world:` is not looked at.
        data_folder: what ``data:`` in addresses stands for.
        instrument: ``site.instrument`` of a slow role; ``simulated`` may be false.
        address: in place of the lab file's.
        ready: called once, when its sockets are bound.

    Raises:
        LabFileError: the lab file has faults.
        MisuseError: no such instrument, or one that is nothing without triggers or photons.
        InstrumentError: the address is taken.
    """
    lab = load_lab(lab_path)
    site, _, name = instrument.partition(".")
    entry = lab.sites[site].rack.get(name) if site in lab.sites else None
    slow = [f"{s}.{n}" for s, part in lab.sites.items() for n, e in part.rack.items() if e.role in SLOW]
    if entry is None or entry.role not in SLOW:
        what = (
            "there is no such instrument"
            if entry is None
            else f"what plays {entry.role} needs the whole simulated lab"
        )
        raise MisuseError(f"{instrument}: {what}", hint=f"by themselves: {', '.join(slow) or 'none of this lab'}")
    block = lab.sites[site].instruments[name]
    where = address or block.address
    if where is None:
        raise MisuseError(f"{instrument}: no address to simulate it on", hint="give one with --address")
    asyncio.run(_run(instrument, block.type, resolve_address(where, Path(data_folder)), ready))


async def _run(name: str, driver: str, address: str, ready: Callable[[], None] | None) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    simulator = simulator_class(name, driver)(name, address, _HostTime(await HostClock().now_ps()))
    await start_instrument(name, simulator)
    try:
        if ready is not None:
            ready()
        await stopping.wait()
    finally:
        await simulator.stop()
