"""Rounds played end to end on fake instruments: heralds, jumps, readouts, and what each missing part takes away.

Expected numbers come from closed forms written here, from the programs' times, or from counting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import exp, pi, radians, sqrt
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from qnode.clock import PS_PER_S
from qnode.labfile import ClockFaults

NS = 1_000
PERIOD_NS = 1_495_000
PERIOD_PS = PERIOD_NS * NS
GATE_NS = 98_056
BRIGHT = {
    # Perfect readout and ten times the light: many heralds in few rounds.
    **{f"nodes.{n}.spin.readout_fidelity_{s}": 1.0 for n in ("alice", "bob") for s in ("bright", "dark")},
    "nodes.alice.emitter.collection_efficiency": 4e-3,
    "nodes.bob.emitter.collection_efficiency": 6e-3,
}
DARKLESS = {"midpoints.midpoint.detectors.dark_rate_hz": 0.0}


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest) -> ModuleType:
    """The module of the bench, for its builders of waveforms."""
    plugins = request.config.pluginmanager.get_plugins()
    return next(p for p in plugins if isinstance(p, ModuleType) and hasattr(p, "branch_words"))


class Outcomes:
    """What the taggers of a played bench tell: rounds with a line, readouts, detectors."""

    def __init__(self, bench: Any) -> None:
        self.line: dict[str, dict[int, float]] = {}
        self.bright: dict[str, Counter[int]] = {}
        for node in ("alice", "bob"):
            rounds, ns = bench.rounds(node, 3)
            self.line[node] = dict(zip(rounds.tolist()[::-1], ns.tolist()[::-1], strict=True))
            rounds, ns = bench.rounds(node, 1)
            self.bright[node] = Counter(rounds[ns > 95_000].tolist())
        # Detector to logic and gate's own way differ by 5 ns: a click in gate i is tagged 5..30 ns after its program.
        self.patterns: dict[int, dict[int, int]] = {}
        for detector in (1, 2):
            rounds, ns = bench.rounds("midpoint", detector)
            inside = (ns - GATE_NS - 15) % 5_500 < 25
            for number, gate in zip(rounds[inside], (ns[inside] - GATE_NS - 15) // 5_500, strict=True):
                if 0 <= gate < 250:
                    gates = self.patterns.setdefault(int(number), {})
                    gates[int(gate)] = gates.get(int(gate), 0) | detector

    def first(self) -> dict[int, tuple[int, int]]:
        """Per round the first gate with a click, and its pattern."""
        return {number: min(gates.items()) for number, gates in self.patterns.items()}

    def correlator(self, pattern: int) -> tuple[float, float]:
        """Mean product of the nodes' outcomes (bright is +1) in rounds whose first pattern is this; and its error."""
        products = [
            (1 if self.bright["alice"][n] else -1) * (1 if self.bright["bob"][n] else -1)
            for n, (_, found) in self.first().items()
            if found == pattern
        ]
        mean = float(np.mean(products))
        return mean, sqrt((1 - mean**2) / len(products))


def closed_form(scale: float = 10.0, alpha: float = 0.3) -> tuple[float, float, float]:
    """Exact single click without darks: p of exactly one click, <XX> of psi+, <ZZ>."""
    fibre = 10 ** (-0.002 * 8.0 / 10)
    share = 1 - exp(-25 / 12.4)
    a, b = (scale * c * fibre * 0.8 * share for c in (4e-4, 6e-4))
    visibility, phase, double = 0.9, radians(14.3), 0.96
    p11 = alpha**2 * (a * (1 - b) + b * (1 - a) + a * b * (1 + visibility) / 2)
    p10, p01 = alpha * (1 - alpha) * a, alpha * (1 - alpha) * b
    p = p11 + p10 + p01
    coherence = sqrt(visibility) * exp(-(phase**2) / 2) * double * alpha * (1 - alpha) * sqrt(a * b)
    return p, 2 * coherence / p, (p11 - p10 - p01) / p


# --- edges and times -----------------------------------------------------------------------------------------------


