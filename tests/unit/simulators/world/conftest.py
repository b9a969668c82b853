"""A bench of fake instruments that hold hand-made playbacks of a single-click round, on the wires of two_nodes.yaml.

All times of the programs, in ns. Round of 1,495,000: charge light at 2,000 for 90,000, trigger at 95,000, 250
attempts of 5,500, branch, tail. Attempt: pump 0..2,000, microwave 2,500..2,600, optical pulse 3,000..3,002. Branch:
echo centred at 500, so that from the alpha rotation (2,550) to the echo (6,000) and on to the basis rotation (9,450,
at 3,950 of the branch) both take 3,450; readout light 4,200..7,900.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qnode.clock import PS_PER_S
from qnode.labfile import Lab, World, load_lab, load_world
from simulators.kit import (
    AwgElementPlayback,
    AwgPlayback,
    DetectorPlayback,
    LaserBeam,
    LaserPlayback,
    MicrowavePlayback,
    PulserPlayback,
    TaggerPlayback,
)
from simulators.world.engine import World as Engine
from simulators.world.world_context import Instruments, WorldContext

TWO_NODES = Path(__file__).parents[4] / "config" / "two_nodes.yaml"
ORIGIN_PS = 1_800_000_000 * PS_PER_S
PERIOD_NS = 1_495_000
ATTEMPTS = 250
NS = 1_000

# Alice's light meets the herald logic 98,071 ns after the PPS edge: 5 (PPS) + 95,000 + 10 (trigger) + 30 (AWG to
# qubit) + 3,001 (pulse centre) + 10 (fibre) + 5 (to the detector) + 10 (to the logic). The gate's own way: 5 + 10.
GATE_NS = 98_056
BOB_EARLIER_NS = 2  # Bob's fibre is 2 ns longer.


class FakePulser:
    def __init__(self, name: str) -> None:
        self.name = name
        self.events: list[tuple[str, int]] = []
        empty = np.zeros(0, dtype=np.int64)
        self.playback = PulserPlayback(0, "idle", empty, empty.astype(np.uint8), np.zeros((0, 2)), 1, 0)

    def arm(self, steps: list[tuple[int, int]], n_runs: int, state: str = "armed") -> None:
        """Steps (ns, bit mask)."""
        self.playback = replace(
            self.playback,
            revision=self.playback.revision + 1,
            state=state,
            duration_ps=np.array([ns * NS for ns, _ in steps], dtype=np.int64),
            digital=np.array([mask for _, mask in steps], dtype=np.uint8),
            analog_v=np.zeros((len(steps), 2)),
            n_runs=n_runs,
        )

    def world_started(self, revision: int, at_ps: int) -> None:
        self.events.append(("started", at_ps))
        if revision == self.playback.revision:
            self.playback = replace(self.playback, revision=revision + 1, state="streaming")

    def world_finished(self, revision: int, at_ps: int) -> None:
        self.events.append(("finished", at_ps))
        self.playback = replace(self.playback, revision=self.playback.revision + 1, state="idle")


class FakeAwg:
    def __init__(self, name: str, playback: AwgPlayback) -> None:
        self.name = name
        self.playback = playback
        self.playing: list[bool] = []

    def change(self, **what: Any) -> None:
        self.playback = replace(self.playback, revision=self.playback.revision + 1, **what)

    def world_playing(self, playing: bool) -> None:
        self.playing.append(playing)


class FakeTagger:
    def __init__(self, name: str, inputs: range) -> None:
        self.name = name
        self.playback = TaggerPlayback(1, True, dict.fromkeys(inputs, True), dict.fromkeys(inputs, 1.0))
        self.deliveries: list[tuple[int, np.ndarray, np.ndarray, int]] = []

    def deliver(self, origin_ps: int, t_ps: np.ndarray, channel: np.ndarray, until_ps: int) -> None:
        self.deliveries.append((origin_ps, t_ps, channel, until_ps))

    def tags(self, channel: int | None = None) -> np.ndarray:
        """Lab time of the tags from the bench's start, ps."""
        times = np.concatenate([t + (origin - ORIGIN_PS) for origin, t, _, _ in self.deliveries])
        channels = np.concatenate([c for _, _, c, _ in self.deliveries])
        return times if channel is None else times[channels == channel]


class FakeSupply:
    """A laser or a microwave source."""

    def __init__(self, name: str, playback: Any) -> None:
        self.name = name
        self.playback = playback

    def change(self, **what: Any) -> None:
        self.playback = replace(self.playback, revision=self.playback.revision + 1, **what)

    def beam(self, output: str, **what: Any) -> None:
        beams = {**self.playback.beams, output: replace(self.playback.beams[output], **what)}
        self.change(beams=beams)


