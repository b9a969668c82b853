"""The tables of a run: measured beside predicted, and where every slot went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from qnode.cli._bell_summary import print_bell_test

__all__ = ["print_accounting", "print_result"]

Row = tuple[str, float, float, float | None, int]
"""Name, measured value, its error, prediction, digits."""


def print_result(console: Console, document: Mapping[str, Any], predicted: Mapping[str, Any]) -> None:
    """What came out.

    Args:
        console: where to.
        document: ``result.json``.
        predicted: ``predict.json``; empty where nobody predicts.
    """
    if "heralds" not in document:
        print_bell_test(console, document)
        return
    console.print(
        f"{document['link']}: {document['heralds']:,} settled heralds in {document['seconds']:.1f} s of lab time"
    )
    table = Table()
    table.add_column("")
    table.add_column("measured", justify="right")
    table.add_column("predicted", justify="right")
    for name, value, error, expected, digits in _rows(document, predicted):
        measured = f"{value:.{digits}f} ± {error:.{digits}f}"
        table.add_row(name, measured, "" if expected is None else f"{expected:.{digits}f}")
    console.print(table)


def print_accounting(console: Console, document: Mapping[str, Any]) -> None:
    """Where every slot went, as each party counted, and why slots were masked or heralds taken back."""
    console.print("where every slot went, as each party counted")
    accounts = Table()
    accounts.add_column("")
    for party in document["accounting"]:
        accounts.add_column(party, justify="right", no_wrap=True)
    for name in ("slots", "not_played", "failed", "heralded", "vetoed", "masked", "expired"):
        counted = (f"{sums.get(name, 0):,}" for sums in document["accounting"].values())
        accounts.add_row(name.replace("_", " "), *counted, end_section=name == "slots")
    console.print(accounts)
    reasons = document["reasons"].get(next(reversed(document["reasons"]), ""), {})
    for kind in ("masked", "expired"):
        for reason, slots in reasons.get(kind, {}).items():
            console.print(f"{kind}: {slots:,} slots, {reason.replace('_', ' ')}")


def _rows(document: Mapping[str, Any], predicted: Mapping[str, Any]) -> Iterator[Row]:
    fidelity = predicted.get("fidelity")
    p = predicted["p_herald"] * 1e6 if "p_herald" in predicted else None
    yield "rate [Hz]", document["rate_hz"], document["rate_hz_err"], predicted.get("rate_hz"), 2
    yield "p per attempt [1e-6]", document["p_herald"] * 1e6, document["p_herald_err"] * 1e6, p, 1
    for bell, estimate in document["bell_states"].items():
        expected = predicted.get("readings", {}).get(bell, {}).get("correlators", {})
        for name, correlator in estimate["correlators"].items():
            yield f"{bell} {name}", correlator["value"], correlator["error"], expected.get(name), 3
        if estimate["fidelity"] is not None:
            yield f"{bell} F", estimate["fidelity"], estimate["fidelity_err"], fidelity, 3
    if document["fidelity"] is not None:
        yield "F", document["fidelity"], document["fidelity_err"], fidelity, 3
