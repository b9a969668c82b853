from __future__ import annotations

import math

import numpy as np
import pytest

from qnode.analysis import Estimate, combine, proportion, wilson_interval
from qnode.errors import MisuseError


def test_errors_add_in_quadrature_and_shared_shifts_with_their_signs() -> None:
    one = Estimate(1.0, 0.3, {"a": 0.1, "b": 0.2})
    two = Estimate(2.0, 0.4, {"a": -0.1, "c": 0.5})
    total = combine([(1, one), (1, two)], constant=10)
    assert total.value == 13
    assert total.statistical == pytest.approx(0.5)
    assert total.shared == pytest.approx({"a": 0.0, "b": 0.2, "c": 0.5})
    assert total.error == pytest.approx(math.sqrt(0.25 + 0.04 + 0.25))


def test_a_difference_loses_what_is_shared() -> None:
    one = Estimate(1.0, 0.0, {"a": 0.1})
    assert combine([(1, one), (-1, one)]).error == 0


def test_proportion() -> None:
    estimate = proportion(30, 100)
    assert estimate.value == 0.3
    assert estimate.error == pytest.approx(math.sqrt(0.3 * 0.7 / 100), rel=0.02)
    assert proportion(100, 100).value == 1
    assert proportion(100, 100).error > 0.005


def test_wilson_by_hand() -> None:
    # No success in n trials: from 0 to z^2 / (n + z^2).
    assert wilson_interval(0, 99, 1.0) == pytest.approx((0, 1 / 100))
    assert wilson_interval(99, 99, 1.0) == pytest.approx((99 / 100, 1))
    # Half of 100 at 1.96 sigma: 0.404 to 0.596.
    assert wilson_interval(50, 100, 1.96) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_wilson_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(5).binomial(40, 0.1, 4000)
    inside = [low <= 0.1 <= high for low, high in (wilson_interval(int(k), 40, 1.96) for k in draws)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(("k", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_counts_that_can_not_be_are_refused(k: int, n: int) -> None:
    with pytest.raises(MisuseError):
        proportion(k, n)
    with pytest.raises(MisuseError):
        wilson_interval(k, n)