def test_a_pps_edge_starts_armed_pulsers_and_they_finish(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    bench.arm(10)
    bench.engine.advance_to(PS_PER_S - 1)
    assert all(not pulser.events for pulser in bench.pulsers.values())
    bench.engine.advance_to(2 * PS_PER_S)
    origin = bench.context.origin_ps
    start = origin + PS_PER_S + 5 * NS
    for pulser in bench.pulsers.values():
        assert pulser.events == [("started", start), ("finished", start + 10 * PERIOD_PS)]
    assert bench.engine.rounds_played == 10
    assert bench.engine.epoch == 1
    assert bench.awgs["alice.awg"].playing == [True, False]


def test_round_sync_and_pps_ride_their_wires(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    bench.play(20)
    # 5 ns PPS wire, 95,000 ns program, 10 ns wire.
    rounds, ns = bench.rounds("alice", 2)
    assert rounds.tolist() == list(range(20))
    assert set(ns.tolist()) == {95_015.0}
    # The midpoint's START has 5 ns of wire, its in-band sync 20 ns; program 1,000 ns.
    assert set(bench.rounds("midpoint", 0)[1].tolist()) == {1_010.0}
    assert set(bench.rounds("midpoint", 3)[1].tolist()) == {1_025.0}
    assert bench.taggers["alice.tagger"].tags(4).tolist() == [PS_PER_S + 5 * NS]


def test_tags_come_in_order_and_time_passes_without_them(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    bench.play(600)
    for tagger in bench.taggers.values():
        assert (np.diff(tagger.tags()) >= 0).all()
        until = [u for _, _, _, u in tagger.deliveries]
        assert until == sorted(until)
        for origin, times, _, limit in tagger.deliveries:
            assert (times + (origin - bench.context.origin_ps) < limit - bench.context.origin_ps).all()
    idle = make_bench()
    idle.engine.advance_to(PS_PER_S // 2)
    steps = np.diff([u for _, _, _, u in idle.taggers["alice.tagger"].deliveries])
    assert steps.max() <= 50e9


def test_the_line_fires_logic_latency_after_the_click(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(BRIGHT)
    bench.play(200)
    outcomes = Outcomes(bench)
    clicks = {}
    for detector in (1, 2):
        rounds, ns = bench.rounds("midpoint", detector)
        for number, at in zip(rounds.tolist(), ns.tolist(), strict=True):
            clicks.setdefault(number, []).append(at)
    assert len(outcomes.line["alice"]) > 40
    for number, at in outcomes.line["alice"].items():
        # Detector's tag has 10 ns of wire, as has the logic's input; then 100 ns of latency and 10 ns to Alice.
        assert any(at - click == pytest.approx(110, abs=1e-9) for click in clicks[number])
        assert outcomes.line["bob"][number] - at == pytest.approx(2, abs=1e-9)


# --- physics -------------------------------------------------------------------------------------------------------


def test_heralds_come_as_often_as_the_closed_form_says(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(DARKLESS)
    bench.play(20_000)
    single = sum(1 for _, pattern in Outcomes(bench).first().values() if pattern in (1, 2))
    p, _, _ = closed_form(scale=1.0)
    expected = 20_000 * (1 - (1 - p) ** 250)
    assert abs(single - expected) < 3 * sqrt(expected)


@pytest.mark.parametrize(("basis", "which"), [("X", 1), ("Y", 1), ("Z", 2)])
def test_correlators_of_the_heralded_pairs(
    make_bench: Callable[..., Any], programs: ModuleType, basis: str, which: int
) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS})
    for awg in bench.awgs.values():
        awg.change(elements=programs.table(programs.attempt_words(), [programs.branch_words(basis)]))
    bench.play(5_000)
    outcomes = Outcomes(bench)
    expected = closed_form()[which]
    for pattern, sign in ((1, 1), (2, -1 if basis != "Z" else 1)):
        mean, error = outcomes.correlator(pattern)
        assert abs(mean - sign * expected) < 3.5 * error


def test_without_the_echo_coherence_is_lost_and_populations_stay(
    make_bench: Callable[..., Any], programs: ModuleType
) -> None:
    values = {}
    for basis in "XZ":
        bench = make_bench({**BRIGHT, **DARKLESS})
        for awg in bench.awgs.values():
            branch = programs.branch_words(basis, echo=False)
            awg.change(elements=programs.table(programs.attempt_words(), [branch]))
        bench.play(3_000)
        values[basis] = Outcomes(bench).correlator(1)
    assert abs(values["X"][0]) < 3.5 * values["X"][1]
    assert abs(values["Z"][0] - closed_form()[2]) < 3.5 * values["Z"][1]


def test_a_line_of_two_branches_alternates_and_exchanging_them_exchanges_correlators(
    make_bench: Callable[..., Any], programs: ModuleType
) -> None:
    def even_and_odd(bases: list[str]) -> tuple[float, float]:
        bench = make_bench({**BRIGHT, **DARKLESS})
        branches = [programs.branch_words(basis) for basis in bases]
        for awg in bench.awgs.values():
            awg.change(elements=programs.table(programs.attempt_words(), branches))
        bench.play(4_000)
        outcomes = Outcomes(bench)
        products: dict[int, list[int]] = {0: [], 1: []}
        for number, (_, pattern) in outcomes.first().items():
            if pattern == 1:
                signs = [1 if outcomes.bright[node][number] else -1 for node in ("alice", "bob")]
                products[number % 2].append(signs[0] * signs[1])
        return float(np.mean(products[0])), float(np.mean(products[1]))

    x, z = even_and_odd(["X", "Z"])
    assert x > 0.4
    assert z < -0.2
    z, x = even_and_odd(["Z", "X"])
    assert x > 0.4
    assert z < -0.2


def test_after_a_herald_no_further_attempt_is_lit(make_bench: Callable[..., Any]) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS})
    bench.play(1_000)
    outcomes = Outcomes(bench)
    assert len(outcomes.patterns) > 300
    assert all(len(gates) == 1 for gates in outcomes.patterns.values())


def test_readout_light_gives_the_counts_of_the_readout_model(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(
        {
            **BRIGHT,
            "nodes.alice.spin.readout_fidelity_bright": 0.95,
            "nodes.alice.spin.readout_fidelity_dark": 0.90,
        }
    )
    bench.play(3_000)
    outcomes = Outcomes(bench)
    rounds, ns = bench.rounds("alice", 1)
    shown = [outcomes.bright["alice"][number] > 0 for number in outcomes.first()]
    # Alice's echo turns bright into dark: P(bright after it) = P(dark before it) = p01 + p00 over p.
    share = 0.3 * 0.7 * 1.5 / (0.3 * 0.7 * 2.5 + 0.09 * 2.5)
    expected = 0.95 * share + 0.10 * (1 - share)
    assert abs(np.mean(shown) - expected) < 3.5 * sqrt(expected * (1 - expected) / len(shown))
    # Photons lie in the readout light: 4,200..7,900 ns of a branch that starts at the attempt's end.
    for number, at in zip(rounds[ns > 95_000].tolist(), ns[ns > 95_000].tolist(), strict=True):
        gate = outcomes.first()[number][0]
        begin = 95_015 + (gate + 1) * 5_500 + 4_200 + 30 + 40
        assert begin <= at < begin + 3_700


def test_charge_check_counts(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    bench.play(1_000)
    rounds, ns = bench.rounds("bob", 1)
    checked = ns < 95_000
    # 25 counts in 100 us; the light is on for 90 us.
    assert abs(checked.sum() - 22_500) < 3.5 * sqrt(22_500)
    assert ns[checked].min() >= 5 + 2_000 + 50 + 40
    assert ns[checked].max() < 5 + 92_000 + 50 + 40
    assert rounds.max() == 999


def test_an_ionised_node_is_dark_until_repump_light(make_bench: Callable[..., Any], programs: ModuleType) -> None:
    world = {**BRIGHT, **DARKLESS, "nodes.alice.charge.ionisation_per_round": 0.02}
    bench = make_bench(world)
    bench.play(600)
    rounds, ns = bench.rounds("alice", 1)
    last = int(rounds[ns < 95_000].max())
    # Ionised once, it stays so: no counts from then on, and only Bob's light heralds.
    assert last < 500
    assert not any(rounds[ns > 95_000] > last)
    outcomes = Outcomes(bench)
    assert sum(1 for number in outcomes.patterns if number > last) > 10
    repumped = make_bench(world)
    repumped.arm(600, "bob", "midpoint")
    steps = [(1_000, 4), (1_000, 0), *programs.node_steps()[1:]]
    repumped.pulsers["alice.pulser"].arm(steps, 600)
    repumped.engine.advance_to(PS_PER_S + 600 * PERIOD_PS)
    rounds, ns = repumped.rounds("alice", 1)
    assert len(set(rounds[ns < 95_000].tolist())) == 600


def test_calibration_shots_pump_readout_and_pump_pi_readout(
    make_bench: Callable[..., Any], programs: ModuleType
) -> None:
    bench = make_bench(
        {"nodes.alice.spin.readout_fidelity_bright": 0.95, "nodes.alice.spin.readout_fidelity_dark": 0.99}
    )

    def shot(angle: float) -> dict[int, np.ndarray]:
        return {
            1: programs.words(programs.envelope(8_000, 2_500, angle), (0, 2_000)),
            2: programs.words(np.zeros(8_000), (3_000, 6_700), [(2_450, 2_650)]),
            3: programs.words(np.zeros(8_000)),
        }

    bench.awgs["alice.awg"].change(
        elements=(
            programs.element(shot(0.0), loop_count=50, wait_for_trigger=True, go_to=2),
            programs.element(shot(pi), loop_count=50, go_to=1),
        )
    )
    bench.arm(40, "alice")
    bench.engine.advance_to(PS_PER_S + 40 * PERIOD_PS)
    rounds, ns = bench.rounds("alice", 1)
    lit = ns > 95_000
    # 95,015 trigger, 3,000 light, 70 wires.
    index = (ns[lit] - 98_085) // 8_000
    assert ((ns[lit] - 98_085) % 8_000 < 3_700).all()
    shown = set(zip(rounds[lit].tolist(), index.tolist(), strict=True))
    bright = sum(1 for _, i in shown if i < 50) / 2_000
    dark = sum(1 for _, i in shown if i >= 50) / 2_000
    assert abs(bright - 0.95) < 3.5 * sqrt(0.95 * 0.05 / 2_000)
    assert abs(dark - 0.01) < 3.5 * sqrt(0.01 * 0.99 / 2_000)


def test_a_second_readout_without_pumping_finds_the_same(
    make_bench: Callable[..., Any], programs: ModuleType
) -> None:
    bench = make_bench({f"nodes.alice.spin.readout_fidelity_{s}": 1.0 for s in ("bright", "dark")})
    half = {
        1: programs.words(programs.envelope(12_000, 2_500, pi / 2), (0, 2_000)),
        2: programs.words(np.zeros(12_000), (3_000, 6_700), [(2_450, 2_650)]),
        3: programs.words(np.zeros(12_000)),
    }
    half[2][7_000:10_700] |= 1 << 14
    bench.awgs["alice.awg"].change(elements=(programs.element(half, loop_count=50, wait_for_trigger=True, go_to=1),))
    bench.arm(20, "alice")
    bench.engine.advance_to(PS_PER_S + 20 * PERIOD_PS)
    rounds, ns = bench.rounds("alice", 1)
    lit = ns > 95_000
    shots = ((ns[lit] - 95_015 - 70) // 12_000).astype(int)
    late = (ns[lit] - 95_015 - 70) % 12_000 > 6_900
    first = {(r, s) for r, s, second in zip(rounds[lit], shots, late, strict=True) if not second}
    second = {(r, s) for r, s, again in zip(rounds[lit], shots, late, strict=True) if again}
    assert first == second
    assert abs(len(first) - 500) < 3.5 * sqrt(250)


# --- every effect rides its wire -----------------------------------------------------------------------------------


def test_no_pump_marker_no_coherence(make_bench: Callable[..., Any], programs: ModuleType) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS})
    bench.awgs["alice.awg"].change(
        elements=programs.table(programs.attempt_words(pump=False), [programs.branch_words("X")])
    )
    bench.awgs["bob.awg"].change(elements=programs.table(programs.attempt_words(), [programs.branch_words("X")]))
    bench.play(2_000)
    mean, error = Outcomes(bench).correlator(1)
    assert abs(mean) < 3.5 * error


@pytest.mark.parametrize(
    "dark",
    [
        {"output_on": {1: True, 2: True, 3: False}},
        {"trigger_level_v": 3.5},
        {"trigger_level_v": -1.0},
        {"running": False},
        {"sequence_mode": False},
        {"hardware_sequencer": False},
    ],
)
def test_an_awg_that_does_not_play_gives_no_photon(make_bench: Callable[..., Any], dark: dict[str, Any]) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS})
    for awg in bench.awgs.values():
        awg.change(**dark)
    bench.play(300)
    assert bench.taggers["midpoint.tagger"].tags(1).size == 0
    assert bench.taggers["midpoint.tagger"].tags(4).size == 0


@pytest.mark.parametrize(
    "missing",
    [
        ("alice.awg.trigger", "bob.awg.trigger"),
        ("alice.qubit.optical_pulse", "bob.qubit.optical_pulse"),
        ("midpoint.beam_splitter.in1", "midpoint.beam_splitter.in2"),
        ("alice.pulser.trigger", "bob.pulser.trigger"),
    ],
)
def test_a_wire_taken_out_leaves_the_detectors_dark(make_bench: Callable[..., Any], missing: tuple[str, ...]) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS}, without_wire=missing)
    bench.play(300)
    assert bench.taggers["midpoint.tagger"].tags(1).size == 0


