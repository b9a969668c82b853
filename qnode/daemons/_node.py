"""The daemon of a node: it plays what the plan says, records its own rounds, and settles them with the midpoint."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from drivers.roles import AwgLimits
from qnode.bus import Client, Handler, Item, JournalPositions, StreamSubscriber
from qnode.clock import ClockError
from qnode.daemons._bases import draw_letters
from qnode.daemons._endpoints import endpoint_of
from qnode.daemons._live import LiveRates, LiveTags
from qnode.daemons._party import HOLD_PS, LAST_CALL_PS, PS_PER_MS, PS_PER_S, SILENT_S, Party
from qnode.daemons._recorder import LINE, PHOTONS, PPS, SYNC, NodeRecorder, PpsLabels, ShotCounter
from qnode.errors import InstrumentError, MisuseError, QnodeError
from qnode.heralds import (
    Armed,
    ColumnArrays,
    LinkPrograms,
    Message,
    Plan,
    PlanBook,
    PlanEnd,
    Reason,
    Rows,
    Settlement,
    Summary,
    decode_message,
    driver_limits,
    programs_sha256,
)
from qnode.runs import Journal, log_event
from qnode.tags import Tdc1Decoder

__all__ = ["NodeDaemon", "PlanVoidError"]

READ_S = 0.02
MOST_PULSE_AGE_S = 3
"""Lab time in whole seconds after which the next pulse per second is missed."""
TAGGER_AGAIN_S = 1.0
"""Wall time between two attempts to start a tagger that has failed."""
LOOK_S = 0.5
"""Wall time between two looks at who is still heard."""
IDENTITY_BYTES = 24
"""Of an item in the journal of what was received: see `qnode.bus.JournalPositions`."""
HEALTHY_S = 20.0
"""Wall time within which the first pulse per second must have come."""
LINES_A_ROUND = 2
"""Of the AWG's table: attempt and branch."""
GO_S = 30.0
"""Wall time within which each step between acceptance and the first round must be taken."""


class PlanVoidError(QnodeError):
    """A plan that will not be played: a party was not ready in time, or took its word back."""

    code = "plan_void"


