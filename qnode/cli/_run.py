"""``qnode run heralding``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qnode.analysis import LinkPrediction, predict_link
from qnode.cli._exit import say
from qnode.cli._session import Display, Session, SessionOptions, StatusLine, conduct
from qnode.client import Pairs, pairs_document
from qnode.experiments import HeraldingOptions, run_heralding
from qnode.labfile import Lab, LabFileError, Link, load_world
from qnode.runs import RunFolder

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
    run.write("result.json", document)
    state = "done" if result.ended == "done" else "failed"
    run.close(state, **({} if state == "done" else {"error": result.ended}))
    if as_json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        _show(result, document, _prediction(session.lab_path, session.lab, link), run)
    if result.ended != "done":
        say(f"qnode: the run ended early: {result.ended}")
        return 1
    return 0


def _prediction(lab_path: Path, lab: Lab, link: Link) -> LinkPrediction | None:
    """What the physics says, where the lab file has a world to say it of."""
    try:
        return predict_link(lab, load_world(lab_path), link)
    except LabFileError:
        return None


def _show(result: Pairs, document: dict[str, Any], predicted: LinkPrediction | None, run: RunFolder) -> None:
    console = Console()
    console.print(f"{result.link}: {len(result):,} settled heralds in {result.seconds:.1f} s of lab time")
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
