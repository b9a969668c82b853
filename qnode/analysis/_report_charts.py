"""The charts of a run: what was measured beside what was predicted, heralds over time, arrivals, the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from qnode.analysis._arrivals import Arrivals
from qnode.analysis._report_svg import Chart, Scale, hint, svg, tag, text

__all__ = [
    "CLASSES",
    "arrival_chart",
    "correlator_chart",
    "heralds_chart",
    "ledger_chart",
    "population_chart",
    "swatch",
]

CLASSES = ("heralded", "vetoed", "failed", "not_played", "masked", "expired")
"""Of the ledger, in the order in which a bar is stacked."""
MOST_BINS = 30
LEDGER_WIDTH, LEDGER_ROW, LEDGER_LABEL = 400, 34, 78
THINNEST = 2.0
"""Pixels that a class with any slot gets, so that a few heralds among millions show."""

Measured = Mapping[str, Mapping[str, float]]
"""Name to ``value`` and ``error``, as in ``result.json``."""


def correlator_chart(bell: str, measured: Measured, predicted: Mapping[str, float]) -> str:
    """XX, YY and ZZ of one Bell state, with error bars, beside the prediction."""
    names = tuple(name for name in ("XX", "YY", "ZZ") if name in measured)
    return _beside(f"{bell}: correlators", bell, names, measured, predicted, Scale(-1, 1, "correlator"))


def population_chart(bell: str, measured: Measured, predicted: Mapping[str, float]) -> str:
    """Populations of one Bell state, first digit the first node, 1 = bright."""
    highest = max(
        0.6, *(one["value"] + one["error"] for one in measured.values()), *(predicted.get(n, 0.0) for n in measured)
    )
    lowest = min(0.0, *(one["value"] - one["error"] for one in measured.values()))
    scale = Scale(lowest, min(highest * 1.05, 1.1), "population")
    return _beside(f"{bell}: populations", bell, tuple(measured), measured, predicted, scale)


def _beside(
    title: str, bell: str, names: tuple[str, ...], measured: Measured, predicted: Mapping[str, float], y: Scale
) -> str:
    words = [
        f"{name} {measured[name]['value']:.3f} ± {measured[name]['error']:.3f}"
        + (f" (predicted {predicted[name]:.3f})" if name in predicted else "")
        for name in names
    ]
    chart = Chart(title, f"{title}: {', '.join(words)}", Scale(-0.6, len(names) - 0.4, names=names), y)
    class_ = _bell_class(bell)
    for place, name in enumerate(names):
        chart.bar(place, 0.56, measured[name]["value"], f"{class_} fill")
        if name in predicted:
            chart.level(place - 0.38, place + 0.38, predicted[name], "pred")
        chart.error(place, measured[name]["value"], measured[name]["error"])
    chart.key(f"{class_} thick", "measured")
    if predicted:
        chart.key("pred", "predicted")
    return chart.svg()


def _bell_class(bell: str) -> str:
    return "minus" if bell.endswith("-") else "plus"


def heralds_chart(times_s: npt.ArrayLike, seconds: float, predicted_hz: float | None) -> str:
    """Rate of settled heralds over the run's lab time, with the error of each bin's count.

    Args:
        times_s: when each came, seconds of played rounds.
        seconds: how long rounds were played.
        predicted_hz: the rate that was predicted.
    """
    times = np.asarray(times_s, np.float64)
    bins = int(np.clip(len(times) // 12, 4, MOST_BINS))
    counts, edges = np.histogram(times, bins, (0.0, seconds))
    width_s = seconds / bins
    rates, errors = counts / width_s, np.sqrt(np.maximum(counts, 1)) / width_s
    mean = len(times) / seconds
    alt = f"{len(times):,} heralds in {seconds:.1f} s of lab time, {mean:.2f} a second, in {bins} bins"
    highest = max(float((rates + errors).max()), predicted_hz or 0.0) * 1.08
    chart = Chart("Heralds over time", alt, Scale(0, seconds, "lab time (s)"), Scale(0, highest, "heralds a second"))
    for left, rate in zip(edges[:-1], rates, strict=True):
        chart.bar(float(left) + width_s / 2, width_s * 0.9, float(rate), "plus fill")
    chart.level(0, seconds, mean, "mean")
    chart.key("mean", "mean")
    if predicted_hz is not None:
        chart.level(0, seconds, predicted_hz, "pred")
        chart.key("pred", "predicted")
    for left, rate, error in zip(edges[:-1], rates, errors, strict=True):
        chart.error(float(left) + width_s / 2, float(rate), float(error))
    return chart.svg()


def arrival_chart(arrivals: Arrivals, which: str) -> str:
    """Detector tags by their time in the attempt around one window, on a log scale; the window is shaded.

    Args:
        arrivals: the histogram.
        which: the window in words; empty where there is one.
    """
    edges = arrivals.edges_ps / 1e3
    highest = float(max(arrivals.counts.max(), 1))
    x = Scale(float(edges[0]), float(edges[-1]), f"time after the {which and 'first '}window opens (ns)")
    y = Scale(0.5, 10.0 ** np.ceil(np.log10(highest * 1.5)), "tags a bin", log=True)
    inside = (arrivals.edges_ps[:-1] >= arrivals.open_ps) & (arrivals.edges_ps[:-1] < arrivals.close_ps)
    alt = (
        f"Arrival times around the {which or 'detection window'}: "
        f"{int(arrivals.counts[:, inside].sum()):,} tags in the window, {int(arrivals.counts[:, ~inside].sum()):,} beside it"
    )
    chart = Chart("Arrivals" + (f", {which}" if which else ""), alt, x, y)
    chart.span(arrivals.open_ps / 1e3, arrivals.close_ps / 1e3)
    for class_, counts in zip(("plus", "minus"), arrivals.counts, strict=True):
        chart.steps(edges.tolist(), counts.tolist(), class_)
        chart.key(class_, "det1" if class_ == "plus" else "det2")
    return chart.svg()


def ledger_chart(accounting: Mapping[str, Mapping[str, int]]) -> str:
    """A bar a party: where every slot went, as that party counted.

    Args:
        accounting: party to slots by class, as in ``result.json``.
    """
    height = LEDGER_ROW * len(accounting) + 8
    parts, words = [], []
    for row, (party, slots) in enumerate(accounting.items()):
        top = LEDGER_ROW * row + 4
        parts.append(text(LEDGER_LABEL - 8, top + 17, party, text_anchor="end"))
        widths = _widths([slots.get(name, 0) for name in CLASSES], LEDGER_WIDTH - LEDGER_LABEL)
        left = float(LEDGER_LABEL)
        for name, width in zip(CLASSES, widths, strict=True):
            if width:
                said = hint(f"{party}: {slots[name]:,} {name.replace('_', ' ')}")
                parts.append(tag("rect", said, x=left, y=top, width=width, height=24, class_=f"slot {name}"))
            left += width
        words.append(f"{party}: " + ", ".join(f"{slots.get(n, 0):,} {n.replace('_', ' ')}" for n in CLASSES))
    return svg(LEDGER_WIDTH, height, "Slots of each party. " + "; ".join(words), "".join(parts), "chart ledger")


def _widths(amounts: Sequence[int], width: float) -> list[float]:
    """Shares of a bar, none that is not zero thinner than `THINNEST`."""
    total = sum(amounts)
    if not total:
        return [0.0] * len(amounts)
    thin = [0 < amount * width < THINNEST * total for amount in amounts]
    left = width - THINNEST * sum(thin)
    rest = sum(amount for amount, is_thin in zip(amounts, thin, strict=True) if not is_thin)
    return [
        THINNEST if is_thin else left * amount / rest if amount else 0.0
        for amount, is_thin in zip(amounts, thin, strict=True)
    ]


def swatch(class_: str) -> str:
    """The colour of a class of the ledger, for a table beside the bars."""
    return svg(10, 10, "", tag("rect", width=10, height=10, class_=f"slot {class_}"), "swatch")
