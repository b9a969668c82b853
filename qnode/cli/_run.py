"""``qnode run heralding``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from qnode.cli._exit import say
from qnode.cli._record import keep, read_document
from qnode.cli._session import Display, Session, SessionOptions, StatusLine, conduct
from qnode.cli._summary import print_accounting, print_result
from qnode.client import Pairs
from qnode.experiments import HeraldingOptions, run_heralding
from qnode.labfile import Link
from qnode.runs import DataFolderError

__all__ = ["herald", "heralding", "heralding_document"]


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
    session = Session(SessionOptions(lab_path, link_name, seed, speed, data), "heralding")
    options = HeraldingOptions(heralds=heralds, credit_rounds=credit, echo=echo)
    return herald(session, options, StatusLine(), as_json=as_json)


def herald(session: Session, options: HeraldingOptions, display: Display, *, as_json: bool) -> int:
    """Play, write down and show; 0 when every round was settled and enough heralds came, else 1."""
    session.open(heralds_wanted=options.heralds, credit_rounds=options.credit_rounds, echo=options.echo)
    run, link = session.run_folder, session.link
    result = conduct(
        session, lambda connection, tell: run_heralding(connection, link, options, run.run_id, tell), display
    )
    document = heralding_document(result, link, session.simulated)
    report, unwritten = None, None
    try:
        report = keep(run, result, document)
    except DataFolderError as error:
        unwritten = error  # a full disk must not cost the person the result too
    if as_json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        console = Console()
        print_result(console, document, read_document(run, "predict.json"))
        print_accounting(console, document)
        console.print(f"run {result.run_id}, in {run.path}", soft_wrap=True)
        if report is not None:
            console.print(f"report in {report}", soft_wrap=True)
    if result.ended != "done":
        say(f"qnode: the run ended early: {result.ended}")
        return 1
    if unwritten is not None:
        raise unwritten
    return 0


def heralding_document(result: Pairs, link: Link, simulated: list[str]) -> dict[str, Any]:
    """``qnode run heralding --json``."""
    sums = {party: dict(answer.get("slots", {})) for party, answer in result.accounting.items()}
    mine = sums.get(link.via, {})
    tried = sum(mine.get(name, 0) for name in ("failed", "heralded", "vetoed"))
    fidelity = result.fidelity
    p = len(result) / tried if tried else 0.0
    return {
        "run": result.run_id,
        "link": result.link,
        "ended": result.ended,
        "heralds": len(result),
        "attempts": mine.get("slots", 0) - mine.get("not_played", 0),
        "rounds": result.rounds,
        "seconds": result.seconds,
        "p_herald": p,
        "p_herald_err": (p * (1 - p) / tried) ** 0.5 if tried else 0.0,
        "rate_hz": result.rate_hz,
        "rate_hz_err": result.rate_hz_err,
        "fidelity": None if fidelity is None else fidelity.value,
        "fidelity_err": None if fidelity is None else fidelity.error,
        "bell_states": {
            bell: {
                "heralds": estimate.heralds,
                "fidelity": None if estimate.fidelity is None else estimate.fidelity.value,
                "fidelity_err": None if estimate.fidelity is None else estimate.fidelity.error,
                "correlators": {
                    name: {"value": c.value, "error": c.error} for name, c in estimate.correlators.items()
                },
                "populations": {
                    label: {"value": p.value, "error": p.error} for label, p in estimate.populations.items()
                },
            }
            for bell, estimate in result.bells().items()
        },
        "readout": {
            readout.node: {
                "bright": {"value": readout.bright.value, "error": readout.bright.error},
                "dark": {"value": readout.dark.value, "error": readout.dark.error},
            }
            for readout in result.readouts() or ()
        },
        "accounting": sums,
        "reasons": {party: answer.get("reasons", {}) for party, answer in result.accounting.items()},
        "tags": {party: answer.get("tags", {}) for party, answer in result.accounting.items()},
        "expired": result.expired,
        "heralds_sha256": result.sha256(),
        "plans": result.accounting.get(link.via, {}).get("plans", []),
        "simulated": simulated,
    }