class NodeDaemon(Party):
    """A node at work; see `Party`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._labels = PpsLabels()
        self._rates = LiveRates((PHOTONS, SYNC, LINE, PPS), lambda rates: self._tap.send("tags.rates", rates))
        self._decoder = Tdc1Decoder(prompt=True)
        self._pulse_seen = asyncio.Event()
        self._recorder: NodeRecorder | None = None
        self._shots: ShotCounter | None = None
        self._live: LiveTags | None = None
        self._waiting: list[ColumnArrays] = []
        self._rows: list[Any] = []
        self._doubts: dict[int, Reason] = {}
        self._all_armed = asyncio.Event()
        self._progress = asyncio.Event()
        self._sent_rounds = 0
        self._sent_s = 0.0
        self._calibrations: dict[str, dict[str, Any]] = {}
        self._drawn = ("", "")
        """The run that letters were drawn for last, and these."""
        self._play: asyncio.Task[Any] | None = None
        self._accepted: asyncio.Task[Any] | None = None
        """Waits for the midpoint's go."""
        self._tagger_failure: QnodeError | None = None
        """Since the plan was accepted, also when the tagger is back since."""
        self._slow_failure: QnodeError | None = None
        """Of a laser or the carrier, since the plan began."""
        if not self.neighbours:
            raise MisuseError(f"{self.lab_path}: no link reaches {self.site}", hint="add it to a link under `links:`")
        self._midpoint = self.neighbours[0]
        self._received: Journal
        self._positions: JournalPositions
        self._subscriber: StreamSubscriber
        self._calls: Client

    # --- life --------------------------------------------------------------------------------------------------

    async def _ready(self) -> None:
        self._subscriber = StreamSubscriber(
            endpoint_of(self.lab, self._midpoint, "stream", self.peers),
            self._midpoint,
            self.site,
            self.keyring,
            self._positions,
        )
        command = endpoint_of(self.lab, self._midpoint, "command", self.peers)
        self._calls = Client(command, self._midpoint, self.site, self.keyring)
        await self._subscriber.start()
        await self._calls.start()
        self.spawn(self._subscriber.run(self._on_item), "herald stream")
        await self._start_tagger()
        self.spawn(self._keep_reading(), "tagger")
        try:
            async with asyncio.timeout(HEALTHY_S):
                await self._pulse_seen.wait()
        except TimeoutError:
            raise PlanVoidError(
                f"{self.site}: no pulse per second at input {PPS} of its tagger within {HEALTHY_S:g} s",
                hint="look at the wire from the site's clock, and at the tagger's level",
            ) from None

    async def leave_bus(self) -> None:
        """Close calls and stream."""
        for part in ("_subscriber", "_calls"):
            if (closing := getattr(self, part, None)) is not None:
                await closing.close()

    async def _go_down(self) -> None:
        await super()._go_down()
        if (received := getattr(self, "_received", None)) is not None:
            received.close()

    def read_back(self) -> Iterator[Message]:
        """Own records first: a settlement is only ever of rounds that we had recorded."""
        yield from super().read_back()
        self._received = Journal(self.data_folder / "streams" / f"{self.site}.received.journal")
        # Item and position in one write: a kill at any moment leaves each item in the journal once.
        self._positions = JournalPositions(self._received)
        for record in self._received.read(1, self._received.last_seq):
            yield decode_message(record.payload[IDENTITY_BYTES:])

    def handlers(self) -> dict[str, Handler]:
        """Calls of the midpoint and of experiments."""
        return {
            **super().handlers(),
            "switch_on": self._switch_on,
            "switch_off": self._switch_off,
            "propose": self._propose,
            "draw_bases": self._draw_bases,
            "go": self._go,
            "all_armed": self._on_all_armed,
            "void": self._void,
            "rows": self._rows_of,
            "calibration": self._calibration_of,
        }

    def health(self) -> str:
        """``degraded`` while the tagger reads no pulse per second: no plan can be accepted."""
        if self.state == "ready" and self._labels.last_label is None:
            return f"degraded: {self.host.name_of('time_tagger')} reads no pulse per second"
        return super().health()

    def instrument_faults(self, now_ps: int | None) -> dict[str, str]:
        """A tagger without the pulse per second is degraded; while a plan plays, the plan itself looks at its pulses."""
        label, words = self._labels.last_label, ""
        if label is None:
            words = "it reads no pulse per second"
        elif self.plan is None and now_ps is not None and now_ps // PS_PER_S - label > MOST_PULSE_AGE_S:
            words = f"the last pulse per second came {now_ps // PS_PER_S - label} s ago"
        return {self.host.name_of("time_tagger"): words} if words else {}

    # --- plans -------------------------------------------------------------------------------------------------

    async def _switch_on(self, _params: Any) -> None:
        """Lasers and carrier on, before a plan is dated: a laser may take longer than any T0 is ahead."""
        self._refuse_if_busy()
        await self.slow.switch_on()

    async def _switch_off(self, _params: Any) -> None:
        """Lasers and carrier off again: there will be no plan."""
        self._refuse_if_busy()
        await self.slow.switch_off()

    def _refuse_if_busy(self) -> None:
        if self.plan is not None:
            raise MisuseError(
                f"{self.site} is busy with plan {self.plan.plan_id}", hint="wait for its end, or abort it"
            )

    async def _propose(self, params: bytes) -> dict[str, Any]:
        plan = _plan(params)
        self._refuse_if_busy()
        await self._check(plan)
        # From here on lab time waits for us at the point where we must arm.
        await self.clock.release(plan.t0_ps - HOLD_PS)
        self.plan, self._tagger_failure, self._slow_failure = plan, None, None
        self.publish(plan)
        self._accepted = self.spawn(self._await_go(plan), f"acceptance of {plan.plan_id}")
        log_event("plan accepted", plan=plan.plan_id, run=plan.run_id, plan_kind=plan.kind, t0_tai_s=plan.t0_tai_s)
        return {"accepted": self.site}

    async def _draw_bases(self, params: dict[str, Any]) -> str:
        """Letters of this node's own choice for the next plan of a run, one a round; it then plays no others in this run.

        As many as ``rounds`` asks for, but no more than the AWG's table has room for: a table that begins again would
        play letters that are known by then.
        """
        limits = driver_limits(self.lab, self.site)[self.host.name_of("awg")]
        assert isinstance(limits, AwgLimits)
        rounds = min(params["rounds"], limits.maximum_elements // LINES_A_ROUND)
        letters = draw_letters(
            params["letters"], rounds, self.site, seed=params.get("seed"), draw=params.get("draw", 0)
        )
        self._drawn = params["run_id"], letters
        digest = hashlib.sha256(letters.encode()).hexdigest()
        source = "entropy of the operating system" if params.get("seed") is None else f"seed {params['seed']}"
        log_event("bases drawn", rounds=rounds, letters=params["letters"], source=source, sha256=digest)
        return letters

    async def _await_go(self, plan: Plan) -> None:
        """Take our word back when the midpoint never comes back to it."""
        await asyncio.sleep(GO_S)
        if self._play is None and self.plan is plan:
            log_event("plan void", plan=plan.plan_id, reason=f"{self._midpoint} did not say go within {GO_S:g} s")
            await self._forget_plan()

    async def _check(self, plan: Plan) -> None:
        if self._labels.last_label is None:
            raise InstrumentError(
                f"{self.site}.{self.host.name_of('time_tagger')} reads no pulse per second now",
                hint="is it switched on, and is the wire from the site's clock in its place?",
            )
        if plan.lab_sha256 != self.lab_sha256:
            raise MisuseError(
                f"{self.site} refuses plan {plan.plan_id}: its lab file is not the midpoint's",
                hint=f"compare the two files; hashes {self.lab_sha256[:12]} here, {plan.lab_sha256[:12]} there",
            )
        run_id, drawn = self._drawn
        if plan.run_id == run_id and plan.bases.get(self.site) != drawn:
            raise MisuseError(
                f"{self.site} refuses plan {plan.plan_id}: its bases are not those that {self.site} drew for this run",
                hint="propose what `draw_bases` answered last",
            )
        mine = programs_sha256(self.programs(plan))
        if plan.sequences.get(self.site) != mine:
            raise MisuseError(
                f"{self.site} refuses plan {plan.plan_id}: it compiles other sequences than the midpoint",
                hint="both ends must run one version of qnode and of the lab's own sequences",
            )
        ahead_ps = plan.t0_ps - await self.clock.now_ps()
        if ahead_ps < 2 * PS_PER_S:
            raise MisuseError(
                f"{self.site} refuses plan {plan.plan_id}: T0 is {ahead_ps / PS_PER_S:.3f} s ahead of its lab time, "
                "less than 2 s",
                hint="compare the sites' sources of lab time",
            )
        if ahead_ps > 600 * PS_PER_S:
            raise MisuseError(f"{self.site} refuses plan {plan.plan_id}: T0 is {ahead_ps / PS_PER_S:.0f} s ahead")

    async def _go(self, params: dict[str, Any]) -> None:
        plan = self._current(params)
        if self._play is None:
            self._all_armed.clear()
            self._play = self.spawn(self._play_plan(plan), f"plan {plan.plan_id}")

    async def _on_all_armed(self, params: dict[str, Any]) -> None:
        self._current(params)
        self._all_armed.set()

    async def _void(self, params: dict[str, Any]) -> None:
        if self.plan is not None and self.plan.plan_id == params["plan_id"]:
            await self._drop(self.plan, params["reason"])

    async def _drop(self, plan: Plan, reason: str) -> None:
        """Dark at once, and the plan forgotten: its rounds are settled, or masked, by the midpoint."""
        log_event("plan void", plan=plan.plan_id, reason=reason)
        if self._play is not None:
            self._play.cancel()
            await asyncio.gather(self._play, return_exceptions=True)
        await self._all_off()
        if self.plan is plan:
            await self._forget_plan()

    def bereaved(self, site: str, reason: str) -> None:
        """Without its midpoint nobody decides what the plan heralds."""
        if self.plan is not None:
            self.spawn(self._drop(self.plan, reason), f"end of {self.plan.plan_id}")

    def _current(self, params: dict[str, Any]) -> Plan:
        if self.plan is None or self.plan.plan_id != params["plan_id"]:
            raise MisuseError(f"{self.site} does not play plan {params['plan_id']}")
        return self.plan

    async def _play_plan(self, plan: Plan) -> None:
        watching = self.spawn(self.slow.watch(self._slow_failed), f"lasers and carrier in {plan.plan_id}")
        try:
            await self._prepare(plan)
            await self._arm(plan)
            await self._follow(plan)
        except QnodeError as error:
            log_event("plan failed", plan=plan.plan_id, error=str(error))
            await self._all_off()
            await self._tell_midpoint(plan, str(error))
        else:
            end = self.book(plan.plan_id).end
            # The next plan finds the lasers warm, but only where all is well.
            await (self._dark() if end is None or end.reason == "done" else self._all_off())
        finally:
            watching.cancel()
        await self._forget_plan()

    def _slow_failed(self, error: QnodeError) -> None:
        self._slow_failure = error
        self._progress.set()

    async def _tell_midpoint(self, plan: Plan, reason: str) -> None:
        try:
            await self._calls.call("failed", {"plan_id": plan.plan_id, "party": self.site, "reason": reason})
        except QnodeError as error:
            log_event("midpoint not told", error=str(error))

    async def _prepare(self, plan: Plan) -> None:
        """Upload, read back, and let the AWG wait for its trigger."""
        awg = self.host.name_of("awg")
        program = self.programs(plan)[awg]
        # Whoever lost its mains since the last plan is connected anew here, where nothing depends on it yet.
        await self._dark()
        # What it holds is asked, not remembered: it may have lost its mains since the last plan.
        await self.host.call(awg, "load", program, timeout_s=120.0)
        held = await self.host.call(awg, "read_back", timeout_s=120.0)
        if held.sha256() != program.sha256():
            raise PlanVoidError(
                f"{self.site}.{awg}: what it holds after the upload is not what was sent",
                hint="somebody else writes to it, or its memory is full",
            )
        await self.host.call(awg, "run")

    async def _arm(self, plan: Plan) -> None:
        """Arm inside the last second before T0, say so, and wait until all are armed."""
        self._watch_rounds(plan)
        now = await self.clock.wait_until(plan.t0_ps - HOLD_PS)
        await self._await_label(plan.t0_tai_s - 1)
        self._labels.check(now / PS_PER_S)
        pulser = self.host.name_of("pulse_sequencer")
        await self.host.call(pulser, "arm", self.programs(plan)[pulser])
        await self.clock.release(plan.t0_ps - LAST_CALL_PS // 2)
        armed = Armed(plan_id=plan.plan_id, party=self.site, t0_tai_s=plan.t0_tai_s, lab_time_ms=now // PS_PER_MS)
        await self._calls.call("armed", msgspec.to_builtins(armed), timeout_s=GO_S)
        try:
            async with asyncio.timeout(GO_S):
                await self._all_armed.wait()
        except TimeoutError:
            raise PlanVoidError(
                f"{self.site}: {self._midpoint} did not say within {GO_S:g} s that all are armed",
                hint="`qnode logs` shows who was not",
            ) from None
        if (end := self.book(plan.plan_id).end) is not None:
            raise PlanVoidError(f"{self.site}: the plan ended before its first round: {end.reason}")
        state = await self.host.call(pulser, "state")
        if state != "armed":
            raise PlanVoidError(
                f"{self.site}.{pulser} is {state} before T0",
                hint="a pulse per second came that none was due for; look at the site's clock",
            )
        # A calibration is short and nobody waits for its rounds: all of it may be played at once.
        await self.release_rounds(plan, plan.rounds if plan.kind == "readout_calibration" else 0)

    async def _await_label(self, tai_s: int) -> None:
        """Return when the pulse of a second has come on the tagger.

        Raises:
            PlanVoidError: another second's pulse is the last one, or none comes.
        """
        deadline = time.monotonic() + GO_S / 6
        while self._labels.last_label != tai_s:
            self._raise_failures()
            left = deadline - time.monotonic()
            if left <= 0 or (self._labels.last_label or 0) > tai_s:
                raise PlanVoidError(
                    f"{self.site}: before T0 the last pulse per second is {self._labels.last_label}, not {tai_s}",
                    hint="a pulse is missing, or the site's two sources of time disagree",
                )
            self._progress.clear()
            try:
                async with asyncio.timeout(left):
                    await self._progress.wait()
            except TimeoutError:
                continue

    def _watch_rounds(self, plan: Plan) -> None:
        """From now on the tagger's words go into this plan's record."""
        programs = self.link_programs(plan)
        first_sync = self._labels.tag_of(plan.t0_tai_s) + programs.timing.sync_from_pps_ps[self.site]
        self._waiting, self._rows, self._doubts, self._sent_rounds = [], [], {}, 0
        self.tapes.start(plan, self._labels.tag_of(plan.t0_tai_s))
        windows = programs.windows(self.site)
        after_line_ps = plan.attempt_period_ps + windows.readout_close_ps
        self._live = LiveTags(PHOTONS, SYNC, LINE, plan.round_period_ps, after_line_ps, self._tap.send)
        if plan.kind == "readout_calibration":
            shots, _ = programs.calibration(self.site, plan.rounds)
            self._shots = ShotCounter(plan, programs.shot_windows(self.site, shots), first_sync)
            return
        calibration = programs.node_calibration(self.site)
        self._recorder = NodeRecorder(
            plan,
            self.site,
            windows,
            self._labels,
            first_sync_ps=first_sync,
            charge_threshold=calibration.charge_check_threshold.value,
            readout_threshold=calibration.readout_threshold.value,
            signs=dict(programs.nodes[self.site].signs),
        )

    async def _follow(self, plan: Plan) -> None:
        """Digest rounds until the plan is over."""
        book = self.book(plan.plan_id)
        looked_s = time.monotonic()
        while True:
            self._progress.clear()
            # First of all: what comes of a tagger that was started anew has another scale.
            self._raise_failures()
            if time.monotonic() - looked_s > LOOK_S:
                await self._require_pulser()
                looked_s = time.monotonic()
            if self._shots is not None:
                if self._shots.done:
                    self._keep_calibration(plan, self.link_programs(plan), self._shots)
                    break
            else:
                await self._digest(plan, book)
                if book.end is not None:
                    break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._progress.wait()
        log_event("plan over", plan=plan.plan_id, reason=book.end.reason if book.end else "done")

    def _raise_failures(self) -> None:
        for failure in (self._tagger_failure, self._slow_failure):
            if failure is not None:
                raise failure
        if (silent_s := self._subscriber.silent_s) > SILENT_S:
            raise PlanVoidError(
                f"{self.site}: nothing was heard of {self._midpoint} for {silent_s:.0f} s",
                hint=f"does {self._midpoint} run, and is the network up?",
            )

    async def _require_pulser(self) -> None:
        """Rounds without its syncs are masked anyway; here the operator hears why."""
        pulser = self.host.name_of("pulse_sequencer")
        if (state := await self.host.call(pulser, "state")) in ("idle", "error"):
            raise InstrumentError(f"{self.site}.{pulser} is {state} in mid-plan", hint="did it lose its mains?")

    async def _require_awg(self) -> None:
        """Without our light a herald's pair would be none, and no tag of ours would say so."""
        awg = self.host.name_of("awg")
        if await self.host.call(awg, "state") == "stopped":
            raise InstrumentError(f"{self.site}.{awg} is stopped in mid-plan", hint="did it lose its mains?")

    async def _digest(self, plan: Plan, book: PlanBook) -> None:
        recorder = self._recorder
        assert recorder is not None
        stop = recorder.complete()
        if self.batch_is_due(plan, stop - recorder.recorded, self._sent_s):
            column, rows = recorder.record(stop)
            self._waiting.append(column)
            self._rows.extend(rows)
        upto = min(recorder.recorded, book.summarised_rounds)
        if self.batch_is_due(plan, upto - self._sent_rounds, self._sent_s):
            await self._require_awg()
            await self._send_column(plan, upto)
            self._sent_s = time.monotonic()

    async def _send_column(self, plan: Plan, upto: int) -> None:
        """Our column, once we know what the midpoint decided of these rounds: what came late is masked in it."""
        first = self._sent_rounds
        whole = ColumnArrays.joined(self._waiting)
        column = whole.between(first, upto)
        self._waiting = [whole.between(upto, whole.stop_round)] if upto < whole.stop_round else []
        mask = column.mask.copy()
        for round_, reason in self._doubts.items():
            if first <= round_ < upto and mask[round_ - first] == 0:
                mask[round_ - first] = reason
        column = ColumnArrays(first, column.attempt, column.pattern, mask)
        rows = [row for row in self._rows if row.round < upto]
        self._rows = self._rows[len(rows) :]
        if rows:
            self.publish(Rows(plan_id=plan.plan_id, party=self.site, rows=rows))
        self.publish(column.column(plan.plan_id, self.site, midpoint=False))
        self._sent_rounds = upto
        # Only now: lab time must not run ahead of heralds that are still under way, or they would come late.
        await self.release_rounds(plan, upto)
        await self._journal.sync()

    async def _dark(self) -> None:
        await self.quiet(("pulse_sequencer", "abort"), ("awg", "stop"))

    async def _all_off(self) -> None:
        """Everything that could shine: what plays, and what gives it light and carrier."""
        await asyncio.gather(self._dark(), self.slow.switch_off())

    async def _forget_plan(self) -> None:
        if self._accepted is not None and self._accepted is not asyncio.current_task():
            self._accepted.cancel()
        self._recorder, self._shots, self._live = None, None, None
        await self.rest()
        # Before the plan is forgotten: whoever sees this node at rest finds its tags whole.
        if not self.stopping.is_set():
            await self.tapes.stop()
        self.plan, self._play, self._accepted = None, None, None

    # --- what comes in ---

    async def _start_tagger(self) -> None:
        """Start a stream; its labels begin anew with its first pulse per second."""
        self._decoder = Tdc1Decoder(prompt=True)
        self._labels = PpsLabels()
        await self.host.call(self.host.name_of("time_tagger"), "start")

    async def _keep_reading(self) -> None:
        """Read tags; when the tagger or lab time fails, end the plan and begin anew as soon as it is back."""
        while True:
            try:
                await self._read_tags()
            except QnodeError as error:
                self._tagger_failure = error
                self._labels = PpsLabels()
                self._progress.set()
                log_event("no tags", error=str(error))
            await self._tagger_back()

    async def _tagger_back(self) -> None:
        while True:
            await asyncio.sleep(TAGGER_AGAIN_S)
            try:
                await self._start_tagger()
            except QnodeError:
                continue
            log_event("tags again", instrument=f"{self.site}.{self.host.name_of('time_tagger')}")
            return

    async def _read_tags(self) -> None:
        tagger = self.host.name_of("time_tagger")
        while True:
            raw = await self.host.call(tagger, "read", READ_S)
            self._progress.set()
            if not raw.data:
                continue
            block = self._decoder.feed(raw.data)
            pulses = block.t_ps[block.channel == PPS]
            if len(pulses):
                await self._label(pulses)
            self.tapes.put(block)
            self._rates.feed(block.channel, self._decoder.horizon_ps)
            if self._live is not None:
                self._live.feed(block)
            if self._recorder is not None:
                self._recorder.feed(block, self._decoder.horizon_ps)
            if self._shots is not None:
                self._shots.feed(block, self._decoder.horizon_ps)

    async def _label(self, pulses: Any) -> None:
        """The first pulse is labelled by lab time, if that is within 0.3 s of it; the others are counted."""
        now_s = (await self.clock.now_ps()) / PS_PER_S
        if self._labels.last_label is None and now_s % 1 > 0.3:
            return
        faults = len(self._labels.faults)
        self._labels.feed(np.asarray(pulses), now_s)
        for fault in self._labels.faults[faults:]:
            log_event("clock fault", what=fault)
        self._pulse_seen.set()

    async def _on_item(self, item: Item) -> None:
        self._positions.record(item, item.payload)
        message = decode_message(item.payload)
        if isinstance(message, Summary) and self.plan is not None and message.plan_id == self.plan.plan_id:
            await self._note(message, self.plan)
        self.enter(message)
        if isinstance(message, Summary | Settlement | PlanEnd):
            self._progress.set()
        if isinstance(message, PlanEnd) and self.plan is not None and message.plan_id == self.plan.plan_id:
            # Who still waits for its first round need not wait any longer.
            self._all_armed.set()

    async def _note(self, summary: Summary, plan: Plan) -> None:
        """Of the rounds that the midpoint has now decided: heralds that are late, and ones that did not come."""
        rounds = range(summary.first_round, summary.stop_round)
        heralds = self.book(summary.plan_id).heralds
        came = [heralds[round_] for round_ in rounds if round_ in heralds]
        if len(came) != summary.heralds:
            log_event("herald missing", plan=summary.plan_id, announced=summary.heralds, came=len(came))
            self._doubts.update(dict.fromkeys(rounds, Reason.HERALD_MISSING))
        if came:
            try:
                since_t0_ps = await self.clock.now_ps() - plan.t0_ps
            except ClockError as error:
                log_event("no lab time", error=str(error))
                self._doubts.update(dict.fromkeys(rounds, Reason.CLOCK_FAULT))
                return
            for herald in came:
                if since_t0_ps > herald.valid_until_ps:
                    log_event("late herald", plan=summary.plan_id, round=herald.round)
                    self._doubts[herald.round] = Reason.LATE

    # --- answers ---------------------------------------------------------------------------------------------------

    async def _rows_of(self, params: dict[str, Any]) -> list[Any]:
        """Rows of settled heralds of a plan, from the ``since``-th on."""
        return [msgspec.to_builtins(row) for row in self.book(params["plan_id"]).settled_rows(params["since"])]

    def _keep_calibration(self, plan: Plan, programs: LinkPrograms, shots: ShotCounter) -> None:
        threshold = programs.node_calibration(self.site).readout_threshold.value
        counts = shots.counts()
        half = counts.shape[1] // 2
        bright, dark = counts[:, :half], counts[:, half:]
        self._calibrations[plan.plan_id] = {
            "bright_shots": int(bright.size),
            "bright_ok": int((bright >= threshold).sum()),
            "dark_shots": int(dark.size),
            "dark_ok": int((dark < threshold).sum()),
        }

    async def _calibration_of(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """Counts of a readout calibration, None while it is under way.

        Raises:
            PlanVoidError: it was not played to its end here.
        """
        plan_id = params["plan_id"]
        if plan_id not in self._calibrations and (self.plan is None or self.plan.plan_id != plan_id):
            raise PlanVoidError(f"{self.site} has not finished the readout calibration", hint="see `qnode logs`")
        return self._calibrations.get(plan_id)


def _plan(payload: bytes) -> Plan:
    message = decode_message(payload)
    if not isinstance(message, Plan):
        raise MisuseError("a proposal holds no plan", hint="both ends must run one version of qnode")
    return message
