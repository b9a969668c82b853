"""All tags of a plan on disk: a spool while it is played, a Parquet file when it is over.

The recorder never holds the tagger up; when the disk is slow or full it drops, marks the gap and raises an alarm, and
the run goes on. A spool that a killed daemon leaves behind is readable as it is.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from qnode.errors import MisuseError
from qnode.heralds import Plan
from qnode.runs import log_event
from qnode.tags import Recorder, TagBlock, open_tags, write_tags

__all__ = ["PlanTape"]


class PlanTape:
    """Tags of one site in one plan.

    Args:
        data_folder: the lab's data folder; files go to ``runs/<run>/<site>/tags-<plan>``.
        site: whose tagger.
        plan: the plan.
        t0_ps: where T0 is on the tagger's scale; kept with the file.
    """

    def __init__(self, data_folder: Path, site: str, plan: Plan, t0_ps: int) -> None:
        folder = data_folder / "runs" / plan.run_id / site
        folder.mkdir(parents=True, exist_ok=True)
        self._site, self._plan = site, plan
        self.spool = folder / f"tags-{plan.plan_id}.arrow"
        self.archive = self.spool.with_suffix(".parquet")
        self._meta = {
            "site": site,
            "run": plan.run_id,
            "plan": plan.plan_id,
            "t0_tai_s": str(plan.t0_tai_s),
            "t0_ps": str(t0_ps),
            "lab_sha256": plan.lab_sha256,
        }
        self._refused = 0
        self._recorder: Recorder | None = Recorder(self.spool, meta=self._meta, on_alarm=self._alarm)

    @classmethod
    def open(cls, data_folder: Path, site: str, plan: Plan, t0_ps: int) -> PlanTape | None:
        """A tape, or None and an alarm in the log where the disk does not even take an empty file."""
        try:
            return cls(data_folder, site, plan, t0_ps)
        except (OSError, MisuseError) as error:
            log_event("tags not recorded", level=logging.ERROR, site=site, plan=plan.plan_id, error=str(error))
            return None

    def put(self, block: TagBlock) -> None:
        """Take a block; never waits."""
        if self._recorder is None or not (len(block) or len(block.gaps)):
            return
        try:
            self._recorder.put(block)
        except MisuseError as error:
            # A tag out of order is the tape's misfortune, never the run's.
            self._refused += len(block)
            log_event("tags refused", level=logging.ERROR, site=self._site, plan=self._plan.plan_id, error=str(error))

    async def close(self) -> None:
        """End the spool and turn it into the archive; the spool goes when the archive is whole."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        state = await asyncio.to_thread(recorder.close)
        if state.dropped_tags or self._refused:
            log_event(
                "tags lost",
                level=logging.ERROR,
                site=self._site,
                plan=self._plan.plan_id,
                dropped=state.dropped_tags + self._refused,
                written=state.written_tags,
            )
        try:
            await asyncio.to_thread(self._archive)
        except OSError as error:
            log_event("tags stay in their spool", site=self._site, spool=str(self.spool), error=str(error))
            return
        log_event("tags archived", plan=self._plan.plan_id, tags=state.written_tags, file=str(self.archive))

    def _archive(self) -> None:
        write_tags(self.archive, open_tags(self.spool, backend="numpy").blocks(), meta=self._meta)
        self.spool.unlink()

    def _alarm(self, text: str) -> None:
        if text:
            log_event("alarm", level=logging.ERROR, site=self._site, plan=self._plan.plan_id, what=text)
        else:
            log_event("alarm over", site=self._site, plan=self._plan.plan_id)
