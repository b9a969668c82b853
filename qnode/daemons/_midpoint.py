"""The daemon of a midpoint: it proposes plans, decides and numbers heralds, and settles rounds with both nodes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import time
from typing import Any

import msgspec

from qnode.bus import BootChange, Client, FilePositions, Handler, Item, StreamSubscriber
from qnode.daemons._endpoints import endpoint_of
from qnode.daemons._live import LiveClicks
from qnode.daemons._party import HOLD_PS, LAST_CALL_PS, PS_PER_MS, PS_PER_S, QUIET_S, SILENT_S, Party
from qnode.errors import InstrumentError, MisuseError, QnodeError
from qnode.heralds import (
    Armed,
    Column,
    ColumnArrays,
    Engine,
    Plan,
    PlanBook,
    PlanEnd,
    Reason,
    Settlement,
    Summary,
    decode_message,
    encode_message,
    masked_column,
    most_credit_rounds,
    programs_sha256,
)
from qnode.labfile import Link
from qnode.runs import log_event
from qnode.tags import TagBlock

__all__ = ["MidpointDaemon"]

READ_S = 0.02
STALL_S = 40.0
"""Wall time without any progress, though all parties are heard, after which a plan is ended."""
STEP_S = 30.0
LEASE_S = 15.0
"""Wall time for which a plan is played though nobody asks how it stands."""
LOOK_S = 0.5
"""Wall time between two looks at who is still heard."""
MOST_MASKED_ROUNDS = 50_000
"""In one settlement: a message holds 1 MiB."""
LABEL_TOLERANCE_MS = 300
T0_AHEAD_PS = 2_250_000_000_000


class MidpointDaemon(Party):
    """A midpoint at work; see `Party`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.site not in self.lab.midpoints:
            raise MisuseError(
                f"{self.lab_path}: {self.site} is a node", hint=f"start it with `qnode node {self.site}`"
            )
        self._calls: dict[str, Client] = {}
        self._columns: dict[str, list[ColumnArrays]] = {}
        self._armed: dict[str, Armed] = {}
        self._failures: dict[str, str] = {}
        self._proposing = asyncio.Lock()
        self._coming: str | None = None
        """Run whose next plan is being made."""
        self._changed = asyncio.Event()
        self._live: LiveClicks | None = None
        self._streams: dict[str, StreamSubscriber] = {}
        self._asked_s = 0.0
        """Wall time at which somebody last asked how the plan stands."""
        self._released_rounds = 0
        """Rounds of the plan that lab time was let run to."""
        self._outcomes: dict[str, str] = {}
        """Plan to ``playing``, ``done``, or why it ended."""

    # --- life --------------------------------------------------------------------------------------------------

    async def _ready(self) -> None:
        for node in self.neighbours:
            command = endpoint_of(self.lab, node, "command", self.peers)
            self._calls[node] = Client(command, node, self.site, self.keyring)
            await self._calls[node].start()
            self._streams[node] = StreamSubscriber(
                endpoint_of(self.lab, node, "stream", self.peers),
                node,
                self.site,
                self.keyring,
                FilePositions(self.data_folder / "streams" / f"{self.site}.from-{node}.position"),
                on_boot=functools.partial(self._on_boot, node),
            )
            await self._streams[node].start()
            self.spawn(self._streams[node].run(self._on_item), f"stream of {node}")
        await self._close_open_plans()

    async def _close_open_plans(self) -> None:
        """After a restart nobody plays what we had proposed: its open rounds are masked, so that every sum closes."""
        now = await self.clock.now_ps()
        for book in self.books.values():
            reason = f"{self.site} was restarted"
            if book.end is None and book.plan.kind == "heralding":
                await self._end_early(book, reason, now)
            elif book.end is None:
                self.publish(PlanEnd(plan_id=book.plan.plan_id, rounds=0, reason=reason))

    async def leave_bus(self) -> None:
        """Close calls and streams."""
        for node in self._streams:
            await self._calls[node].close()
            await self._streams[node].close()

    def handlers(self) -> dict[str, Handler]:
        """Calls of nodes and experiments."""
        return {
            **super().handlers(),
            "play": self._play,
            "progress": self._progress_of,
            "armed": self._on_armed,
            "failed": self._on_failed,
            "abort": self._abort,
            "heralds": self._heralds_of,
        }

    # --- a plan, from proposal to end ---

    async def _play(self, params: dict[str, Any]) -> dict[str, Any]:
        """Switch on what a plan needs, and propose it to the nodes of a link; returns when both have accepted.

        Raises:
            MisuseError: busy, no such link, or a node refuses (its words).
            InstrumentError: a laser, a carrier or the bias does not come on.
        """
        async with self._proposing:
            try:
                return await self._propose(params)
            finally:
                self._coming = None

    async def _propose(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.plan is not None:
            raise MisuseError(
                f"{self.site} is busy with plan {self.plan.plan_id}", hint="wait for its end, or abort it"
            )
        try:
            link = self.lab.link(params["link"])
        except KeyError:
            names = ", ".join(known.name for known in self.lab.links)
            raise MisuseError(f"there is no link {params['link']}", hint=f"links of this lab: {names}") from None
        self._coming, self._failures = params["run_id"], {}
        await self._switch_on(link)
        plan = await self._make_plan(link, params)
        self.plan, self._armed, self._released_rounds = plan, {}, 0
        self._columns = {node: [] for node in link.between}
        try:
            await self._ask_all(link, "propose", encode_message(plan))
        except QnodeError:
            await self._void(plan, link, "a node refuses")
            self.plan = None
            await self._switch_off(link)
            await self.rest()
            raise
        self.publish(plan)
        self._asked_s = time.monotonic()
        self._outcomes[plan.plan_id] = "playing"
        log_event(
            "plan accepted by all", plan=plan.plan_id, run=plan.run_id, t0_tai_s=plan.t0_tai_s, rounds=plan.rounds
        )
        self.spawn(self._run_plan(plan, link), f"plan {plan.plan_id}")
        return {"plan_id": plan.plan_id, "t0_tai_s": plan.t0_tai_s, "round_period_ps": plan.round_period_ps}

    async def _switch_on(self, link: Link) -> None:
        """Bias here, lasers and carriers at the nodes; all off again where one does not come."""
        try:
            results = await asyncio.gather(
                self.slow.switch_on(), self._ask_all(link, "switch_on", None), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            # A laser may take its time, and whoever wanted the plan may have thought better of it.
            for reason in self._failures.values():
                raise QnodeError(reason)
        except QnodeError:
            await self._switch_off(link)
            raise

    async def _switch_off(self, link: Link) -> None:
        await asyncio.gather(self.slow.switch_off(), self._ask_all(link, "switch_off", None), return_exceptions=True)

    async def _make_plan(self, link: Link, params: dict[str, Any]) -> Plan:
        now = await self.clock.now_ps()
        draft = Plan(
            plan_id=secrets.token_hex(8),
            run_id=params["run_id"],
            kind=params["kind"],
            link=link.name,
            protocol=link.protocol,
            t0_tai_s=_t0_after(now),
            rounds=params["rounds"],
            first_round=params["first_round"],
            attempts=link.round.attempts,
            round_period_ps=link.round_period_ps,
            attempt_period_ps=link.attempt_period_ps,
            bases=params["bases"],
            echo=params.get("echo", True),
            sequences={},
            lab_sha256=self.lab_sha256,
            credit_rounds=min(params["credit_rounds"], most_credit_rounds(link.round_period_ps)),
            boot_id=self.stream.boot_id.hex(),
        )
        programs = self.link_programs(draft)
        hashes = {}
        for node in link.between:
            if draft.kind == "readout_calibration":
                hashes[node] = programs_sha256(programs.calibration(node, draft.rounds)[1])
            else:
                hashes[node] = programs_sha256(programs.heralding(node, draft.rounds))
        if draft.kind == "heralding":
            # In a calibration each node plays alone.
            hashes[self.site] = programs_sha256(self.programs(draft))
        # Compiling takes a moment the first time: T0 counts from now, at least two whole seconds ahead. Lab time
        # waits here until both nodes have accepted.
        await self.clock.release(await self.clock.now_ps())
        return msgspec.structs.replace(draft, sequences=hashes, t0_tai_s=_t0_after(await self.clock.now_ps()))

    async def _run_plan(self, plan: Plan, link: Link) -> None:
        watching = self.spawn(self.slow.watch(self._slow_failed), f"bias in {plan.plan_id}")
        try:
            await self._ask_all(link, "go", {"plan_id": plan.plan_id})
            # As the nodes did when they accepted: what is set up now needs no lab time to stand still.
            await self.clock.release(plan.t0_ps - HOLD_PS)
            # The engine's kernels: loading them takes a second or more, in which a calibration needs nothing of us.
            self.spawn(asyncio.to_thread(self._engine(plan).decide, 0), f"kernels for {plan.plan_id}")
            if plan.kind == "heralding":
                # Whoever lost its mains since the last plan is connected anew here.
                await self._quiet(plan)
                await self._start_recording(plan)
                self.tapes.start(plan, 0)
                self._live = LiveClicks(link.detection_window_ps, self._tap.send)
            await self._arm_all(plan, link)
            if plan.kind == "heralding":
                await self._decide_rounds(plan, link)
        except QnodeError as error:
            await self._give_up(plan, link, str(error))
        except asyncio.CancelledError:
            # The nodes must not play on for a midpoint that is gone.
            await self._give_up(plan, link, f"{self.site} was stopped")
            raise
        else:
            await self._quiet(plan)
            self._outcomes[plan.plan_id] = "done"
        finally:
            watching.cancel()
            await self.rest()
            if not self.stopping.is_set():
                await self.tapes.stop()
            self.plan = None

    async def _ask_all(self, link: Link, call: str, params: Any) -> None:
        """Call both nodes at once.

        Raises:
            QnodeError: the first refusal, after both have answered.
        """
        answers = await asyncio.gather(
            *(self._calls[node].call(call, params, timeout_s=STEP_S) for node in link.between), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _start_recording(self, plan: Plan) -> None:
        programs = self.link_programs(plan)
        tagger = self.host.name_of("time_controller")
        engine = self._engine(plan)
        await self.host.call(
            tagger, "start", list(engine.inputs), plan.rounds, programs.timing.recording_ps, timeout_s=STEP_S
        )

    def _engine(self, plan: Plan) -> Engine:
        link = self.lab.link(plan.link)
        return Engine(
            plan,
            self.link_programs(plan).timing,
            link.detection_window_ps,
            self.lab.calibration.links[plan.link].psi_plus_on.value,
        )

    async def _arm_all(self, plan: Plan, link: Link) -> None:
        """Arm our pulser inside the last second, hear that both nodes have, and say so to both.

        Raises:
            QnodeError: somebody is missing at T0 - 0.1 s, or armed on another second than we do.
        """
        await self.clock.wait_until(plan.t0_ps - HOLD_PS)
        if plan.kind == "heralding":
            pulser = self.host.name_of("pulse_sequencer")
            await self.host.call(pulser, "arm", self.programs(plan)[pulser], timeout_s=STEP_S)
        await self.clock.release(plan.t0_ps - LAST_CALL_PS)
        deadline = time.monotonic() + STEP_S
        while len(self._armed) < len(link.between):
            self._raise_failures(link)
            await self._await_change(deadline, f"{', '.join(set(link.between) - set(self._armed))} did not arm")
        now_ms = await self.clock.now_ps() // PS_PER_MS
        if now_ms > (plan.t0_ps - LAST_CALL_PS) // PS_PER_MS:
            raise QnodeError(
                f"all armed at lab time {now_ms} ms, less than 0.1 s before T0",
                hint="uploads took too long for this plan; run it again, the waveforms are there now",
            )
        for node, armed in self._armed.items():
            if armed.t0_tai_s != plan.t0_tai_s or not 0 <= now_ms - armed.lab_time_ms <= 1000 + LABEL_TOLERANCE_MS:
                raise QnodeError(
                    f"{node} armed at lab time {armed.lab_time_ms} ms, it is {now_ms} ms here",
                    hint=f"the sources of time of {node} and {self.site} disagree; look at `clocks:`",
                )
        await self._ask_all(link, "all_armed", {"plan_id": plan.plan_id})
        await self._release(plan, 0)

    async def _await_change(self, deadline: float, text: str) -> None:
        left = deadline - time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0.001)):
                await self._changed.wait()
        except TimeoutError:
            raise QnodeError(
                f"{text} in time",
                hint="`qnode logs` shows what that party was doing; or its source of lab time is behind, see `clocks:`",
            ) from None
        # Not before: what came while the caller was busy (a column, during a sync) must not be waited for again.
        self._changed.clear()

    def _raise_failures(self, link: Link) -> None:
        for party, reason in self._failures.items():
            raise QnodeError(reason if party in reason else f"{party}: {reason}")
        if time.monotonic() - self._asked_s > LEASE_S:
            raise QnodeError(f"nobody has asked how the plan stands for {LEASE_S:g} s: its run is gone")
        for node in link.between:
            if (silent_s := self._streams[node].silent_s) > SILENT_S:
                raise QnodeError(
                    f"nothing was heard of {node} for {silent_s:.0f} s",
                    hint=f"does {node} run, and is the network between {self.site} and {node} up?",
                )

    async def _release(self, plan: Plan, digested: int) -> None:
        self._released_rounds = min(digested + plan.credit_rounds + 1, plan.rounds)
        await self.release_rounds(plan, digested)

    async def _decide_rounds(self, plan: Plan, link: Link) -> None:
        """Read, decide, announce and settle until every round of the plan is settled."""
        engine, book = self._engine(plan), self.book(plan.plan_id)
        tagger = self.host.name_of("time_controller")
        moved, settled = time.monotonic(), 0
        looked_s = moved
        while book.ledger.settled_rounds < plan.rounds:
            self._raise_failures(link)
            if engine.decided < plan.rounds and time.monotonic() - looked_s > LOOK_S:
                await self._require_pulser()
                looked_s = time.monotonic()
            if engine.decided < plan.rounds:
                raw = await self.host.call(tagger, "read", READ_S)
                engine.feed(raw)
                stop = engine.complete(await self.host.call(tagger, "status"))
                if self.batch_is_due(plan, stop - engine.decided, moved):
                    await self._announce(plan, engine, stop)
                    moved = time.monotonic()
            else:
                await self._await_columns(link, settled)
            await self._settle(plan, link, book, engine.decided)
            if book.ledger.settled_rounds > settled:
                settled, moved = book.ledger.settled_rounds, time.monotonic()
            if time.monotonic() - moved > STALL_S:
                raise QnodeError(
                    f"no round came in for {STALL_S:g} s; {self._laggards(link, plan)}",
                    hint="`qnode logs` shows what each party was doing",
                )
        self.publish(PlanEnd(plan_id=plan.plan_id, rounds=plan.rounds, reason="done"))

    async def _require_pulser(self) -> None:
        """Without its rounds the tagger records nothing, and no tag of ours says why."""
        pulser = self.host.name_of("pulse_sequencer")
        if (state := await self.host.call(pulser, "state")) in ("idle", "error"):
            raise InstrumentError(f"{self.site}.{pulser} is {state} in mid-plan", hint="did it lose its mains?")

    async def _await_columns(self, link: Link, settled: int) -> None:
        """Return when both nodes have recorded more than is settled, or it is time to look who is still heard."""
        self._changed.clear()
        if min(self._stop_of(node) for node in link.between) <= settled:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_S)

    def _laggards(self, link: Link, plan: Plan) -> str:
        have = {node: parts[-1].stop_round if (parts := self._columns[node]) else 0 for node in link.between}
        slowest = min(have, key=lambda node: have[node])
        return f"{slowest} stands at round {have[slowest]} of {plan.rounds}"

    async def _announce(self, plan: Plan, engine: Engine, stop: int) -> None:
        first = engine.decided
        decision = engine.decide(stop)
        for herald in decision.heralds:
            self.publish(herald)
        self.publish(decision.column.column(plan.plan_id, self.site, midpoint=True))
        self.publish(Summary(plan_id=plan.plan_id, first_round=first, stop_round=stop, heralds=len(decision.heralds)))
        self._columns.setdefault(self.site, []).append(decision.column)
        self.tapes.put(decision.tags)
        if self._live is not None:
            self._live.feed(decision.tags, decision.offsets_ps, stop * plan.round_period_ps)

    async def _settle(self, plan: Plan, link: Link, book: PlanBook, decided: int) -> None:
        """Settle the rounds that all three have recorded."""
        first = book.ledger.settled_rounds
        stop = min(decided, *(self._stop_of(node) for node in link.between))
        if stop <= first:
            return
        columns = []
        for party in (self.site, *link.between):
            whole = ColumnArrays.joined(self._columns[party])
            part = whole.between(first, stop)
            self._columns[party] = [whole.between(stop, whole.stop_round)]
            columns.append(part.column(plan.plan_id, party, midpoint=party == self.site))
        await self._journal.sync()
        self.publish(Settlement(plan_id=plan.plan_id, columns=columns))
        # Not before: lab time must not run on without a node that is gone.
        await self._release(plan, stop)

    def _stop_of(self, party: str) -> int:
        parts = self._columns.get(party, [])
        return parts[-1].stop_round if parts else 0

    # --- when something goes wrong ---

    async def _give_up(self, plan: Plan, link: Link, reason: str) -> None:
        log_event("plan ends early", plan=plan.plan_id, reason=reason)
        await asyncio.gather(self._quiet(plan), self.slow.switch_off(), self._void(plan, link, reason))
        book = self.books.get(plan.plan_id)
        if book is not None and plan.kind == "heralding":
            try:
                now = await self.clock.now_ps()
            except QnodeError:
                # Nobody knows what was played; no more than lab time was let run to.
                now = plan.t0_ps + self._released_rounds * plan.round_period_ps
            await self._end_early(book, reason, now)
            self._mark_undecided(plan, book)
        self._outcomes[plan.plan_id] = reason

    def _mark_undecided(self, plan: Plan, book: PlanBook) -> None:
        """Tags of rounds that were played and never decided are not on the tape."""
        decided = self._stop_of(self.site)
        if book.end is not None and book.end.rounds > decided:
            gap = (decided * plan.round_period_ps, book.end.rounds * plan.round_period_ps)
            self.tapes.put(TagBlock.from_arrays([], [], gaps=[gap]))

    async def _end_early(self, book: PlanBook, reason: str, now_ps: int) -> None:
        """Mask every round that may have been lit and is not settled; later rounds were never played."""
        plan, link = book.plan, self.lab.link(book.plan.link)
        first = book.ledger.settled_rounds
        lit = -(-max(now_ps - plan.t0_ps, 0) // plan.round_period_ps)
        announced = max(book.heralds, default=-1) + 1
        stop = min(plan.rounds, max(lit, book.recorded_rounds, announced, first))
        await self._journal.sync()
        for begin in range(first, stop, MOST_MASKED_ROUNDS):
            end = min(begin + MOST_MASKED_ROUNDS, stop)
            masked = masked_column(begin, end - begin, Reason.NEVER_SETTLED)
            columns = [self._announced(book, begin, end).column(plan.plan_id, self.site, midpoint=True)]
            columns += [masked.column(plan.plan_id, node, midpoint=False) for node in link.between]
            self.publish(Settlement(plan_id=plan.plan_id, columns=columns))
        self.publish(PlanEnd(plan_id=plan.plan_id, rounds=stop, reason=reason))

    def _announced(self, book: PlanBook, first: int, stop: int) -> ColumnArrays:
        """Our own column of rounds that end unsettled: all masked, with the patterns whose heralds went out."""
        column = masked_column(first, stop - first, Reason.NEVER_SETTLED)
        for round_, herald in book.heralds.items():
            if first <= round_ < stop:
                column.attempt[round_ - first] = herald.attempt
                column.pattern[round_ - first] = herald.pattern
        return column

    async def _void(self, plan: Plan, link: Link, reason: str) -> None:
        """All to safe: tell both nodes, as far as they answer."""
        await asyncio.gather(
            *(
                self._calls[node].call("void", {"plan_id": plan.plan_id, "reason": reason}, timeout_s=QUIET_S)
                for node in link.between
            ),
            return_exceptions=True,
        )

    async def _quiet(self, plan: Plan) -> None:
        """Our own pulser and recording to rest."""
        if plan.kind == "heralding":
            await self.quiet(("pulse_sequencer", "abort"), ("time_controller", "stop"))

    async def _abort(self, params: dict[str, Any]) -> str | None:
        """End the plan that is played or made now, for the caller's ``reason``; with ``run_id`` only if it is of that run.

        Returns:
            The run whose plan ends, as long as it is not over; None where there is none.
        """
        run_id = self._coming if self.plan is None else self.plan.run_id
        if run_id is None or params.get("run_id", run_id) != run_id:
            return None
        self._fail("operator", params["reason"])
        return run_id

    def _fail(self, party: str, reason: str) -> None:
        self._failures.setdefault(party, reason)
        self._changed.set()

    def _slow_failed(self, error: QnodeError) -> None:
        self._fail(self.site, str(error))

    def bereaved(self, site: str, reason: str) -> None:
        """End the plan that is played or made with a node whose daemon was killed."""
        if self._coming is not None or (self.plan is not None and site in self.lab.link(self.plan.link).between):
            self._fail(site, reason)

    def _on_boot(self, node: str, change: BootChange) -> None:
        """A node has come up anew: it does not know the plan that is under way."""
        if change.old_boot_id and self.plan is not None:
            self._fail(node, f"{node} was restarted")

    # --- what comes in ---

    async def _on_item(self, item: Item) -> None:
        message = decode_message(item.payload)
        if isinstance(message, Column) and self.plan is not None and message.plan_id == self.plan.plan_id:
            self._columns.setdefault(message.party, []).append(ColumnArrays.of(message))
            self._changed.set()

    async def _on_armed(self, params: dict[str, Any]) -> None:
        armed = msgspec.convert(params, Armed)
        if self.plan is not None and armed.plan_id == self.plan.plan_id:
            self._armed[armed.party] = armed
            self._changed.set()

    async def _on_failed(self, params: dict[str, Any]) -> None:
        if self.plan is not None and params["plan_id"] == self.plan.plan_id:
            self._fail(params["party"], params["reason"])

    # --- answers ---------------------------------------------------------------------------------------------------

    async def _progress_of(self, params: dict[str, Any]) -> dict[str, Any]:
        book = self.book(params["plan_id"])
        if self.plan is not None and self.plan.plan_id == params["plan_id"]:
            self._asked_s = time.monotonic()
        before_restart = "playing" if book.end is None else book.end.reason
        return {
            "outcome": self._outcomes.get(params["plan_id"], before_restart),
            "settled_rounds": book.ledger.settled_rounds,
            "heralds": len(book.settled),
            "expired": [msgspec.to_builtins(expiry) for expiry in book.expired],
        }

    async def _heralds_of(self, params: dict[str, Any]) -> list[Any]:
        """Settled heralds of a plan, from the ``since``-th on."""
        return [msgspec.to_builtins(herald) for herald in self.book(params["plan_id"]).settled[params["since"] :]]


def _t0_after(now_ps: int) -> int:
    """The first TAI second that leaves every node the 2 s that it asks for, and the proposal its way."""
    return -(-(now_ps + T0_AHEAD_PS) // PS_PER_S)
