"""Double click: the maps against single-click maps in sequence and against the closed form, then rounds played whole.

The oracle of the maps takes the state of both spins through one window after the other with `ClickMaps`, which
`test_link` holds against QuTiP; the code under test never has that state: it contracts what each node does by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product
from math import exp, pi, radians, sqrt
from typing import Any

import numpy as np
import pytest

from qnode.clock import PS_PER_S
from qnode.errors import MisuseError
from qnode.labfile import Spin
from simulators.world._wave_packet import WavePacket
from simulators.world.double_click import DoubleClickMaps, TwoPulses
from simulators.world.link import ClickMaps, NodeEmission
from simulators.world.monte_carlo import sample_link
from simulators.world.paired_link import pair_gates
from simulators.world.rack import Excitation, Light, Operation, Rotation
from simulators.world.spin import SpinModel
from simulators.world.states import rotation

NS = 1_000
PERIOD_NS = 1_495_000
PERIOD_PS = PERIOD_NS * NS
GATE_NS = 98_056
WINDOW_PS = 25_000.0
TAU_PS = 12_400.0
SHARE = 1 - exp(-25 / 12.4)
SPIN = Spin(
    pumped_state="bright",
    rabi_mhz_per_volt=10,
    t1_s=1e6,
    t2_star_us=5,
    t2_s=1e6,
    readout_fidelity_bright=1,
    readout_fidelity_dark=1,
)
SAME, OTHER = (0b0101, 0b1010), (0b0110, 0b1001)


def closed_form(eta_a: float, eta_b: float, visibility: float, dark: float) -> tuple[float, float]:
    """F4 of the field's reference: P(exactly one click in each window) and the fidelity of the pair."""
    p0 = 2 * dark * (1 - dark)
    one_a, one_b = (eta * (1 - dark) + (1 - eta) * p0 for eta in (eta_a, eta_b))
    both = eta_a * eta_b * (1 + visibility) / 2 * (1 - dark)
    both += (eta_a * (1 - eta_b) + eta_b * (1 - eta_a)) * (1 - dark) + (1 - eta_a) * (1 - eta_b) * p0
    p = one_a * one_b / 2 + both * p0 / 2
    g = eta_a * eta_b * (1 - dark) ** 2 / 2
    return p, (g * (1 + visibility) / 2 + (one_a * one_b / 2 - g) / 2) / p


def operations(turns: list[np.ndarray], angles: list[float]) -> list[Operation]:
    """Pump, then rotation and optical pulse by turns, without time between them."""
    done: list[Operation] = [Light(0, 10**9, "spin_pump")]
    for turn, angle in zip(turns, angles, strict=True):
        done += [Rotation(10**9, turn), Excitation(10**9, angle)]
    return done


def two_pulses(
    turns: list[np.ndarray],
    efficiency: float,
    angles: tuple[float, float] = (pi, pi),
    packets: tuple[WavePacket, WavePacket] | None = None,
    p2: float = 0.0,
) -> TwoPulses:
    histories = SpinModel(SPIN).histories(operations(turns, list(angles)), (0, 1), 10**9)
    packet = WavePacket(0.0, TAU_PS)
    return TwoPulses(histories, packets or (packet, packet), (efficiency, efficiency), p2)


BARRETT_KOK = [rotation(pi / 2, 0.0), rotation(pi, 0.0)]


def bell_fidelity(rho: np.ndarray, sign: int) -> float:
    return float(((rho[1, 1] + rho[2, 2]) / 2 + sign * rho[1, 2].real).real)


