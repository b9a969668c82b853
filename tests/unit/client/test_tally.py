"""From pairs to correlators and fidelities, counted on paper."""

from __future__ import annotations

import pytest

from qnode.analysis import Estimate, Readout
from qnode.client import BellEstimate, Pair, PairTally, mean_fidelity


def readout(node: str, bright: float = 1.0, dark: float = 1.0) -> Readout:
    return Readout(node, Estimate(bright, 0.0), Estimate(dark, 0.0))


ALICE, BOB = readout("alice"), readout("bob")


def pairs(
    bases: str, *outcomes: str, bell: str = "psi+", signs: tuple[int, int] = (1, 1), times: int = 1
) -> list[Pair]:
    """Pairs from reports such as "+-": bright at the first node, dark at the second."""
    made = []
    for report in outcomes * times:
        bright = (report[0] == "+", report[1] == "+")
        raw = tuple(1 if b else -1 for b in bright)
        values = (raw[0] * signs[0], raw[1] * signs[1])
        made.append(
            Pair(
                round=0,
                attempt=0,
                pattern=1,
                bell=bell,
                click_ps=0,
                bases=(bases[0], bases[1]),
                outcomes=values,
                bright=bright,
                plan_id="plan",
            )
        )
    return made


def test_correlators_and_fidelity_by_hand():
    some = [
        *pairs("XX", "++", "--", "++", "+-"),  # (3 - 1) / 4
        *pairs("YY", "++", "--", "--", "++"),  # 1
        *pairs("ZZ", "+-", "-+", "+-", "--"),  # (1 - 3) / 4
    ]
    (bell,) = PairTally(some).bells(ALICE, BOB).values()
    assert {name: estimate.value for name, estimate in bell.correlators.items()} == {"XX": 0.5, "YY": 1.0, "ZZ": -0.5}
    assert bell.heralds == 12
    assert bell.fidelity is not None
    assert bell.fidelity.value == pytest.approx((1 + 0.5 + 1.0 + 0.5) / 4)


@pytest.mark.parametrize(("signs", "mostly"), [((-1, -1), "10"), ((1, 1), "01"), ((-1, 1), "11"), ((1, -1), "00")])
def test_populations_are_in_the_frame_after_the_herald(signs, mostly):
    """Bright at the first node, dark at the second in three of four; Z = -1 is "1". An even flip keeps them apart."""
    some = pairs("ZZ", "+-", "+-", "+-", "++", signs=signs)
    estimated = PairTally(some).bells(ALICE, BOB)["psi+"].populations
    assert estimated[mostly].value == pytest.approx(0.75)
    assert sum(one.value for one in estimated.values()) == pytest.approx(1.0)


def test_rounds_that_were_not_read_in_z_say_nothing_of_populations():
    assert PairTally(pairs("XX", "++", "+-")).bells(ALICE, BOB)["psi+"].populations == {}


@pytest.mark.parametrize(("signs", "xx"), [((1, 1), 0.5), ((1, -1), -0.5), ((-1, 1), -0.5), ((-1, -1), 0.5)])
def test_outcomes_are_in_the_frame_after_the_herald(signs, xx):
    """The raw reports agree in three of four pairs; each node's sign turns its own outcome."""
    some = pairs("XX", "++", "--", "++", "+-", signs=signs)
    assert PairTally(some).bells(ALICE, BOB)["psi+"].correlators["XX"].value == xx


def test_the_mean_over_pairs_is_the_mean_of_products_of_their_outcomes():
    some = pairs("YY", "++", "+-", "-+", "--", "--", "+-", "--", signs=(1, -1))
    products = [pair.outcomes[0] * pair.outcomes[1] for pair in some]
    value = PairTally(some).bells(ALICE, BOB)["psi+"].correlators["YY"].value
    assert value == pytest.approx(sum(products) / len(products)) == pytest.approx(-1 / 7)


def test_each_readout_corrects_its_own_node():
    # Bright reported at both: (1 - offset) / contrast of each. Alice: offset 0.1, contrast 0.7; bob: -0.05, 0.75.
    some = pairs("ZZ", "++", times=5)
    first, second = readout("alice", 0.9, 0.8), readout("bob", 0.85, 0.9)
    value = PairTally(some).bells(first, second)["psi+"].correlators["ZZ"].value
    assert value == pytest.approx((0.9 / 0.7) * (1.05 / 0.75))
    # Bright at alice only: (1 - 0.1)(-1 + 0.05).
    value = PairTally(pairs("ZZ", "+-")).bells(first, second)["psi+"].correlators["ZZ"].value
    assert value == pytest.approx((0.9 / 0.7) * (-0.95 / 0.75))


def test_bell_states_are_apart_and_mixed_bases_count_as_heralds_only():
    some = [
        *pairs("XX", "++"),
        *pairs("XX", "+-", "-+", bell="psi-"),
        *pairs("XY", "++", "++", bell="psi-"),
    ]
    estimates = PairTally(some).bells(ALICE, BOB)
    assert list(estimates) == ["psi+", "psi-"]
    assert [estimate.heralds for estimate in estimates.values()] == [1, 4]
    assert estimates["psi+"].correlators["XX"].value == 1
    assert estimates["psi-"].correlators["XX"].value == -1
    assert set(estimates["psi-"].correlators) == {"XX"}


def test_a_fidelity_needs_all_three_correlators():
    some = [*pairs("XX", "+-"), *pairs("YY", "+-"), *pairs("ZX", "+-")]
    assert PairTally(some).bells(ALICE, BOB)["psi+"].fidelity is None
    some += pairs("ZZ", "+-", bell="psi+")
    assert PairTally(some).bells(ALICE, BOB)["psi+"].fidelity is not None


def test_no_pairs_are_no_states():
    assert PairTally([]).bells(ALICE, BOB) == {}
    assert mean_fidelity({}) is None


def bell(heralds: int, fidelity: Estimate | None) -> BellEstimate:
    return BellEstimate(heralds, {}, fidelity)


def test_the_mean_fidelity_weighs_states_by_their_heralds_and_adds_shared_shifts():
    mean = mean_fidelity(
        {
            "psi+": bell(30, Estimate(0.8, 0.03, {"alice.bright": 0.01})),
            "psi-": bell(10, Estimate(0.6, 0.04, {"alice.bright": 0.02, "bob.dark": -0.04})),
        }
    )
    assert mean is not None
    assert mean.value == pytest.approx(0.75)
    assert mean.statistical == pytest.approx(((0.75 * 0.03) ** 2 + (0.25 * 0.04) ** 2) ** 0.5)
    assert mean.shared == pytest.approx({"alice.bright": 0.0125, "bob.dark": -0.01})


def test_there_is_no_mean_while_a_state_lacks_its_fidelity():
    assert mean_fidelity({"psi+": bell(30, Estimate(0.8, 0.03)), "psi-": bell(1, None)}) is None


def test_a_tally_in_parts_is_the_tally_of_all():
    some = [*pairs("XX", "++", "--", "+-"), *pairs("YY", "++", "--"), *pairs("ZZ", "+-", "-+", "--")]
    tally = PairTally(some[:2])
    tally.add(some[2:5])
    assert set(tally.bells(ALICE, BOB)["psi+"].correlators) == {"XX", "YY"}
    tally.add(some[5:])
    assert tally.bells(ALICE, BOB) == PairTally(some).bells(ALICE, BOB)
