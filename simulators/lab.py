"""All simulators of a lab in one process: instruments on their own addresses, one world behind them.

``drivers.X.y.Class`` in the lab file is simulated by ``simulators.instruments.X.y.Class``: a rule, not a table.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qnode.clock import PS_PER_NS, PS_PER_S, TAI_MINUS_UTC_S
from qnode.errors import InstrumentError, MisuseError, NetworkError, QnodeError
from qnode.labfile import Lab, Role, load_lab, load_world, resolve_address
from simulators.kit import SimInstrument
from simulators.world.clock_server import ClockServer
from simulators.world.control_server import ControlServer
from simulators.world.engine import World, WorldThread
from simulators.world.flux import node_flux
from simulators.world.monte_carlo import sample_link
from simulators.world.timeline import Timeline
from simulators.world.world_context import Instruments, WorldContext

__all__ = [
    "SimulatedLab",
    "SimulatorCrashError",
    "monte_carlo",
    "run_simulators",
    "simulator_class",
    "start_instrument",
]

Speed = float | Literal["max"]


class SimulatorCrashError(QnodeError):
    """The simulated world failed: a fault of the simulators, not of the lab."""

    code = "simulator_crash"


class SimulatedLab:
    """The simulators of one lab, to be started in a running event loop.

    Args:
        lab_path: lab file with a `world:` part.
        data_folder: what ``data:`` in addresses stands for.
        speed: in place of the world's: lab seconds per wall second, or ``max``.
        seed: in place of the world's.

    Raises:
        LabFileError: the lab file has faults.
        MisuseError: an instrument that nothing simulates.
    """

    def __init__(
        self, lab_path: Path | str, data_folder: Path | str, *, speed: Speed | None = None, seed: int | None = None
    ) -> None:
        self.lab = load_lab(lab_path)
        self.world_file = load_world(lab_path)
        self.data_folder = Path(data_folder)
        self.timeline = Timeline(_next_second_ps(), self.world_file.speed if speed is None else speed)
        self.instruments = self._build()
        self._couples = _by_role(self.lab, self.instruments)
        self._seed = self.world_file.seed if seed is None else seed
        self.on_stop: Callable[[], None] = lambda: None
        """Called when somebody asks at the control endpoint that all of it ends."""
        self.context = self._context()
        self.thread = WorldThread(World(self.context), self.timeline)
        self._servers: list[ClockServer | ControlServer] = []

    async def start(self) -> None:
        """Start instruments, endpoints and the world; all sockets are bound when this returns.

        Raises:
            InstrumentError: an instrument's address is taken; the text names it. All else has been stopped again.
            NetworkError: the same for the clock or control endpoint.
        """
        try:
            for name, instrument in self.instruments.items():
                await start_instrument(name, instrument)
            offsets = {site: faults.label_offset_s for site, faults in self.world_file.clocks.items()}
            for host, port in sorted(_clock_endpoints(self.lab)):
                await self._serve(ClockServer(self.timeline, host, port, offsets))
            host, port = _split("world.control", self.world_file.control)
            handlers = {
                "fault": self._fault,
                "status": self._status,
                "photons": self._photons,
                "stop": self._stop_asked,
            }
            await self._serve(ControlServer(host, port, handlers))
        except BaseException:
            await self.stop()
            raise
        self.thread.start()

    async def stop(self) -> None:
        """Stop the world, then the endpoints, then pull every plug."""
        await asyncio.to_thread(self.thread.stop)
        for server in reversed(self._servers):
            await server.stop()
        self._servers.clear()
        for instrument in reversed(self.instruments.values()):
            await instrument.stop()

    def photons(self) -> dict[str, dict[str, object]]:
        """Per node what comes out right now; all zero when it is safe. See `simulators.world.flux`."""
        with self.thread.lock:
            groups = self.thread.world.groups
            return {
                name: node_flux(self.context, groups, wired).as_dict() for name, wired in self.context.nodes.items()
            }

    def _context(self) -> WorldContext:
        return WorldContext(self.lab, self.world_file, self._couples, self.timeline.start_ps, self._seed)

    def fresh_context(self) -> WorldContext:
        """A context of its own on the same instruments, for looking at what is uploaded without playing it."""
        return self._context()

    def _build(self) -> dict[str, SimInstrument]:
        built: dict[str, SimInstrument] = {}
        time = _WorldTime(self.timeline)
        for site_name, site in self.lab.sites.items():
            for short, entry in site.rack.items():
                if not entry.simulated:
                    continue
                name, block = f"{site_name}.{short}", site.instruments[short]
                if block.address is None:
                    raise MisuseError(f"{name}: no address to simulate it on", hint="give its `address:`")
                kind = simulator_class(name, block.type)
                built[name] = kind(name, resolve_address(block.address, self.data_folder), time)
        return built

    async def _serve(self, server: ClockServer | ControlServer) -> None:
        await server.start()
        self._servers.append(server)

    # --- the control endpoint --------------------------------------------------------------------------------------

    async def _fault(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name, fault = request.get("instrument"), request.get("fault")
        instrument = self.instruments.get(str(name))
        if instrument is None:
            raise MisuseError(
                f"no simulated instrument {name}", hint=f"there are {', '.join(sorted(self.instruments))}"
            )
        if fault == "unplug":
            await instrument.unplug()
        elif fault == "plug":
            await start_instrument(str(name), instrument)
        elif fault in instrument.faults() and instrument.plug_state == "plugged":
            instrument.faults()[str(fault)]()
        else:
            known = ", ".join((*instrument.faults(), "unplug and plug"))
            raise MisuseError(f"no fault {fault!r} of {name} as it is now", hint=f"there are {known}")
        return {"instrument": name, "state": instrument.plug_state}

    async def _status(self, request: Mapping[str, Any]) -> dict[str, Any]:
        status = await asyncio.to_thread(self.thread.status)
        return {
            "now_ps": status.now_ps,
            "epoch": status.epoch,
            "rounds": status.rounds_played,
            "streaming": list(status.streaming),
            "failure": status.failure,
            "instruments": {name: instrument.plug_state for name, instrument in self.instruments.items()},
            "pid": os.getpid(),
            "seed": self._seed,
            "speed": self.timeline.speed,
        }

    async def _stop_asked(self, request: Mapping[str, Any]) -> dict[str, Any]:
        asyncio.get_running_loop().call_soon(self.on_stop)
        return {"pid": os.getpid()}

    async def _photons(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"nodes": await asyncio.to_thread(self.photons)}


class _WorldTime:
    """Lab time for the instruments (`simulators.kit.SimTime`)."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def now_ps(self) -> int:
        return self._timeline.now_ps()

    async def wait_until(self, until_ps: int) -> None:
        loop = asyncio.get_running_loop()
        reached: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not reached.done():
                reached.set_result(None)

        def wake(now_ps: int) -> None:
            # The loop may have been closed while lab time went on.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle)

        self._timeline.when(until_ps, wake)
        await reached