class FakeDetectors(FakeSupply):
    """A detector driver; what it was told of pulses."""

    def __init__(self, name: str, playback: Any) -> None:
        super().__init__(name, playback)
        self.told: list[tuple[int, dict[int, int]]] = []

    def deliver_counts(self, counts: dict[int, int], until_ps: int) -> None:
        self.told.append((until_ps, counts))

    def channel(self, number: int, **what: float | bool) -> None:
        """One channel's entries of the playback."""
        changed = {key: {**getattr(self.playback, key), number: value} for key, value in what.items()}
        self.change(**changed)


def lasers(name: str) -> dict[str, FakeSupply]:
    """A node's lasers on resonance at nominal power."""
    lit = LaserBeam(True, 25.0, 0.0)
    controller = LaserPlayback(1, True, False, {"laser1": lit, "laser2": lit})
    repump = LaserPlayback(1, True, False, {"laser1": LaserBeam(True, 50.0, 0.0)})
    return {
        f"{name}.lasers": FakeSupply(f"{name}.lasers", controller),
        f"{name}.repump": FakeSupply(f"{name}.repump", repump),
    }


def carrier() -> MicrowavePlayback:
    """On resonance at nominal power."""
    return MicrowavePlayback(1, True, True, 2.83e9, 15.0, 0.0, iq_on=True, external_reference=True)


def detectors() -> DetectorPlayback:
    """Both at the working bias."""
    ones, on = dict.fromkeys((1, 2), 1.0), dict.fromkeys((1, 2), True)
    return DetectorPlayback(1, True, {1: 20.0, 2: 19.6}, on, dict.fromkeys((1, 2), False), ones, ones)


def node_steps(trigger_ns: int = 95_000) -> list[tuple[int, int]]:
    rest = PERIOD_NS - trigger_ns - 100
    return [(2_000, 0), (90_000, 2), (trigger_ns - 92_000, 0), (100, 1), (rest, 0)]


def midpoint_steps(gate_ns: int = GATE_NS, window_ns: int = 25) -> list[tuple[int, int]]:
    steps = [(1_000, 0), (100, 1), (gate_ns - 1_100, 0)]
    for _ in range(ATTEMPTS):
        steps += [(window_ns, 2), (5_500 - window_ns, 0)]
    return [*steps, (PERIOD_NS - sum(ns for ns, _ in steps), 0)]


def envelope(samples: int, start: int, angle_rad: float, rabi_mhz: float = 10.0) -> np.ndarray:
    """Volts of a Gaussian of 100 samples (1 ns each), sigma 20 ns, with the area of a rotation angle."""
    t = np.arange(100) + 0.5
    shape = np.exp(-0.5 * ((t - 50) / 20) ** 2)
    volts = np.zeros(samples)
    volts[start : start + 100] = shape * angle_rad / (2 * np.pi * rabi_mhz * 1e6 * shape.sum() * 1e-9)
    return volts


def words(volts: np.ndarray, marker_1: tuple[int, int] | None = None, marker_2: list | None = None) -> np.ndarray:
    result = np.rint(8191 + volts / 1.5 * 8191).astype(np.uint16)
    if marker_1 is not None:
        result[slice(*marker_1)] |= 1 << 14
    for interval in marker_2 or []:
        result[slice(*interval)] |= 1 << 15
    return result


def attempt_words(
    alpha: float = 0.3, optical_v: float = 1.0, pump: bool = True, optical_ns: int = 3_000, gate: bool = True
) -> dict[int, np.ndarray]:
    angle = 2 * np.arccos(np.sqrt(alpha))
    optical = np.zeros(5_500)
    optical[optical_ns : optical_ns + 2] = optical_v
    return {
        1: words(envelope(5_500, 2_500, angle), (0, 2_000) if pump else None, [(2_980, 3_022)] if gate else None),
        2: words(np.zeros(5_500), None, [(2_450, 2_650)]),
        3: words(optical),
    }


def branch_words(basis: str, echo: bool = True) -> dict[int, np.ndarray]:
    """Basis rotations: about Y (phase 90 degrees, channel 2) for X, about X (channel 1) for Y."""
    in_phase, quadrature = np.zeros(20_000), np.zeros(20_000)
    if echo:
        in_phase += envelope(20_000, 450, np.pi)
    if basis == "X":
        quadrature += envelope(20_000, 3_900, np.pi / 2)
    elif basis == "Y":
        in_phase += envelope(20_000, 3_900, np.pi / 2)
    return {
        1: words(in_phase),
        2: words(quadrature, (4_200, 7_900), [(400, 600), (3_850, 4_050)]),
        3: words(np.zeros(20_000)),
    }