# --- maps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [(1e-3, 1e-3), (0.02, 0.03), (0.3, 0.7), (0.9, 0.9), (1.0, 0.6)])
@pytest.mark.parametrize(("visibility", "dark"), [(1.0, 0.0), (0.9, 0.0), (0.9, 5e-7), (0.6, 0.03)])
@pytest.mark.parametrize("phase", [0.0, 1.3])
def test_maps_equal_the_closed_form(eta: tuple[float, float], visibility: float, dark: float, phase: float) -> None:
    # A photon of 0.5 ns is in the window as a whole.
    packets = (WavePacket(0.0, 500.0),) * 2
    a, b = (two_pulses(BARRETT_KOK, x, packets=packets) for x in eta)
    maps = DoubleClickMaps.compute(a, b, WINDOW_PS, visibility, dark, phase_rms_rad=2.0)
    p, fidelity = closed_form(*eta, visibility, dark)
    heralds = [*SAME, *OTHER]
    assert maps.probability[heralds].sum() == pytest.approx(p, rel=1e-9)
    assert maps.probability.sum() == pytest.approx(1, abs=1e-12)
    # Exact means any phase, if it is the same in both windows.
    for pattern in heralds:
        rho = maps.post_state(pattern, [[phase, phase]])[0]
        assert bell_fidelity(rho, 1 if pattern in SAME else -1) == pytest.approx(fidelity, rel=1e-9)


def sequential(
    seed: int,
) -> tuple[DoubleClickMaps, np.ndarray, np.ndarray]:
    """Random parameters: the maps, unnormalised states of the 16 patterns by the other route, and the phases."""
    rng = np.random.default_rng(seed)
    visibility, dark = rng.uniform(0, 1), rng.uniform(0, 0.2)
    phases = rng.uniform(-3, 3, 2)
    turns = [[rotation(rng.uniform(0, 2 * pi), rng.uniform(0, 2 * pi)) for _ in range(2)] for _ in range(2)]
    angles = rng.uniform(0.2, 2 * pi, (2, 2))
    packets = [tuple(WavePacket(rng.uniform(-5e3, 8e3), rng.uniform(4e3, 2e4)) for _ in range(2)) for _ in range(2)]
    efficiency, p2 = rng.uniform(0.2, 1, 2), rng.uniform(0, 0.3, 2)
    nodes = [two_pulses(turns[n], efficiency[n], tuple(angles[n]), packets[n], p2[n]) for n in range(2)]
    maps = DoubleClickMaps.compute(*nodes, WINDOW_PS, visibility, dark, "det2")
    windows = []
    for w in range(2):
        emissions = [
            NodeEmission(
                np.eye(2) / 2,
                angles[n][w],
                efficiency[n],
                packets[n][w].arrival_ps,
                packets[n][w].lifetime_ps,
                p2[n],
            )
            for n in range(2)
        ]
        windows.append(ClickMaps.compute(*emissions, WINDOW_PS, visibility, dark, "det2"))
    pumped = np.zeros((4, 4), dtype=complex)
    pumped[3, 3] = 1
    states = np.zeros((16, 4, 4), dtype=complex)
    for first, second in product(range(4), range(4)):
        rho = pumped
        for w, pattern in enumerate((first, second)):
            turn = np.kron(turns[0][w], turns[1][w])
            rho = windows[w].multipliers(pattern, phases[w])[0] * (turn @ rho @ turn.conj().T)
        states[first + 4 * second] = rho
    return maps, states, phases


@pytest.mark.parametrize("seed", range(6))
def test_maps_equal_one_window_after_the_other(seed: int) -> None:
    maps, states, phases = sequential(seed)
    traces = np.einsum("pii->p", states).real
    np.testing.assert_allclose(maps.probability_at([phases])[0], traces, atol=1e-10)
    for pattern in range(16):
        found = maps.post_state(pattern, [phases])[0]
        np.testing.assert_allclose(found, states[pattern] / traces[pattern], atol=1e-9)


