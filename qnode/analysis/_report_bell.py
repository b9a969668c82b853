"""The part of a report that a Bell test adds: S against the local bound, the four settings, the verdict, the loopholes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from qnode.analysis._report_page import section, table
from qnode.analysis._report_svg import Chart, Scale

__all__ = ["bell_section", "bell_tiles", "is_bell_test"]

LOCAL_BOUND, QUANTUM_BOUND = 2.0, 2 * 2**0.5


def is_bell_test(result: Mapping[str, Any]) -> bool:
    """Whether a result is one of ``qnode run bell``."""
    return "p_value" in result and "settings" in result


def bell_tiles(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """S, P-value and trials as large numbers."""
    yield "trials", f"{result['trials']:,}", f"{result.get('wins', 0):,} won"
    if result["s"] is not None:
        expected = (result.get("predicted") or {}).get("s")
        below = "local at most 2" + ("" if expected is None else f", predicted {expected:.3f}")
        yield "S", _measured(result["s"], result["s_err"]), below
    if result["p_value"] is not None:
        yield "P-value", f"{result['p_value']:.2g}", "of as many wins, were the world local"


def bell_section(result: Mapping[str, Any]) -> str:
    """The verdict in the experiment's own words, S of each Bell state, settings, and what stays open."""
    if not is_bell_test(result):
        return ""
    parts = [f"<p><b>{escape(str(result['verdict']))}</b></p>"]
    if result.get("simulated"):
        parts.append("<p>Instruments were simulated: this tests the stack and says nothing of nature.</p>")
    if result["s"] is not None:
        parts.append(f'<div class="charts">{_chart(result)}</div>')
    parts.append(table(("", "trials", "wins", "correlator", "predicted"), list(_rows(result))))
    loopholes = [(one["name"], "closed" if one["closed"] else "open", one["why"]) for one in result["loopholes"]]
    parts.append("<h3>Loopholes</h3>" + table(("loophole", "", "why"), loopholes, numbers_from=9))
    return section("Bell test", *parts)


def _chart(result: Mapping[str, Any]) -> str:
    """S, over all and by Bell state, between the bounds."""
    measured = {"all": (result["s"], result["s_err"])}
    measured |= {
        bell: (one["s"], one["s_err"]) for bell, one in result["bell_states"].items() if one["s"] is not None
    }
    lowest = min(0.0, *(value - error for value, error in measured.values()))
    highest = max(3.0, *((value + error) * 1.02 for value, error in measured.values()))
    words = [f"{name} {_measured(*one)}" for name, one in measured.items()]
    last = len(measured) - 0.4
    chart = Chart(
        "S", f"S: {', '.join(words)}", Scale(-0.6, last, names=tuple(measured)), Scale(lowest, highest, "S")
    )
    for place, (name, (value, error)) in enumerate(measured.items()):
        chart.bar(place, 0.5, value, "minus fill" if name.endswith("-") else "plus fill")
        chart.error(place, value, error)
    chart.level(-0.6, last, LOCAL_BOUND, "pred")
    chart.level(-0.6, last, QUANTUM_BOUND, "mean")
    chart.key("pred", "local at most")
    chart.key("mean", "quantum at most")
    return chart.svg()


def _rows(result: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    correlators = (result.get("predicted") or {}).get("correlators", {})
    for bell, one in result["bell_states"].items():
        for name, game in one["settings"].items():
            expected = correlators.get(bell, {}).get(name)
            yield (
                f"{bell}\u00a0{name}",
                f"{game['trials']:,}",
                f"{game['wins']:,}",
                _measured(game["correlator"], game["correlator_err"]),
                "" if expected is None else f"{expected:.3f}",
            )


def _measured(value: float | None, error: float | None) -> str:
    return "–" if value is None or error is None else f"{value:.3f} ± {error:.3f}"
