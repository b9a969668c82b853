"""Sites and instruments by state, for people's eyes. Light: a demo has it on the screen before all else is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

__all__ = ["sites_table", "word"]

COLOURS = {
    "ready": "green",
    "running": "green",
    "degraded": "yellow",
    "connecting": "yellow",
    "starting": "yellow",
}


def sites_table(sites: Mapping[str, Mapping[str, Any] | None]) -> Table:
    """A row a site, its instruments by state in few words; an answer is None where a site gave none."""
    table = Table()
    for column in ("site", "state", "instruments"):
        table.add_column(column)
    for site, answer in sites.items():
        if answer is None:
            table.add_row(site, word("does not answer"), "")
        else:
            table.add_row(site, word(answer["state"]), _by_state(answer["instruments"]))
    return table


def _by_state(instruments: Mapping[str, Mapping[str, Any]]) -> Text:
    """``ready: pulser, awg``, then a line for those of one state and detail that are not."""
    alike: dict[tuple[str, str], list[str]] = {("ready", ""): []}
    for name, one in instruments.items():
        alike.setdefault((one["state"], one["detail"]), []).append(name)
    lines = [
        Text.assemble(word(state), ": ", ", ".join([*names, *([detail] if detail else [])]))
        for (state, detail), names in alike.items()
        if names
    ]
    return Text("\n").join(lines)


def word(state: str) -> Text:
    """A state, coloured by its first word."""
    return Text(state, style=COLOURS.get(state.partition(":")[0], "red"))
