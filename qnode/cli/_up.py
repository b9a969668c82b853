"""Bringing a simulated lab up for one command, and taking it down again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sized
from pathlib import Path

from qnode.cli._lab import simulated_instruments
from qnode.client import LabConnection
from qnode.daemons import STOP_S, Child, Ownership, Supervisor, holder_of
from qnode.errors import MisuseError
from qnode.labfile import Lab, load_world

__all__ = ["lab_up"]

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
) -> AsyncIterator[Supervisor | None]:
    """All processes of a lab while the body runs; None where the lab was up already, which is then left as it is.

    Raises:
        MisuseError: the lab is a rack, or half of it runs.
        LockedError: another process is bringing it up, or taking it down.
        SupervisorError: a process did not come up; all others are stopped.
    """
    if await _is_up(lab_path, folder, seed=seed, speed=speed):
        yield None
        return
    if not simulated_instruments(lab):
        starts = [f"qnode node {lab_path} {name}" for name in lab.nodes]
        starts += [f"qnode midpoint {lab_path} {name}" for name in lab.midpoints]
        raise MisuseError(
            f"{lab_path} is a rack, and its daemons do not answer",
            hint="start each on its own host: " + "; ".join(starts),
        )
    load_world(lab_path)
    ownership = Ownership.of_lab(folder)
    await ownership.take(f"lab {lab.lab}", OWN_S)
    supervisor = Supervisor(folder, on_exit)
    try:
        await _start(supervisor, lab_path, lab, folder, seed=seed, speed=speed, say=say)
        yield supervisor
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


async def _is_up(lab_path: Path, folder: Path, *, seed: int | None, speed: str | None) -> bool:
    if not (folder / "keys").is_dir():
        return False
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


def _verb(word: str, subjects: Sized) -> str:
    """The verb as it agrees with one subject or several."""
    return word if len(subjects) > 1 else {"do": "does"}.get(word, f"{word}s")


async def _start(
    supervisor: Supervisor,
    lab_path: Path,
    lab: Lab,
    folder: Path,
    *,
    seed: int | None,
    speed: str | None,
    say: Callable[[str], None],
) -> None:
    options = ["--data", str(folder)]
    world = list(options)
    if seed is not None:
        world += ["--seed", str(seed)]
    if speed is not None:
        world += ["--speed", speed]
    say("starting simulators")
    await supervisor.start(SIMULATORS, ["simulate", str(lab_path), *world])
    say("starting " + ", ".join(lab.sites))
    kinds = {**dict.fromkeys(lab.nodes, "node"), **dict.fromkeys(lab.midpoints, "midpoint")}
    starts = [
        supervisor.start(name, [kind, str(lab_path), name, *options], restart=True, before=SIMULATORS)
        for name, kind in kinds.items()
    ]
    results = await asyncio.gather(*starts, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    say("all healthy: identities read, references locked, pulses per second labelled")
