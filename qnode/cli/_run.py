"""``qnode run heralding``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qnode.analysis import LinkPrediction, predict_link
from qnode.cli._exit import say
from qnode.cli._lab import checked_programs, load_whole, parse_speed, simulated_instruments
from qnode.cli._up import lab_up
from qnode.client import LabConnection
from qnode.daemons import Child, Supervisor
from qnode.errors import MisuseError, QnodeError
from qnode.experiments import HeraldingOptions, HeraldingResult, Progress, run_heralding
from qnode.labfile import Lab, LabFileError, Link, load_world
from qnode.runs import RunFolder, log_event, open_log

__all__ = ["heralding", "heralding_document"]


def heralding(
    lab_path: Path,
    heralds: int,
    link_name: str | None,
    seed: int | None,
    speed: str | None,
    credit: int,
    echo: bool,
    data: Path | None,
    as_json: bool,
) -> int:
    """Run heralding; 0 when every round was settled and enough heralds came, else 1."""
    lab, _, folder = load_whole(lab_path, data)
    link = _link(lab, link_name)
    chosen_speed = parse_speed(speed)
    checked_programs(lab_path, lab, link)
    options = HeraldingOptions(heralds=heralds, credit_rounds=credit, echo=echo)
    run = RunFolder(folder, experiment="heralding")
    open_log("operator", folder)
    run.open(
        lab_path,
        {
            "experiment": "heralding",
            "link": link.name,
            "heralds_wanted": heralds,
            "seed": seed,
            "speed": speed,
            "credit_rounds": credit,
            "echo": echo,
            "simulated": simulated_instruments(lab),
        },
    )
    command = _Command(lab_path, lab, link, folder, run, options, seed, chosen_speed)
    try:
        result = asyncio.run(command.run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        run.close("interrupted")
        say("qnode: interrupted; the plan was aborted and the run ended")
        raise KeyboardInterrupt from None
    except QnodeError as error:
        run.close("failed", error=str(error))
        raise
    document = heralding_document(result, link, simulated_instruments(lab))
    run.write("result.json", document)
    state = "done" if result.ended == "done" else "failed"
    run.close(state, **({} if state == "done" else {"error": result.ended}))
    if as_json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        _show(result, document, _prediction(lab_path, lab, link), run)
    if result.ended != "done":
        say(f"qnode: the run ended early: {result.ended}")
        return 1
    return 0


class _Command:
    """One run: the lab up, the experiment, a line of progress, the lab down."""

    def __init__(
        self,
        lab_path: Path,
        lab: Lab,
        link: Link,
        folder: Path,
        run: RunFolder,
        options: HeraldingOptions,
        seed: int | None,
        speed: str | None,
    ) -> None:
        self.lab_path, self.lab, self.link, self.folder = lab_path, lab, link, folder
        self.run_folder, self.options, self.seed, self.speed = run, options, seed, speed
        self.console = Console(stderr=True)
        self.connection: LabConnection | None = None
        self.background: set[asyncio.Task[Any]] = set()
        self.deaths: list[str] = []
        """Processes of ours that ended unasked, in words."""

    async def run(self) -> HeraldingResult:
        """The whole run; SIGTERM ends it as Ctrl-C does."""
        this = asyncio.current_task()
        assert this is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        return await self._run()

    async def _run(self) -> HeraldingResult:
        with self.console.status("checking whether the lab is up") as status:

            def tell(text: str) -> None:
                status.update(text)
                if not self.console.is_terminal:
                    say(text)

            async with (
                lab_up(
                    self.lab_path,
                    self.lab,
                    self.folder,
                    seed=self.seed,
                    speed=self.speed,
                    on_exit=self._on_exit,
                    say=tell,
                ) as supervisor,
                LabConnection(self.lab_path, self.folder) as connection,
            ):
                self.connection = connection
                await connection.require_same_lab()
                await connection.await_ready()
                result = await run_heralding(
                    connection,
                    self.link,
                    self.options,
                    self.run_folder.run_id,
                    lambda progress: status.update(progress_line(progress)),
                )
                await self._complete(result, supervisor)
                return result

    async def _complete(self, result: HeraldingResult, supervisor: Supervisor | None) -> None:
        """After an early end: wait for restarted daemons, so that the sums of all three can be compared."""
        if result.ended == "done" or supervisor is None:
            return
        if self.deaths:
            result.ended = "; ".join(self.deaths)
        for site in (*self.link.between, self.link.via):
            with contextlib.suppress(QnodeError):
                await supervisor.wait_ready(site)
        assert self.connection is not None
        for site in (*self.link.between, self.link.via):
            with contextlib.suppress(QnodeError):
                result.accounting[site] = await self._settled_accounting(site)

    async def _settled_accounting(self, site: str) -> dict[str, Any]:
        """A site's sums once it has heard all that the midpoint has said."""
        assert self.connection is not None
        rounds = (await self.connection.call(self.link.via, "accounting", {"run_id": self.run_folder.run_id}))[
            "rounds"
        ]
        for _ in range(50):
            answer: dict[str, Any] = await self.connection.call(
                site, "accounting", {"run_id": self.run_folder.run_id}
            )
            if answer["rounds"] >= rounds:
                break
            await asyncio.sleep(0.1)
        return answer

    def _on_exit(self, child: Child, code: int) -> None:
        """A process died: end the plan now, with its name as the reason."""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        log_event("child died", child=child.name, how=how)
        self.deaths.append(f"{child.name} died ({how})")
        task = asyncio.get_running_loop().create_task(self._abort(self.deaths[-1]))
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def _abort(self, reason: str) -> None:
        if self.connection is not None and not reason.startswith(self.link.via):
            with contextlib.suppress(QnodeError):
                await self.connection.call(self.link.via, "abort", {"reason": reason}, timeout_s=5.0)


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