def run_simulators(
    lab_path: Path | str,
    data_folder: Path | str,
    speed: Speed | None = None,
    seed: int | None = None,
    ready: Callable[[SimulatedLab], None] | None = None,
) -> None:
    """Run the simulators of a lab until SIGTERM or SIGINT, then stop them all and return.

    Args:
        lab_path: lab file with a `world:` part.
        data_folder: what ``data:`` in addresses stands for.
        speed: in place of the world's.
        seed: in place of the world's.
        ready: called once, when all sockets are bound.

    Raises:
        LabFileError: the lab file has faults.
        InstrumentError: an address is taken; the text names instrument and address.
        SimulatorCrashError: the world failed.
    """
    asyncio.run(_run(SimulatedLab(lab_path, data_folder, speed=speed, seed=seed), ready))


async def _run(lab: SimulatedLab, ready: Callable[[SimulatedLab], None] | None) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    crash: list[str] = []

    def crashed(text: str) -> None:
        crash.append(text)
        loop.call_soon_threadsafe(stopping.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    lab.thread.on_crash = crashed
    lab.on_stop = stopping.set
    await lab.start()
    try:
        if ready is not None:
            ready(lab)
        await stopping.wait()
    finally:
        await lab.stop()
    if crash:
        raise SimulatorCrashError(crash[0], hint="the log has the traceback; please report it")


def monte_carlo(
    lab: SimulatedLab, link_name: str, heralds: int, rng: np.random.Generator | None = None
) -> dict[str, object]:
    """Sample heralds of a link from the programs that are uploaded to the running simulators.

    The pulsers need not stream: armed or idle, what counts is what they hold.

    Args:
        lab: running simulators.
        link_name: a link of the lab file.
        heralds: how many to sample.
        rng: generator; None: one from the world's seed.

    Returns:
        See `simulators.world.monte_carlo.sample_link`.

    Raises:
        MisuseError: no such link, nothing uploaded, or programs that never herald.
    """
    try:
        link = lab.lab.link(link_name)
    except KeyError as error:
        names = ", ".join(link.name for link in lab.lab.links)
        raise MisuseError(f"no link {link_name}", hint=f"there are {names}") from error
    context = lab.fresh_context()
    return sample_link(context, link, heralds, np.random.default_rng(context.seed) if rng is None else rng)


async def start_instrument(name: str, instrument: SimInstrument) -> None:
    """Start a simulator; where its address can't be used, the error names instrument and address.

    Raises:
        InstrumentError: the address is taken.
    """
    try:
        await instrument.start()
    except OSError as error:
        raise InstrumentError(
            f"{name}: can't use {instrument.address} ({error.strerror or error})",
            hint="is another simulator of this lab running? stop it, or change the address in the lab file",
        ) from error
    except InstrumentError as error:
        if name in error.message:
            raise
        raise InstrumentError(
            f"{name} ({instrument.address}): {error.message}", hint=error.hint, **error.context
        ) from error


def simulator_class(name: str, driver: str) -> type[SimInstrument]:
    """What simulates a driver, by the rule `simulators.instruments.X.y` for `drivers.X.y`.

    Raises:
        MisuseError: nothing does.
    """
    module, _, kind = driver.rpartition(".")
    if not module.startswith("drivers."):
        raise MisuseError(f"{name}: nothing simulates {driver}", hint="set `simulated: false`, or use one of ours")
    module = f"simulators.instruments.{module.removeprefix('drivers.')}"
    try:
        found = getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError) as error:
        raise MisuseError(
            f"{name}: nothing simulates {driver} ({error})",
            hint=f"write {module}.{kind}, or set `simulated: false`",
        ) from error
    if not (isinstance(found, type) and issubclass(found, SimInstrument)):
        raise MisuseError(f"{name}: {module}.{kind} is no simulated instrument", hint="derive it from SimInstrument")
    return found


