"""What `qnode run bell` prints and writes, from pairs that are made up."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scipy.stats import binom

from qnode.analysis import predict_bell_test
from qnode.cli import _bell
from qnode.cli._bell_summary import print_bell_test
from qnode.client import Pair, Pairs
from qnode.experiments import BellOptions, BellTest
from qnode.labfile import load_lab, load_world

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")


def made_up(lab: str, shares: dict[str, int], each: int) -> BellTest:
    """Settings to how many of ``each`` trials have equal outcomes, for psi+ alone."""
    pairs = []
    for settings, equal in shares.items():
        for number in range(each):
            pairs.append(
                Pair(
                    round=number,
                    attempt=0,
                    pattern=5,
                    bell="psi+",
                    click_ps=0,
                    bases=(settings[0], settings[1]),
                    outcomes=(1, 1 if number < equal else -1),
                    bright=(True, number < equal),
                    plan_id="a",
                )
            )
    result = Pairs("run-1", load_lab(ROOT / "config" / lab).link("alice-bob"), pairs)
    result.ended, result.rounds = "done", 1_000
    return BellTest(result, BellOptions(len(pairs), seed=3))


def prediction(lab: str) -> Any:
    path = ROOT / "config" / lab
    found = load_lab(path)
    return predict_bell_test(found, load_world(path), found.link("alice-bob"))


STRONG = {"ZD": 20, "ZE": 20, "XD": 80, "XE": 20}
"""Of 100: correlators -0.6, -0.6, 0.6, -0.6."""
WEAK = {"ZD": 35, "ZE": 35, "XD": 65, "XE": 35}


def test_the_document_has_the_keys_of_the_page() -> None:
    document = _bell.bell_document(made_up("two_nodes_bell.yaml", STRONG, 100), None, [])
    section = next(
        part for part in re.split(r"^## ", REFERENCE, flags=re.MULTILINE) if part.startswith("qnode run bell")
    )
    first = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    assert {key for cell in first for key in re.findall(r"`([^`]+)`", cell)} == set(document)
    assert document["predicted"] is None


def test_correlators_have_their_own_signs_by_bell_state_and_the_games_sign_together() -> None:
    document = _bell.bell_document(
        made_up("two_nodes_bell.yaml", STRONG, 100), prediction("two_nodes_bell.yaml"), ["alice.awg"]
    )
    assert {name: one["correlator"] for name, one in document["settings"].items()} == pytest.approx(
        dict.fromkeys(("ZD", "ZE", "XD", "XE"), 0.6)
    )
    own = document["bell_states"]["psi+"]["settings"]
    assert {name: one["correlator"] for name, one in own.items()} == pytest.approx(
        {"ZD": -0.6, "ZE": -0.6, "XD": 0.6, "XE": -0.6}
    )
    assert (document["s"], document["wins"], document["trials"]) == (pytest.approx(2.4), 320, 400)
    assert document["s_err"] == pytest.approx((4 * 0.64 / 100) ** 0.5)
    assert document["predicted"]["s"] == pytest.approx(2.38, abs=0.01)


def printed(lab: str, shares: dict[str, int], simulated: list[str], capsys: Any, each: int = 100) -> str:
    test, predicted = made_up(lab, shares, each), prediction(lab)
    document = _bell.bell_document(test, predicted, simulated)
    print_bell_test(Console(width=200), document)
    return str(capsys.readouterr().out)


def test_a_violation_is_named_with_its_probability_and_what_stays_open(capsys: Any) -> None:
    text = printed("two_nodes_bell.yaml", STRONG, ["alice.awg"], capsys)
    assert re.search(r"│ S +│ +2\.400 ± 0\.160 │ +2\.377 │ +2 │", text)
    assert "violated at the 5% level" in text
    assert f"a probability of {binom.sf(319, 400, 0.75):.2g} at the most" in text
    for name in ("locality, open", "freedom of choice, open", "memory, open", "detection, closed"):
        assert name in text
    assert "The instruments are simulated" in text
    assert "says nothing of nature" in text


def test_a_link_that_can_t_violate_is_said_not_to(capsys: Any) -> None:
    text = printed("two_nodes.yaml", WEAK, [], capsys)
    assert "No violation: S is not above 2. No violation is expected: predicted S = 1.22." in text
    assert "violated" not in text
    assert "simulated" not in text


def test_few_lucky_trials_are_no_violation(capsys: Any) -> None:
    """All 4 settings won twice of two: S = 4, P = 0.75^8 = 0.1."""
    text = printed("two_nodes.yaml", {"ZD": 0, "ZE": 0, "XD": 2, "XE": 0}, [], capsys, each=2)
    assert "4.000" in text
    assert "violated" not in text
    assert "No violation is shown: a local model wins as often with a probability of up to 0.1." in text
    assert "No violation is expected: predicted S = 1.22." in text


def test_a_run_without_trials_is_shown(capsys: Any) -> None:
    test = made_up("two_nodes_bell.yaml", {}, 0)
    test = BellTest(test.pairs, BellOptions(500))
    print_bell_test(Console(width=200), _bell.bell_document(test, None, []))
    text = capsys.readouterr().out
    assert "S is not defined: of 0 trials" in text
    assert list(itertools.chain(test.games)) == []
