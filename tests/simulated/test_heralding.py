"""The main job: lab file to settled pairs, by real processes, sockets and simulators."""

import json

import pytest


def test_heralds_are_settled_and_agree_with_the_prediction(lab):
    result = lab.run("--heralds", "1500", "--speed", "max", "--seed", "7")
    assert result["exit"] == 0, result["stderr"]
    predicted = json.loads(lab.qnode("predict", str(lab.path), "--json").stdout)["links"]["alice-bob"]
    assert result["heralds"] >= 1500
    for name in ("p_herald", "rate_hz", "fidelity"):
        assert result[name] == pytest.approx(predicted[name], abs=3 * result[f"{name}_err"]), name
    accounts = result["accounting"]
    assert accounts["alice"] == accounts["bob"] == accounts["midpoint"]
    sums = accounts["midpoint"]
    assert sums["slots"] == sum(slots for name, slots in sums.items() if name != "slots")
    assert sums["slots"] == result["rounds"] * 250
    assert sums["heralded"] == result["heralds"]
    assert result["attempts"] == sums["failed"] + sums["heralded"] + sums["vetoed"]
    assert result["notes"] == []
    assert result["simulated"]


def test_one_seed_gives_the_same_heralds_at_any_credit(lab):
    """That other seeds give others is seen in test_bell.py."""
    one, many = (
        lab.run("--heralds", "20", "--speed", "max", "--seed", "1", "--credit", credit) for credit in ("1", "256")
    )
    assert one["exit"] == many["exit"] == 0, (one, many)
    assert one["heralds_sha256"] == many["heralds_sha256"]