@pytest.mark.parametrize("seed", [1, 4])
def test_how_many_detectors_click_does_not_depend_on_the_phases(seed: int) -> None:
    maps, _, phases = sequential(seed)
    ones = np.array([0, 1, 1, 2])
    kind = np.array([3 * ones[p & 3] + ones[p >> 2] for p in range(16)])
    here, there = maps.probability_at([phases, [0.0, 0.0]])
    np.testing.assert_allclose(np.bincount(kind, here), np.bincount(kind, there), atol=1e-12)
    assert np.abs(here - there).max() > 1e-3
    # Drawn from the average, then redrawn at the phases: together the distribution at the phases.
    rng = np.random.default_rng(seed)
    drawn = rng.choice(16, 200_000, p=maps.probability).astype(np.uint8)
    redrawn = maps.pattern_given_phase(drawn, np.tile(phases, (drawn.size, 1)), rng.random(drawn.size))
    share = np.bincount(redrawn, minlength=16) / drawn.size
    assert np.all(np.abs(share - here) < 4 * np.sqrt(here * (1 - here) / drawn.size) + 1e-12)


def test_the_mean_over_the_phases_is_gaussian() -> None:
    rng = np.random.default_rng(8)
    turns = [rotation(1.1, 0.0), rotation(2.0, 0.4)]
    a, b = (two_pulses(turns, 0.8, (1.9, 1.4)) for _ in range(2))
    rms, kept = 0.7, 0.6
    maps = DoubleClickMaps.compute(a, b, WINDOW_PS, 0.9, 0.01, phase_rms_rad=rms, phase_correlation=kept)
    phase = rng.multivariate_normal([0, 0], rms**2 * np.array([[1, kept], [kept, 1]]), 200_000)
    at = maps.probability_at(phase)
    assert np.all(np.abs(at.mean(axis=0) - maps.probability) < 4 * at.std(axis=0) / sqrt(len(phase)) + 1e-10)


def test_a_double_excitation_in_either_node_dephases_the_pair() -> None:
    a, b = two_pulses(BARRETT_KOK, 0.01, p2=0.04), two_pulses(BARRETT_KOK, 0.01, p2=0.1)
    rho = DoubleClickMaps.compute(a, b, WINDOW_PS, 1.0, 0.0).post_state(SAME[0], [[0.0, 0.0]])[0]
    # The lost photon tells early from late: per node the overlap of the two is 1 - p2.
    assert 2 * rho[1, 2].real == pytest.approx(0.96 * 0.9, rel=1e-9)


def test_a_dead_detector_shows_no_second_click() -> None:
    a, b = (two_pulses(BARRETT_KOK, 0.4) for _ in range(2))
    free = DoubleClickMaps.compute(a, b, WINDOW_PS, 0.9, 0.01)
    blind = DoubleClickMaps.compute(a, b, WINDOW_PS, 0.9, 0.01, blind=True)
    p = free.probability
    assert blind.probability[list(SAME)] == pytest.approx([0, 0])
    assert blind.probability[0b0110] == pytest.approx(p[0b0110] + p[0b1110])
    assert blind.probability[0b0001] == pytest.approx(p[0b0001] + p[0b0101])
    unpaired = DoubleClickMaps.compute(a, b, WINDOW_PS, 0.9, 0.01, second_window=False)
    assert unpaired.probability[4:] == pytest.approx(np.zeros(12))
    assert unpaired.probability[1] == pytest.approx(p[1::4].sum())


def test_refusals() -> None:
    a = two_pulses(BARRETT_KOK, 0.4)
    with pytest.raises(MisuseError, match="window_ps"):
        DoubleClickMaps.compute(a, a, 0.0, 0.9, 0.0)
    with pytest.raises(MisuseError, match="indistinguishability"):
        DoubleClickMaps.compute(a, a, WINDOW_PS, 1.1, 0.0)
    with pytest.raises(MisuseError, match="efficiency"):
        two_pulses(BARRETT_KOK, 1.2)
    with pytest.raises(MisuseError, match="histories"):
        TwoPulses(2 * a.histories, a.packets, (0.1, 0.1))
    maps = DoubleClickMaps.compute(a, a, WINDOW_PS, 0.9, 0.0)
    with pytest.raises(MisuseError, match=r"0\.\.15"):
        maps.post_state(16, [[0.0, 0.0]])
    dark = TwoPulses(a.histories, (None, None), (0.0, 0.0))
    with pytest.raises(MisuseError, match="can't occur"):
        DoubleClickMaps.compute(dark, dark, WINDOW_PS, 0.9, 0.0).post_state(5, [[0.0, 0.0]])


