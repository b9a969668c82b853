"""One experiment on one lab: its run folder, the lab up, the experiment under way on a display, the lab down.

What plays pairs and keeps them is loaded while the lab's processes load what they need, not before they are started.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.console import Console
from rich.status import Status

from qnode.cli._exit import say
from qnode.cli._lab import load_whole, parse_speed, simulated_instruments
from qnode.cli._up import lab_up
from qnode.errors import MisuseError, QnodeError
from qnode.labfile import Lab, Link
from qnode.runs import DataFolderError, RunFolder, log_event, open_log

if TYPE_CHECKING:
    from qnode.client import LabConnection, Pairs, Progress
    from qnode.daemons import Child, Supervisor

__all__ = ["Display", "Experiment", "Session", "SessionOptions", "StatusLine", "conduct"]

Experiment = Callable[["LabConnection", Callable[["Progress"], None]], Awaitable["Pairs"]]


@dataclass(frozen=True)
class SessionOptions:
    """What every experiment's command takes."""

    lab_path: Path
    link_name: str | None
    seed: int | None
    speed: str | None
    data: Path | None


class Display(Protocol):
    """What a person sees while a session is under way; entered before the lab comes up, left when it is down."""

    def __enter__(self) -> Self:
        """Begin; nothing where it has begun."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, whatever happened."""

    def tell(self, text: str) -> None:
        """A step of bringing the lab up."""

    def begun(self, supervisor: Supervisor | None) -> None:
        """All processes are there, and load; ``supervisor`` is None where they were up before."""

    def connected(self, connection: LabConnection) -> None:
        """Their sites can be asked, and answer as soon as they can."""

    def progress(self, progress: Progress) -> None:
        """How far the experiment is."""

    def closing(self) -> None:
        """The experiment is over, well or not; what was brought up is about to be stopped."""


class StatusLine:
    """One line that is written over; plain lines where stderr is no terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._status: Status = self._console.status("checking whether the lab is up")

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def tell(self, text: str) -> None:
        """Show it in place of the last one."""
        self._status.update(text)
        if not self._console.is_terminal:
            say(text)

    def begun(self, supervisor: Supervisor | None) -> None:
        """Nothing to see of the processes."""

    def connected(self, connection: LabConnection) -> None:
        """Nothing to see of the sites."""

    def progress(self, progress: Progress) -> None:
        """Show the line of progress."""
        from qnode.client import progress_line

        self._status.update(progress_line(progress))

    def closing(self) -> None:
        """Say so in place of the last one."""
        self._status.update("instruments to their safe states")


class Session:
    """A lab, a link and a run folder, for one experiment.

    Args:
        options: what the person asked for.
        experiment: its name.
        asked: what else the person asked for, for ``run.json``.

    Raises:
        LabFileError: the lab file has faults.
        MisuseError: no such link, or no such speed.
    """

    def __init__(self, options: SessionOptions, experiment: str, **asked: Any) -> None:
        self.lab_path, self.seed = options.lab_path, options.seed
        self.lab, self.world, self.folder = load_whole(options.lab_path, options.data)
        self.link = _link(self.lab, options.link_name)
        self.speed = parse_speed(options.speed)
        self.experiment, self.asked = experiment, asked
        self.run_folder = RunFolder(self.folder, experiment=experiment)
        self.simulated = simulated_instruments(self.lab)
        self.last_progress: Progress | None = None
        """How far the experiment is."""
        self.opened = False
        """Whether there is a run folder."""
        self._connection: LabConnection | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._tell: Callable[[str], None] = lambda text: None
        self._deaths: list[str] = []
        """Processes of ours that ended unasked, in words."""

    async def play(self, experiment: Experiment, display: Display) -> Pairs:
        """The lab up, the experiment, the lab down; SIGTERM ends it as Ctrl-C does.

        Raises:
            LabFileError: a driver or a sequence has faults; nothing has been touched.
            QnodeError: what kept the lab from coming up, or the experiment from starting.
        """
        this = asyncio.current_task()
        assert this is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        self._tell = display.tell
        async with lab_up(
            self.lab_path,
            self.lab,
            self.folder,
            seed=self.seed,
            speed=self.speed,
            on_exit=self._on_exit,
            say=display.tell,
        ) as rising:
            display.begun(rising.supervisor)
            await asyncio.to_thread(self._open, lab_was_up=rising.supervisor is None)
            from qnode.client import LabConnection

            async with LabConnection(self.lab_path, self.folder) as connection:
                self._connection = connection
                display.connected(connection)
                # Beside all else that is waited for: a node is not healthy before its next pulse per second.
                station = asyncio.get_running_loop().create_task(_station(connection), name="station")
                try:
                    await rising.come_up()
                    await connection.require_same_lab()
                    await connection.await_ready()
                    self.run_folder.write("station.json", await station)
                    result = await experiment(connection, self._follow(display))
                    await self._complete(result, rising.supervisor)
                finally:
                    display.closing()
                    station.cancel()
                    await asyncio.gather(station, return_exceptions=True)
                return result

    def _open(self, *, lab_was_up: bool) -> None:
        """Check what needs the drivers, and make the run folder."""
        from qnode.cli._programs import checked_programs
        from qnode.client import opening_facts

        programs = checked_programs(self.lab_path, self.lab, self.link)
        facts = opening_facts(self.lab, self.link, self.world, self.seed, programs)
        if lab_was_up and self.world is not None:
            # Whoever brought the lab up chose the seed of its world.
            facts["world_seed"] = None
        open_log("operator", self.folder)
        self.run_folder.open(
            self.lab_path,
            {
                "experiment": self.experiment,
                "link": self.link.name,
                **self.asked,
                "seed": self.seed,
                "speed": self.speed,
                "simulated": self.simulated,
                **facts,
            },
        )
        self.opened = True

    def _follow(self, display: Display) -> Callable[[Progress], None]:
        """The display's progress, kept for the record of a run that ends early."""

        def follow(progress: Progress) -> None:
            self.last_progress = progress
            display.progress(progress)

        return follow

    async def _complete(self, result: Pairs, supervisor: Supervisor | None) -> None:
        """After an early end: wait for restarted daemons, so that the sums of all three can be compared."""
        if result.ended == "done" or supervisor is None:
            return
        if self._deaths:
            result.ended = "; ".join(self._deaths)
        for site in (*self.link.between, self.link.via):
            with contextlib.suppress(QnodeError):
                await supervisor.wait_ready(site)
        for site in (*self.link.between, self.link.via):
            with contextlib.suppress(QnodeError):
                result.accounting[site] = await self._settled_accounting(site)

    async def _settled_accounting(self, site: str) -> dict[str, Any]:
        """A site's sums once it has heard all that the midpoint has said."""
        rounds = (await self._accounting(self.link.via))["rounds"]
        for _ in range(50):
            answer = await self._accounting(site)
            if answer["rounds"] >= rounds:
                break
            await asyncio.sleep(0.1)
        return answer

    async def _accounting(self, site: str) -> dict[str, Any]:
        assert self._connection is not None
        answer: dict[str, Any] = await self._connection.call(site, "accounting", {"run_id": self.run_folder.run_id})
        return answer

    def _on_exit(self, child: Child, code: int) -> None:
        """A process died: end the plan now, with its name as the reason."""
        log_event("child died", child=child.name, how=child.how_ended)
        self._deaths.append(f"{child.name} died ({child.how_ended})")
        self._tell(f"{self._deaths[-1]}; the run ends - see `qnode logs` and {self.folder}/log/{child.name}.out")
        task = asyncio.get_running_loop().create_task(self._abort(self._deaths[-1]))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _abort(self, reason: str) -> None:
        if self._connection is not None and not reason.startswith(self.link.via):
            with contextlib.suppress(QnodeError):
                await self._connection.call(self.link.via, "abort", {"reason": reason}, timeout_s=5.0)


