"""A link of a lab: entangled pairs on demand."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from qnode import labfile
from qnode.client._document import pairs_document
from qnode.client._front import Front
from qnode.client._pairs import Pairs
from qnode.client._playing import PlanEndedError, PlayOptions, Progress, play_pairs, progress_line
from qnode.client._record import keep, opening_facts, reached, take_notes, try_report
from qnode.errors import MisuseError, QnodeError
from qnode.heralds import LinkPrograms
from qnode.labfile import load_lab_and_world, simulated_instruments
from qnode.runs import RunFolder

__all__ = ["Link"]

DAY_S = 86_400.0
ANY_BASES = "XYZ"
"""Where windows lie does not depend on what is read out."""
LINE_COLUMNS = 78
ABORT_S = 20.0
"""Wall time for the abort of a plan when a call is interrupted."""


class Link:
    """Two nodes that can be entangled."""

    def __init__(self, front: Front, entry: labfile.Link) -> None:
        self._front, self._entry = front, entry
        self.name = entry.name
        self.nodes: tuple[str, str] = entry.between
        self.midpoint = entry.via
        self.protocol: str = entry.protocol

    def entangle(
        self,
        pairs: int,
        bases: str | Mapping[str, str] = "XYZ",
        *,
        echo: bool = True,
        credit_rounds: int = 1024,
        progress: bool | Callable[[Progress], None] = False,
        timeout_s: float = DAY_S,
    ) -> Pairs:
        """Play until at least so many pairs are settled, and keep the run under the data folder.

        Args:
            pairs: how many; a plan has whole rounds, so some more may come.
            bases: letters for both nodes, or node to letters: round k is read out in letter k modulo the length.
                ``X``, ``Y`` and ``Z`` at both nodes give a fidelity.
            echo: whether the branch refocuses the spin; off only to show what an echo is for.
            credit_rounds: how many rounds lab time may run ahead of what a party has digested (simulated labs).
            progress: True for a line on stderr that is written over, or what is called some times a second in the
                thread that waits.
            timeout_s: wall time for all of it, a day unless said otherwise; then the plan is aborted.

        Returns:
            The pairs, with readouts, correlators and fidelity.

        Raises:
            MisuseError: refused before the first round, or the link is busy.
            PlanEndedError: it ended early; ``error.context["pairs"]`` has what came until then.
            NetworkError: a daemon does not answer, or ``timeout_s`` is over.
            KeyboardInterrupt: Ctrl-C; the plan was aborted and all parties are at rest.
        """
        if pairs < 1:
            raise MisuseError(f"{pairs} pairs", hint="ask for 1 or more")
        options = PlayOptions(pairs, bases, credit_rounds, echo)
        if not isinstance(progress, bool):
            return self._entangle(options, progress, timeout_s)
        if not progress:
            return self._entangle(options, None, timeout_s)
        try:
            return self._entangle(options, _write_over, timeout_s)
        finally:
            sys.stderr.write("\n")

    def __repr__(self) -> str:
        return f"<link {self.name}: {self.protocol}, via {self.midpoint}>"

    def _entangle(self, options: PlayOptions, tell: Callable[[Progress], None] | None, timeout_s: float) -> Pairs:
        news: deque[Progress] = deque(maxlen=1)

        def meanwhile() -> None:
            if tell is not None and news:
                tell(news.pop())

        result = self._front.run(
            self._recorded(options, self._asked(options), news.append),
            timeout_s,
            grace_s=ABORT_S,
            meanwhile=None if tell is None else meanwhile,
        )
        if result.ended != "done":
            raise PlanEndedError(
                f"{self.name}: {result.ended}",
                hint=f'{len(result)} pairs came until then: error.context["pairs"]',
                pairs=result,
            )
        return result

    async def _recorded(self, options: PlayOptions, asked: dict[str, Any], tell: Callable[[Progress], None]) -> Pairs:
        """Play, and keep a run folder that says what was asked for and what came, whatever happens."""
        connection = self._front.connection
        await connection.require_same_lab()
        await connection.await_ready()
        run = RunFolder(connection.data_folder, experiment="entangle")
        last: Progress | None = None

        def follow(progress: Progress) -> None:
            nonlocal last
            last = progress
            tell(progress)

        bases = options.bases if isinstance(options.bases, str) else dict(await options.letters(self._entry, 0))
        run.open(connection.lab_path, {**asked, "bases": bases})
        try:
            run.write("station.json", await connection.snapshot(update=True))
            result = await play_pairs(connection, self._entry, options, run.run_id, follow)
        except asyncio.CancelledError:
            run.close("interrupted", **reached(last))
            # Pages take long enough to hold up the connections, so they are made beside their loop.
            await asyncio.shield(asyncio.to_thread(try_report, run, _unsaid))
            raise
        except QnodeError as error:
            run.close("failed", error=str(error), **reached(last))
            await asyncio.to_thread(try_report, run, _unsaid)
            raise
        await asyncio.to_thread(self._keep, run, result)
        return result

    def _asked(self, options: PlayOptions) -> dict[str, Any]:
        """What the run folder says from the beginning, as one of the command line does."""
        lab, world = load_lab_and_world(self._front.connection.lab_path)
        programs = LinkPrograms(lab, self._entry, dict.fromkeys(self.nodes, ANY_BASES), echo=options.echo)
        facts = opening_facts(lab, self._entry, world, None, programs)
        if world is not None:
            # Whoever brought the lab up chose the seed of its world.
            facts["world_seed"] = None
        return {
            "experiment": "entangle",
            "link": self.name,
            "heralds_wanted": options.heralds,
            "credit_rounds": options.credit_rounds,
            "echo": options.echo,
            "simulated": simulated_instruments(lab),
            **facts,
        }

    def _keep(self, run: RunFolder, result: Pairs) -> None:
        simulated = simulated_instruments(self._front.connection.lab)
        take_notes(run, result, self._entry)
        keep(run, result, pairs_document(result, self._entry, simulated), _unsaid)


def _unsaid(line: str) -> None:
    """A report that fails is in the log; a library prints nothing."""


def _write_over(so_far: Progress) -> None:
    sys.stderr.write("\r" + progress_line(so_far).ljust(LINE_COLUMNS))
    sys.stderr.flush()