def test_no_gate_no_herald_but_photons(make_bench: Callable[..., Any]) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS}, without_wire=("midpoint.herald_logic.gate",))
    bench.play(300)
    assert bench.taggers["midpoint.tagger"].tags(1).size > 30
    assert bench.taggers["midpoint.tagger"].tags(4).size == 0
    assert bench.taggers["alice.tagger"].tags(3).size == 0


@pytest.mark.parametrize("missing", [("alice.awg.event", "alice.tagger.in3")])
def test_one_nodes_line_out_that_node_does_not_branch(
    make_bench: Callable[..., Any], missing: tuple[str, ...]
) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS}, without_wire=missing)
    bench.play(600)
    outcomes = Outcomes(bench)
    assert outcomes.line["alice"] == {}
    assert not outcomes.bright["alice"]
    assert len(outcomes.line["bob"]) > 150
    assert outcomes.bright["bob"]
    # Alice goes on: her light makes further clicks in some of these rounds.
    assert any(len(gates) > 1 for gates in outcomes.patterns.values())


@pytest.mark.parametrize("change", ["event_level_v", "jump_off"])
def test_an_awg_deaf_to_the_line_reads_nothing_out(
    make_bench: Callable[..., Any], programs: ModuleType, change: str
) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS})
    for awg in bench.awgs.values():
        if change == "event_level_v":
            awg.change(event_level_v=3.4)
        else:
            line, branch = awg.playback.elements
            awg.change(elements=(programs.replace(line, jump_to=None), branch))
    bench.play(400)
    outcomes = Outcomes(bench)
    assert len(outcomes.line["alice"]) > 100
    assert not outcomes.bright["alice"]
    assert not outcomes.bright["bob"]