def element(waveforms: dict[int, np.ndarray], **what: Any) -> AwgElementPlayback:
    settings = {"loop_count": 1, "wait_for_trigger": False, "go_to": 1, "jump_to": None, **what}
    return AwgElementPlayback(waveforms, **settings)


def table(attempt: dict[int, np.ndarray], branches: list[dict[int, np.ndarray]]) -> tuple[AwgElementPlayback, ...]:
    lines: list[AwgElementPlayback] = []
    for number, branch in enumerate(branches):
        after = 2 * number + 3 if number + 1 < len(branches) else 1
        lines.append(
            element(attempt, loop_count=ATTEMPTS, wait_for_trigger=True, go_to=after, jump_to=2 * number + 2)
        )
        lines.append(element(branch, go_to=after))
    return tuple(lines)


def awg_playback(elements: tuple[AwgElementPlayback, ...]) -> AwgPlayback:
    channels = (1, 2, 3)
    return AwgPlayback(
        revision=1,
        running=True,
        sequence_mode=True,
        sample_rate_hz=1e9,
        elements=elements,
        output_on=dict.fromkeys(channels, True),
        amplitude_vpp=dict.fromkeys(channels, 3.0),
        offset_v=dict.fromkeys(channels, 0.0),
        marker_high_v={(channel, marker): 2.0 for channel in channels for marker in (1, 2)},
        trigger_level_v=1.0,
        trigger_rising=True,
        event_level_v=1.0,
        event_rising=True,
        event_timing="synchronous",
        hardware_sequencer=True,
    )


DOUBLE_ATTEMPTS = 100
DOUBLE_PERIOD_NS = 10_000
APART_NS = 1_000
"""From the first gate's opening to the second one's, and from pulse to pulse."""


def double_attempt_words(
    alpha: float = 0.5, pi_angle: float = np.pi, optical_v: tuple[float, float] = (1.0, 1.0), late_ns: int = 0
) -> dict[int, np.ndarray]:
    """Pump 0..2,000, pi/2 centred at 2,550, optical pulse at 3,000, pi centred at 3,550, optical pulse at 4,000."""
    samples = DOUBLE_PERIOD_NS
    optical = np.zeros(samples)
    for number, volt in enumerate(optical_v):
        start = 3_000 + number * APART_NS + late_ns
        optical[start : start + 2] = volt
    microwave = envelope(samples, 2_500, 2 * np.arccos(np.sqrt(alpha))) + envelope(samples, 3_500, pi_angle)
    return {
        1: words(microwave, (0, 2_000), [(2_980, 3_022), (3_980, 4_022)]),
        2: words(np.zeros(samples), None, [(2_450, 2_650), (3_450, 3_650)]),
        3: words(optical),
    }


def double_branch_words(basis: str) -> dict[int, np.ndarray]:
    """Echo centred at 500, basis rotation at 6,450, light 6,700..10,400.

    The pi of the attempt turns the 1,000 before it back; from it to the echo are 6,950; so 5,950 later all is back.
    """
    in_phase, quadrature = envelope(20_000, 450, np.pi), np.zeros(20_000)
    if basis == "X":
        quadrature += envelope(20_000, 6_400, np.pi / 2)
    elif basis == "Y":
        in_phase += envelope(20_000, 6_400, np.pi / 2)
    return {
        1: words(in_phase),
        2: words(quadrature, (6_700, 10_400), [(400, 600), (6_350, 6_550)]),
        3: words(np.zeros(20_000)),
    }


def double_midpoint_steps(
    gate_ns: int = GATE_NS, window_ns: int = 25, apart_ns: int = APART_NS
) -> list[tuple[int, int]]:
    steps = [(1_000, 0), (100, 1), (gate_ns - 1_100, 0)]
    for _ in range(DOUBLE_ATTEMPTS):
        steps += [(window_ns, 2), (apart_ns - window_ns, 0), (window_ns, 2)]
        steps += [(DOUBLE_PERIOD_NS - apart_ns - window_ns, 0)]
    return [*steps, (PERIOD_NS - sum(ns for ns, _ in steps), 0)]


