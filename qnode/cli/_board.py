"""What a person watches during a demo: every process and instrument, and how far the experiment is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from qnode.cli._exit import say
from qnode.cli._status import sites_table
from qnode.client import LabConnection, Progress, progress_line
from qnode.daemons import Supervisor
from qnode.errors import QnodeError

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
        console: where to; None: stderr.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._title = title
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._started_s = time.monotonic()
        self._steps: list[str] = []
        self._sites: dict[str, dict[str, Any] | None] = {}
        self._heard_s: dict[str, float] = {}
        self._progress: Progress | None = None
        self._said_s = 0.0
        self._supervisor: Supervisor | None = None
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
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

    def connected(self, connection: LabConnection, supervisor: Supervisor | None) -> None:
        """Ask every site how it is, from now on."""
        self._supervisor = supervisor
        if self._console.is_terminal:
            self._watcher = asyncio.get_running_loop().create_task(self._watch(connection), name="board")

    def progress(self, progress: Progress) -> None:
        """How far the experiment is."""
        if progress.heralds and (self._progress is None or not self._progress.heralds):
            self.tell("first heralds are settled")
        self._progress = progress
        if not self._console.is_terminal and time.monotonic() - self._said_s >= LINE_EVERY_S:
            self._said_s = time.monotonic()
            say(progress_line(progress))
        self._draw()

    def closing(self) -> None:
        """Ask nobody any more; the last answers stay."""
        if self._watcher is not None:
            self._watcher.cancel()
        if self._supervisor is None:
            self.tell("done; the lab was up before and stays up")
        else:
            self.tell("instruments to their safe states, then all processes")

    async def _watch(self, connection: LabConnection) -> None:
        """Until it is cancelled."""
        while True:
            with contextlib.suppress(QnodeError):
                for site, answer in (await connection.statuses()).items():
                    self._heard(site, answer)
            self._draw()
            await asyncio.sleep(POLL_S)

    def _heard(self, site: str, answer: dict[str, Any] | None) -> None:
        """Keep a last answer for a while: a busy computer is no broken one."""
        now = time.monotonic()
        if answer is not None:
            self._heard_s[site] = now
        elif now - self._heard_s.get(site, 0.0) < SILENT_S:
            return
        self._sites[site] = answer

    def _draw(self) -> None:
        if self._console.is_terminal:
            self._live.update(self.picture(), refresh=True)

    def picture(self) -> RenderableType:
        """All that is known now."""
        parts: list[RenderableType] = [Text(self._title, style="bold")]
        parts += [Text(step, style="dim") for step in self._steps[-4:]]
        if self._sites:
            table = sites_table(self._sites)
            for name, running in self._others():
                table.add_row(name, "running" if running else Text("has ended", style="red"), "")
            parts.append(table)
        if self._progress is not None:
            parts.append(_bar(self._progress))
        parts.append(Text(f"{self._age_s():5.1f} s  Ctrl-C stops everything safely", style="dim"))
        return Group(*parts)

    def _others(self) -> Iterator[tuple[str, bool]]:
        """Processes of ours that are no sites, and whether they run."""
        children = {} if self._supervisor is None else self._supervisor.children
        for name, child in children.items():
            if name not in self._sites:
                yield name, child.pid is not None

    def _age_s(self) -> float:
        return time.monotonic() - self._started_s


def _bar(progress: Progress) -> RenderableType:
    done = min(progress.heralds, progress.heralds_wanted)
    bar = ProgressBar(total=progress.heralds_wanted, completed=done, width=BAR_COLUMNS)
    rows = Table.grid()
    rows.add_row(bar)
    rows.add_row(progress_line(progress))
    return rows