def _by_role(lab: Lab, instruments: Mapping[str, SimInstrument]) -> Instruments:
    kinds: dict[Role, str] = {
        "pulse_sequencer": "pulsers",
        "awg": "awgs",
        "time_tagger": "taggers",
        "time_controller": "taggers",
        "laser": "lasers",
        "microwave_source": "microwaves",
        "detector_driver": "detectors",
    }
    groups: dict[str, dict[str, Any]] = {kind: {} for kind in kinds.values()}
    for site_name, site in lab.sites.items():
        for short, entry in site.rack.items():
            name = f"{site_name}.{short}"
            if name in instruments:
                groups[kinds[entry.role]][name] = instruments[name]
    return Instruments(**groups)


def _clock_endpoints(lab: Lab) -> set[tuple[str, int]]:
    return {
        _split(f"clocks.{site}.lab_time", clock.lab_time)
        for site, clock in lab.clocks.items()
        if clock.lab_time != "host"
    }


def _split(where: str, address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if not host or not port.isdigit():
        raise NetworkError(f"{where}: {address!r} is no address", hint="write tcp://address:port")
    return host, int(port)


def _next_second_ps() -> int:
    """TAI now, rounded up to a whole second."""
    now_ps = (time.time_ns() + TAI_MINUS_UTC_S * 1_000_000_000) * PS_PER_NS
    return -(-now_ps // PS_PER_S) * PS_PER_S
