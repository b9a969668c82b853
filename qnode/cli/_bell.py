"""``qnode run bell``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qnode.analysis import (
    CHSH_SIGNS,
    LOCAL_WIN_PROBABILITY,
    BellTestPrediction,
    Estimate,
    GameCounts,
    predict_bell_test,
)
from qnode.cli._exit import say
from qnode.cli._session import Session, SessionOptions, StatusLine, conduct
from qnode.experiments import BellOptions, BellTest, run_bell
from qnode.runs import RunFolder

__all__ = ["bell", "bell_document"]


def bell(
    lab_path: Path,
    trials: int,
    link_name: str | None,
    seed: int | None,
    speed: str | None,
    credit: int,
    data: Path | None,
    as_json: bool,
) -> int:
    """Run a Bell test; 0 when every round was settled and enough trials came, else 1."""
    session = Session(SessionOptions(lab_path, link_name, seed, speed, data), "bell")
    options = BellOptions(trials=trials, seed=seed, credit_rounds=credit)
    session.open(heralds_wanted=trials, credit_rounds=credit)
    run, link = session.run_folder, session.link
    pairs = conduct(
        session, lambda connection, tell: run_bell(connection, link, options, run.run_id, tell), StatusLine()
    )
    test = BellTest(pairs, options)
    predicted = None if session.world is None else predict_bell_test(session.lab, session.world, link)
    document = bell_document(test, predicted, session.simulated)
    run.write("result.json", document)
    state = "done" if pairs.ended == "done" else "failed"
    run.close(state, **({} if state == "done" else {"error": pairs.ended}))
    if as_json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        _show(test, document, predicted, run)
    if pairs.ended != "done":
        say(f"qnode: the run ended early: {pairs.ended}")
        return 1
    return 0


def bell_document(test: BellTest, predicted: BellTestPrediction | None, simulated: list[str]) -> dict[str, Any]:
    """``qnode run bell --json``."""
    pairs = test.pairs
    s_value, s_err = _pair(test.s)
    return {
        "run": pairs.run_id,
        "link": pairs.link,
        "ended": pairs.ended,
        "trials": test.trials,
        "surplus": test.surplus,
        "rounds": pairs.rounds,
        "seconds": pairs.seconds,
        "rate_hz": pairs.rate_hz,
        "rate_hz_err": pairs.rate_hz_err,
        "wins": test.wins,
        "s": s_value,
        "s_err": s_err,
        "p_value": test.p_value,
        "violated": test.violated,
        "verdict": test.verdict(None if predicted is None else predicted.s),
        "predicted": None
        if predicted is None
        else {
            "s": predicted.s,
            "win_probability": predicted.win_probability,
            "correlators": predicted.correlators,
        },
        "settings": {name: _game(counts) for name, counts in test.settings.items()},
        "bell_states": {name: _bell_state(test, name) for name in test.games},
        "loopholes": [{"name": one.name, "closed": one.closed, "why": one.why} for one in test.loopholes()],
        "accounting": {party: dict(answer.get("slots", {})) for party, answer in pairs.accounting.items()},
        "reasons": {party: answer.get("reasons", {}) for party, answer in pairs.accounting.items()},
        "expired": pairs.expired,
        "seed": test.options.seed,
        "heralds_sha256": pairs.sha256(),
        "simulated": simulated,
    }


def _game(counts: GameCounts) -> dict[str, Any]:
    """Trials and wins, and the correlator with the sign of the game."""
    value, error = _pair(counts.correlator if counts.trials else None)
    return {"trials": counts.trials, "wins": counts.wins, "correlator": value, "correlator_err": error}


def _bell_state(test: BellTest, bell: str) -> dict[str, Any]:
    """One Bell state's share; its correlators have their own signs."""
    value, error = _pair(test.s_of(bell))
    settings = {}
    for name, counts in test.games[bell].items():
        game = _game(counts)
        if counts.trials:
            game["correlator"] *= CHSH_SIGNS[bell][name]
        settings[name] = game
    return {"s": value, "s_err": error, "settings": settings}


def _pair(estimate: Estimate | None) -> tuple[float | None, float | None]:
    return (None, None) if estimate is None else (estimate.value, estimate.error)


def _show(test: BellTest, document: dict[str, Any], predicted: BellTestPrediction | None, run: RunFolder) -> None:
    console = Console()
    first, second = test.pairs.nodes
    console.print(f"{document['link']}: {test.trials:,} trials in {test.pairs.seconds:.1f} s of lab time")
    console.print(_correlators(document, predicted))
    console.print(f"{first} reads Z or X, {second} D = (Z + X)/√2 or E = (Z - X)/√2; outcomes as read")
    console.print(_totals(test, document, predicted))
    console.print(document["verdict"], soft_wrap=True)
    if document["simulated"]:
        console.print(
            "The instruments are simulated: this tests the simulation and the stack, and says nothing of nature.",
            soft_wrap=True,
        )
    console.print("loopholes")
    for one in document["loopholes"]:
        console.print(f"  {one['name']}, {'closed' if one['closed'] else 'open'}: {one['why']}", soft_wrap=True)
    console.print(f"run {document['run']}, in {run.path}", soft_wrap=True)


def _correlators(document: dict[str, Any], predicted: BellTestPrediction | None) -> Table:
    table = Table()
    table.add_column("")
    for heading in ("trials", "wins", "E", "predicted"):
        table.add_column(heading, justify="right")
    for bell, one in document["bell_states"].items():
        for name, game in one["settings"].items():
            measured = _measured(game["correlator"], game["correlator_err"])
            expected = "" if predicted is None else f"{predicted.correlators[bell][name]:.3f}"
            table.add_row(f"{bell} {name}", f"{game['trials']:,}", f"{game['wins']:,}", measured, expected)
        expected = "" if predicted is None else f"{predicted.s:.3f}"
        table.add_row(f"{bell} S", "", "", _measured(one["s"], one["s_err"]), expected, end_section=True)
    return table


def _totals(test: BellTest, document: dict[str, Any], predicted: BellTestPrediction | None) -> Table:
    table = Table()
    table.add_column("")
    for heading in ("measured", "predicted", "local at most"):
        table.add_column(heading, justify="right")
    expected = ("", "") if predicted is None else (f"{predicted.s:.3f}", f"{predicted.win_probability:.4f}")
    table.add_row("S", _measured(document["s"], document["s_err"]), expected[0], "2")
    share = f"{test.wins / test.trials:.4f} ({test.wins:,})" if test.trials else "-"
    table.add_row("share of wins", share, expected[1], f"{LOCAL_WIN_PROBABILITY}")
    table.add_row("P-value", "-" if test.p_value is None else f"{test.p_value:.2g}", "", "")
    return table


def _measured(value: float | None, error: float | None) -> str:
    return "-" if value is None or error is None else f"{value:.3f} ± {error:.3f}"
