"""The page: whole, safe, on its own, and with the numbers of the documents that it is made from."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qnode.analysis import Arrivals, RunRecord, report_html
from qnode.labfile import load_lab

CONFIG = Path(__file__).parents[3] / "config"


class Page(HTMLParser):
    """Elements in order, refusing tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def row(self, name: str) -> list[str]:
        (row,) = [one for one in self.rows if one and one[0].replace("\u00a0", " ") == name]
        return row


def value(number: float, error: float) -> dict[str, float]:
    return {"value": number, "error": error}


RESULT: dict[str, Any] = {
    "run": "20260101-120000-heralding-abcd",
    "link": "alice-bob",
    "ended": "done",
    "heralds": 579,
    "attempts": 2_626_201,
    "rounds": 10_787,
    "seconds": 16.126565,
    "p_herald": 0.00022049154763360016,
    "p_herald_err": 9.162305734114225e-06,
    "rate_hz": 35.90349215719529,
    "rate_hz_err": 1.4920982137877428,
    "fidelity": 0.6230474426345687,
    "fidelity_err": 0.030881752718507533,
    "bell_states": {
        "psi+": {
            "heralds": 262,
            "fidelity": 0.6078237640169054,
            "fidelity_err": 0.04611286339643071,
            "correlators": {"XX": value(0.69, 0.09), "YY": value(0.525, 0.11), "ZZ": value(-0.2151, 0.1164)},
            "populations": {
                "00": value(0.01, 0.006),
                "01": value(0.42, 0.03),
                "10": value(0.28, 0.03),
                "11": value(0.29, 0.02),
            },
        }
    },
    "readout": {"alice": {"bright": value(0.95048, 0.00213), "dark": value(0.99462, 0.00072)}},
    "accounting": {
        party: {
            "slots": 2_696_750,
            "not_played": 70_549,
            "failed": 2_625_371,
            "heralded": 579,
            "vetoed": 0,
            "masked": 250,
            "expired": 1,
        }
        for party in ("alice", "bob", "midpoint")
    },
    "reasons": {
        party: {"masked": {"charge": 250}, "expired": {"line_missing": 1}} for party in ("alice", "bob", "midpoint")
    },
    "expired": [[4711, 42, "line_missing"]],
    "heralds_sha256": "86196ea10aba9dd5",
    "plans": [
        {
            "plan_id": "aa00bb11cc22dd33",
            "kind": "heralding",
            "t0_tai_s": 1_795_518_109,
            "first_round": 0,
            "rounds": 10_787,
            "settled_rounds": 10_787,
            "ended": "done",
            "sequences": {"alice": "b6e149e8", "bob": "89c859da", "midpoint": "e060dfb7"},
        }
    ],
    "simulated": [],
}
PREDICTED: dict[str, Any] = {
    "p_herald": 0.00020826303546219862,
    "rate_hz": 33.938933257315036,
    "fidelity": 0.6506483498231668,
    "readings": {
        "psi+": {
            "correlators": {"XX": 0.6026, "YY": 0.6026, "ZZ": -0.3974},
            "populations": {"00": 0.0024, "01": 0.419, "10": 0.2797, "11": 0.2989},
        }
    },
}
RUN: dict[str, Any] = {
    "run": "20260101-120000-heralding-abcd",
    "state": "done",
    "started": "2026-01-01 12:00:00 UTC",
    "experiment": "heralding",
    "link": "alice-bob",
    "heralds_wanted": 500,
    "lab": "two_nodes",
    "lab_sha256": "fc3f2aa83d5f",
    "nodes": ["alice", "bob"],
    "world_seed": 5,
    "bit_generator": "Philox",
    "simulated": [
        f"{s}.{i}" for s in ("alice", "bob") for i in ("pulser", "awg", "tagger", "lasers", "repump", "microwave")
    ]
    + ["midpoint.pulser", "midpoint.tagger", "midpoint.snspd"],
    "versions": {"qnode": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"},
}


def window(open_ps: int) -> Arrivals:
    edges = open_ps + np.arange(-5, 11, dtype=np.int64) * 5_000
    counts = np.array([[0, 1, 0, 0, 0, 90, 60, 40, 27, 18, 12, 8, 0, 5, 3]] * 2)
    return Arrivals(edges, counts, open_ps, open_ps + 25_000)


def record(**changes: Any) -> RunRecord:
    usual = RunRecord(
        folder="/data/runs/20260101",
        run=RUN,
        result=RESULT,
        predicted=PREDICTED,
        lab=load_lab(CONFIG / "two_nodes.yaml"),
        heralds_s=np.linspace(0.1, 16.0, 579),
        arrivals=(window(0),),
        lost_tapes=(),
        round_svg='<svg class="round"><title>a round</title></svg>',
    )
    return dataclasses.replace(usual, **changes)


def page(one: RunRecord) -> Page:
    return Page(report_html(one))


def leaves(document: Any) -> list[Any]:
    if isinstance(document, dict) and document:
        return [leaf for part in document.values() for leaf in leaves(part)]
    return [document]


def test_it_is_one_page_that_loads_nothing():
    html = report_html(record())
    made = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert ("meta", {"name": "viewport", "content": "width=device-width,initial-scale=1"}) in made.elements
    for tag, attributes in made.elements:
        assert tag not in ("script", "link", "img", "iframe", "object"), tag
        assert not {"src", "href", "xlink:href", "srcset"} & set(attributes)
    assert set(re.findall(r"\w+://[^\s\"'<]+", html)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in html
    assert "@import" not in html
    assert len(html) < 1_500_000


def test_every_picture_says_what_it_shows():
    pictures = [attributes for tag, attributes in page(record()).elements if tag == "svg" and "role" in attributes]
    charts = [one for one in pictures if one["class"] != "swatch"]
    assert len(charts) == 2 + 1 + 1 + 1 + 1  # correlators, populations; arrivals; heralds; ledger; network
    assert all(one["aria-label"] for one in charts)


def test_every_number_of_the_result_is_in_the_table_of_raw_numbers():
    made = page(record())
    assert made.row("bell_states.psi+.correlators.XX.value")[1] == "0.69"
    assert made.row("accounting.midpoint.failed")[1] == "2625371"
    assert ["rate_hz", "35.90349215719529"] in made.rows
    assert ["rate_hz", "33.938933257315036"] in made.rows, "what was predicted stands there, too"
    shown = {row[1] for row in made.rows if len(row) == 2}
    numbers = [one for one in leaves(RESULT) if isinstance(one, int | float)]
    assert len(numbers) > 50
    assert {repr(one) for one in numbers} <= shown


def test_measured_stands_beside_predicted_with_the_distance_in_standard_errors():
    made = page(record())
    assert made.row("psi+ ⟨XX⟩") == ["psi+ ⟨XX⟩".replace(" ", "\u00a0"), "0.690 ± 0.090", "0.603", "+1.0 σ"]
    assert made.row("psi+ P(01)")[1:] == ["0.420 ± 0.030", "0.419", "0.0 σ"]
    assert made.row("psi+ heralds")[1] == "262"
    assert "fidelity 0.623 ± 0.031 predicted 0.651 (-0.9 σ)" in made.text
    assert "rate (Hz) 35.90 ± 1.49 predicted 33.94 (+1.3 σ)" in made.text
    assert "first digit alice, second bob" in made.text


def test_without_a_world_nothing_is_predicted():
    made = page(record(predicted={}))
    assert made.row("psi+ ⟨XX⟩")[2:] == ["", ""]
    assert "no prediction" in made.text
    assert "key of predict.json" not in made.text


def test_simulated_instruments_are_said_before_any_number():
    made = page(record())
    assert made.text.index("All 15 instruments were simulated.") < made.text.index("settled heralds")
    some = page(record(run={**RUN, "simulated": ["alice.awg"]}))
    assert "1 of 15 instruments was simulated." in some.text
    assert "simulated." not in page(record(run={**RUN, "simulated": []})).text


def test_notes_stand_before_any_number_and_healthy_runs_have_none():
    made = page(record(result={**RESULT, "notes": ["7 heralds were <taken> back"]}))
    assert made.text.index("Look at this first. 7 heralds were <taken> back") < made.text.index("settled heralds")
    assert "Look at this first" not in page(record(result={**RESULT, "notes": []})).text


def test_what_ran_can_be_repeated_from_the_page():
    made = page(record())
    assert made.row("lab sha256")[1] == "fc3f2aa83d5f"
    assert made.row("seed of the simulated world")[1] == "5"
    assert made.row("bit generator")[1] == "Philox"
    assert made.row("versions")[1] == "qnode 0.1.0 · python 3.11.7 · numpy 2.4.6"
    assert made.row("aa00bb11cc22dd33")[1:4] == ["heralding", "10,787", "1795518109"]
    assert "alice b6e149e8" in made.row("aa00bb11cc22dd33")[4]


def test_a_lab_that_was_up_has_a_seed_that_nobody_here_knows():
    assert page(record(run={**RUN, "world_seed": None})).row("seed of the simulated world")[1].startswith("unknown")


def test_the_ledger_has_all_parties_with_every_mask_and_expiry():
    made = page(record())
    assert made.row("failed") == ["failed", "2,625,371", "2,625,371", "2,625,371"]
    assert made.row("masked: charge")[1:] == ["250", "250", "250"]
    assert made.row("expired: line missing")[1:] == ["1", "1", "1"]
    assert made.row("4,711") == ["4,711", "42", "line missing"]
    assert "3 parties counted from their own wires, and agree in every class." in made.text


def test_a_page_stays_small_however_many_heralds_are_taken_back():
    many = [[round_, 3, "late"] for round_ in range(50_000)]
    html = report_html(record(result={**RESULT, "expired": many}))
    assert len(html) < 1_500_000
    assert "The first 200 of 50,000." in html


def test_parties_that_disagree_are_not_hidden():
    accounting = {**RESULT["accounting"], "bob": {**RESULT["accounting"]["bob"], "failed": 7}}
    made = page(record(result={**RESULT, "accounting": accounting}))
    assert "DISAGREE" in made.text
    assert "agree in every class" not in made.text


def test_double_click_has_a_histogram_a_window():
    made = page(record(arrivals=(window(0), window(500_000))))
    labels = [attributes.get("aria-label") or "" for _, attributes in made.elements]
    # 2 detectors x (90 + 60 + 40 + 27 + 18) tags in the window, 2 x (1 + 12 + 8 + 5 + 3) beside it.
    for which in ("first window", "second window"):
        assert f"Arrival times around the {which}: 470 tags in the window, 58 beside it" in labels


def test_tapes_that_are_lost_are_named():
    made = page(record(arrivals=(), heralds_s=np.zeros(0), lost_tapes=("midpoint/tags-aa.parquet",)))
    assert "can't be read, and are not in the arrivals: midpoint/tags-aa.parquet." in made.text


NASTY = '<script>alert("1")</script>&'


@pytest.mark.parametrize("key", ["run", "link", "experiment", "lab", "error", "started", "state"])
def test_names_are_text_and_never_markup(key: str) -> None:
    html = report_html(record(run={**RUN, "state": "failed", "simulated": [NASTY], key: NASTY}, folder=NASTY))
    assert "<script" not in html
    assert "alert(&quot;1&quot;)" in html
    Page(html)


def test_names_of_a_result_are_text_too():
    slots = RESULT["accounting"]["alice"]
    result = {
        **RESULT,
        "accounting": {NASTY: slots},
        "reasons": {NASTY: {"masked": {NASTY: 3}}},
        "expired": [[1, 2, NASTY]],
        "readout": {NASTY: RESULT["readout"]["alice"]},
        "bell_states": {NASTY: RESULT["bell_states"]["psi+"]},
        "heralds_sha256": NASTY,
        NASTY: NASTY,
    }
    html = report_html(record(result=result, run={**RUN, "versions": {NASTY: NASTY}, "nodes": [NASTY, NASTY]}))
    assert "<script" not in html
    Page(html)


EMPTY: dict[str, Any] = {
    "heralds_s": np.zeros(0),
    "arrivals": (),
    "result": {},
    "predicted": {},
    "round_svg": "",
}


def test_a_run_that_failed_before_its_first_round_says_so():
    run = {**RUN, "state": "failed", "error": "alice.awg does not answer"}
    made = page(record(**EMPTY, run=run))
    assert "It ended early. alice.awg does not answer No round is known to have been played." in made.text
    assert "What came out" not in made.text


def test_an_interrupted_run_says_how_far_it_came():
    reached = {"phase": "heralding", "rounds": 1_234, "heralds": 56}
    made = page(record(**EMPTY, run={**RUN, "state": "interrupted", "reached": reached}))
    assert "It was interrupted by the operator." in made.text
    assert "It came to 1,234 rounds and 56 heralds of 500, in the phase heralding." in made.text


def test_a_killed_run_whose_lab_file_is_gone_still_has_a_page():
    made = page(record(**EMPTY, lab=None, run={"run": "x", "state": "running"}))
    assert "It has not ended, or was killed before it could say how it ended." in made.text


def test_a_run_without_a_herald_shows_its_ledger():
    result = {**RESULT, "heralds": 0, "fidelity": None, "fidelity_err": None, "bell_states": {}, "rate_hz": 0.0}
    result |= {"rate_hz_err": 0.0, "p_herald": 0.0, "p_herald_err": 0.0, "ended": "no herald was settled"}
    run = {**RUN, "state": "failed", "error": "no herald was settled"}
    made = page(record(result=result, run=run, heralds_s=np.zeros(0), arrivals=()))
    assert "It came to 10,787 rounds and 0 heralds of 500." in made.text
    assert made.row("failed")[1] == "2,625,371"


GAME = {"trials": 125, "wins": 99, "correlator": 0.584, "correlator_err": 0.07}
BELL: dict[str, Any] = {
    **{key: RESULT[key] for key in ("run", "link", "ended", "rounds", "seconds", "rate_hz", "rate_hz_err")},
    **{key: RESULT[key] for key in ("accounting", "reasons", "expired", "heralds_sha256")},
    "trials": 500,
    "surplus": 12,
    "wins": 396,
    "s": 2.336,
    "s_err": 0.0711,
    "p_value": 0.0123,
    "violated": True,
    "verdict": "S exceeds 2 & the P-value is small",
    "predicted": {"s": 2.31, "win_probability": 0.789, "correlators": {"psi-": {"ZD": 0.57}}},
    "settings": {"ZD": GAME},
    "bell_states": {"psi-": {"s": 2.2, "s_err": 0.1, "settings": {"ZD": GAME}}},
    "loopholes": [{"name": "locality", "closed": False, "why": "the nodes stand side by side"}],
    "simulated": ["alice.awg"],
}


def test_a_bell_test_shows_s_its_verdict_and_what_stays_open():
    made = page(record(result=BELL, run={**RUN, "experiment": "bell", "trials_wanted": 500}))
    assert "S 2.336 ± 0.071 local at most 2, predicted 2.310" in made.text
    assert "P-value 0.012" in made.text
    assert "S exceeds 2 & the P-value is small" in made.text
    assert "says nothing of nature" in made.text
    assert made.row("psi- ZD")[1:] == ["125", "99", "0.584 ± 0.070", "0.570"]
    assert made.row("locality") == ["locality", "open", "the nodes stand side by side"]
    assert "What came out" not in made.text


def test_a_bell_test_without_trials_shows_no_s():
    empty = {**GAME, "trials": 0, "wins": 0, "correlator": None, "correlator_err": None}
    result = {**BELL, "trials": 0, "wins": 0, "s": None, "s_err": None, "p_value": None}
    result |= {"bell_states": {"psi-": {"s": None, "s_err": None, "settings": {"ZD": empty}}}}
    made = page(record(result=result, run={**RUN, "state": "failed", "error": "why", "trials_wanted": 500}))
    assert made.row("psi- ZD")[1:4] == ["0", "0", "–"]
    assert "local at most" not in made.text