def _prediction(lab_path: Path, lab: Lab, link: Link) -> LinkPrediction | None:
    """What the physics says, where the lab file has a world to say it of."""
    try:
        return predict_link(lab, load_world(lab_path), link)
    except LabFileError:
        return None


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


def heralding_document(result: HeraldingResult, link: Link, simulated: list[str]) -> dict[str, Any]:
    """``qnode run heralding --json``."""
    sums = {party: dict(answer.get("slots", {})) for party, answer in result.accounting.items()}
    mine = sums.get(link.via, {})
    tried = sum(mine.get(name, 0) for name in ("failed", "heralded", "vetoed"))
    bells = result.bells() if len(result.readout) == 2 else {}
    fidelity = _fidelity(bells)
    p = len(result.pairs) / tried if tried else 0.0
    return {
        "run": result.run_id,
        "link": result.link,
        "ended": result.ended,
        "heralds": len(result.pairs),
        "attempts": mine.get("slots", 0) - mine.get("not_played", 0),
        "rounds": result.rounds,
        "seconds": result.seconds,
        "p_herald": p,
        "p_herald_err": (p * (1 - p) / tried) ** 0.5 if tried else 0.0,
        "rate_hz": result.rate_hz,
        "rate_hz_err": len(result.pairs) ** 0.5 / result.seconds if result.seconds else 0.0,
        "fidelity": fidelity[0],
        "fidelity_err": fidelity[1],
        "bell_states": {
            bell: {
                "heralds": estimate.heralds,
                "fidelity": None if estimate.fidelity is None else estimate.fidelity.value,
                "fidelity_err": None if estimate.fidelity is None else estimate.fidelity.error,
                "correlators": {
                    name: {"value": c.value, "error": c.error} for name, c in estimate.correlators.items()
                },
            }
            for bell, estimate in bells.items()
        },
        "readout": {
            readout.node: {
                "bright": {"value": readout.bright.value, "error": readout.bright.error},
                "dark": {"value": readout.dark.value, "error": readout.dark.error},
            }
            for readout in (result.readouts() if len(result.readout) == 2 else ())
        },
        "accounting": sums,
        "reasons": {party: answer.get("reasons", {}) for party, answer in result.accounting.items()},
        "expired": result.expired,
        "heralds_sha256": result.sha256(),
        "simulated": simulated,
    }


def _fidelity(bells: dict[str, Any]) -> tuple[float | None, float | None]:
    from qnode.experiments import mean_fidelity

    estimate = mean_fidelity(bells)
    return (None, None) if estimate is None else (estimate.value, estimate.error)


def _show(
    result: HeraldingResult, document: dict[str, Any], predicted: LinkPrediction | None, run: RunFolder
) -> None:
    console = Console()
    console.print(f"{result.link}: {len(result.pairs):,} settled heralds in {result.seconds:.1f} s of lab time")
    table = Table()
    table.add_column("")
    table.add_column("measured", justify="right")
    table.add_column("predicted", justify="right")
    for name, value, error, expected, digits in _rows(document, predicted):
        measured = f"{value:.{digits}f} ± {error:.{digits}f}"
        table.add_row(name, measured, "" if expected is None else f"{expected:.{digits}f}")
    console.print(table)
    console.print("where every slot went, as each party counted")
    accounts = Table()
    accounts.add_column("")
    for party in document["accounting"]:
        accounts.add_column(party, justify="right", no_wrap=True)
    for name in ("slots", "not_played", "failed", "heralded", "vetoed", "masked", "expired"):
        counted = (f"{sums.get(name, 0):,}" for sums in document["accounting"].values())
        accounts.add_row(name.replace("_", " "), *counted, end_section=name == "slots")
    console.print(accounts)
    reasons = document["reasons"].get(next(reversed(document["reasons"])), {})
    for kind in ("masked", "expired"):
        for reason, slots in reasons.get(kind, {}).items():
            console.print(f"{kind}: {slots:,} slots, {reason.replace('_', ' ')}")
    console.print(f"run {result.run_id}, in {run.path}", soft_wrap=True)


def _rows(
    document: dict[str, Any], predicted: LinkPrediction | None
) -> list[tuple[str, float, float, float | None, int]]:
    rows: list[tuple[str, float, float, float | None, int]] = [
        ("rate [Hz]", document["rate_hz"], document["rate_hz_err"], predicted.rate_hz if predicted else None, 2),
        (
            "p per attempt [1e-6]",
            document["p_herald"] * 1e6,
            document["p_herald_err"] * 1e6,
            predicted.p_herald * 1e6 if predicted else None,
            1,
        ),
    ]
    fidelity = predicted.fidelity if predicted else None
    for bell, estimate in document["bell_states"].items():
        expected = _correlators(bell, predicted)
        for name, correlator in estimate["correlators"].items():
            rows.append((f"{bell} {name}", correlator["value"], correlator["error"], expected.get(name), 3))
        if estimate["fidelity"] is not None:
            rows.append((f"{bell} F", estimate["fidelity"], estimate["fidelity_err"], fidelity, 3))
    if document["fidelity"] is not None:
        rows.append(("F", document["fidelity"], document["fidelity_err"], fidelity, 3))
    return rows


def _correlators(bell: str, predicted: LinkPrediction | None) -> dict[str, float]:
    """Correlators of the predicted state; its XX and YY follow from fidelity and populations."""
    if predicted is None:
        return {}
    odd = predicted.populations["01"] + predicted.populations["10"]
    even = predicted.populations["00"] + predicted.populations["11"]
    coherence = 2 * predicted.fidelity - odd
    sign = 1 if bell == "psi+" else -1
    return {"XX": sign * coherence, "YY": sign * coherence, "ZZ": even - odd}