def test_a_tagger_sees_no_edge_below_its_threshold(make_bench: Callable[..., Any], programs: ModuleType) -> None:
    bench = make_bench(BRIGHT)
    tagger = bench.taggers["alice.tagger"]
    tagger.playback = type(tagger.playback)(
        2, True, dict.fromkeys(range(1, 5), True), {1: 1.0, 2: 3.4, 3: -0.5, 4: 1.0}
    )
    bench.play(100)
    assert tagger.tags(2).size == 0
    assert tagger.tags(3).size == 0
    assert tagger.tags(1).size > 0


def test_a_late_line_reads_a_spin_that_knows_nothing(make_bench: Callable[..., Any], programs: ModuleType) -> None:
    late = {"wire_delays_ns.alice^awg^event": 3_000.0, "wire_delays_ns.bob^awg^event": 3_000.0}
    bench = make_bench({**BRIGHT, **DARKLESS, **late})
    for awg in bench.awgs.values():
        awg.change(elements=programs.table(programs.attempt_words(), [programs.branch_words("X")]))
    bench.play(2_000)
    outcomes = Outcomes(bench)
    mean, error = outcomes.correlator(1)
    assert outcomes.bright["alice"]
    assert abs(mean) < 3.5 * error


def test_an_optical_pulse_5_ns_late_lowers_the_overlap(make_bench: Callable[..., Any], programs: ModuleType) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS})
    late = programs.attempt_words(optical_ns=3_005)
    bench.awgs["bob.awg"].change(elements=programs.table(late, [programs.branch_words("X")]))
    bench.awgs["alice.awg"].change(elements=programs.table(programs.attempt_words(), [programs.branch_words("X")]))
    bench.play(6_000)
    # F7a: share of Bob's photons 1 - exp(-20/12.4); V falls to exp(-5/tau)(1 - exp(-20/tau)) / (1 - exp(-25/tau)).
    tau, alpha = 12.4, 0.3
    fibre = 10 ** (-0.0016)
    a = 4e-3 * fibre * 0.8 * (1 - exp(-25 / tau))
    b = 6e-3 * fibre * 0.8 * (1 - exp(-20 / tau))
    visibility = 0.9 * exp(-5 / tau) * (1 - exp(-20 / tau)) / (1 - exp(-25 / tau))
    p = alpha**2 * (a + b - 2 * a * b + a * b * (1 + visibility) / 2) + alpha * (1 - alpha) * (a + b)
    coherence = sqrt(visibility) * exp(-(radians(14.3) ** 2) / 2) * 0.96 * alpha * (1 - alpha) * sqrt(a * b)
    mean, error = Outcomes(bench).correlator(1)
    assert abs(mean - 2 * coherence / p) < 3.5 * error


