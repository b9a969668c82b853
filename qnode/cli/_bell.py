"""``qnode run bell``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qnode.analysis import (
    CHSH_SIGNS,
    BellTestPrediction,
    Estimate,
    GameCounts,
    predict_bell_test,
)
from qnode.cli._bell_summary import print_bell_test
from qnode.cli._conclude import conclude
from qnode.cli._session import Session, SessionOptions, StatusLine, conduct
from qnode.experiments import BellOptions, BellTest, run_bell

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
    options = BellOptions(trials=trials, seed=seed, credit_rounds=credit)
    asked = SessionOptions(lab_path, link_name, seed, speed, data)
    session = Session(asked, "bell", heralds_wanted=trials, credit_rounds=credit)
    run_id, link = session.run_folder.run_id, session.link
    pairs = conduct(session, lambda connection, tell: run_bell(connection, link, options, run_id, tell), StatusLine())
    test = BellTest(pairs, options)
    predicted = None if session.world is None else predict_bell_test(session.lab, session.world, link)
    document = bell_document(test, predicted, session.simulated)
    return conclude(
        session.run_folder, pairs, document, lambda console: print_bell_test(console, document), as_json=as_json
    )


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
        "nodes": list(pairs.nodes),
        "settings": {name: _game(counts) for name, counts in test.settings.items()},
        "bell_states": {name: _bell_state(test, name) for name in test.games},
        "loopholes": [{"name": one.name, "closed": one.closed, "why": one.why} for one in test.loopholes()],
        "accounting": {party: dict(answer.get("slots", {})) for party, answer in pairs.accounting.items()},
        "reasons": {party: answer.get("reasons", {}) for party, answer in pairs.accounting.items()},
        "expired": pairs.expired,
        "seed": test.options.seed,
        "heralds_sha256": pairs.sha256(),
        "notes": pairs.notes,
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
