"""What a person watches during a demo: every process and instrument, and how far the experiment is.

Light, so that it stands on the screen before all else is loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from qnode.cli._exit import say
from qnode.cli._states import sites_table, word
from qnode.errors import QnodeError
from qnode.labfile import Lab

if TYPE_CHECKING:
    from qnode.client import LabConnection, Progress
    from qnode.daemons import Child, Supervisor

__all__ = ["Board"]

POLL_S = 0.5
SILENT_S = 6.0
"""Wall time without an answer after which a site is said to give none."""
BAR_COLUMNS = 72
LINE_EVERY_S = 5.0
"""Where nothing can be written over, so often a line is enough."""


class Board:
    """A live display on a terminal; on anything else a line now and then.

    Args:
        title: first line.
        lab: its sites and instruments are shown from the first moment on.
        console: where to; None: stderr.
    """

    def __init__(self, title: str, lab: Lab, console: Console | None = None) -> None:
        self._title = title
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._started_s = time.monotonic()
        self._steps: list[str] = []
        self._racks: dict[str, list[str]] = {name: list(site.rack) for name, site in lab.sites.items()}
        self._answers: dict[str, dict[str, Any] | None] = {}
        """Of sites that were asked; None: it gave none."""
        self._progress: Progress | None = None
        self._said_s = 0.0
        self._supervisor: Supervisor | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
            self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def tell(self, text: str) -> None:
        """A step of bringing the lab up."""
        self._steps.append(f"{self._age_s():5.1f} s  {text}")
        if not self._console.is_terminal:
            say(text)
        self._draw()

    def begun(self, supervisor: Supervisor | None) -> None:
        """Show what can be known of the processes."""
        self._supervisor = supervisor
        self._spawn(self._tick())

    def connected(self, connection: LabConnection) -> None:
        """Ask every site how it is, from now on."""
        for site in self._racks:
            self._spawn(self._watch(connection, site))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._console.is_terminal:
            self._tasks.append(asyncio.get_running_loop().create_task(work, name="board"))
        else:
            work.close()

    def progress(self, progress: Progress) -> None:
        """How far the experiment is."""
        if progress.heralds and (self._progress is None or not self._progress.heralds):
            self.tell("first heralds are settled")
        self._progress = progress
        if not self._console.is_terminal and time.monotonic() - self._said_s >= LINE_EVERY_S:
            self._said_s = time.monotonic()
            say(_line(progress))
        self._draw()

    def closing(self) -> None:
        """Ask nobody any more; the last answers stay."""
        for task in self._tasks:
            task.cancel()
        if self._supervisor is None:
            self.tell("done; the lab was up before and stays up")
        else:
            self.tell("instruments to their safe states, then all processes")

    async def _tick(self) -> None:
        """Until it is cancelled."""
        while True:
            self._draw()
            await asyncio.sleep(POLL_S)

    async def _watch(self, connection: LabConnection, site: str) -> None:
        """Until it is cancelled; each site by itself, so that none waits for another's answer."""
        while True:
            answer = None
            with contextlib.suppress(QnodeError):
                answer = await connection.call(site, "status", timeout_s=SILENT_S)
            if answer != self._answers.get(site):
                self._answers[site] = answer
                self._draw()
            await asyncio.sleep(POLL_S)

    def _draw(self) -> None:
        if self._console.is_terminal:
            self._live.update(self.picture(), refresh=True)

    def picture(self) -> RenderableType:
        """All that is known now."""
        parts: list[RenderableType] = [Text(self._title, style="bold")]
        parts += [Text(step, style="dim") for step in self._steps[-4:]]
        table = sites_table({site: self._site(site) for site in self._racks})
        for name, child in self._others():
            table.add_row(name, _process(child), "")
        parts.append(table)
        if self._progress is not None:
            parts.append(_bar(self._progress))
        parts.append(Text(f"{self._age_s():5.1f} s  Ctrl-C stops everything safely", style="dim"))
        return Group(*parts)

    def _site(self, site: str) -> Mapping[str, Any] | None:
        """Its last answer; before the first one, also after a restart, what can be known from here."""
        child = None if self._supervisor is None else self._supervisor.children.get(site)
        starting = child is not None and child.ready is not None and not child.ready.done()
        if self._answers.get(site) is not None or (site in self._answers and not starting):
            return self._answers[site]
        instruments = {name: {"state": "connecting", "detail": ""} for name in self._racks[site]}
        return {"state": "starting" if starting else "connecting", "instruments": instruments}

    def _others(self) -> Iterator[tuple[str, Child]]:
        """Processes of ours that are no sites."""
        children = {} if self._supervisor is None else self._supervisor.children
        for name, child in children.items():
            if name not in self._racks:
                yield name, child

    def _age_s(self) -> float:
        return time.monotonic() - self._started_s


def _process(child: Child) -> Text:
    if child.pid is None:
        return word("has ended")
    return word("running" if child.ready is not None and child.ready.done() else "starting")


def _bar(progress: Progress) -> RenderableType:
    done = min(progress.heralds, progress.heralds_wanted)
    bar = ProgressBar(total=progress.heralds_wanted, completed=done, width=BAR_COLUMNS)
    rows = Table.grid()
    rows.add_row(bar)
    rows.add_row(_line(progress))
    return rows


def _line(progress: Progress) -> str:
    from qnode.client import progress_line

    return progress_line(progress)