async def _station(connection: LabConnection) -> dict[str, Any]:
    """A snapshot of all instruments, as soon as they are connected."""
    await connection.await_connected()
    return await connection.snapshot(update=True)


def conduct(session: Session, experiment: Experiment, display: Display) -> Pairs:
    """Play a session to its end; what goes wrong is written into the run folder first, if there is one.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the plan was aborted.
        QnodeError: what kept the lab from coming up, or the experiment from starting.
    """
    try:
        with display:
            result = asyncio.run(session.play(experiment, display))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _close(session, "interrupted")
        played = session.last_progress is not None
        say(f"qnode: interrupted; {'the plan was aborted and the run ended' if played else 'nothing was played'}")
        raise KeyboardInterrupt from None
    except QnodeError as error:
        _close(session, "failed", error=str(error))
        raise
    from qnode.client import take_notes

    for line in _tag_losses(result):
        _tell(line)
    take_notes(session.run_folder, result, session.link)
    for note in result.notes:
        _tell(note)
    return result


def _close(session: Session, state: str, **why: Any) -> None:
    """The record of a run that has ended early."""
    if not session.opened:
        return
    from qnode.client import reached, try_report

    with contextlib.suppress(DataFolderError):  # the reason to tell is the first one
        session.run_folder.close(state, **why, **reached(session.last_progress))
    try_report(session.run_folder, _tell)


def _tag_losses(result: Pairs) -> Iterator[str]:
    """A line a site whose time tags are not all on disk; heralds and pairs are in journals of their own."""
    for site, answer in result.accounting.items():
        tags = answer.get("tags", {})
        if tags.get("lost"):
            yield f"{site}: {tags['lost']:,} time tags are missing, since {tags['since']}: {tags['why']}"
        if tags.get("cut"):
            yield f"{site}: the time tags of {tags['cut']} plan(s) end where its daemon ended"


def _tell(line: str) -> None:
    say(f"qnode: {line}")


def _link(lab: Lab, name: str | None) -> Link:
    names = ", ".join(link.name for link in lab.links)
    if name is None:
        if len(lab.links) == 1:
            return lab.links[0]
        hint = f"name one with --link: {names}" if names else "add one under `links:`"
        raise MisuseError(f"the lab has {len(lab.links)} links", hint=hint)
    try:
        return lab.link(name)
    except KeyError:
        raise MisuseError(f"--link {name}: there is no such link", hint=f"links of this lab: {names}") from None
