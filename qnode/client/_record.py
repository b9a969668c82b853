"""What a run leaves in its folder for people and for later analyses: pairs, prediction, drawing, report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qnode.analysis import (
    Arrivals,
    Detection,
    RunRecord,
    arrivals,
    draw_round,
    expected_readings,
    predict_link,
    report_html,
    run_notes,
)
from qnode.client._pairs import Pairs
from qnode.client._playing import Progress
from qnode.errors import QnodeError
from qnode.heralds import LinkPrograms, rules_of
from qnode.labfile import Lab, LabFileError, Link, World, lab_hash, load_lab, load_lab_and_world
from qnode.runs import RunFolder, log_event, read_columns, write_columns, write_whole, writing
from qnode.tags import open_tags

__all__ = ["REPORT", "keep", "opening_facts", "reached", "read_document", "take_notes", "try_report", "write_report"]

REPORT = "report.html"
DRAWN_BASIS = "X"
"""One branch stands for all: they differ in one rotation."""
BIT_GENERATOR = "Philox, counter-based: one key a seed, a place and a block of rounds"


def opening_facts(
    lab: Lab, link: Link, world: World | None, seed: int | None, programs: LinkPrograms
) -> dict[str, Any]:
    """What ``run.json`` says from the beginning, so that also a run that is killed can be reported and repeated."""
    rules = rules_of(link.protocol)
    facts: dict[str, Any] = {
        "lab": lab.lab,
        "lab_sha256": lab_hash(lab),
        "nodes": list(link.between),
        "midpoint": link.via,
        "protocol": link.protocol,
        "detection": {
            "first_open_ps": programs.timing.click_open_ps,
            "window_ps": link.detection_window_ps,
            "opens_ps": [window * rules.window_spacing_ps for window in range(rules.windows)],
            "attempt_period_ps": link.attempt_period_ps,
            "attempts": link.round.attempts,
        },
        # From T0 to the opening of the window that fires the line, in attempt 0 of round 0.
        "herald_open_ps": programs.timing.click_from_t0_ps + rules.last_window_ps,
    }
    if world is not None:
        facts |= {"world_seed": world.seed if seed is None else seed, "bit_generator": BIT_GENERATOR}
    return facts


def reached(progress: Progress | None) -> dict[str, Any]:
    """How far a run had come when it was last heard of, for ``run.json``."""
    if progress is None:
        return {}
    return {"reached": {"phase": progress.phase, "rounds": progress.rounds, "heralds": progress.heralds}}


def take_notes(run: RunFolder, result: Pairs, link: Link) -> None:
    """Find out what is wrong with the result of a run, into its `Pairs.notes`.

    Args:
        run: its folder, with the lab file that ran.
        result: with its accounting.
        link: where it came from.
    """
    rate_hz = None
    with contextlib.suppress(QnodeError):
        lab, world = load_lab_and_world(run.path / "lab.yaml")
        if world is not None:
            rate_hz = predict_link(lab, world, link).rate_hz
    mine = result.accounting.get(link.via, {})
    heralds = [pair.bell for pair in result]
    result.notes = run_notes(
        slots=mine.get("slots", {}),
        masked=mine.get("reasons", {}).get("masked", {}),
        expired=[str(why) for _, _, why in result.expired],
        bells={bell: heralds.count(bell) for bell in sorted(set(rules_of(link.protocol).bells.values()))},
        seconds=result.seconds,
        predicted_rate_hz=rate_hz,
    )


def keep(run: RunFolder, result: Pairs, document: dict[str, Any], tell: Callable[[str], None]) -> Path | None:
    """Write down how a run ended and what came out; gives the report, None where it could not be made.

    Args:
        run: its folder.
        result: its pairs.
        document: its result, plain values.
        tell: gets a line for the person when there is no report.

    Raises:
        DataFolderError: the disk is full or does not let us.
    """
    run.write("result.json", document)
    facts = run.read("run.json")
    path = run.path / "pairs.parquet"
    with writing(path):
        write_columns(
            path,
            _pair_columns(result, facts),
            {"run": result.run_id, "link": result.link, "nodes": " ".join(result.nodes)},
        )
    state = "done" if result.ended == "done" else "failed"
    run.close(state, **({} if state == "done" else {"error": result.ended}))
    return try_report(run, tell)


def _pair_columns(result: Pairs, facts: dict[str, Any]) -> dict[str, Any]:
    """Flat columns of `Pairs.to_arrays`, one a node for what nodes say, and the click's place in its window."""
    columns: dict[str, Any] = {}
    for name, column in result.to_arrays().items():
        if column.ndim == 1:
            columns[name] = column
        else:
            for place, node in enumerate(result.nodes):
                columns[f"{name}_{node}"] = np.ascontiguousarray(column[:, place])
    first_round = {plan.plan_id: plan.first_round for plan in result.plans}
    in_plan = columns["round"] - np.array([first_round[pair.plan_id] for pair in result], np.int64)
    columns["offset_ps"] = (
        columns["click_ps"]
        - facts["herald_open_ps"]
        - in_plan * result.round_period_ps
        - columns["attempt"].astype(np.int64) * facts["detection"]["attempt_period_ps"]
    )
    return columns


