"""Double click end to end: a lab file with a two-window latch to settled pairs, by real processes and simulators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "config" / "two_nodes_double_click.yaml"


@pytest.fixture
def double(lab_copy: Any, tmp_path: Path) -> Iterator[Any]:
    copy = lab_copy(tmp_path, FILE)
    yield copy
    copy.stop_all()


def test_heralds_are_settled_and_agree_with_the_prediction(double):
    result = double.run("--heralds", "400", "--speed", "max", "--seed", "11")
    assert result["exit"] == 0, result["stderr"]
    predicted = json.loads(double.qnode("predict", str(double.path), "--json").stdout)["links"]["alice-bob"]
    assert result["heralds"] >= 400
    for name in ("p_herald", "rate_hz", "fidelity"):
        assert result[name] == pytest.approx(predicted[name], abs=3 * result[f"{name}_err"]), name
    # Half of the heralds are the same detector twice.
    plus, minus = (result["bell_states"][bell] for bell in ("psi+", "psi-"))
    assert abs(plus["heralds"] - minus["heralds"]) < 4 * result["heralds"] ** 0.5
    for bell, sign in ((plus, 1), (minus, -1)):
        for pauli, expected in (("XX", sign), ("YY", sign), ("ZZ", -1)):
            measured = bell["correlators"][pauli]
            assert measured["value"] * expected > 0.5, (sign, pauli)
    accounts = result["accounting"]
    assert accounts["alice"] == accounts["bob"] == accounts["midpoint"]
    sums = accounts["midpoint"]
    assert sums["slots"] == sum(slots for name, slots in sums.items() if name != "slots") == result["rounds"] * 250
    assert sums["heralded"] == result["heralds"]


def test_the_phase_between_the_paths_does_not_matter(double):
    """With no phase stability at all single click would herald nothing but noise."""

    def drifting(tree: Any) -> None:
        tree["world"]["midpoints"]["midpoint"]["interferometer"]["phase_rms_deg"] = 1000

    double.edit(drifting)
    result = double.run("--heralds", "200", "--speed", "max", "--seed", "5")
    assert result["exit"] == 0, result["stderr"]
    assert result["fidelity"] == pytest.approx(0.941, abs=3 * result["fidelity_err"])
    assert result["fidelity"] - 3 * result["fidelity_err"] > 0.6
