"""``qnode run heralding``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from qnode.cli._conclude import conclude
from qnode.cli._session import Display, Session, SessionOptions, StatusLine, conduct
from qnode.cli._summary import print_accounting, print_result
from qnode.client import pairs_document, read_document
from qnode.experiments import HeraldingOptions, run_heralding

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

    def show(console: Console) -> None:
        print_result(console, document, read_document(run, "predict.json"))
        print_accounting(console, document)

    return conclude(run, result, document, show, as_json=as_json)
