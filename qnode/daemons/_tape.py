"""All tags of a run on disk: a spool while a plan is played, a Parquet file when it is over.

A tape never holds up the tagger, the plan or the next plan. When the disk is slow or full it drops, marks the gap and
raises an alarm, and the run goes on; it stops early, so that journals and results still find room. What a killed
daemon leaves behind is archived when it comes up again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnode.errors import MisuseError
from qnode.heralds import Plan
from qnode.runs import log_event
from qnode.tags import UNTIL_PS, Archive, Recorder, TagBlock, archive_spool, spool_is_closed

__all__ = ["PlanTape", "TapeDeck"]

BUDGET_BYTES = 256 << 20
"""Of tags that wait in memory for a disk that is slow or full."""
CLOSE_STEP_S = 0.5
FINISH_S = 5.0
"""Wall time that a plan's end, or a daemon's, waits for its tape; it is finished afterwards, or at the next start."""
LEAVE_S = 2.0

Send = Callable[[str, Any], None]


@dataclass
class _Fate:
    """What became of the tags of one plan."""

    run_id: str
    plan_id: str
    written: int = 0
    lost: int = 0
    since: str = ""
    """Wall time, UTC, of the first alarm; empty when there was none."""
    why: str = ""
    cut: bool = False
    """The recording ended before the plan, with its daemon."""


class PlanTape:
    """Tags of one site in one plan.

    Args:
        data_folder: the lab's data folder; files go to ``runs/<run>/<site>/tags-<plan>``, those of a readout calibration
            to ``calibration-<plan>``.
        site: whose tagger.
        plan: the plan.
        t0_ps: where T0 is on the tagger's scale; kept with the file.
        reserve_bytes: free space that is left on the disk to journals and results.
        send: takes an alarm for the tap, from any thread.
    """

    def __init__(
        self,
        data_folder: Path,
        site: str,
        plan: Plan,
        t0_ps: int,
        *,
        reserve_bytes: int = 0,
        send: Send | None = None,
    ) -> None:
        folder = data_folder / "runs" / plan.run_id / site
        name = "calibration" if plan.kind == "readout_calibration" else "tags"
        self.spool = folder / f"{name}-{plan.plan_id}.arrow"
        self.fate = _Fate(plan.run_id, plan.plan_id)
        self._site, self._send = site, send
        meta = {
            "site": site,
            "run": plan.run_id,
            "plan": plan.plan_id,
            "kind": plan.kind,
            "t0_tai_s": str(plan.t0_tai_s),
            "t0_ps": str(t0_ps),
            UNTIL_PS: str(t0_ps + plan.rounds * plan.round_period_ps),
            "lab_sha256": plan.lab_sha256,
        }
        self._refused = 0
        self._recorder: Recorder | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._recorder = Recorder(
                self.spool, meta=meta, budget_bytes=BUDGET_BYTES, reserve_bytes=reserve_bytes, on_alarm=self._alarm
            )
        except (OSError, MisuseError) as error:
            # A disk that does not even take an empty file: the plan is played all the same, and its tags are counted.
            self._alarm(f"{self.spool}: {error}")

    def put(self, block: TagBlock) -> None:
        """Take a block; never waits."""
        if self._recorder is None:
            self._refused += len(block)
            return
        if not (len(block) or len(block.gaps)):
            return
        try:
            self._recorder.put(block)
        except MisuseError as error:
            # A tag out of order is the tape's misfortune, never the run's.
            if not self._refused:
                self._alarm(f"{self.spool}: tags refused: {error}")
            self._refused += len(block)
            span = [[int(block.t_ps.min()), int(block.t_ps.max()) + 1]]
            self._recorder.put(TagBlock.from_arrays([], [], gaps=[*block.gaps.tolist(), *span]))

    async def end(self, go_on: Callable[[], bool]) -> bool:
        """End the spool; whether it is whole, as far as the disk took it.

        Args:
            go_on: asked while a slow disk still takes what waits; False leaves the spool cut.
        """
        recorder = self._recorder
        if recorder is None:
            self.fate.lost = self._refused
            return False
        while True:
            state = await asyncio.to_thread(recorder.close, CLOSE_STEP_S)
            self.fate.written, self.fate.lost = state.written_tags, state.dropped_tags + self._refused
            if not state.pending_tags:
                return True
            if not go_on():
                self.fate.lost += state.pending_tags
                return False

    def count(self) -> None:
        """Bring `fate` up to now."""
        if self._recorder is not None:
            state = self._recorder.state
            self.fate.written, self.fate.lost = state.written_tags, state.dropped_tags + self._refused
        else:
            self.fate.lost = self._refused

    def _alarm(self, text: str) -> None:
        where: dict[str, Any] = {"site": self._site, "plan": self.fate.plan_id}
        if text:
            if not self.fate.since:
                self.fate.since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                self.fate.why = text
            log_event("alarm", level=logging.ERROR, what=text, **where)
        else:
            log_event("alarm over", **where)
        if self._send is not None:
            self._send("alarm", {"what": text, **where})


class TapeDeck:
    """The tapes of one site: the one that runs, the ones that are finished behind it, and what became of each.

    Args:
        data_folder: the lab's data folder.
        site: whose tagger.
        reserve_bytes: free space that is left on the disk to journals and results.
        send: takes alarms for the tap, in the loop's thread.
    """

    def __init__(self, data_folder: Path, site: str, *, reserve_bytes: int, send: Send) -> None:
        self._data_folder, self._site = data_folder, site
        self._reserve_bytes, self._send = reserve_bytes, send
        self._tape: PlanTape | None = None
        self._fates: list[_Fate] = []
        self._waiting: list[tuple[Path, _Fate]] = []
        """Whole spools whose archive found no room."""
        self._finishing: set[asyncio.Task[None]] = set()
        self._archivist = ThreadPoolExecutor(1, thread_name_prefix="archivist")
        self._leaving = False

    def start(self, plan: Plan, t0_ps: int) -> None:
        """Record the tags of a plan from now on; ``t0_ps``: where its T0 is on their scale."""
        loop = asyncio.get_running_loop()

        def send(topic: str, payload: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and the tap with it
                loop.call_soon_threadsafe(self._send, topic, payload)

        self._tape = PlanTape(
            self._data_folder, self._site, plan, t0_ps, reserve_bytes=self._reserve_bytes, send=send
        )
        self._fates.append(self._tape.fate)
        waiting, self._waiting = self._waiting, []
        for spool, fate in waiting:
            self._behind(self._archive(spool, fate))

    def put(self, block: TagBlock) -> None:
        """Tags of the plan that is recorded; without one they are nobody's."""
        if self._tape is not None:
            self._tape.put(block)

    async def stop(self) -> None:
        """End the running tape; returns when it is archived, or after 5 s, when the rest is done behind."""
        tape, self._tape = self._tape, None
        if tape is not None:
            task = self._behind(self._finish(tape))
            await asyncio.wait({task}, timeout=FINISH_S)

    def take_up_left_behind(self) -> None:
        """Archive, behind what else is done, the spools of this site that a killed daemon left."""
        for spool in sorted((self._data_folder / "runs").glob(f"*/{self._site}/*.arrow")):
            fate = _Fate(spool.parents[1].name, spool.stem.rpartition("-")[2])
            with contextlib.suppress(OSError):
                fate.cut = not spool_is_closed(spool)
            self._fates.append(fate)
            self._behind(self._archive(spool, fate))

    async def close(self) -> None:
        """End all tapes; what is not archived within 5 s stays in its spool until the next start."""
        await self.stop()
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=FINISH_S)
        self._leaving = True
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=LEAVE_S)
        self._archivist.shutdown(wait=False, cancel_futures=True)

    def of_run(self, run_id: str) -> dict[str, Any]:
        """What this site has of a run's tags: ``written``, ``lost``, and of the first loss ``since`` and ``why``.

        ``cut``: plans whose recording ended with its daemon; how many tags that cost nobody knows.
        """
        if self._tape is not None:
            self._tape.count()
        fates = [fate for fate in self._fates if fate.run_id == run_id]
        missing = [fate for fate in fates if fate.lost]
        return {
            "written": sum(fate.written for fate in fates),
            "lost": sum(fate.lost for fate in fates),
            "since": missing[0].since if missing else "",
            "why": missing[0].why if missing else "",
            "cut": sum(fate.cut for fate in fates),
        }

    def _behind(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        return task

    async def _finish(self, tape: PlanTape) -> None:
        whole = await tape.end(lambda: not self._leaving)
        fate = tape.fate
        if fate.lost:
            log_event(
                "tags lost",
                level=logging.ERROR,
                site=self._site,
                plan=fate.plan_id,
                lost=fate.lost,
                written=fate.written,
                since=fate.since,
            )
        if whole:
            await self._archive(tape.spool, fate)

    async def _archive(self, spool: Path, fate: _Fate) -> None:
        try:
            archive: Archive = await asyncio.get_running_loop().run_in_executor(
                self._archivist, self._archive_now, spool
            )
        except (OSError, MisuseError) as error:
            log_event("tags stay in their spool", site=self._site, spool=str(spool), error=str(error))
            if isinstance(error, OSError) and not self._leaving:
                self._waiting.append((spool, fate))
            return
        fate.written = archive.tags
        log_event("tags archived", plan=fate.plan_id, tags=archive.tags, gap=archive.gap, file=str(archive.path))

    def _archive_now(self, spool: Path) -> Archive:
        return archive_spool(spool, reserve_bytes=self._reserve_bytes, go_on=lambda: not self._leaving)
