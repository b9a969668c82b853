"""One experiment on one lab: its run folder, the lab up, the experiment under way on a display, the lab down."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.status import Status

from qnode.cli._exit import say
from qnode.cli._lab import checked_programs, load_whole, parse_speed, simulated_instruments
from qnode.cli._up import lab_up
from qnode.client import LabConnection, Pairs, Progress, opening_facts, progress_line, reached, take_notes, try_report
from qnode.daemons import Child, Supervisor
from qnode.errors import MisuseError, QnodeError
from qnode.labfile import Lab, Link
from qnode.runs import DataFolderError, RunFolder, log_event, open_log

__all__ = ["Display", "Session", "SessionOptions", "StatusLine", "conduct"]


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
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, whatever happened."""

    def tell(self, text: str) -> None:
        """A step of bringing the lab up."""

    def connected(self, connection: LabConnection, supervisor: Supervisor | None) -> None:
        """All processes are up; ``supervisor`` is None where they were before."""

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

    def connected(self, connection: LabConnection, supervisor: Supervisor | None) -> None:
        """Nothing more to see of the processes."""

    def progress(self, progress: Progress) -> None:
        """Show the line of progress."""
        self._status.update(progress_line(progress))

    def closing(self) -> None:
        """Say so in place of the last one."""
        self._status.update("instruments to their safe states")


class Session:
    """A lab, a link and a run folder, for one experiment.

    Args:
        options: what the person asked for.
        experiment: its name.

    Raises:
        LabFileError: the lab file, a driver or a sequence has faults.
        MisuseError: no such link, or no such speed.
    """

    def __init__(self, options: SessionOptions, experiment: str) -> None:
        self.lab_path, self.seed = options.lab_path, options.seed
        self.lab, self.world, self.folder = load_whole(options.lab_path, options.data)
        self.link = _link(self.lab, options.link_name)
        self.speed = parse_speed(options.speed)
        self.programs = checked_programs(self.lab_path, self.lab, self.link)
        self.experiment = experiment
        self.run_folder = RunFolder(self.folder, experiment=experiment)
        self.simulated = simulated_instruments(self.lab)
        self.last_progress: Progress | None = None
        """How far the experiment is."""
        self._connection: LabConnection | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._tell: Callable[[str], None] = lambda text: None
        self._deaths: list[str] = []
        """Processes of ours that ended unasked, in words."""

    def open(self, **what: Any) -> None:
        """Make the run folder; ``what``: what the experiment was asked for."""
        open_log("operator", self.folder)
        self.run_folder.open(
            self.lab_path,
            {
                "experiment": self.experiment,
                "link": self.link.name,
                **what,
                "seed": self.seed,
                "speed": self.speed,
                "simulated": self.simulated,
                **opening_facts(self.lab, self.link, self.world, self.seed, self.programs),
            },
        )

    async def play(
        self, experiment: Callable[[LabConnection, Callable[[Progress], None]], Awaitable[Pairs]], display: Display
    ) -> Pairs:
        """The lab up, the experiment, the lab down; SIGTERM ends it as Ctrl-C does."""
        this = asyncio.current_task()
        assert this is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        self._tell = display.tell
        async with (
            lab_up(
                self.lab_path,
                self.lab,
                self.folder,
                seed=self.seed,
                speed=self.speed,
                on_exit=self._on_exit,
                say=display.tell,
            ) as supervisor,
            LabConnection(self.lab_path, self.folder) as connection,
        ):
            self._connection = connection
            if supervisor is None:
                # Whoever brought the lab up chose the seed of its world.
                self.run_folder.update(world_seed=None)
            await connection.require_same_lab()
            display.connected(connection, supervisor)
            try:
                await connection.await_ready()
                self.run_folder.write("station.json", await connection.snapshot(update=True))
                result = await experiment(connection, self._follow(display))
                await self._complete(result, supervisor)
            finally:
                display.closing()
            return result

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


def conduct(
    session: Session,
    experiment: Callable[[LabConnection, Callable[[Progress], None]], Awaitable[Pairs]],
    display: Display,
) -> Pairs:
    """Play an opened session to its end; what goes wrong is written into the run folder first.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the plan was aborted.
        QnodeError: what kept the lab from coming up, or the experiment from starting.
    """
    run = session.run_folder
    try:
        with display:
            result = asyncio.run(session.play(experiment, display))
    except (KeyboardInterrupt, asyncio.CancelledError):
        with contextlib.suppress(DataFolderError):
            run.close("interrupted", **reached(session.last_progress))
        try_report(run, _tell)
        say("qnode: interrupted; the plan was aborted and the run ended")
        raise KeyboardInterrupt from None
    except QnodeError as error:
        with contextlib.suppress(DataFolderError):  # the reason to tell is the first one
            run.close("failed", error=str(error), **reached(session.last_progress))
        try_report(run, _tell)
        raise
    for line in _tag_losses(result):
        _tell(line)
    take_notes(run, result, session.link)
    for note in result.notes:
        _tell(note)
    return result


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