# --- the latch's pairs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("open_us", "pairs"),
    [
        ([0, 1, 10, 11], [(0, 1), (2, 3)]),
        ([0, 2, 10], [(0, 1), (2, -1)]),
        ([0, 2.001, 10, 11], [(0, -1), (1, -1), (2, 3)]),
        # The first gate of the first pair is lost: it costs that pair only.
        ([1, 10, 11], [(0, -1), (1, 2)]),
        # After a second gate the next is a first one, however close.
        ([0, 1, 2, 3, 4], [(0, 1), (2, 3), (4, -1)]),
        ([], []),
    ],
)
def test_which_gate_is_which(open_us: list[float], pairs: list[tuple[int, int]]) -> None:
    open_ps = np.array([round(us * 1e6) for us in open_us], dtype=np.int64)
    assert [tuple(pair) for pair in pair_gates(open_ps).tolist()] == pairs


# --- rounds played whole -------------------------------------------------------------------------------------------

# A cavity NV: 6.5 ns, so that the window of 25 ns holds 0.979 of each photon. The optical phase is anything.
ETA = 0.2
CAVITY = {
    **{f"nodes.{n}.spin.readout_fidelity_{s}": 1.0 for n in ("alice", "bob") for s in ("bright", "dark")},
    **{f"nodes.{n}.emitter.lifetime_ns": 6.5 for n in ("alice", "bob")},
    **{f"nodes.{n}.emitter.double_excitation": 0.0 for n in ("alice", "bob")},
    **{f"nodes.{n}.detection_efficiency": ETA for n in ("alice", "bob")},
    "midpoints.midpoint.interferometer.phase_rms_deg": 300.0,
    "midpoints.midpoint.detectors.dark_rate_hz": 0.0,
}
DARK = 1 - exp(-20 * 25e-9)
# Between the windows, 1 us, the phase wanders a little.
WANDER = exp(-(radians(300.0) ** 2) * (1 - exp(-1e-4)))


class Told:
    """What the taggers of a played bench tell: clicks by (round, attempt), lines, readouts."""

    def __init__(self, bench: Any) -> None:
        self.clicks: dict[tuple[int, int], int] = {}
        self.ns: dict[tuple[int, int], list[float]] = {}
        for detector in (1, 2):
            rounds, ns = bench.rounds("midpoint", detector)
            # A click at the opening of a gate is tagged 15 ns after the gate's programmed time.
            after = ns - GATE_NS - 15
            attempt, inside = after // 10_000, after % 10_000
            for window in range(2):
                hit = (inside >= 1_000 * window) & (inside < 1_000 * window + 25) & (attempt >= 0) & (attempt < 100)
                for number, at, when in zip(rounds[hit], attempt[hit], ns[hit], strict=True):
                    key = (int(number), int(at))
                    self.clicks[key] = self.clicks.get(key, 0) | 1 << (2 * window + detector - 1)
                    if window:
                        self.ns.setdefault(key, []).append(float(when))
        self.line = {
            node: dict(zip(*(x.tolist() for x in bench.rounds(node, 3)), strict=True)) for node in ("alice", "bob")
        }
        self.bright = {}
        for node in ("alice", "bob"):
            rounds, ns = bench.rounds(node, 1)
            self.bright[node] = Counter(rounds[ns > 95_000].tolist())

    def fired(self) -> dict[tuple[int, int], int]:
        return {key: p for key, p in self.clicks.items() if p & 3 and p >> 2}

    def correlator(self, patterns: tuple[int, ...]) -> tuple[float, float]:
        products = [
            (1 if self.bright["alice"][n] else -1) * (1 if self.bright["bob"][n] else -1)
            for (n, _), p in self.fired().items()
            if p in patterns
        ]
        mean = float(np.mean(products))
        return mean, sqrt(max(1 - mean**2, 1e-3) / len(products))


