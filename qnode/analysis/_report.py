"""The report of a run: documents and arrays in, one HTML page out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnode.analysis._arrivals import Arrivals
from qnode.analysis._report_bell import bell_section, bell_tiles, is_bell_test
from qnode.analysis._report_charts import (
    CLASSES,
    arrival_chart,
    correlator_chart,
    heralds_chart,
    ledger_chart,
    population_chart,
    swatch,
)
from qnode.analysis._report_network import network
from qnode.analysis._report_page import Markup, page, section, table, tiles
from qnode.labfile import Lab

__all__ = ["RunRecord", "leaves", "report_html"]

STATES = {
    "done": "It ran to its end.",
    "failed": "It ended early.",
    "interrupted": "It was interrupted by the operator.",
    "running": "It has not ended, or was killed before it could say how it ended.",
}
MOST_EXPIRED = 200
"""Rows of taken-back heralds that are listed one by one."""


@dataclass(frozen=True, eq=False)
class RunRecord:
    """All that a report is made of; what a run that ended early did not leave is empty."""

    folder: str
    run: Mapping[str, Any]
    """``run.json``: what ran and how it ended."""
    result: Mapping[str, Any]
    """``result.json``."""
    predicted: Mapping[str, Any]
    """``predict.json``: the closed form of the run's link, and under ``readings`` what `expected_readings` makes of it."""
    lab: Lab | None
    """The lab file that ran; None where it can't be read any more."""
    heralds_s: NDArray[np.float64]
    """When each settled herald came, seconds of played rounds."""
    arrivals: tuple[Arrivals, ...]
    lost_tapes: tuple[str, ...]
    """Tag files of the midpoint that can't be read; what was on them is missing in ``arrivals``."""
    round_svg: str


def report_html(record: RunRecord) -> str:
    """One self-contained page: no script, no picture or style from elsewhere."""
    run = record.run
    title = f"{run.get('link', 'no link')}: {run.get('experiment', 'run')}"
    state = str(run.get("state", "unknown"))
    head = (
        f'<h1>{escape(title)} <span class="pill {escape(state)}">{escape(state)}</span></h1>'
        f'<p class="sub">{escape(str(run.get("run", "")))} · lab {escape(str(run.get("lab", "")))}'
        f"{_started(run)}</p>"
    )
    return page(
        f"{run.get('run', '')} · {title}",
        [
            head,
            _simulated(record),
            _ending(record),
            _notes(record),
            tiles(list(_tiles(record))),
            bell_section(record.result),
            _outcome(record),
            _heralds(record),
            _ledger(record),
            _network(record),
            _round(record),
            _what_ran(record),
            _raw(record),
        ],
    )


