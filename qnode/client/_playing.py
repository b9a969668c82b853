"""Entangled pairs of one link: readouts measured, plans proposed and followed, pairs collected and joined.

It speaks to daemons only. What it uses of the hardware was measured: the readout fidelities by the run itself.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qnode.analysis import Readout
from qnode.client._collector import PairCollector
from qnode.client._connection import LabConnection
from qnode.client._pace import wall_seconds_left
from qnode.client._pairs import Pairs, PlayedPlan
from qnode.errors import MisuseError, NetworkError, QnodeError
from qnode.labfile import Link
from qnode.runs import log_event

__all__ = ["DrawBases", "PlanEndedError", "PlayOptions", "Progress", "play_pairs", "progress_line"]

POLL_S = 0.2
LEAST_CONTRAST = 0.2
"""F_bright + F_dark - 1 below which a readout is useless: corrections divide by it, and so multiply all noise."""
CALIBRATION_ROUNDS = 100
PILOT_ROUNDS = 2_000
"""Length of a first plan on a link whose herald probability nobody has measured."""
MOST_ROUNDS = 500_000
STALL_S = 120.0
RESTART_S = 30.0
"""Wall time within which a midpoint that was killed must answer again."""
ABORT_S = 8.0
HOPELESS_HERALDS = 30
"""A run that has settled none where so many were expected has a fault, not bad luck."""
FIRST_FIDELITY = 30
"""Heralds from which on progress tells a fidelity."""


class PlanEndedError(QnodeError):
    """A plan ended before all its rounds were settled."""

    code = "plan_ended"


DrawBases = Callable[[int], Awaitable[Mapping[str, str]]]
"""Rounds of a plan that is about to be proposed to the letters of each node; no letter is played twice, so with fewer
letters than rounds the plan is shorter."""


@dataclass(frozen=True)
class PlayOptions:
    """What to play."""

    heralds: int
    """Settled heralds wanted, at least."""
    bases: str | Mapping[str, str] | DrawBases = "XYZ"
    """Letters for all nodes, by node, or drawn anew for each plan: round k is read out in letter k modulo the length."""
    credit_rounds: int = 1024
    """How many rounds lab time may run ahead of what a party has digested (simulated labs)."""
    echo: bool = True
    """Whether the branch refocuses; off only to show what an echo is for."""

    async def letters(self, link: Link, rounds: int) -> dict[str, str]:
        """Node to the letters of its next plan, which has so many rounds.

        Raises:
            MisuseError: a node has none, or a name is none of the link's.
        """
        if isinstance(self.bases, str):
            return dict.fromkeys(link.between, self.bases)
        given = self.bases if isinstance(self.bases, Mapping) else await self.bases(rounds)
        if set(given) != set(link.between):
            raise MisuseError(
                f"bases for {', '.join(sorted(given)) or 'nobody'} on link {link.name}",
                hint=f"give letters for {' and '.join(link.between)}",
            )
        return dict(given)


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    phase: str
    rounds: int
    heralds: int
    heralds_wanted: int
    lab_seconds: float
    wall_seconds: float
    rate_hz: float
    fidelity: float | None
    fidelity_err: float | None
    wall_seconds_left: float | None


def progress_line(progress: Progress) -> str:
    """One line of less than 80 columns: rounds, heralds, rate, fidelity so far, time left."""
    if progress.phase != "heralding":
        return progress.phase
    parts = [
        f"{progress.rounds:,} rounds",
        f"{progress.heralds:,}/{progress.heralds_wanted:,} heralds",
        f"{progress.rate_hz:.1f} Hz",
    ]
    if progress.fidelity is not None and progress.fidelity_err is not None:
        parts.append(f"F {progress.fidelity:.3f} ± {progress.fidelity_err:.3f}")
    if progress.wall_seconds_left is not None:
        parts.append(f"{progress.wall_seconds_left:.0f} s left")
    return "  ".join(parts)


async def play_pairs(
    lab: LabConnection,
    link: Link,
    options: PlayOptions,
    run_id: str,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Pairs:
    """Measure the readouts, then play plans until enough heralds are settled.

    Args:
        lab: connections to all daemons.
        link: where.
        options: what.
        run_id: name of the run.
        on_progress: called some times a second, in the loop of the call.

    What ends early, also before the first round, gives a result that says how far it came and why it ended. When the
    task is cancelled, the plan under way is aborted first.

    Raises:
        MisuseError: a daemon refuses before the first round was settled.
    """
    return await _Play(lab, link, options, run_id, on_progress).run()


class _Play:
    def __init__(
        self,
        lab: LabConnection,
        link: Link,
        options: PlayOptions,
        run_id: str,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.lab, self.link, self.options, self.run_id = lab, link, options, run_id
        self._on_progress = on_progress
        self._started = self._dark_until = time.monotonic()
        """The second: of the last look that saw no round settled."""
        self._result = Pairs(run_id, link)

    async def run(self) -> Pairs:
        result = self._result
        try:
            await self._calibrate()
            while len(result) < self.options.heralds:
                await self._follow(self._rounds_wanted())
                self._give_up_if_hopeless()
            result.ended = "done"
        except MisuseError as error:
            if not result.rounds:
                raise
            result.ended = str(error)
        except QnodeError as error:
            result.ended = str(error)
        except asyncio.CancelledError:
            # Shielded from a second interruption: light must not stay on because somebody is impatient.
            await asyncio.shield(self._abort("interrupted by the operator"))
            raise
        result.accounting = await self._accounting()
        return result

    async def _abort(self, reason: str) -> None:
        """End the plan of this run, if one is under way, and return when all parties are at rest."""
        try:
            await self.lab.call(self.link.via, "abort", {"run_id": self.run_id, "reason": reason}, timeout_s=ABORT_S)
            async with asyncio.timeout(ABORT_S):
                await self._await_rest()
        except (QnodeError, TimeoutError) as error:
            log_event("abort not confirmed", error=str(error) or f"no rest within {ABORT_S:g} s")

    def _give_up_if_hopeless(self) -> None:
        """End a run whose heralds never settle; else it would go on for ever.

        Raises:
            PlanEndedError: no pair, where many were expected; the text says what became of the heralds.
        """
        result = self._result
        p = self._calibrated_p() or HOPELESS_HERALDS / MOST_ROUNDS
        if result or p * result.rounds < HOPELESS_HERALDS:
            return
        reasons = sorted({reason for _, _, reason in result.expired})
        fate = f"{len(result.expired)} expired ({', '.join(reasons)})" if reasons else "none was announced"
        raise PlanEndedError(
            f"no herald was settled in {result.rounds} rounds: {fate}",
            hint="`qnode show` tells why slots were masked",
        )

    def _calibrated_p(self) -> float | None:
        """Heralds per round as the lab file says; None where it has no value above zero."""
        measured = self.lab.lab.calibration.links[self.link.name].herald_probability_per_round
        return None if measured is None or measured.value <= 0 else measured.value

    def _rounds_wanted(self) -> int:
        """Rounds of the next plan, from what was measured before: two standard deviations more than needed."""
        result = self._result
        wanted = self.options.heralds - len(result)
        calibrated_p = self._calibrated_p()
        if result:
            p = len(result) / result.rounds
        elif result.rounds == 0 and calibrated_p is not None:
            p = calibrated_p
        elif result.rounds == 0:
            return PILOT_ROUNDS
        else:
            return min(2 * result.rounds, MOST_ROUNDS)
        return min(math.ceil((wanted + 2 * math.sqrt(wanted)) / p), MOST_ROUNDS)

    async def _propose(self, kind: str, rounds: int) -> str:
        result = self._result
        bases = await self.options.letters(self.link, rounds)
        if callable(self.options.bases):
            rounds = min(rounds, *(len(letters) for letters in bases.values()))
        answer = await self.lab.call(
            self.link.via,
            "play",
            {
                "run_id": self.run_id,
                "kind": kind,
                "link": self.link.name,
                "rounds": rounds,
                "first_round": result.rounds,
                "bases": bases,
                "credit_rounds": self.options.credit_rounds,
                "echo": self.options.echo,
            },
            timeout_s=60.0,
        )
        plan_id = str(answer["plan_id"])
        if kind == "heralding":
            result.plans.append(PlayedPlan(plan_id, answer["t0_tai_s"], result.rounds, rounds))
        return plan_id

    async def _calibrate(self) -> None:
        """Readout fidelities through the wire: pumped spins, and pumped and flipped ones."""
        plan_id = await self._propose("readout_calibration", CALIBRATION_ROUNDS)
        deadline = time.monotonic() + STALL_S
        for node in self.link.between:
            while (counts := await self._shots_of(node, plan_id, deadline)) is None:
                self._tell("readout calibration")
                await asyncio.sleep(POLL_S)
            _refuse_useless(node, counts)
            self._result.readout[node] = counts
        await self._await_rest()

    async def _shots_of(self, node: str, plan_id: str, deadline: float) -> dict[str, int] | None:
        """A node's counts, None while it plays.

        Raises:
            PlanEndedError: why the calibration ended early, in the midpoint's words if it has any.
        """
        failure = ""
        try:
            counts: dict[str, int] | None = await self.lab.call(node, "calibration", {"plan_id": plan_id})
            if counts is not None:
                return counts
        except QnodeError as error:
            failure = str(error)
            await self._await_rest()
        outcome = (await self._progress(plan_id))["outcome"]
        if outcome not in ("playing", "done"):
            failure = outcome
        elif time.monotonic() > deadline:
            failure = failure or f"no counts of {node} after {STALL_S:g} s"
        if failure:
            raise PlanEndedError(f"readout calibration: {failure}")
        return None

    async def _follow(self, rounds: int) -> None:
        plan_id = await self._propose("heralding", rounds)
        rounds = self._result.plans[-1].rounds
        collector = PairCollector(self.lab, self.link, plan_id, self._result.rounds)
        settled = 0
        while True:
            progress = await self._progress(plan_id)
            await self._collect(collector)
            settled = progress["settled_rounds"]
            self._tell("heralding", settled, rounds - settled)
            if progress["outcome"] != "playing":
                break
            await asyncio.sleep(POLL_S)
        self._result.expired.extend(progress["expired"])
        # The nodes hear of the last settlement a moment later than the midpoint says it.
        await collector.drain(progress["heralds"], self._result)
        self._result.rounds += settled
        if progress["outcome"] != "done":
            raise PlanEndedError(str(progress["outcome"]))
        await self._await_rest()

    async def _progress(self, plan_id: str) -> dict[str, Any]:
        """What the midpoint says of a plan; a midpoint that does not answer now may do so after its restart."""
        deadline = time.monotonic() + RESTART_S
        while True:
            try:
                progress: dict[str, Any] = await self.lab.call(self.link.via, "progress", {"plan_id": plan_id})
                return progress
            except NetworkError:
                if time.monotonic() > deadline:
                    raise

    async def _collect(self, collector: PairCollector) -> None:
        """Take the pairs that are there; a node that does not answer now may do so after its restart."""
        try:
            self._result.extend(await collector.collect())
        except NetworkError as error:
            log_event("pairs not collected", error=str(error))

    async def _await_rest(self) -> None:
        deadline = time.monotonic() + STALL_S
        for site in (*self.link.between, self.link.via):
            while (await self.lab.call(site, "status"))["plan"]:
                if time.monotonic() > deadline:
                    raise PlanEndedError(f"{site} does not come to rest after its plan")
                await asyncio.sleep(POLL_S / 4)

    async def _accounting(self) -> dict[str, dict[str, Any]]:
        parties = (*self.link.between, self.link.via)
        answers = await asyncio.gather(
            *(self.lab.call(party, "accounting", {"run_id": self.run_id}) for party in parties),
            return_exceptions=True,
        )
        return {
            party: {"error": str(answer)} if isinstance(answer, BaseException) else answer
            for party, answer in zip(parties, answers, strict=True)
        }

    def _tell(self, phase: str, settled: int = 0, plan_rounds_left: int = 0) -> None:
        result = self._result
        rounds, heralds = result.rounds + settled, len(result)
        lab_s = rounds * result.round_period_ps / 1e12
        now = time.monotonic()
        if not rounds:
            self._dark_until = now
        fidelity = fidelity_err = None
        if heralds >= FIRST_FIDELITY and (estimate := result.fidelity) is not None:
            fidelity, fidelity_err = estimate.value, estimate.error
        left = wall_seconds_left(
            heralds=heralds,
            heralds_wanted=self.options.heralds,
            rounds=rounds,
            plan_rounds_left=plan_rounds_left,
            playing_s=now - self._dark_until,
            calibrated_p=self._calibrated_p(),
            round_period_s=result.round_period_ps / 1e12,
        )
        self._on_progress(
            Progress(
                phase=phase,
                rounds=rounds,
                heralds=heralds,
                heralds_wanted=self.options.heralds,
                lab_seconds=lab_s,
                wall_seconds=now - self._started,
                rate_hz=heralds / lab_s if lab_s else 0.0,
                fidelity=fidelity,
                fidelity_err=fidelity_err,
                wall_seconds_left=left,
            )
        )


def _refuse_useless(node: str, counts: dict[str, int]) -> None:
    """Refuse readout counts that nothing can be corrected with, before anything is played on them.

    Raises:
        PlanEndedError: no shot was seen, or bright and dark look alike.
    """
    if not counts["bright_shots"]:
        raise PlanEndedError(
            f"readout calibration: {node} had no round sync at its tagger in any of {CALIBRATION_ROUNDS} rounds",
            hint=f"look at the pulse per second into {node}'s pulser and at the wires from there to AWG and tagger",
        )
    readout = Readout.measured(node, **counts)
    contrast = readout.bright.value + readout.dark.value - 1
    # The errors take shots as independent, which those of a spin that nobody pumps are not.
    if contrast <= max(LEAST_CONTRAST, 3 * math.hypot(readout.bright.error, readout.dark.error)):
        raise PlanEndedError(
            f"readout calibration: the readout of {node} does not tell bright from dark "
            f"(F_bright {readout.bright.value:.3f}, F_dark {readout.dark.value:.3f})",
            hint="look at spin pump, microwave and readout light, at the round trigger, and at the threshold",
        )
