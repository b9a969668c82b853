from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from qnode.analysis import (
    herald_rate_hz,
    node_efficiency,
    predict,
    predict_bell_test,
    predict_link,
    single_click,
)
from qnode.errors import MisuseError
from qnode.labfile import Lab, World, load_lab, load_world

LAB_FILE = Path(__file__).parents[3] / "config" / "two_nodes.yaml"


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_lab(LAB_FILE)


@pytest.fixture(scope="module")
def world() -> World:
    return load_world(LAB_FILE)


def changed(world: World, node: str, **changes: Any) -> World:
    """The world with other truths of one node."""
    nodes = {**world.nodes, node: world.nodes[node].model_copy(update=changes)}
    return world.model_copy(update={"nodes": nodes})


def test_efficiency_is_the_product_of_its_losses(lab: Lab, world: World) -> None:
    # collection 4e-4, 2 m of fibre at 8 dB/km, detector 0.8, 25 ns of a 12.4 ns decay
    expected = 4e-4 * 10 ** (-0.016 / 10) * 0.8 * (1 - math.exp(-25 / 12.4))
    assert node_efficiency(world, lab.link("alice-bob"), "alice") == pytest.approx(expected)


def test_a_given_efficiency_replaces_the_product(lab: Lab, world: World) -> None:
    other = changed(world, "bob", detection_efficiency=0.7)
    assert node_efficiency(other, lab.link("alice-bob"), "bob") == 0.7


def test_prediction_of_the_lab(lab: Lab, world: World) -> None:
    """Written out: alpha 0.3, etas of the products above, 20 Hz in 25 ns, V 0.9, 14.3 deg, p2 0.04 at both."""
    common = 10 ** (-0.016 / 10) * 0.8 * (1 - math.exp(-25 / 12.4))
    a, ea, eb, d = 0.3, 4e-4 * common, 6e-4 * common, 1 - math.exp(-20 * 25e-9)
    p00 = (1 - a) ** 2 * 2 * d * (1 - d)
    p10, p01 = (a * (1 - a) * (e * (1 - d) + (1 - e) * 2 * d * (1 - d)) for e in (ea, eb))
    p11 = (
        a
        * a
        * (
            (ea * (1 - eb) + eb * (1 - ea)) * (1 - d)
            + ea * eb * 1.9 / 2 * (1 - d)
            + (1 - ea) * (1 - eb) * 2 * d * (1 - d)
        )
    )
    p = p00 + p01 + p10 + p11
    c = math.sqrt(0.9) * math.exp(-(math.radians(14.3) ** 2) / 2) * 0.96 * a * (1 - a) * math.sqrt(ea * eb) * (1 - d)
    link = predict(lab, world)["alice-bob"]
    assert link.p_herald == pytest.approx(p, rel=1e-9)
    assert link.fidelity == pytest.approx(((p10 + p01) / 2 + c) / p, rel=1e-9)
    assert link.populations == pytest.approx({"00": p00 / p, "01": p01 / p, "10": p10 / p, "11": p11 / p}, rel=1e-9)
    assert link.rate_attempting_hz == pytest.approx(p / 5.5e-6, rel=1e-9)
    # 100 us of charge check, 250 attempts of 5.5 us, 20 us of branch
    assert link.rate_hz == pytest.approx((1 - (1 - p) ** 250) / 1495e-6, rel=1e-9)
    zz, xx = (p00 + p11 - p01 - p10) / p, 2 * c / p
    assert link.chsh_s == pytest.approx(math.sqrt(2) * (abs(zz) + xx), rel=1e-9)
    # XX and YY are the two largest correlators here.
    assert link.chsh_s_max == pytest.approx(2 * math.sqrt(2) * xx, rel=1e-9)
    assert (link.chsh_s, link.chsh_s_max) == pytest.approx((1.41, 1.70), abs=0.01)


def test_names_of_the_printed_prediction(lab: Lab, world: World) -> None:
    assert sorted(predict_link(lab, world, lab.link("alice-bob")).as_dict()) == [
        "chsh_s", "chsh_s_max", "chsh_s_readout", "fidelity", "p_herald", "populations", "rate_attempting_hz", "rate_hz",
    ]  # fmt: skip


