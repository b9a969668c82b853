"""What node and midpoint daemons have in common: a place on the bus, instruments, lab time, books, a way to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qnode.bus import Handler, Server, StreamPublisher, TapPublisher, caller_identity
from qnode.clock import ClockError, LabClock
from qnode.daemons._clock import RenewedClock
from qnode.daemons._endpoints import endpoint_of, lab_keyring, neighbours
from qnode.daemons._guard import Guard
from qnode.daemons._host import InstrumentHost, extend_driver_path
from qnode.daemons._ownership import LockedError, Ownership, holder_of
from qnode.daemons._parameters import Parameters
from qnode.daemons._slow import SlowInstruments
from qnode.daemons._tape import TapeDeck
from qnode.errors import MisuseError, QnodeError
from qnode.heralds import LinkPrograms, Message, Plan, PlanBook, Program, decode_message, encode_message
from qnode.labfile import Lab, Link, lab_hash, load_lab
from qnode.runs import Journal, log_event, open_log, writing

__all__ = ["PS_PER_MS", "PS_PER_S", "QUIET_S", "SILENT_S", "Party", "stop_with_parent"]

PS_PER_S = 1_000_000_000_000
PS_PER_MS = 1_000_000_000

HOLD_PS = 750_000_000_000
"""Parties arm inside the last 0.75 s before T0."""
BATCH_S = 0.02
"""Rounds are passed on when a batch is full, or after so much wall time."""
MOST_BATCH_ROUNDS = 256
QUIET_S = 5.0
"""Wall time for one instrument, or one peer, to come to rest."""
SILENT_S = 30.0
"""Wall time for which a party may say nothing before the plan is ended; it speaks every 50 ms."""
MOST_PROGRAMS = 4
"""Compiled sets that are kept: bases that are drawn anew for each plan make a new one each time."""
OTHER_S = 1.0
"""Wall time for another daemon of this site to be gone."""
GUARD_S = 20.0
"""Wall time for which a daemon waits for its predecessor's guard, which makes the instruments safe in less."""
LAST_CALL_PS = 100_000_000_000
"""Who is not armed 0.1 s before T0 voids the plan."""