class Bench:
    """A lab of fakes, but for the slow instruments in ``rack``, by ``site.instrument``."""

    def __init__(self, lab: Lab, world: World, seed: int = 1, rack: Mapping[str, Any] | None = None) -> None:
        self.lab = lab
        self.pulsers = {f"{site}.pulser": FakePulser(f"{site}.pulser") for site in ("alice", "bob", "midpoint")}
        elements = table(attempt_words(), [branch_words("Z")])
        self.awgs = {f"{site}.awg": FakeAwg(f"{site}.awg", awg_playback(elements)) for site in ("alice", "bob")}
        self.taggers = {
            "alice.tagger": FakeTagger("alice.tagger", range(1, 5)),
            "bob.tagger": FakeTagger("bob.tagger", range(1, 5)),
            "midpoint.tagger": FakeTagger("midpoint.tagger", range(5)),
        }
        rack = rack or {}
        self.lasers = {n: rack.get(n, fake) for n, fake in {**lasers("alice"), **lasers("bob")}.items()}
        sources = [f"{node}.microwave" for node in ("alice", "bob")]
        self.microwaves = {name: rack.get(name, FakeSupply(name, carrier())) for name in sources}
        self.snspd = rack.get("midpoint.snspd", FakeDetectors("midpoint.snspd", detectors()))
        instruments = Instruments(
            self.pulsers, self.awgs, self.taggers, self.lasers, self.microwaves, {"midpoint.snspd": self.snspd}
        )
        self.context = WorldContext(lab, world, instruments, ORIGIN_PS, seed)
        self.engine = Engine(self.context)
        self.midpoint = midpoint_steps()

    def double_click(self, basis: str = "Z", **attempt: Any) -> None:
        """Give everyone the programs of double click."""
        self.midpoint = double_midpoint_steps()
        attempts = element(
            double_attempt_words(**attempt), loop_count=DOUBLE_ATTEMPTS, wait_for_trigger=True, go_to=1, jump_to=2
        )
        for awg in self.awgs.values():
            awg.change(elements=(attempts, element(double_branch_words(basis), go_to=1)))

    def arm(self, n_runs: int, *sites: str) -> None:
        programs = {
            "alice": node_steps(),
            "bob": node_steps(95_000 - BOB_EARLIER_NS),
            "midpoint": self.midpoint,
        }
        for site in sites or tuple(programs):
            self.pulsers[f"{site}.pulser"].arm(programs[site], n_runs)

    def play(self, rounds: int) -> None:
        """Arm, start at second 1, and play all rounds."""
        self.arm(rounds)
        self.engine.advance_to(PS_PER_S + rounds * PERIOD_NS * NS)
        self.engine.advance_to(self.engine.now_ps + PERIOD_NS * NS)

    def rounds(self, tagger: str, channel: int) -> tuple[np.ndarray, np.ndarray]:
        """(round, ns within the round) of the tags at an input."""
        times = self.taggers[f"{tagger}.tagger"].tags(channel) - PS_PER_S
        times = times[times >= 0]
        return times // (PERIOD_NS * NS), (times % (PERIOD_NS * NS)) / NS


def update(model: Any, path: str, value: Any) -> Any:
    """A frozen model with the entry at a dotted path replaced; ``^`` stands for a dot within a key."""
    head, _, rest = path.partition(".")
    head = head.replace("^", ".")
    if isinstance(model, dict):
        return {**model, head: update(model[head], rest, value) if rest else value}
    inner = update(getattr(model, head), rest, value) if rest else value
    return model.model_copy(update={head: inner})


@cache
def read_two_nodes() -> tuple[Lab, World]:
    """Read once: the models are frozen."""
    return load_lab(TWO_NODES), load_world(TWO_NODES)


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    def make(
        world: dict[str, Any] | None = None,
        without_wire: tuple[str, ...] = (),
        seed: int = 1,
        rack: Mapping[str, Any] | None = None,
    ) -> Bench:
        lab, truth = read_two_nodes()
        for path, value in (world or {}).items():
            truth = update(truth, path, value)
        wires = []
        for wire in lab.wires:
            if hasattr(wire, "ends"):
                ends = tuple(end for end in wire.ends if end not in without_wire)
                if not ends:
                    continue
                wire = wire.model_copy(update={"to": ends})
            wires.append(wire)
        return Bench(lab.model_copy(update={"wires": tuple(wires)}), truth, seed, rack)

    return make


@pytest.fixture
def make_double_bench(make_bench: Callable[..., Bench]) -> Callable[..., Bench]:
    """A bench whose herald logic is a two-window latch, with the programs of double click."""

    def make(world: dict[str, Any] | None = None, basis: str = "Z", seed: int = 1, **attempt: Any) -> Bench:
        plain = make_bench(world)
        wires = tuple(
            wire.model_copy(update={"kind": "two_window_latch"}) if getattr(wire, "kind", "") == "gated_or" else wire
            for wire in plain.lab.wires
        )
        link = plain.lab.links[0].model_copy(update={"protocol": "double_click"})
        lab = plain.lab.model_copy(update={"wires": wires, "links": (link,)})
        bench = Bench(lab, plain.context.world, seed)
        bench.double_click(basis, **attempt)
        return bench

    return make


@pytest.fixture
def programs_of() -> Any:
    """The builders of programs in this module, by name."""
    return SimpleNamespace(double_midpoint_steps=double_midpoint_steps)