def test_the_line_fires_on_the_first_click_of_the_second_window(make_double_bench: Callable[..., Any]) -> None:
    bench = make_double_bench(CAVITY)
    bench.play(300)
    told = Told(bench)
    fired = told.fired()
    assert len(fired) > 200
    # A round ends with it: one a round, and no light after it.
    assert len({number for number, _ in fired}) == len(fired)
    assert set(told.line["alice"]) == set(told.line["bob"]) == {number for number, _ in fired}
    last = dict(fired)
    assert all(attempt <= last.get(number, 100) for number, attempt in told.clicks)
    # Detector's and logic's wires are alike; 100 ns of latency, 10 ns to Alice.
    for (number, attempt), pattern in fired.items():
        assert pattern
        assert told.line["alice"][number] == pytest.approx(min(told.ns[number, attempt]) + 110, abs=1e-6)
    # Single clicks come on top: tags, and no line.
    assert len(told.clicks) - len(fired) > 1_000


def test_patterns_come_as_often_as_the_closed_form_says(make_double_bench: Callable[..., Any]) -> None:
    eta = 0.02
    bench = make_double_bench({**CAVITY, **{f"nodes.{n}.detection_efficiency": eta for n in ("alice", "bob")}})
    rounds = 6_000
    bench.play(rounds)
    told = Told(bench)
    p, _ = closed_form(eta, eta, 0.9, 0.0)
    heralds = sum(1 for pattern in told.fired().values() if pattern in SAME + OTHER)
    # Each window sees one photon of one node, with 1/2 each: both, one or none of the two photons arrive.
    expected = rounds * (1 - (1 - p) ** 100)
    assert abs(heralds - expected) < 3 * sqrt(expected)
    # Lone clicks, by hand. One node bright at first (1/2): one photon in each window. Both (1/4) or none (1/4):
    # two photons in one window, none in the other.
    one = 0.5 * 2 * eta * (1 - eta) + 0.5 * (1 - (1 - eta) ** 2)
    attempts = sum(min(100, a + 1) for _, a in told.fired()) + 100 * (rounds - len(told.fired()))
    lone = len(told.clicks) - len(told.fired())
    assert abs(lone - attempts * one) < 3.5 * sqrt(attempts * one)
    # The two windows and the two detectors share them evenly.
    shares = Counter(pattern for pattern in told.clicks.values() if pattern in (1, 2, 4, 8))
    for share in shares.values():
        assert abs(share - lone / 4) < 4 * sqrt(lone * 3 / 16)


@pytest.mark.parametrize("basis", ["X", "Y", "Z"])
def test_correlators_of_the_heralded_pairs(make_double_bench: Callable[..., Any], basis: str) -> None:
    bench = make_double_bench(CAVITY, basis)
    bench.play(2_500)
    told = Told(bench)
    # Full excitation, no darks: all heralds are 01 or 10, with the coherence V.
    for patterns, sign in ((SAME, 1), (OTHER, -1)):
        mean, error = told.correlator(patterns)
        expected = -1.0 if basis == "Z" else sign * 0.9 * WANDER
        assert abs(mean - expected) < 3.5 * error


