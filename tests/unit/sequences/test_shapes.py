from __future__ import annotations

import math

import numpy as np
import pytest

from sequences import Gaussian, Hermite, Square, ns


def test_square_is_one_for_all_its_samples() -> None:
    assert Square(2 * ns).samples(1000).tolist() == [1.0, 1.0]


def test_gaussian_is_sampled_in_the_middle_of_each_sample() -> None:
    # Four samples of 1 ns about the middle at 2 ns: 1.5 and 0.5 ns away, sigma 1 ns.
    assert Gaussian(4 * ns, 1 * ns).samples(1000) == pytest.approx(
        [math.exp(-1.125), math.exp(-0.125), math.exp(-0.125), math.exp(-1.125)]
    )


def test_gaussian_area_is_that_of_the_cut_bell() -> None:
    # sigma sqrt(2 pi) erf(half length / (sigma sqrt 2))
    assert Gaussian(100 * ns, 20 * ns).samples(1000).sum() == pytest.approx(
        20 * math.sqrt(2 * math.pi) * math.erf(50 / (20 * math.sqrt(2))), rel=2e-4
    )


def test_hermite_crosses_zero_where_its_polynomial_does() -> None:
    samples = Hermite(600 * ns).samples(1000)
    x = (np.arange(600) + 0.5 - 300) / 100
    assert (samples > 0).tolist() == (np.abs(x) < 1 / math.sqrt(0.956)).tolist()
    assert samples.max() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("shape", [Gaussian(100 * ns, 20 * ns), Hermite(100 * ns)])
def test_shapes_are_symmetric(shape: Gaussian | Hermite) -> None:
    samples = shape.samples(1000)
    assert samples == pytest.approx(samples[::-1])
