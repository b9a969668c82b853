"""Notes come when something is wrong with a run, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from qnode.analysis import run_notes

HEALTHY: dict[str, Any] = {
    "slots": {"slots": 1_000, "masked": 50},
    "masked": {"charge": 50},
    "expired": [],
    "bells": {"psi+": 99, "psi-": 1},
    "seconds": 10.0,
    "predicted_rate_hz": 100.0,
}


def test_a_run_at_every_limit_has_no_note() -> None:
    assert run_notes(**HEALTHY) == []


@pytest.mark.parametrize(
    ("what", "note"),
    [
        (
            {"slots": {"slots": 1_000, "masked": 51}, "masked": {"tag_gap": 11, "charge": 40}},
            "5.1% of all slots were masked: charge 4.0%, tag gap 1.1%",
        ),
        ({"expired": ["late"]}, "1 herald was taken back: late 1"),
        (
            {"expired": ["late", "line_missing", "line_missing"]},
            "3 heralds were taken back: line missing 2, late 1",
        ),
        (
            {"bells": {"psi+": 100, "psi-": 0}},
            "none of 100 heralds was psi-: look at both detectors, their bias and their wires",
        ),
        (
            {"bells": {"psi+": 50, "psi-": 49}},
            "99 heralds in 10.0 s of lab time, where 1,000 were predicted: "
            "look at lasers, fibres and detectors, and at what was masked",
        ),
    ],
)
def test_what_is_wrong_is_one_line(what: dict[str, Any], note: str) -> None:
    assert run_notes(**{**HEALTHY, **what}) == [note]


@pytest.mark.parametrize(
    "what",
    [
        {"bells": {"psi+": 99, "psi-": 0}, "seconds": 9.0},  # 99 heralds may be of one state
        {"bells": {"psi+": 0, "psi-": 0}, "seconds": 0.09},  # 9 expected
        {"bells": {"psi+": 1, "psi-": 0}, "predicted_rate_hz": None},
        {"slots": {}, "masked": {}},  # a party that gave no sums
    ],
)
def test_what_may_be_chance_or_is_not_known_is_not_said(what: dict[str, Any]) -> None:
    assert run_notes(**{**HEALTHY, **what}) == []


def test_all_that_is_wrong_is_said() -> None:
    bad = {"slots": {"slots": 10, "masked": 10}, "masked": {"phase": 10}, "expired": ["late"]}
    assert len(run_notes(**{**HEALTHY, **bad, "bells": {"psi+": 0, "psi-": 0}})) == 3
