"""``qnode run heralding``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qnode.cli._session import Display, Session, SessionOptions, StatusLine, conduct

if TYPE_CHECKING:
    from rich.console import Console

    from qnode.client import LabConnection, Pairs, Progress

__all__ = ["CREDIT_ROUNDS", "herald", "heralding"]

CREDIT_ROUNDS = 1024


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
    options = SessionOptions(lab_path, link_name, seed, speed, data)
    return herald(options, StatusLine(), heralds=heralds, credit_rounds=credit, echo=echo, as_json=as_json)


def herald(
    options: SessionOptions,
    display: Display,
    *,
    heralds: int,
    credit_rounds: int = CREDIT_ROUNDS,
    echo: bool = True,
    as_json: bool,
) -> int:
    """Play, write down and show; 0 when every round was settled and enough heralds came, else 1."""
    session = Session(options, "heralding", heralds_wanted=heralds, credit_rounds=credit_rounds, echo=echo)
    run, link = session.run_folder, session.link

    async def experiment(connection: LabConnection, tell: Callable[[Progress], None]) -> Pairs:
        from qnode.client import PlayOptions, play_pairs

        plays = PlayOptions(heralds, credit_rounds=credit_rounds, echo=echo)
        return await play_pairs(connection, link, plays, run.run_id, tell)

    result = conduct(session, experiment, display)
    from qnode.cli._conclude import conclude
    from qnode.cli._summary import print_accounting, print_result
    from qnode.client import pairs_document, read_document

    document = pairs_document(result, link, session.simulated)

    def show(console: Console) -> None:
        print_result(console, document, read_document(run, "predict.json"))
        print_accounting(console, document)

    return conclude(run, result, document, show, as_json=as_json)
