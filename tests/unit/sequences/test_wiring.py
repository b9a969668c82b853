from __future__ import annotations

import pytest

from qnode.errors import MisuseError
from sequences import Connector, Output, Wiring, ns


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("d3", Connector(analog=False, channel=3)),
        ("a1", Connector(analog=True, channel=1)),
        ("ch2", Connector(analog=True, channel=2, of_awg=True)),
        ("ch4m2", Connector(analog=False, channel=4, marker=2, of_awg=True)),
    ],
)
def test_connectors_are_read_by_their_names(name: str, expected: Connector) -> None:
    assert Connector.parse(name) == expected


@pytest.mark.parametrize("name", ["", "d8", "ch0", "ch1m3", "ch1x", "D0", "in1"])
def test_other_connectors_are_refused(name: str) -> None:
    with pytest.raises(MisuseError, match="no output connector"):
        Connector.parse(name)


def test_an_unknown_signal_is_refused_with_the_known_ones(wiring: Wiring) -> None:
    with pytest.raises(MisuseError, match=r"no wire carries the signal 'lazer'.*charge_light, excitation_gate"):
        wiring.output("lazer")


def test_an_instrument_without_a_trigger_is_refused(wiring: Wiring) -> None:
    with pytest.raises(MisuseError, match="nothing triggers other"):
        wiring.trigger_delay_ps("other")


def test_signals_of_one_instrument_act_together() -> None:
    outputs = {
        "near": Output("awg", "ch1", "light", 30 * ns, 1.0),
        "far": Output("awg", "ch1m1", "light", 47 * ns),
    }
    wiring = Wiring(outputs)
    assert wiring.reach_ps("awg") == 47 * ns
    assert wiring.shift_ps("near", 1000) == 17 * ns
    assert wiring.shift_ps("far", 1000) == 0


def test_a_trigger_reaches_as_far_as_what_it_starts(wiring: Wiring) -> None:
    # 10 ns to the AWG and 30 ns from it to the qubit; the pulser's own light takes 50 ns.
    assert wiring.way_ps("round_trigger") == 40 * ns
    assert wiring.shift_ps("round_trigger", 1000) == 10 * ns
    assert wiring.shift_ps("charge_light", 1000) == 0


def test_a_delay_between_grid_points_is_made_up_to_the_nearest() -> None:
    wiring = Wiring({"a": Output("awg", "ch1m1", "light", 0), "b": Output("awg", "ch1m2", "light", 2_600)})
    assert wiring.shift_ps("a", 1000) == 3000
    assert wiring.shift_ps("a", 4000) == 4000


def test_instruments_that_trigger_each_other_are_refused() -> None:
    outputs = {"go": Output("pulser", "d0", "trigger", 0), "back": Output("awg", "ch1m1", "trigger", 0)}
    wiring = Wiring(outputs, {"awg": "go", "pulser": "back"})
    with pytest.raises(MisuseError, match="in a circle: pulser -> awg -> pulser"):
        wiring.reach_ps("pulser")