def test_high_efficiencies(lab: Lab, world: World) -> None:
    bright = changed(changed(world, "alice", detection_efficiency=0.9), "bob", detection_efficiency=1.0)
    expected = single_click(
        0.3,
        0.3,
        0.9,
        1.0,
        dark=-math.expm1(-5e-7),
        visibility=0.9,
        phase_rms_rad=math.radians(14.3),
        p2_a=0.04,
        p2_b=0.04,
    )
    link = predict_link(lab, bright, lab.link("alice-bob"))
    assert (link.p_herald, link.fidelity) == pytest.approx((expected.p_herald, expected.fidelity), rel=1e-12)


@pytest.mark.parametrize("late_ps", [5_000, -5_000])
def test_a_pulse_moved_by_5_ns(lab: Lab, world: World, late_ps: float) -> None:
    """The late photon's share falls from 0.867 to 0.801, the indistinguishability to 0.617 of its value."""
    link = lab.link("alice-bob")
    etas = [node_efficiency(world, link, node) for node in link.between]
    etas[late_ps > 0] *= 0.801 / 0.867
    expected = single_click(
        0.3, 0.3, *etas, dark=5e-7, visibility=0.9 * 0.617, phase_rms_rad=math.radians(14.3), p2_a=0.04, p2_b=0.04
    )
    moved = predict_link(lab, world, link, late_ps=late_ps)
    assert moved.p_herald == pytest.approx(expected.p_herald, rel=2e-3)
    assert moved.fidelity == pytest.approx(expected.fidelity, abs=1e-3)


def test_a_certain_herald_comes_once_a_round() -> None:
    assert herald_rate_hz(1.0, 10, 2_000_000) == pytest.approx(5e5)
    assert herald_rate_hz(0.5, 1, 2_000_000) == pytest.approx(2.5e5)
    # p N << 1: p N / P
    assert herald_rate_hz(1e-12, 100, 1_000_000_000) == pytest.approx(1e-7)


def test_a_world_that_says_nothing_is_refused(lab: Lab, world: World) -> None:
    link = lab.link("alice-bob")
    with pytest.raises(MisuseError, match="midpoint"):
        predict_link(lab, world.model_copy(update={"midpoints": {}}), link)
    with pytest.raises(MisuseError, match="alice"):
        predict_link(lab, world.model_copy(update={"nodes": {}}), link)


def test_prediction_of_double_click() -> None:
    """F4 written out for config/two_nodes_double_click.yaml: eta of the products, V 0.9, p2 0.01 at each pulse."""
    file = LAB_FILE.with_name("two_nodes_double_click.yaml")
    link = predict(load_lab(file), load_world(file))["alice-bob"]
    e = 0.0265 * 10 ** (-0.016 / 10) * 0.8 * (1 - math.exp(-30 / 6.5))
    d = 1 - math.exp(-20 * 30e-9)
    one = e * (1 - d) + (1 - e) * 2 * d * (1 - d)
    none = 2 * d * (1 - d)
    two = e * e * (1 + 0.9) / 2 * (1 - d) + 2 * e * (1 - e) * (1 - d) + (1 - e) ** 2 * none
    p = one * one / 2 + two * none / 2
    good = e * e * (1 - d) ** 2 / 2
    v = 0.9 * 0.99**2
    assert link.p_herald == pytest.approx(p, rel=1e-9)
    assert link.fidelity == pytest.approx((good * (1 + v) / 2 + (one * one / 2 - good) / 2) / p, rel=1e-9)
    assert link.populations == pytest.approx(
        {"00": two * none / 4 / p, "01": one * one / 4 / p, "10": one * one / 4 / p, "11": two * none / 4 / p},
        rel=1e-9,
    )
    # 100 us of charge check, 250 attempts of 10 us, 20 us of branch
    assert link.rate_attempting_hz == pytest.approx(p / 10e-6, rel=1e-9)
    assert link.rate_hz == pytest.approx((1 - (1 - p) ** 250) / 2620e-6, rel=1e-9)
    assert (e, link.rate_hz) == pytest.approx((0.0209, 20.3), rel=2e-3)


def test_the_phase_between_the_paths_means_nothing_to_double_click() -> None:
    file = LAB_FILE.with_name("two_nodes_double_click.yaml")
    lab, world = load_lab(file), load_world(file)
    midpoint = world.midpoints["midpoint"]
    still = midpoint.interferometer.model_copy(update={"phase_rms_deg": 0.0})
    calm = world.model_copy(update={"midpoints": {"midpoint": midpoint.model_copy(update={"interferometer": still})}})
    assert midpoint.interferometer.phase_rms_deg > 0
    assert predict(lab, calm) == predict(lab, world)