def test_without_the_pi_the_pair_is_no_pair(make_double_bench: Callable[..., Any]) -> None:
    bench = make_double_bench(CAVITY, "X", pi_angle=0.0)
    bench.play(1_500)
    told = Told(bench)
    for patterns in (SAME, OTHER):
        mean, error = told.correlator(patterns)
        assert abs(mean) < 3.5 * error
    bench = make_double_bench(CAVITY, "Z", pi_angle=0.0)
    bench.play(1_500)
    # Both photons of one node, or one of each where both are bright. P(exactly one click) of one bright node is eta in
    # each window; of two it is 2 eta (1 - eta) + eta^2 (1 + V) / 2.
    two = 2 * ETA * (1 - ETA) + ETA**2 * 0.95
    equal, unlike = 0.25 * two**2, 0.5 * ETA**2
    mean, error = Told(bench).correlator(SAME + OTHER)
    assert abs(mean - (equal - unlike) / (equal + unlike)) < 3.5 * error


def test_an_imperfect_pi_is_taken_as_it_is(make_double_bench: Callable[..., Any]) -> None:
    eta, angle = 0.3, 2.4
    still = {
        **{f"nodes.{n}.detection_efficiency": eta for n in ("alice", "bob")},
        **{f"nodes.{n}.spin.t2_star_us": 1e6 for n in ("alice", "bob")},
        "midpoints.midpoint.interferometer.phase_rms_deg": 0.0,
    }
    found = sample_link_of(make_double_bench({**CAVITY, **still}, pi_angle=angle), 90_000)
    emission = NodeEmission(np.eye(2) / 2, pi, eta, 0.0, 1.0)
    window = ClickMaps.compute(emission, emission, WINDOW_PS, 0.9, 0.0)
    ket = rotation(pi / 2, 0.0)[:, 1]
    rho = np.kron(np.outer(ket, ket.conj()), np.outer(ket, ket.conj()))
    turn = np.kron(rotation(angle, 0.0), rotation(angle, 0.0))
    total = np.zeros((4, 4), dtype=complex)
    for first, second in product((1, 2), (1, 2)):
        state = window.multipliers(first, 0.0)[0] * rho
        total += window.multipliers(second, 0.0)[0] * (turn @ state @ turn.conj().T)
    p = np.trace(total).real
    assert abs(found["p_herald"]["value"] - p) < 3.5 * found["p_herald"]["error"] + 1e-3 * p
    for name, value in zip(("00", "01", "10", "11"), np.diag(total).real / p, strict=True):
        estimate = found["populations"][name]
        assert abs(estimate["value"] - value) < 3.5 * estimate["error"] + 1e-3 * value
    assert found["populations"]["11"]["value"] > 0.05


@pytest.mark.parametrize("volts", [(1.0, 0.0), (0.0, 1.0)])
def test_with_one_optical_pulse_the_latch_never_fires(
    make_double_bench: Callable[..., Any], volts: tuple[float, float]
) -> None:
    bench = make_double_bench(CAVITY, optical_v=volts)
    bench.play(200)
    told = Told(bench)
    assert bench.taggers["midpoint.tagger"].tags(4).size == 0
    window = 0 if volts[0] else 1
    assert len(told.clicks) > 1_000
    assert {p >> 2 * (1 - window) & 3 for p in told.clicks.values()} == {0}


@pytest.mark.parametrize("shift_ns", [200, 1_000, -1_000])
def test_gates_that_miss_a_pulse_herald_nothing(
    make_double_bench: Callable[..., Any], programs_of: Any, shift_ns: int
) -> None:
    bench = make_double_bench(CAVITY)
    bench.midpoint = programs_of.double_midpoint_steps(GATE_NS + shift_ns)
    bench.play(150)
    # Both miss, or one gate sees one pulse: there is light, and never a click in both gates of a pair.
    assert bench.taggers["midpoint.tagger"].tags(1).size > 500
    assert bench.taggers["midpoint.tagger"].tags(4).size == 0


def test_gates_too_far_apart_are_no_pair(make_double_bench: Callable[..., Any], programs_of: Any) -> None:
    bench = make_double_bench(CAVITY)
    bench.midpoint = programs_of.double_midpoint_steps(apart_ns=2_500)
    bench.play(100)
    assert bench.taggers["midpoint.tagger"].tags(4).size == 0