def test_a_node_that_starts_a_second_later_meets_no_gate(make_bench: Callable[..., Any]) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS, "clocks": {"bob": ClockFaults(pps_missing_at_s=(1,))}})
    bench.arm(300)
    bench.engine.advance_to(3 * PS_PER_S)
    started = {name: pulser.events[0][1] - bench.context.origin_ps for name, pulser in bench.pulsers.items()}
    assert started["alice.pulser"] == PS_PER_S + 5 * NS
    assert started["bob.pulser"] == 2 * PS_PER_S + 5 * NS
    outcomes = Outcomes(bench)
    # Alice's light alone heralds: Bob hears the line, but none of his rounds plays while the gates are open ..
    assert len(outcomes.line["alice"]) > 30
    assert len(bench.taggers["bob.tagger"].tags(3)) == len(bench.taggers["alice.tagger"].tags(3))
    # .. so he reads nothing out, and his own light is tagged without a herald.
    times = bench.taggers["bob.tagger"].tags(1)
    assert not (((times - 2 * PS_PER_S) % PERIOD_PS) > 95_100 * NS)[times > 2 * PS_PER_S].any()
    late = bench.taggers["midpoint.tagger"].tags(1)
    assert (late > 2 * PS_PER_S).sum() > 20
    assert bench.taggers["midpoint.tagger"].tags(4).max() < PS_PER_S + 300 * PERIOD_PS


