"""``qnode run heralding``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console

from qnode.cli._exit import say
from qnode.cli._record import keep, read_document
from qnode.cli._session import Display, Session, SessionOptions, StatusLine, conduct
from qnode.cli._summary import print_accounting, print_result
from qnode.client import pairs_document
from qnode.experiments import HeraldingOptions, run_heralding
from qnode.runs import DataFolderError

__all__ = ["herald", "heralding"]


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
    document = pairs_document(result, link, session.simulated)
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