def test_no_gate_no_herald_but_photons(make_double_bench: Callable[..., Any]) -> None:
    bench = make_double_bench(CAVITY)
    bench.arm(100, "alice", "bob")
    bench.engine.advance_to(PS_PER_S + 100 * PERIOD_PS)
    # Two nodes, one photon each an attempt. A quarter of the pulses make two photons; where both come to one detector, the
    # dead time leaves one.
    expected = 100 * 100 * (2 * ETA - 2 * ETA**2 / 8)
    clicks = sum(bench.taggers["midpoint.tagger"].tags(detector).size for detector in (1, 2))
    assert abs(clicks - expected) < 3.5 * sqrt(expected)
    assert bench.taggers["midpoint.tagger"].tags(4).size == 0


def test_a_late_line_reads_spins_that_know_nothing(make_double_bench: Callable[..., Any]) -> None:
    late = {"wire_delays_ns.alice^awg^event": 7_000.0, "wire_delays_ns.bob^awg^event": 7_000.0}
    bench = make_double_bench({**CAVITY, **late})
    bench.play(600)
    told = Told(bench)
    mean, error = told.correlator(SAME + OTHER)
    assert told.bright["alice"]
    assert abs(mean) < 3.5 * error


def test_one_node_alone_heralds_nothing_without_darks(make_double_bench: Callable[..., Any]) -> None:
    bench = make_double_bench(CAVITY)
    bench.arm(150, "alice", "midpoint")
    bench.engine.advance_to(PS_PER_S + 150 * PERIOD_PS)
    assert bench.taggers["midpoint.tagger"].tags(1).size > 500
    assert bench.taggers["midpoint.tagger"].tags(4).size == 0


def test_the_same_bits_at_any_credit(make_double_bench: Callable[..., Any]) -> None:
    def played(step_rounds: float) -> dict[str, list[list[int]]]:
        bench = make_double_bench({**CAVITY, "midpoints.midpoint.detectors.dark_rate_hz": 2_000.0}, seed=5)
        bench.arm(300)
        end_ps = PS_PER_S + 300 * PERIOD_PS
        while bench.engine.now_ps < end_ps:
            bench.engine.advance_to(min(end_ps, bench.engine.now_ps + round(step_rounds * PERIOD_PS)))
        return {
            name: [tagger.tags(channel).tolist() for channel in range(5)] for name, tagger in bench.taggers.items()
        }

    whole = played(1_000)
    assert len(whole["midpoint.tagger"][4]) > 100
    assert played(7.3) == whole


# --- heralds sampled from the programs -----------------------------------------------------------------------------


def sample_link_of(bench: Any, heralds: int) -> dict[str, Any]:
    bench.arm(1)
    return sample_link(bench.context, bench.lab.links[0], heralds, np.random.default_rng(12))


@pytest.mark.parametrize("eta", [(0.02, 0.02), (0.3, 0.5), (0.9, 0.9)])
def test_sampled_heralds_agree_with_the_closed_form(
    make_double_bench: Callable[..., Any], eta: tuple[float, float]
) -> None:
    bench = make_double_bench(
        {
            **CAVITY,
            "midpoints.midpoint.detectors.dark_rate_hz": 20.0,
            "midpoints.midpoint.interferometer.phase_rms_deg": 14.3,
            **{f"nodes.{n}.detection_efficiency": x for n, x in zip(("alice", "bob"), eta, strict=True)},
        }
    )
    found = sample_link_of(bench, 150_000)
    p, fidelity = closed_form(*eta, 0.9, DARK)
    # The programs' 14-bit words set pi/2 and pi to some 1e-4.
    assert abs(found["p_herald"]["value"] - p) < 3 * found["p_herald"]["error"] + 5e-4 * p
    assert abs(found["fidelity"]["value"] - fidelity) < 3 * found["fidelity"]["error"] + 5e-4
    assert found["populations"]["01"]["value"] == pytest.approx(0.5, abs=0.01)
