"""Time left, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from qnode.client._pace import wall_seconds_left


def left(**given: Any) -> float | None:
    """1,000 heralds wanted of rounds of 2 ms, 1 in 20 of which heralds; nothing played yet."""
    usual = {
        "heralds": 0,
        "heralds_wanted": 1_000,
        "rounds": 0,
        "plan_rounds_left": 0,
        "playing_s": 0.0,
        "calibrated_p": 0.05,
        "round_period_s": 0.002,
    }
    return wall_seconds_left(**{**usual, **given})


def test_before_the_first_round_the_calibration_says_it() -> None:
    # 20,000 rounds of 2 ms.
    assert left() == pytest.approx(40.0)


def test_what_the_plan_has_beyond_the_need_is_played_too() -> None:
    assert left(plan_rounds_left=21_300) == pytest.approx(42.6)


def test_the_pace_is_that_of_the_rounds_and_not_of_all_that_came_before() -> None:
    # 2,000 rounds in 3 s are 1.5 ms each. As if 110 heralds had come in 2,200 rounds: 900 more need 18,000.
    assert left(heralds=100, rounds=2_000, playing_s=3.0, plan_rounds_left=17_000) == pytest.approx(27.0)


def test_a_lab_unlike_its_calibration_is_believed_more_with_each_herald() -> None:
    # Four times as bright as calibrated: 90 heralds and 10 made-up ones in 450 and 200 rounds: 910 more need 5,915.
    assert left(heralds=90, rounds=450, playing_s=0.9) == pytest.approx(11.83)
    # None in 2,000 rounds: 10 in 2,200, 1,000 in 220,000.
    assert left(rounds=2_000, playing_s=4.0) == pytest.approx(440.0)


def test_without_a_calibration_the_heralds_alone_say_it_and_before_them_the_plan() -> None:
    assert left(calibrated_p=None) is None
    assert left(calibrated_p=None, plan_rounds_left=2_000) == pytest.approx(4.0)
    assert left(calibrated_p=None, heralds=50, rounds=500, playing_s=1.0, plan_rounds_left=1_500) == pytest.approx(
        19.0
    )


def test_at_the_end_nothing_is_left() -> None:
    assert left(heralds=1_004, rounds=20_100, playing_s=40.0) == 0.0
