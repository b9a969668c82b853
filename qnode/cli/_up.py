"""Bringing a simulated lab up for one command, and taking it down again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sized
from pathlib import Path

from qnode.cli._lab import simulated_instruments
from qnode.daemons import STOP_S, Child, Ownership, Supervisor, holder_of
from qnode.errors import MisuseError
from qnode.labfile import Lab, load_world

__all__ = ["RisingLab", "lab_up"]

SIMULATORS = "simulators"
GUARD_S = 12.0
"""Wall time for guards, which give up after 10 s what does not answer."""
NOTHING_TO_DARKEN_S = 2.0
"""Wall time that daemons, and then their guards, get to leave when all instruments are gone."""
OWN_S = 1.0
"""Wall time for another supervisor of this lab to be gone."""
ASK_S = 0.5
"""Wall time for daemons to say that they are there, where nothing else tells of them."""
BUSY_S = 10.0
"""Wall time for those that are known to be there, or whose neighbours are."""
OnExit = Callable[[Child, int], None]


class RisingLab:
    """A lab that is up, or whose processes load their code and touch nothing yet.

    Args:
        lab: which.
        supervisor: of our processes; None where the lab was up before.
        ownership: the lock of the lab's supervisor.
        say: gets a line at each step.
    """

    def __init__(
        self, lab: Lab, supervisor: Supervisor | None, ownership: Ownership, say: Callable[[str], None]
    ) -> None:
        self.supervisor = supervisor
        self._lab, self._ownership, self._say = lab, ownership, say

    async def come_up(self) -> None:
        """Let our processes do their work, the simulators first; returns when all are healthy.

        Raises:
            LockedError: another process is bringing the lab up, or taking it down.
            SupervisorError: a process did not come up.
        """
        if (supervisor := self.supervisor) is None:
            return
        # Not sooner: what only loads its code disturbs nobody, not even another command that brings this lab up.
        await self._ownership.take(f"lab {self._lab.lab}", OWN_S)
        self._say(f"starting {SIMULATORS}, {', '.join(self._lab.sites)}")
        simulators = supervisor.children[SIMULATORS]
        supervisor.let_go(simulators)
        await supervisor.ready(simulators)
        self._say("simulators run; connecting instruments")
        daemons = [supervisor.children[site] for site in self._lab.sites]
        for daemon in daemons:
            supervisor.let_go(daemon)
        for result in await asyncio.gather(*map(supervisor.ready, daemons), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        self._say("all healthy: identities read, references locked, pulses per second labelled")


@contextlib.asynccontextmanager
async def lab_up(
    lab_path: Path,
    lab: Lab,
    folder: Path,
    *,
    seed: int | None,
    speed: str | None,
    on_exit: OnExit,
    say: Callable[[str], None],
) -> AsyncIterator[RisingLab]:
    """All processes of a lab while the body runs, which lets them come up; a lab that is up is left as it is.

    Loading takes a process longer than anything else, and the body has as much to load: they do it side by side.

    Raises:
        MisuseError: the lab is a rack, or half of it runs.
    """
    ownership = Ownership.of_lab(folder)
    if await _is_up(lab_path, lab, folder, seed=seed, speed=speed):
        yield RisingLab(lab, None, ownership, say)
        return
    if not simulated_instruments(lab):
        starts = [f"qnode node {lab_path} {name}" for name in lab.nodes]
        starts += [f"qnode midpoint {lab_path} {name}" for name in lab.midpoints]
        raise MisuseError(
            f"{lab_path} is a rack, and its daemons do not answer",
            hint="start each on its own host: " + "; ".join(starts),
        )
    load_world(lab_path)
    supervisor = Supervisor(folder, on_exit)
    try:
        await _begin(supervisor, lab_path, lab, folder, seed=seed, speed=speed)
        yield RisingLab(lab, supervisor, ownership, say)
    finally:
        await _stop(supervisor)
        ownership.give_back()


async def _stop(supervisor: Supervisor) -> None:
    """The daemons first: they make their instruments safe while these still answer, if they do."""
    daemons = [name for name in supervisor.children if name != SIMULATORS]
    if daemons:
        within_s = STOP_S if supervisor.children[SIMULATORS].pid is not None else NOTHING_TO_DARKEN_S
        await supervisor.stop(daemons, within_s=within_s, guard_s=max(within_s, GUARD_S))
    await supervisor.stop()


async def _is_up(lab_path: Path, lab: Lab, folder: Path, *, seed: int | None, speed: str | None) -> bool:
    if not (folder / "keys").is_dir() or await _nobody_listens(lab):
        return False
    from qnode.client import LabConnection

    async with LabConnection(lab_path, folder) as connection:
        statuses = await connection.statuses(timeout_s=ASK_S)
        silent = [name for name, status in statuses.items() if status is None]
        if silent and (len(silent) < len(statuses) or any(_has_daemon(folder, name) for name in silent)):
            # A daemon on a computer that is busy with other things is late with its answer, not down.
            statuses = await connection.statuses(timeout_s=BUSY_S)
        running = [name for name, status in statuses.items() if status is not None]
        if not running:
            return False
        missing = sorted(set(statuses) - set(running))
        if missing:
            raise MisuseError(
                f"{' and '.join(running)} of this lab {_verb('run', running)}, "
                f"{' and '.join(missing)} {_verb('do', missing)} not answer",
                hint="stop what runs, or start what is missing",
            )
        if seed is not None or speed is not None:
            raise MisuseError(
                "the lab is up already: --seed and --speed belong to its simulators",
                hint="stop it first, or leave these options out",
            )
        await connection.require_same_lab()
        return True


def _has_daemon(folder: Path, site: str) -> bool:
    """Whether a daemon of this computer holds a site."""
    holder = holder_of(Ownership.of_site(folder, site, ""))
    return holder is not None and holder.role == "daemon"


async def _nobody_listens(lab: Lab) -> bool:
    """Whether every daemon's port refuses a connection: then nobody need be waited for."""
    commands = [(site.bus.address, site.bus.command_port) for site in lab.sites.values()]
    return all(await asyncio.gather(*(_refuses(address, port) for address, port in commands)))


async def _refuses(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(ASK_S):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return True
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return False


def _verb(word: str, subjects: Sized) -> str:
    """The verb as it agrees with one subject or several."""
    return word if len(subjects) > 1 else {"do": "does"}.get(word, f"{word}s")


async def _begin(
    supervisor: Supervisor, lab_path: Path, lab: Lab, folder: Path, *, seed: int | None, speed: str | None
) -> None:
    options = ["--data", str(folder)]
    world = list(options)
    if seed is not None:
        world += ["--seed", str(seed)]
    if speed is not None:
        world += ["--speed", speed]
    await supervisor.begin(SIMULATORS, ["simulate", str(lab_path), *world], gated=True)
    kinds = {**dict.fromkeys(lab.nodes, "node"), **dict.fromkeys(lab.midpoints, "midpoint")}
    for name, kind in kinds.items():
        arguments = [kind, str(lab_path), name, *options]
        await supervisor.begin(name, arguments, restart=True, before=SIMULATORS, gated=True)