class Party:
    """One site of a lab at work.

    Args:
        lab_path: the lab file; its `world:` is never read here.
        site: node or midpoint.
        data_folder: journals, keys, logs.
        peers: for a link over tunnels: site to the address that stands in for the one in the lab file.
    """

    def __init__(self, lab_path: Path, site: str, data_folder: Path, peers: Mapping[str, str] | None = None) -> None:
        self.lab_path = lab_path
        self.lab: Lab = load_lab(lab_path)
        if site not in self.lab.sites:
            known = ", ".join(self.lab.sites)
            raise MisuseError(f"{lab_path}: there is no site {site}", hint=f"sites of this lab: {known}")
        self.site = site
        self.data_folder = data_folder
        self.peers = dict(peers or {})
        self.neighbours = neighbours(self.lab, site)
        self.lab_sha256 = lab_hash(self.lab)
        self.keyring = lab_keyring(self.lab, data_folder)
        self.host = InstrumentHost(site, self.lab.sites[site], data_folder, self.lab.clocks[site].lab_time)
        self.slow = SlowInstruments(self.host, self.lab, self.tell)
        self.books: dict[str, PlanBook] = {}
        self.plan: Plan | None = None
        """The plan that is proposed or played now."""
        self.state = "connecting"
        self.tapes = TapeDeck(
            data_folder,
            site,
            reserve_bytes=self.lab.data.reserve_mib << 20,
            send=self._show,
        )
        self.stopping = asyncio.Event()
        self.when_ready: Callable[[], None] = lambda: None
        self.when_stopping: Callable[[], None] = lambda: None
        self.guard: Guard | None = None
        """Makes the instruments safe when this process can't; None: nobody does."""
        self.failure: QnodeError | None = None
        """Why a background part of this daemon ended."""
        self.clock: LabClock
        self.stream: StreamPublisher
        self._ownership = Ownership.of_site(data_folder, site, "daemon")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._journal: Journal
        self._server: Server
        self._tap: TapPublisher
        self._programs: dict[str, LinkPrograms] = {}
        self._compiled: tuple[str, Mapping[str, Program]] = ("", {})
        """The plan that this site has compiled last, and what it uploads for it."""

    # --- life --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Come up, work until stopped, go to the safe state, leave.

        Raises:
            QnodeError: it could not come up; the instruments that answered are in their safe state.
        """
        started_s = time.monotonic()
        open_log(self.site, self.data_folder)
        extend_driver_path(self.lab_path)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        coming_up = loop.create_task(self._come_up(started_s), name="come up")
        stopping = loop.create_task(self.stopping.wait(), name="stopping")
        try:
            # Who is told to stop while instruments are still being looked for does not wait for them.
            await asyncio.wait({coming_up, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if coming_up.done():
                coming_up.result()
            await stopping
        finally:
            for task in (coming_up, stopping):
                task.cancel()
            await asyncio.gather(coming_up, stopping, return_exceptions=True)
            await self._go_down()

    async def _come_up(self, started_s: float) -> None:
        await self._own()
        # Settlements are batches already: a sync need not wait for company.
        path = self.data_folder / "streams" / f"{self.site}.journal"
        with writing(path):
            self._journal = Journal(path, gather_s=0.0)
            self.stream = StreamPublisher(
                endpoint_of(self.lab, self.site, "stream"), self.site, self.keyring, self._journal
            )
        self._server = Server(endpoint_of(self.lab, self.site, "command"), self.site, self.keyring, self.handlers())
        self._tap = TapPublisher(endpoint_of(self.lab, self.site, "tap"), self.site, self.keyring)
        self._replay()
        await self.stream.start()
        await self._server.start()
        await self._tap.start()
        self.clock = RenewedClock(self.lab.clocks[self.site].lab_time, self.site)
        await self.clock.now_ps()
        await self.host.connect()
        self.tapes.take_up_left_behind()
        await self._ready()
        self.spawn(self.host.watch(lambda: self.plan is not None), "health of instruments")
        self.state = "ready"
        self.when_ready()
        log_event("ready", lab_time_ps=await self.clock.now_ps(), start_up_s=round(time.monotonic() - started_s, 3))

    async def _own(self) -> None:
        """Have the instruments for this process alone, and a guard that knows it.

        Raises:
            LockedError: another daemon has them, or a guard is not done with them in time.
        """
        try:
            await self._ownership.take(self.site, OTHER_S)
        except LockedError:
            holder = holder_of(self._ownership)
            if holder is not None and holder.role != "guard":
                raise
            await self._ownership.take(self.site, GUARD_S)
        if self.guard is not None:
            self.guard.owns()
            self.spawn(self.guard.watch(), "guard")

    async def _go_down(self) -> None:
        self.state = "stopping"
        self.when_stopping()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for failure in await self.host.safe_all():
            log_event("safe state failed", what=failure)
        await self.host.close()
        self._ownership.give_back()
        if self.guard is not None:
            await self.guard.release()
        await self.leave_bus()
        # Not before the instruments are safe: a slow disk must not keep the light on.
        await self.tapes.close()
        for part in ("clock", "_tap", "_server", "stream"):
            if (closing := getattr(self, part, None)) is not None:
                with contextlib.suppress(Exception):
                    await closing.close()
        if (journal := getattr(self, "_journal", None)) is not None:
            journal.close()
        log_event("stopped")

    def spawn(self, coroutine: Any, name: str) -> asyncio.Task[Any]:
        """A task of this daemon; when one fails, the daemon says so and stops safely."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _show(self, topic: str, payload: Any) -> None:
        self._tap.send(topic, payload)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        log_event("task failed", task=task.get_name(), error=str(task.exception()))
        self.failed(task.get_name(), task.exception())

    def failed(self, task: str, error: BaseException | None) -> None:
        """A background task has ended with an error: stop safely; what it was stands in the log and in status."""
        self.state = f"failed: {task}: {error}"
        self.failure = error if isinstance(error, QnodeError) else QnodeError(f"{self.site}: {task}: {error!r}")
        self.stopping.set()

    # --- for the subclasses ---

    async def _ready(self) -> None:
        """Start what runs all the time, and return when this site is healthy."""
        raise NotImplementedError

    async def leave_bus(self) -> None:
        """Close this site's connections to others, once the instruments are safe."""
        raise NotImplementedError

    def tell(self, topic: str, payload: Any) -> None:
        """Say something on the tap."""
        self._tap.send(topic, payload)

    async def quiet(self, *steps: tuple[str, str]) -> None:
        """Call (role, method), all at once; what fails is logged and keeps none from the rest."""
        await asyncio.gather(*(self._quiet_one(self.host.name_of(role), method) for role, method in steps))

    async def _quiet_one(self, name: str, method: str) -> None:
        try:
            await self.host.call(name, method, timeout_s=QUIET_S)
        except QnodeError as error:
            log_event("not quiet", instrument=f"{self.site}.{name}", error=str(error))

    async def rest(self) -> None:
        """Bound lab time no more; a source of lab time that is gone is bounded by nobody."""
        try:
            await self.clock.idle()
        except ClockError as error:
            log_event("no lab time", error=str(error))

    def handlers(self) -> dict[str, Handler]:
        """Calls that this daemon answers."""
        parameters = Parameters(self.host, lambda: None if self.plan is None else self.plan.plan_id)
        return {
            "status": self._status,
            "accounting": self._accounting,
            "stop": self._stop,
            "killed": self._killed,
            **parameters.handlers(),
        }

    def read_back(self) -> Iterator[Message]:
        """All records, own ones and received ones, in an order in which books can be rebuilt."""
        for record in self._journal.read(1, self._journal.last_seq):
            yield decode_message(record.payload)

    # --- books -----------------------------------------------------------------------------------------------------

    def _replay(self) -> None:
        """Rebuild the books from what this party wrote before it was stopped or killed."""
        for message in self.read_back():
            self.enter(message)
        if self.books:
            log_event("journal read back", plans=len(self.books), cut=self._journal.cut)

    def publish(self, message: Message) -> None:
        """Journal a record of this party's own, send it to whoever follows, enter it."""
        self.stream.publish(encode_message(message))
        self.enter(message)

    def enter(self, message: Message) -> None:
        """Enter a record into the book of its plan; a plan opens its book."""
        if isinstance(message, Plan) and message.plan_id not in self.books:
            try:
                link = self.lab.link(message.link)
            except KeyError:
                # An old plan of a link that has left the lab file: its book is closed with the file.
                log_event("plan of an unknown link", plan=message.plan_id, link=message.link)
                return
            self.books[message.plan_id] = PlanBook(message, self.site, link.via, link.between)
        elif (book := self.books.get(message.plan_id)) is not None:
            book.enter(message)

    def link_programs(self, plan: Plan) -> LinkPrograms:
        """Programs of a plan's link, compiled once for the same bases while few others come between."""
        key = f"{plan.link} {sorted(plan.bases.items())} {plan.echo}"
        if key not in self._programs:
            while len(self._programs) >= MOST_PROGRAMS:
                del self._programs[next(iter(self._programs))]
            self._programs[key] = LinkPrograms(self.lab, self._link(plan), plan.bases, echo=plan.echo)
        return self._programs[key]

    def programs(self, plan: Plan) -> Mapping[str, Program]:
        """What this site uploads for a plan, by instrument; compiled once."""
        if self._compiled[0] != plan.plan_id:
            programs = self.link_programs(plan)
            if plan.kind == "readout_calibration":
                self._compiled = plan.plan_id, programs.calibration(self.site, plan.rounds)[1]
            else:
                self._compiled = plan.plan_id, programs.heralding(self.site, plan.rounds)
        return self._compiled[1]

    def _link(self, plan: Plan) -> Link:
        try:
            return self.lab.link(plan.link)
        except KeyError:
            raise MisuseError(f"{self.site}: there is no link {plan.link} in {self.lab_path}") from None

    def book(self, plan_id: str) -> PlanBook:
        """The book of a plan.

        Raises:
            MisuseError: this party never accepted it.
        """
        try:
            return self.books[plan_id]
        except KeyError:
            raise MisuseError(f"{self.site} knows no plan {plan_id}") from None

    def batch_is_due(self, plan: Plan, rounds: int, since_s: float) -> bool:
        """Whether so many rounds are worth a message now; ``since_s``: monotonic time of the last one.

        A quarter of the credit at the most: a party must not wait for rounds that wait for its release.
        """
        full = max(1, min(MOST_BATCH_ROUNDS, plan.credit_rounds // 4))
        return rounds >= full or (rounds > 0 and time.monotonic() - since_s >= BATCH_S)

    async def release_rounds(self, plan: Plan, digested: int) -> None:
        """Let lab time run: this party has digested rounds below ``digested``.

        One round more than the credit is needed: that a round is over shows in the next one's tags.
        """
        ahead = digested + plan.credit_rounds + 1
        until = plan.t0_ps + ahead * plan.round_period_ps
        if ahead >= plan.rounds:
            until += PS_PER_S
        await self.clock.release(until)

    # --- calls -----------------------------------------------------------------------------------------------------

    def health(self) -> str:
        """One word for a person: ``ready``, or what stands in the way of a plan."""
        return self.state

    def instrument_faults(self, now_ps: int | None) -> dict[str, str]:
        """What this daemon finds wrong in what instruments send, at a lab time: name to words."""
        return {}

    async def _status(self, _params: Any) -> dict[str, Any]:
        now = None
        with contextlib.suppress(Exception):
            now = await self.clock.now_ps()
        faults = self.instrument_faults(now)
        return {
            "site": self.site,
            "state": self.health(),
            "pid": os.getpid(),
            "lab_sha256": self.lab_sha256,
            "boot_id": self.stream.boot_id.hex(),
            "lab_time_tai_ms": None if now is None else now // PS_PER_MS,
            "plan": None if self.plan is None else self.plan.plan_id,
            "host": socket.gethostname(),
            "guard_pid": None if self.guard is None else self.guard.pid,
            "owner": self._ownership.held,
            "instruments": {
                name: {"role": self.lab.sites[self.site].rack[name].role}
                | health.report(self.host.identities.get(name), faults.get(name, ""))
                for name, health in self.host.health.items()
            },
        }

    async def _accounting(self, params: Any) -> dict[str, Any]:
        """Sums over the plans of a run, from this party's own books, the plans, and what became of its tags."""
        run_id = params["run_id"]
        books = [book for book in self.books.values() if book.plan.run_id == run_id]
        return {
            **run_accounting(books),
            "plans": [_plan_facts(book) for book in books],
            "tags": self.tapes.of_run(run_id),
        }

    async def _killed(self, _params: Any) -> None:
        """Of the guard of a daemon that was killed, which holds that site's key: end the plan now."""
        site = caller_identity()
        if site in self.neighbours:
            log_event("daemon of another site was killed", lost=site)
            self.bereaved(site, f"the daemon of {site} was killed")

    def bereaved(self, site: str, reason: str) -> None:
        """The daemon of a neighbour is gone for sure: nobody must play on for it."""
        raise NotImplementedError

    async def _stop(self, _params: Any) -> None:
        asyncio.get_running_loop().call_soon(self.stopping.set)


def run_accounting(books: Any) -> dict[str, Any]:
    """Sums of several plans' ledgers, with reasons, and the rounds that they cover."""
    sums: dict[str, int] = {}
    reasons: dict[str, dict[str, int]] = {"masked": {}, "expired": {}}
    rounds = 0
    for book in books:
        if book.plan.kind != "heralding":
            continue
        rounds += book.ledger.settled_rounds
        for name, slots in book.ledger.accounting().items():
            sums[name] = sums.get(name, 0) + slots
        for name, by_reason in book.ledger.slots_by_reason.items():
            for reason, slots in by_reason.items():
                reasons[name][reason] = reasons[name].get(reason, 0) + slots
    return {"rounds": rounds, "slots": sums, "reasons": reasons}


def _plan_facts(book: PlanBook) -> dict[str, Any]:
    """What a run's record keeps of a plan."""
    plan = book.plan
    return {
        "plan_id": plan.plan_id,
        "kind": plan.kind,
        "t0_tai_s": plan.t0_tai_s,
        "first_round": plan.first_round,
        "rounds": plan.rounds,
        "settled_rounds": book.ledger.settled_rounds,
        "ended": "" if book.end is None else book.end.reason,
        "sequences": dict(plan.sequences),
    }


def stop_with_parent(fd: int, stopping: asyncio.Event) -> None:
    """Stop when the pipe that the supervisor holds ends: no orphan survives it."""
    loop = asyncio.get_running_loop()

    def ended() -> None:
        if not os.read(fd, 1):
            loop.remove_reader(fd)
            stopping.set()

    loop.add_reader(fd, ended)