# --- CHSH as it is played: Z, X against (Z +- X)/sqrt2, readout 0.950 of bright and 0.995 of dark ---

CONTRAST, OFFSET = 0.950 + 0.995 - 1, 0.950 - 0.995


def test_chsh_of_single_click_with_readout(lab: Lab, world: World) -> None:
    """Signs (-, -, +-, -+) add up to -2 of each of: the offsets' product, and offset times the other's mean of Z."""
    link = predict_link(lab, world, lab.link("alice-bob"))
    p = link.populations
    zz = p["00"] + p["11"] - p["01"] - p["10"]
    xx = 2 * link.fidelity - p["01"] - p["10"]
    z_a, z_b = p["00"] + p["01"] - p["10"] - p["11"], p["00"] + p["10"] - p["01"] - p["11"]
    assert zz < 0
    expected = CONTRAST**2 * math.sqrt(2) * (-zz + xx)
    # The first node's own term is read in Z twice; the second's mean of D (or of E) is <Z>/sqrt2, twice.
    expected -= 2 * CONTRAST * OFFSET * (z_a + z_b / math.sqrt(2)) + 2 * OFFSET**2
    assert link.chsh_s_readout == pytest.approx(expected, rel=1e-9)
    assert link.chsh_s_readout == pytest.approx(1.219, abs=1e-3)


def test_chsh_of_double_click_with_readout() -> None:
    """No mean of Z is left at alpha 1/2, so only the product of the offsets is lost beside both contrasts."""
    file = LAB_FILE.with_name("two_nodes_double_click.yaml")
    link = predict(load_lab(file), load_world(file))["alice-bob"]
    expected = CONTRAST**2 * link.chsh_s - 2 * OFFSET**2
    assert link.chsh_s_readout == pytest.approx(expected, abs=1e-9)


def test_double_click_is_read_behind_its_flip() -> None:
    """With noise and bright spins a mean of Z is left; in the herald it is minus that before the first window."""
    file = LAB_FILE.with_name("two_nodes_double_click.yaml")
    lab, world = load_lab(file), load_world(file)
    link = lab.link("alice-bob").model_copy(update={"bright_state": {"alice": 0.9, "bob": 0.9}})
    midpoint = world.midpoints["midpoint"]
    noisy = midpoint.model_copy(update={"detectors": midpoint.detectors.model_copy(update={"dark_rate_hz": 1e6})})
    world = world.model_copy(update={"midpoints": {"midpoint": noisy}})
    p = predict_link(lab, world, link).populations
    assert p["11"] > p["00"] + 0.3
    before = p["00"] - p["11"]
    correlators = predict_bell_test(lab, world, link).correlators["psi-"]
    zz = p["00"] + p["11"] - p["01"] - p["10"]
    xx = -(2 * predict_link(lab, world, link).fidelity - p["01"] - p["10"])
    for settings, x_sign in (("ZD", 0), ("ZE", 0), ("XD", 1), ("XE", -1)):
        straight = (x_sign * xx if settings[0] == "X" else zz) / math.sqrt(2)
        mean_a, mean_b = (-before if settings[0] == "Z" else 0.0), -before / math.sqrt(2)
        expected = CONTRAST**2 * straight + CONTRAST * OFFSET * (mean_a + mean_b) + OFFSET**2
        assert correlators[settings] == pytest.approx(expected, abs=1e-9), settings


def test_a_bell_test_wins_one_half_and_an_eighth_of_s(lab: Lab, world: World) -> None:
    found = predict_bell_test(lab, world, lab.link("alice-bob"))
    assert found.s == predict_link(lab, world, lab.link("alice-bob")).chsh_s_readout
    signs = {"psi+": (-1, -1, 1, -1), "psi-": (-1, -1, -1, 1)}
    for bell, correlators in found.correlators.items():
        wins = [(1 + sign * value) / 2 for sign, value in zip(signs[bell], correlators.values(), strict=True)]
        assert list(correlators) == ["ZD", "ZE", "XD", "XE"]
        assert sum(wins) / 4 == pytest.approx(found.win_probability, abs=1e-12)