def try_report(run: RunFolder, tell: Callable[[str], None]) -> Path | None:
    """Write the report of a run; a report that fails is said and never fails the run."""
    try:
        return write_report(run, run.path / REPORT)
    except Exception as error:
        # Whatever it is: the data are on disk, and `qnode show` makes the report again.
        log_event("report not written", run=run.run_id, error=f"{type(error).__name__}: {error}")
        tell(f"the report of run {run.run_id} could not be written: {error}")
        return None


def write_report(run: RunFolder, path: Path) -> Path:
    """Make what the folder lacks, and the page of all of it.

    Args:
        run: the run.
        path: file to write.

    Raises:
        QnodeError: a document of the run can't be read.
        DataFolderError: the page can't be written.
    """
    facts = read_document(run, "run.json")
    lab = _lab(run)
    histograms, lost_tapes = _arrivals(run, facts)
    _make(run, "predict.json", lambda: _prediction(run, facts))
    _make(run, "round.svg", lambda: _drawing(lab, facts))
    drawing = run.path / "round.svg"
    record = RunRecord(
        folder=str(run.path),
        run=facts,
        result=read_document(run, "result.json"),
        predicted=read_document(run, "predict.json"),
        lab=lab,
        heralds_s=_herald_times_s(run),
        arrivals=histograms,
        lost_tapes=lost_tapes,
        round_svg=drawing.read_text(encoding="utf-8") if drawing.exists() else "",
    )
    write_whole(path, report_html(record))
    return path


def read_document(run: RunFolder, name: str) -> dict[str, Any]:
    """A document of a run, empty where the run left none.

    Raises:
        QnodeError: it can't be read.
    """
    if name != "run.json" and not (run.path / name).exists():
        return {}
    try:
        return run.read(name)
    except (OSError, ValueError) as error:
        raise QnodeError(
            f"{run.path / name} can't be read: {error}", hint="the disk or someone changed it"
        ) from error


def _lab(run: RunFolder) -> Lab | None:
    """The lab file of a run, None where today's qnode can't read it any more."""
    try:
        return load_lab(run.path / "lab.yaml")
    except LabFileError:
        return None


def _make(run: RunFolder, name: str, text: Callable[[], str | None]) -> None:
    """Write a part of the record once; what can't be made of this run (no world, a driver that is gone) stays away."""
    path = run.path / name
    if path.exists():
        return
    made = None
    with contextlib.suppress(QnodeError):
        made = text()
    if made is not None:
        write_whole(path, made)


def _link(lab: Lab, facts: dict[str, Any]) -> Link | None:
    return next((link for link in lab.links if link.name == facts.get("link")), None)


def _prediction(run: RunFolder, facts: dict[str, Any]) -> str | None:
    """What the closed form says of the run's link; None without a world."""
    lab, world = load_lab_and_world(run.path / "lab.yaml")
    link = _link(lab, facts)
    if world is None or link is None:
        return None
    prediction = predict_link(lab, world, link)
    return json.dumps({**prediction.as_dict(), "readings": expected_readings(prediction, link)}, indent=2) + "\n"


def _drawing(lab: Lab | None, facts: dict[str, Any]) -> str | None:
    """One round of the run's link, from programs compiled as the daemons did."""
    link = None if lab is None else _link(lab, facts)
    if lab is None or link is None:
        return None
    programs = LinkPrograms(lab, link, dict.fromkeys(link.between, DRAWN_BASIS), echo=facts.get("echo", True))
    sites = (*link.between, link.via)
    played = {site: programs.heralding(site, runs=1) for site in sites}
    return draw_round(lab, played, programs.wiring, link.attempt_period_ps, DRAWN_BASIS)


def _herald_times_s(run: RunFolder) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Lab time of each settled herald, counted in rounds that were played."""
    path, result = run.path / "pairs.parquet", read_document(run, "result.json")
    if not path.exists() or not result.get("rounds"):
        return np.zeros(0)
    return np.asarray(read_columns(path)["round"] * (result["seconds"] / result["rounds"]), np.float64)


def _arrivals(run: RunFolder, facts: dict[str, Any]) -> tuple[tuple[Arrivals, ...], tuple[str, ...]]:
    """Histograms of the midpoint's tapes, and the tapes that can't be read; the spool of a killed daemon is one, too."""
    if "detection" not in facts:
        return (), ()
    folder = run.path / facts["midpoint"]
    detection = Detection(**{**facts["detection"], "opens_ps": tuple(facts["detection"]["opens_ps"])})
    found, lost = [], []
    for plan in sorted({path.stem for path in folder.glob("tags-*") if path.suffix in (".parquet", ".arrow")}):
        archive = folder / f"{plan}.parquet"
        tape = archive if archive.exists() else archive.with_suffix(".arrow")
        try:
            found.append(arrivals(open_tags(tape, backend="numpy"), detection))
        except (OSError, ValueError, QnodeError):
            # pyarrow's own errors are ValueErrors and OSErrors.
            lost.append(f"{folder.name}/{tape.name}")
    return tuple(sum(same[1:], same[0]) for same in zip(*found, strict=True)), tuple(lost)
