"""A nanowire's curve: plateau, dark counts, latch and recovery."""

import math

import pytest

from simulators.instruments.single_quantum._nanowire import Nanowire


@pytest.fixture
def wire() -> Nanowire:
    wire = Nanowire(25.0)
    wire.enabled = True
    return wire


def bias(wire: Nanowire, current_ua: float) -> Nanowire:
    wire.set_ua = current_ua
    wire.settle()
    return wire


def test_dark_without_bias(wire: Nanowire) -> None:
    assert (wire.bias_ua, wire.efficiency, wire.dark_rate, wire.voltage_mv) == (0.0, 0.0, 0.0, 0.0)


def test_disabled_nothing_flows(wire: Nanowire) -> None:
    wire.enabled = False
    bias(wire, 20.0)
    assert (wire.bias_ua, wire.efficiency, wire.dark_rate) == (0.0, 0.0, 0.0)


def test_at_the_working_bias_all_is_one(wire: Nanowire) -> None:
    bias(wire, 20.0)
    assert wire.efficiency == pytest.approx(1.0)
    assert wire.dark_rate == pytest.approx(1.0)


def test_efficiency_rises_to_a_plateau(wire: Nanowire) -> None:
    found = [bias(wire, current).efficiency for current in (2.5, 7.5, 10.0, 12.5, 15.0, 17.5, 20.0, 22.5, 24.9)]
    assert found == sorted(found)
    assert found[0] < 1e-6
    # Half of the rise is where the error function is zero.
    assert found[3] == pytest.approx(0.5, abs=1e-4)
    assert found[-1] == 1.0


def test_dark_counts_fold_every_twentieth_of_the_switching_current(wire: Nanowire) -> None:
    assert bias(wire, 21.25).dark_rate == pytest.approx(math.e)
    assert bias(wire, 17.5).dark_rate == pytest.approx(math.exp(-2))


def test_latch_jump_and_recovery(wire: Nanowire) -> None:
    before_mv = bias(wire, 24.9).voltage_mv
    bias(wire, 25.1)
    assert wire.latched
    assert wire.voltage_mv > 15 * before_mv
    assert (wire.efficiency, wire.dark_rate) == (0.0, 0.0)
    bias(wire, 20.0)
    assert wire.latched
    bias(wire, 0.0)
    assert not wire.latched
    assert bias(wire, 20.0).efficiency == pytest.approx(1.0)


def test_switching_off_recovers_too(wire: Nanowire) -> None:
    bias(wire, 26.0)
    wire.enabled = False
    wire.settle()
    assert not wire.latched


def test_light_latches_only_what_is_biased(wire: Nanowire) -> None:
    wire.latch()
    assert not wire.latched
    bias(wire, 20.0).latch()
    assert wire.latched


def test_bias_for_a_dark_rate(wire: Nanowire) -> None:
    for rate_hz in (10.0, 100.0, 500.0):
        bias(wire, wire.bias_for_dark_rate_ua(rate_hz))
        assert 100.0 * wire.dark_rate == pytest.approx(rate_hz)
    assert wire.bias_for_dark_rate_ua(1e9) == pytest.approx(24.5)
    assert wire.bias_for_dark_rate_ua(0.0) == 0.0
    assert wire.bias_for_dark_rate_ua(1e-30) == 0.0
