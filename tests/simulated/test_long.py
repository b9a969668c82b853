"""What CI has no time for: the same heralds at any speed, load and credit; 20,000 of them against the closed form."""

import contextlib
import json
import multiprocessing
from collections.abc import Iterator

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def _spin() -> None:
    while True:
        pass


@contextlib.contextmanager
def busy_loops(number: int) -> Iterator[None]:
    """So many processes that take all the time they can get."""
    loops = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(number)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.join(10)


def test_two_thousand_heralds_are_the_same_at_speed_one_at_max_under_load_and_at_any_credit(lab):
    common = ("--heralds", "2000", "--seed", "5")
    fast = lab.run(*common, "--speed", "max", "--credit", "256", timeout=600)
    assert fast["exit"] == 0, fast["stderr"]
    real_time = lab.run(*common, "--speed", "1", timeout=600)
    with busy_loops(2):
        loaded = lab.run(*common, "--speed", "max", timeout=1200)
    one_by_one = lab.run(*common, "--speed", "max", "--credit", "1", timeout=2400)
    for other in (real_time, loaded, one_by_one):
        assert other["exit"] == 0, other["stderr"]
        assert other["heralds_sha256"] == fast["heralds_sha256"]


def test_twenty_thousand_heralds_agree_with_the_closed_form(lab):
    result = lab.run("--heralds", "20000", "--speed", "max", timeout=900)
    assert result["exit"] == 0, result["stderr"]
    predicted = json.loads(lab.qnode("predict", str(lab.path), "--json").stdout)["links"]["alice-bob"]
    for name in ("p_herald", "rate_hz", "fidelity"):
        assert result[name] == pytest.approx(predicted[name], abs=3 * result[f"{name}_err"]), name
    accounts = result["accounting"]
    assert accounts["alice"] == accounts["bob"] == accounts["midpoint"]
    sums = accounts["midpoint"]
    assert sums["slots"] == sum(slots for name, slots in sums.items() if name != "slots")