def leaves(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and word of a document by its path, such as ``bell_states.psi+.fidelity``."""
    if isinstance(document, Mapping) and document:
        for key, value in document.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(document, list | tuple) and document and all(isinstance(one, Mapping | list) for one in document):
        for place, value in enumerate(document):
            yield from leaves(value, f"{path}[{place}]")
    elif path:
        yield path, document


def _started(run: Mapping[str, Any]) -> str:
    return f" · started {escape(str(run['started']))}" if "started" in run else ""


def _simulated(record: RunRecord) -> str:
    """Said before any number: what was no instrument."""
    names = record.run.get("simulated", [])
    if not names:
        return ""
    total = sum(len(site.instruments) for site in record.lab.sites.values()) if record.lab else None
    of_all = f"{len(names)} of {total}" if total else str(len(names))
    who = f"All {total} instruments were" if total == len(names) else f"{of_all} instruments {_was(len(names))}"
    listed = ", ".join(f"<code>{escape(name)}</code>" for name in names)
    text = f"<p><b>{who} simulated.</b> No number on this page was measured with them in a laboratory: {listed}.</p>"
    return f'<section class="banner">{text}</section>'


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _ending(record: RunRecord) -> str:
    run, result = record.run, record.result
    state = str(run.get("state", "unknown"))
    if state == "done":
        return ""
    parts = [f"<p><b>{escape(STATES.get(state, state))}</b></p>"]
    if error := run.get("error"):
        parts.append(f"<p>{escape(str(error))}</p>")
    reached = run.get("reached", {})
    rounds = result.get("rounds", reached.get("rounds"))
    heralds = result.get("heralds", result.get("trials", reached.get("heralds", 0)))
    if rounds is None:
        parts.append("<p>No round is known to have been played.</p>")
    else:
        wanted = run.get("heralds_wanted", run.get("trials_wanted"))
        text = f"It came to {rounds:,} rounds and {heralds:,} heralds" + (f" of {wanted:,}" if wanted else "")
        phase = "" if result or "phase" not in reached else f", in the phase {reached['phase']}"
        parts.append(f"<p>{escape(text + phase)}.</p>")
    return f'<section class="banner bad">{"".join(parts)}</section>'


def _notes(record: RunRecord) -> str:
    """What to know before the numbers: losses, a silent detector, far too few heralds."""
    notes = "".join(f"<p>{escape(note)}</p>" for note in record.result.get("notes", []))
    return f'<section class="banner bad"><p><b>Look at this first.</b></p>{notes}</section>' if notes else ""


# --- numbers ---------------------------------------------------------------------------------------------------------


def _with_error(value: float, error: float, digits: int) -> str:
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _sigmas(value: float, error: float, expected: float | None) -> str:
    if expected is None or not error:
        return ""
    sigmas = round((value - expected) / error, 1)
    return f"{sigmas:+.1f} σ" if sigmas else "0.0 σ"


def _beside(value: float, error: float, expected: float | None, digits: int) -> str:
    if expected is None:
        return "no prediction"
    return f"predicted {expected:.{digits}f} ({_sigmas(value, error, expected)})"


def _tiles(record: RunRecord) -> Iterator[tuple[str, str, str]]:
    result, predicted = record.result, record.predicted
    if not result:
        return
    heralds, wanted = result.get("heralds", 0), record.run.get("heralds_wanted")
    if is_bell_test(result):
        yield from bell_tiles(result)
    else:
        yield "settled heralds", f"{heralds:,}", f"{wanted:,} wanted" if wanted else ""
    if result.get("fidelity") is not None:
        value, error = result["fidelity"], result["fidelity_err"]
        yield "fidelity", _with_error(value, error, 3), _beside(value, error, predicted.get("fidelity"), 3)
    if result.get("rate_hz"):
        value, error = result["rate_hz"], result["rate_hz_err"]
        yield "rate (Hz)", _with_error(value, error, 2), _beside(value, error, predicted.get("rate_hz"), 2)
    if result.get("p_herald"):
        value, error = result["p_herald"] * 1e6, result["p_herald_err"] * 1e6
        expected = predicted["p_herald"] * 1e6 if "p_herald" in predicted else None
        yield "p per attempt (10⁻⁶)", _with_error(value, error, 1), _beside(value, error, expected, 1)
    yield "lab time (s)", f"{result.get('seconds', 0):.1f}", f"{result.get('rounds', 0):,} rounds"


def _outcome(record: RunRecord) -> str:
    """Correlators and populations by Bell state, as charts and as a table."""
    charts: list[str] = []
    rows: list[tuple[str, str, str, str]] = []
    for bell, estimate in record.result.get("bell_states", {}).items():
        expected = record.predicted.get("readings", {}).get(bell, {})
        if estimate.get("correlators"):
            charts.append(correlator_chart(bell, estimate["correlators"], expected.get("correlators", {})))
        if estimate.get("populations"):
            charts.append(population_chart(bell, estimate["populations"], expected.get("populations", {})))
        if "heralds" in estimate:
            rows += _rows(bell, estimate, expected, record.predicted.get("fidelity"))
    if not charts:
        return ""
    first, second = record.run.get("nodes", ("first node", "second node"))
    note = (
        '<p class="note">Corrected with the readout fidelities that this run measured; error bars are one standard '
        f"error, those of the readouts included. Populations: first digit {escape(first)}, second {escape(second)}, "
        "1 = bright. All in the frame right after the herald.</p>"
    )
    head = ("", "measured", "predicted", "apart")
    return section(
        "What came out", note, f'<div class="charts">{"".join(charts)}</div>', table(head, rows), _readout(record)
    )


def _rows(
    bell: str,
    estimate: Mapping[str, Any],
    expected: Mapping[str, Mapping[str, float]],
    fidelity: float | None,
) -> Iterator[tuple[str, str, str, str]]:
    yield f"{bell}\u00a0heralds", f"{estimate['heralds']:,}", "", ""
    measured = []
    for kind, name in (("correlators", "⟨{}⟩"), ("populations", "P({})")):
        for which, one in estimate.get(kind, {}).items():
            measured.append((f"{bell} {name.format(which)}", one, expected.get(kind, {}).get(which)))
    if estimate.get("fidelity") is not None:
        both = {"value": estimate["fidelity"], "error": estimate["fidelity_err"]}
        measured.append((f"{bell} fidelity", both, fidelity))
    for name_, one, predicted in measured:
        value, error = one["value"], one["error"]
        shown = "" if predicted is None else f"{predicted:.3f}"
        yield name_.replace(" ", "\u00a0"), _with_error(value, error, 3), shown, _sigmas(value, error, predicted)


def _readout(record: RunRecord) -> str:
    rows = [
        (node, *(_with_error(one[kind]["value"], one[kind]["error"], 4) for kind in ("bright", "dark")))
        for node, one in record.result.get("readout", {}).items()
    ]
    return (
        "<h3>Readout fidelities, measured by this run</h3>" + table(("node", "bright", "dark"), rows) if rows else ""
    )


def _heralds(record: RunRecord) -> str:
    charts = []
    notes = []
    if any(one.counts.any() for one in record.arrivals):
        names = ("",) if len(record.arrivals) == 1 else ("first window", "second window")
        charts += [arrival_chart(one, name) for one, name in zip(record.arrivals, names, strict=True)]
        notes.append(
            "Arrivals: every tag of both detectors by its time in the attempt; the detection window is shaded."
        )
    if record.lost_tapes:
        notes.append(f"Tag files that can't be read, and are not in the arrivals: {', '.join(record.lost_tapes)}.")
    if len(record.heralds_s) and record.result.get("seconds"):
        charts.append(heralds_chart(record.heralds_s, record.result["seconds"], record.predicted.get("rate_hz")))
    if not charts and not notes:
        return ""
    said = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return section("When photons and heralds came", f'<div class="charts">{"".join(charts)}</div>', said)


def _ledger(record: RunRecord) -> str:
    accounting = {party: slots for party, slots in record.result.get("accounting", {}).items() if slots}
    if not accounting:
        return ""
    rows: list[Sequence[str]] = [
        (Markup(swatch(name) + escape(name.replace("_", " "))), *(f"{s.get(name, 0):,}" for s in accounting.values()))
        for name in CLASSES
    ]
    rows.append(("slots", *(f"{slots.get('slots', 0):,}" for slots in accounting.values())))
    alike = len({tuple(slots.get(name, 0) for name in (*CLASSES, "slots")) for slots in accounting.values()}) == 1
    who = f"{len(accounting)} parties"
    verdict = (
        f"{who} counted from their own wires, and agree in every class."
        if alike
        else f"{who} counted from their own wires, and they DISAGREE: compare their journals."
    )
    parts = [f"<p>{escape(verdict)}</p>", f'<div class="scroll">{ledger_chart(accounting)}</div>']
    parts.append(table(("slots (round, attempt)", *accounting), rows))
    parts.append(_reasons(record))
    return section("Where every slot went", *parts)


def _reasons(record: RunRecord) -> str:
    """Every mask and expiry with its reason, as each party counted it, and the heralds that were taken back."""
    parties = record.result.get("reasons", {})
    found = {
        (kind, reason): None for by_kind in parties.values() for kind, slots in by_kind.items() for reason in slots
    }
    rows = [
        (f"{kind}: {reason.replace('_', ' ')}", *(f"{p.get(kind, {}).get(reason, 0):,}" for p in parties.values()))
        for kind, reason in sorted(found)
    ]
    expired = record.result.get("expired", [])
    listed = [
        [f"{int(round_):,}", f"{int(attempt):,}", str(why).replace("_", " ")] for round_, attempt, why in expired
    ]
    parts = ["<h3>Masked and expired slots, by reason</h3>"]
    parts.append(table(("", *parties), rows) or "<p>None: no slot was masked, no herald was taken back.</p>")
    if listed:
        parts.append("<h3>Heralds that were taken back</h3>")
        parts.append(table(("round of its plan", "attempt", "reason"), listed[:MOST_EXPIRED], numbers_from=9))
    if len(listed) > MOST_EXPIRED:
        parts.append(f'<p class="note">The first {MOST_EXPIRED} of {len(listed):,}.</p>')
    return "".join(parts)


# --- what ran --------------------------------------------------------------------------------------------------------


def _network(record: RunRecord) -> str:
    lab = record.lab
    link = next((one for one in lab.links if one.name == record.run.get("link")), None) if lab else None
    if lab is None or link is None:
        return ""
    rows = [
        (f"{wire.from_} → {', '.join(wire.ends)}", wire.kind, f"{wire.delay_ns:g}")
        for wire in lab.wires_only()
        if wire.from_.split(".")[0] in (*link.between, link.via)
    ]
    wires = table(("wire", "kind", "delay (ns)"), rows, numbers_from=2)
    details = f"<details><summary>All {len(rows)} wires</summary>{wires}</details>"
    instruments = [
        (f"{site}.{name}", block.type, "simulated" if lab.sites[site].rack[name].simulated else "real")
        for site in (*link.between, link.via)
        for name, block in lab.sites[site].instruments.items()
    ]
    listed = table(("instrument", "driver", ""), instruments, numbers_from=9)
    parts = f'<div class="scroll">{network(lab, link)}</div>', details
    return section("The network", *parts, f"<details><summary>Instruments</summary>{listed}</details>")


def _round(record: RunRecord) -> str:
    if not record.round_svg:
        return ""
    note = '<p class="note">Decoded from the compiled programs, at the outputs: wire delays are in it.</p>'
    return section("One round", note, f'<div class="scroll">{record.round_svg}</div>')


def _what_ran(record: RunRecord) -> str:
    run = record.run
    rows: list[Sequence[str]] = []
    names = ("run", "experiment", "link", "lab", "lab_sha256", "started", "speed", "world_seed", "bit_generator")
    for name in (*names, "echo", "credit_rounds"):
        if name in run:
            words = "seed of the simulated world" if name == "world_seed" else name.replace("_", " ")
            unknown = "unknown: the lab was up before this run"
            shown = unknown if name == "world_seed" and run[name] is None else _shown(run[name])
            rows.append((words, Markup(f"<code>{escape(shown)}</code>")))
    if digest := record.result.get("heralds_sha256"):
        rows.append(("SHA-256 of all settled heralds", Markup(f"<code>{escape(digest)}</code>")))
    rows.append(("folder", Markup(f"<code>{escape(record.folder)}</code>")))
    versions = " · ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    rows.append(("versions", versions))
    return section("What ran", table((), rows, numbers_from=9), _plans(record))


def _plans(record: RunRecord) -> str:
    plans = record.result.get("plans", [])
    rows = [
        (
            Markup(f"<code>{escape(plan['plan_id'])}</code>"),
            plan["kind"].replace("_", " "),
            f"{plan['rounds']:,}",
            str(plan["t0_tai_s"]),
            Markup("<br>".join(f"{escape(p)} <code>{escape(h)}</code>" for p, h in plan["sequences"].items())),
        )
        for plan in plans
    ]
    head = ("plan", "kind", "rounds", "T0 (TAI s)", "SHA-256 of the programs")
    return f"<h3>Plans</h3>{table(head, rows, numbers_from=9)}" if rows else ""


def _shown(value: Any) -> str:
    """A leaf as a table shows it: numbers as JSON has them, so that they can be compared digit by digit."""
    if value is None:
        return "–"
    return repr(value) if isinstance(value, float) else str(value)


def _raw(record: RunRecord) -> str:
    # Heralds that were taken back have their own table: there may be as many as there were rounds.
    numbers = {name: value for name, value in record.result.items() if name != "expired"}
    rows = [(name, Markup(f"<code>{escape(_shown(value))}</code>")) for name, value in leaves(numbers)]
    inner = table(("key of result.json", "value"), rows, numbers_from=9)
    if not inner:
        return ""
    predicted = [(name, Markup(f"<code>{escape(_shown(value))}</code>")) for name, value in leaves(record.predicted)]
    more = table(("key of predict.json", "value"), predicted, numbers_from=9)
    return section(
        "Raw numbers", f"<details><summary>{len(rows)} numbers of the result</summary>{inner}{more}</details>"
    )