def test_a_doubled_pps_starts_nothing_twice(make_bench: Callable[..., Any]) -> None:
    bench = make_bench({"clocks": {"alice": ClockFaults(pps_doubled_at_s=(1,))}})
    bench.play(400)
    assert [what for what, _ in bench.pulsers["alice.pulser"].events] == ["started", "finished"]
    assert bench.taggers["alice.tagger"].tags(4).tolist() == [PS_PER_S + 5 * NS, 1_400 * PS_PER_S // 1000 + 5 * NS]


def test_a_pulser_stopped_in_mid_run_is_dark(make_bench: Callable[..., Any], programs: ModuleType) -> None:
    bench = make_bench({**BRIGHT, **DARKLESS})
    bench.arm(600)
    bench.engine.advance_to(PS_PER_S + 200 * PERIOD_PS)
    alice = bench.pulsers["alice.pulser"]
    alice.playback = programs.replace(alice.playback, revision=alice.playback.revision + 1, state="idle")
    bench.engine.advance_to(PS_PER_S + 500 * PERIOD_PS)
    assert bench.rounds("alice", 2)[0].max() == 199
    assert bench.rounds("bob", 2)[0].max() == 499
    # From there Bob's light is alone: his readouts go on, Alice's end.
    assert bench.rounds("alice", 1)[0].max() == 199
    assert bench.rounds("bob", 1)[0].max() > 400


# --- determinism ---------------------------------------------------------------------------------------------------


def every_tag(bench: Any) -> dict[str, list[list[int]]]:
    return {name: [tagger.tags(channel).tolist() for channel in range(5)] for name, tagger in bench.taggers.items()}


def test_the_same_bits_at_any_credit(make_bench: Callable[..., Any]) -> None:
    whole = make_bench(BRIGHT, seed=7)
    whole.arm(700)
    whole.engine.advance_to(PS_PER_S + 700 * PERIOD_PS)
    single = make_bench(BRIGHT, seed=7)
    single.arm(700)
    for number in range(701):
        single.engine.advance_to(PS_PER_S + number * PERIOD_PS)
    odd = make_bench(BRIGHT, seed=7)
    odd.arm(700)
    generator = np.random.default_rng(5)
    while odd.engine.now_ps < PS_PER_S + 700 * PERIOD_PS:
        step = int(generator.integers(1, 400_000_000_000))
        odd.engine.advance_to(min(odd.engine.now_ps + step, PS_PER_S + 700 * PERIOD_PS))
    assert every_tag(single) == every_tag(whole)
    assert every_tag(odd) == every_tag(whole)
    other = make_bench(BRIGHT, seed=8)
    other.arm(700)
    other.engine.advance_to(PS_PER_S + 700 * PERIOD_PS)
    assert every_tag(other) != every_tag(whole)


def test_a_second_run_draws_anew(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(BRIGHT)
    bench.play(100)
    first = Outcomes(bench).first()
    for tagger in bench.taggers.values():
        tagger.deliveries.clear()
    bench.arm(100)
    bench.engine.advance_to(3 * PS_PER_S)
    assert bench.engine.epoch == 2
    assert Outcomes(bench).line["alice"].keys() != first.keys()


def test_a_round_that_does_not_fit_waits_for_credit(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    bench.arm(5)
    bench.engine.advance_to(PS_PER_S + PERIOD_PS - 1)
    assert bench.engine.rounds_played == 0
    assert bench.taggers["alice.tagger"].deliveries[-1][3] <= bench.context.origin_ps + PS_PER_S
    bench.engine.advance_to(PS_PER_S + PERIOD_PS)
    assert bench.engine.rounds_played == 1


def test_a_pulser_started_by_software_plays_by_itself(make_bench: Callable[..., Any], programs: ModuleType) -> None:
    bench = make_bench()
    bench.engine.advance_to(PS_PER_S // 4)
    bench.pulsers["alice.pulser"].arm(programs.node_steps(), 3, state="software_start")
    bench.engine.advance_to(PS_PER_S // 2)
    assert [what for what, _ in bench.pulsers["alice.pulser"].events] == ["started", "finished"]
    assert bench.taggers["alice.tagger"].tags(2).size == 3
    assert bench.engine.epoch == 0
