"""A Bell test as a person reads it: settings beside their prediction, S, and the loopholes that stay open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from qnode.analysis import LOCAL_WIN_PROBABILITY

__all__ = ["print_bell_test"]


def print_bell_test(console: Console, document: Mapping[str, Any]) -> None:
    """Print the document of ``qnode run bell``."""
    first, second = document["nodes"]
    console.print(f"{document['link']}: {document['trials']:,} trials in {document['seconds']:.1f} s of lab time")
    console.print(_correlators(document))
    console.print(f"{first} reads Z or X, {second} D = (Z + X)/√2 or E = (Z - X)/√2; outcomes as read")
    console.print(_totals(document))
    console.print(document["verdict"], soft_wrap=True)
    if document["simulated"]:
        console.print(
            "The instruments are simulated: this tests the simulation and the stack, and says nothing of nature.",
            soft_wrap=True,
        )
    console.print("loopholes")
    for one in document["loopholes"]:
        console.print(f"  {one['name']}, {'closed' if one['closed'] else 'open'}: {one['why']}", soft_wrap=True)


def _correlators(document: Mapping[str, Any]) -> Table:
    predicted = document["predicted"]
    table = Table()
    table.add_column("")
    for heading in ("trials", "wins", "E", "predicted"):
        table.add_column(heading, justify="right")
    for bell, one in document["bell_states"].items():
        for name, game in one["settings"].items():
            measured = _measured(game["correlator"], game["correlator_err"])
            expected = "" if predicted is None else f"{predicted['correlators'][bell][name]:.3f}"
            table.add_row(f"{bell} {name}", f"{game['trials']:,}", f"{game['wins']:,}", measured, expected)
        expected = "" if predicted is None else f"{predicted['s']:.3f}"
        table.add_row(f"{bell} S", "", "", _measured(one["s"], one["s_err"]), expected, end_section=True)
    return table


def _totals(document: Mapping[str, Any]) -> Table:
    predicted, trials, wins, p_value = (document[key] for key in ("predicted", "trials", "wins", "p_value"))
    table = Table()
    table.add_column("")
    for heading in ("measured", "predicted", "local at most"):
        table.add_column(heading, justify="right")
    expected = ("", "") if predicted is None else (f"{predicted['s']:.3f}", f"{predicted['win_probability']:.4f}")
    table.add_row("S", _measured(document["s"], document["s_err"]), expected[0], "2")
    share = f"{wins / trials:.4f} ({wins:,})" if trials else "-"
    table.add_row("share of wins", share, expected[1], f"{LOCAL_WIN_PROBABILITY}")
    table.add_row("P-value", "-" if p_value is None else f"{p_value:.2g}", "", "")
    return table


def _measured(value: float | None, error: float | None) -> str:
    return "-" if value is None or error is None else f"{value:.3f} ± {error:.3f}"
