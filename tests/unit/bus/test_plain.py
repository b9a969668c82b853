"""Values that can travel."""

from __future__ import annotations

import enum
import math
from typing import Any

import msgspec
import numpy as np
import pytest

from qnode.bus import plain
from qnode.errors import MisuseError


class Mode(enum.Enum):
    FAST = "fast"


class WrittenFloat(float):
    """A float of another library."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (1.5, 1.5),
        (WrittenFloat("2.5"), 2.5),
        ("Ψ", "Ψ"),
        (b"\0", b"\0"),
        ((1, (2, "x")), [1, [2, "x"]]),
        ({1: {"a": (2,)}}, {"1": {"a": [2]}}),
        (frozenset({3}), [3]),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.str_("text"), "text"),
        (np.int64(-4), -4),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array("text"), "text"),
        (Mode.FAST, "fast"),
        (math.inf, math.inf),
    ],
)
def test_a_value_comes_out_as_msgpack_carries_it(value: Any, expected: Any) -> None:
    made = plain(value)
    assert made == expected
    assert type(made) is type(expected)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made)) == expected


@pytest.mark.parametrize("value", [object(), 1j, 2**64, -(2**63) - 1, [object()], {"a": 1j}, np.array([1j])])
def test_anything_else_is_refused_with_its_type(value: Any) -> None:
    with pytest.raises(MisuseError, match=r"of type (object|complex|int) can't travel - give numbers"):
        plain(value)
