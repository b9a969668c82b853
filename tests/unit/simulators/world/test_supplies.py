"""The slow instruments taken away one by one: commands on their real sockets, effects in tags, counts and photons.

Alice's lasers, repump and microwave source and the midpoint's detector driver are the simulators that ship, set by a
stranger's raw commands; all else is the bench's fakes. Expected numbers are worked out here.
"""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import acos, atan, cos, exp, log10, pi, sin, sqrt
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from _addresses import own_block

from qnode.clock import PS_PER_S
from simulators.instruments.cobolt.cobolt_06_01 import Cobolt0601
from simulators.instruments.rohde_schwarz.sgs100a import RohdeSchwarzSGS100A
from simulators.instruments.single_quantum.websq import WebSQ
from simulators.instruments.toptica.dlc_pro import DLCpro
from simulators.kit.testing import BackgroundLoop, ManualTime, running, wait_for
from simulators.world.flux import NodeFlux, node_flux

HOST = own_block()
ROUND_PS = 1_495_000_000
PERFECT = {f"nodes.{n}.spin.readout_fidelity_{s}": 1.0 for n in ("alice", "bob") for s in ("bright", "dark")}
BRIGHT = {
    **PERFECT,
    "nodes.alice.emitter.collection_efficiency": 4e-3,
    "nodes.bob.emitter.collection_efficiency": 6e-3,
    "midpoints.midpoint.detectors.dark_rate_hz": 0.0,
}
ALONE = {**BRIGHT, "nodes.bob.emitter.collection_efficiency": 0.0}
"""All photons are Alice's."""


class Rack:
    """Alice's slow instruments and the detectors' driver, switched on as the lab's truth wants them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._time = ManualTime(1_800_000_000 * PS_PER_S)
        self.lasers = DLCpro("alice.lasers", f"{HOST}15", self._time)
        self.repump = Cobolt0601("alice.repump", str(folder / "alice-repump"), self._time)
        self.microwave = RohdeSchwarzSGS100A("alice.microwave", f"TCPIP0::{HOST}14::5025::SOCKET", self._time)
        self.snspd = WebSQ("midpoint.snspd", f"{HOST}35", self._time)
        self.sims = {sim.name: sim for sim in (self.lasers, self.repump, self.microwave, self.snspd)}
        self._loop: BackgroundLoop = stack.enter_context(running(*self.sims.values()))
        self._laser_line = self._connect(stack, f"{HOST}15", 1998)
        self._microwave_line = self._connect(stack, f"{HOST}14", 5025)
        self._detector_line = self._connect(stack, f"{HOST}35", 12000)
        self._terminal = os.open(folder / "alice-repump", os.O_RDWR | os.O_NOCTTY)
        stack.callback(os.close, self._terminal)
        self._read_until(self._laser_line, b"\n> ")
        self.laser("laser1:dl:cc:enabled", "#t")
        self.laser("laser2:dl:cc:enabled", "#t")
        self.repump_says("l1")
        self.source("FREQ 2.83e9", "POW 15", "IQ:STAT ON", "ROSC:SOUR EXT", "OUTP ON")
        self.bias([20.0, 19.6, 20.4, 19.2])
        self.detectors("DetectorEnable", True)

    @staticmethod
    def _connect(stack: ExitStack, host: str, port: int) -> socket.socket:
        return stack.enter_context(socket.create_connection((host, port), timeout=5))

    @staticmethod
    def _read_until(line: socket.socket, end: bytes) -> bytes:
        data = b""
        while not data.endswith(end):
            part = line.recv(65_536)
            assert part, data
            data += part
        return data

    def laser(self, path: str, value: str) -> None:
        """One parameter of the DLC pro."""
        self._laser_line.sendall(f"(param-set! '{path} {value})\n".encode())
        assert self._read_until(self._laser_line, b"\n> ") == b"0\n> "

    def repump_says(self, command: str) -> None:
        """One command of the Cobolt."""
        os.write(self._terminal, f"{command}\r".encode())
        data = b""
        while not data.endswith(b"\r\n"):
            assert select.select([self._terminal], [], [], 5)[0], data
            data += os.read(self._terminal, 1024)
        assert data == b"OK\r\n"

    def source(self, *commands: str) -> None:
        """Commands of the microwave source; its answer comes when they have been carried out."""
        self._microwave_line.sendall("".join(f"{command}\n" for command in (*commands, "SYST:ERR?")).encode())
        assert self._read_until(self._microwave_line, b"\n").startswith(b'0,"No error"')

    def detectors(self, command: str, value: object) -> None:
        """One command of the detectors' driver, which tells everybody when it has changed."""
        revision = self.snspd.playback.revision
        self._detector_line.sendall(json.dumps({"command": command, "label": command, "value": value}).encode())
        wait_for(lambda: self.snspd.playback.revision > revision, command)

    def bias(self, currents_ua: list[float]) -> None:
        """Bias currents of all four."""
        self.detectors("SetAllBiasCurrents", currents_ua)

    def happens(self, name: str, fault: str) -> None:
        """A fault of an instrument, as `qnode fault` makes it."""

        async def cause() -> None:
            self.sims[name].faults()[fault]()

        self._loop.call(cause())

    def unplug(self, name: str) -> None:
        """Pull the plug."""
        self._loop.call(self.sims[name].unplug())


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    with ExitStack() as stack:
        yield Rack(tmp_path, stack)


@pytest.fixture
def bench_with(make_bench: Callable[..., Any], rack: Rack) -> Callable[..., Any]:
    return lambda world=None, **what: make_bench(world, rack=rack.sims, **what)


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest) -> ModuleType:
    plugins = request.config.pluginmanager.get_plugins()
    return next(p for p in plugins if isinstance(p, ModuleType) and hasattr(p, "branch_words"))


def flux(bench: Any, node: str = "alice") -> NodeFlux:
    return node_flux(bench.context, bench.engine.groups, bench.context.nodes[node])


def clicks(bench: Any, detector: int) -> int:
    return int(bench.rounds("midpoint", detector)[0].size)


def heralding_rounds(bench: Any) -> int:
    return len(set(bench.rounds("alice", 3)[0].tolist()))


def charge_counts(bench: Any) -> int:
    return int((bench.rounds("alice", 1)[1] < 95_000).sum())


def efficiency(collection: float) -> float:
    """Of a photon, up to a click in the window."""
    return collection * 10 ** (-0.002 * 8.0 / 10) * 0.8 * (1 - exp(-25 / 12.4))


def expected_rounds(alpha: float, rounds: int, collection: float = 4e-3) -> float:
    """Rounds with a click, all photons from one node."""
    return rounds * (1 - (1 - alpha * efficiency(collection)) ** 250)


def assert_poisson(found: float, expected: float) -> None:
    assert abs(found - expected) < 3.5 * sqrt(expected), (found, expected)


# --- at their set-points ----------------------------------------------------------------------------------------------


def test_a_rack_at_its_set_points_changes_no_bit(bench_with: Any, make_bench: Any) -> None:
    real, nominal = bench_with(BRIGHT), make_bench(BRIGHT)
    for bench in (real, nominal):
        bench.play(300)
    for name, tagger in real.taggers.items():
        assert tagger.tags().tolist() == nominal.taggers[name].tags().tolist()
    assert real.taggers["midpoint.tagger"].tags(1).size > 50


@pytest.mark.parametrize(
    "wire", ["alice.qubit.resonant_laser", "alice.qubit.spin_pump_laser", "alice.qubit.repump_laser",
             "alice.qubit.microwave_carrier", "midpoint.det1.bias", "alice.microwave.ref"]
)  # fmt: skip
def test_without_its_wire_an_instrument_does_nothing(make_bench: Any, wire: str) -> None:
    supply = make_bench(without_wire=(wire,)).context.supplies.now()
    (station,) = supply.stations
    drive = supply.drives["alice"]
    assert supply.drives["bob"] == make_bench().context.supplies.now().drives["alice"]
    found = {
        "alice.qubit.resonant_laser": drive.resonant + drive.scattering,
        "alice.qubit.spin_pump_laser": drive.pumping,
        "alice.qubit.repump_laser": drive.repump,
        "alice.qubit.microwave_carrier": drive.carrier,
        "midpoint.det1.bias": station.efficiencies[0] + station.dark_rates_hz[0],
        # Its own oscillator is wrong by 1e-7 of 2.83 GHz.
        "alice.microwave.ref": drive.carrier_hz - 283,
    }
    assert found[wire] == pytest.approx(0.0, abs=1e-3)


def test_a_real_instrument_counts_as_nominal(make_bench: Any) -> None:
    nominal = make_bench()
    alice = nominal.lab.nodes["alice"]
    real = alice.rack["microwave"].model_copy(update={"simulated": False})
    node = alice.model_copy(update={"rack": {**alice.rack, "microwave": real}})
    lab = nominal.lab.model_copy(update={"nodes": {**nominal.lab.nodes, "alice": node}})
    hybrid = type(nominal)(lab, nominal.context.world)
    hybrid.microwaves["alice.microwave"].change(on=False)
    assert hybrid.context.supplies.now().drives == nominal.context.supplies.now().drives


# --- lasers -----------------------------------------------------------------------------------------------------------


def test_without_the_pump_laser_nothing_is_known_of_the_spin(
    rack: Rack, bench_with: Any, programs: ModuleType
) -> None:
    rack.laser("laser2:dl:cc:enabled", "#f")
    bench = bench_with(ALONE)
    bench.play(1_500)
    # Not alpha = 0.3 but half of the attempts are bright.
    assert_poisson(heralding_rounds(bench), expected_rounds(0.5, 1_500))
    assert "spin_pump" not in flux_while_playing(bench).light


def test_a_detuned_pump_laser_pumps_slower(rack: Rack, bench_with: Any) -> None:
    # 150 mV of piezo, 300 MHz a volt: 45 MHz, and a line of 13 MHz: the rate is 1 / (1 + (90 / 13)^2).
    rack.laser("laser2:dl:pc:voltage-set", "70.15")
    bench = bench_with(ALONE)
    bench.play(1_500)
    left = exp(-2_000 / 100 / (1 + (90 / 13) ** 2)) / 2
    alpha = 0.3 * (1 - left) + 0.7 * left
    assert_poisson(heralding_rounds(bench), expected_rounds(alpha, 1_500))
    assert alpha == pytest.approx(0.433, abs=1e-3)


@pytest.mark.parametrize("how", ["interlock", "emission", "key", "unplug"])
def test_a_dark_laser_gives_neither_photons_nor_counts(rack: Rack, bench_with: Any, how: str) -> None:
    if how == "emission":
        rack.laser("laser1:dl:cc:enabled", "#f")
    elif how == "unplug":
        rack.unplug("alice.lasers")
    else:
        rack.happens("alice.lasers", {"interlock": "open-interlock", "key": "lock-key"}[how])
    bench = bench_with(ALONE)
    bench.play(300)
    assert clicks(bench, 1) == clicks(bench, 2) == heralding_rounds(bench) == 0
    assert bench.rounds("alice", 1)[0].size == 0
    assert bench.rounds("bob", 1)[0].size > 1_000
    found = flux_while_playing(bench)
    assert (found.zero_phonon_line_per_s, found.sideband_per_s) == (0.0, 0.0)
    assert "optical_pulse" not in found.light
    assert "charge_light" not in found.light


def test_an_interlock_that_opens_in_mid_run_counts_from_the_round_being_played(rack: Rack, bench_with: Any) -> None:
    bench = bench_with(ALONE)
    bench.arm(400)
    bench.engine.advance_to(PS_PER_S + 200 * ROUND_PS)
    rack.happens("alice.lasers", "open-interlock")
    bench.engine.advance_to(PS_PER_S + 300 * ROUND_PS)
    rack.happens("alice.lasers", "close-interlock")
    # The laser stays off until it is switched on again.
    bench.engine.advance_to(PS_PER_S + 350 * ROUND_PS)
    rack.laser("laser1:dl:cc:enabled", "#t")
    bench.engine.advance_to(PS_PER_S + 402 * ROUND_PS)
    rounds, ns = bench.rounds("alice", 1)
    checked = set(rounds[ns < 95_000].tolist())
    assert checked == set(range(200)) | set(range(350, 400))
    assert set(bench.rounds("midpoint", 1)[0].tolist()) <= checked


@pytest.mark.parametrize(("current_ma", "power"), [(75.0, 0.5), (60.0, 0.2)])
def test_excitation_goes_with_the_root_of_the_power_and_counts_with_the_power(
    rack: Rack, bench_with: Any, current_ma: float, power: float
) -> None:
    # 0.5 mW/mA above 50 mA, nominal 25 mW; -100 MHz/mA is tuned back by the piezo's 300 MHz/V.
    rack.laser("laser1:dl:cc:current-set", str(current_ma))
    rack.laser("laser1:dl:pc:voltage-set", str(70 + (current_ma - 100) / 3))
    bench = bench_with(ALONE)
    bench.play(1_500)
    excited = sin(pi / 2 * sqrt(power)) ** 2
    assert_poisson(heralding_rounds(bench), expected_rounds(0.3 * excited, 1_500))
    assert_poisson(charge_counts(bench), 22.5 * power * 1_500)


def test_a_detuned_laser_excites_and_scatters_less(rack: Rack, bench_with: Any) -> None:
    rack.laser("laser1:dl:pc:voltage-set", "70.5")
    bench = bench_with(ALONE)
    bench.play(1_500)
    # 150 MHz beside a pulse of 250 MHz and 2 ns; a line of 13 MHz.
    whole = sqrt(250**2 + 150**2)
    excited = (250 / whole) ** 2 * sin(pi * whole * 0.002) ** 2
    assert_poisson(heralding_rounds(bench), expected_rounds(0.3 * excited, 1_500))
    assert_poisson(charge_counts(bench), 22.5 * 1_500 / (1 + (300 / 13) ** 2))


def test_a_scanned_laser_meets_the_line_now_and_then(rack: Rack, bench_with: Any) -> None:
    # 1 V of piezo: 300 MHz, and a line of 13 MHz in their middle.
    rack.laser("laser1:scan:enabled", "#t")
    bench = bench_with(ALONE)
    bench.play(1_500)
    assert_poisson(charge_counts(bench), 22.5 * 1_500 * 13 / 300 * atan(300 / 13))


def test_readout_counts_go_with_the_power(rack: Rack, bench_with: Any, programs: ModuleType) -> None:
    rack.laser("laser1:dl:cc:current-set", "75.0")
    rack.laser("laser1:dl:pc:voltage-set", str(70 - 25 / 3))
    bench = bench_with({"nodes.alice.spin.readout_fidelity_bright": 0.95})
    shot = {
        1: programs.words(np.zeros(8_000), (0, 2_000)),
        2: programs.words(np.zeros(8_000), (3_000, 6_700)),
        3: programs.words(np.zeros(8_000)),
    }
    bench.awgs["alice.awg"].change(elements=(programs.element(shot, loop_count=50, wait_for_trigger=True, go_to=1),))
    bench.arm(100, "alice")
    bench.engine.advance_to(PS_PER_S + 101 * ROUND_PS)
    counted = int((bench.rounds("alice", 1)[1] > 95_000).sum())
    assert_poisson(counted, 5_000 * -np.log(0.05) / 2)


@pytest.mark.parametrize("how", ["l0", "interlock", "weak", "modulated", "on"])
def test_without_repump_light_an_ionised_node_stays_dark(
    rack: Rack, bench_with: Any, programs: ModuleType, how: str
) -> None:
    if how == "l0":
        rack.repump_says("l0")
    elif how == "interlock":
        rack.happens("alice.repump", "open-interlock")
    elif how == "weak":
        rack.repump_says("slp 24")
    elif how == "modulated":
        rack.repump_says("eoom")
    bench = bench_with({**ALONE, "nodes.alice.charge.ionisation_per_round": 0.05})
    bench.arm(200, "bob", "midpoint")
    bench.pulsers["alice.pulser"].arm([(1_000, 4), (1_000, 0), *programs.node_steps()[1:]], 200)
    bench.engine.advance_to(PS_PER_S + 201 * ROUND_PS)
    rounds, ns = bench.rounds("alice", 1)
    checked = sorted(set(rounds[ns < 95_000].tolist()))
    # Lit for 90 us, a check without a count has the probability 2e-10.
    assert checked == list(range(len(checked)))
    assert (len(checked) == 200) is (how == "on")
    assert max(bench.rounds("alice", 3)[0].tolist(), default=-1) <= checked[-1] + 1
    assert len(checked) > 0


# --- microwaves -------------------------------------------------------------------------------------------------------


def square_attempt(programs: ModuleType, samples: int = 50, volt: float = 1.0) -> tuple[Any, ...]:
    """A pi pulse of 50 ns at 10 MHz/V, switch and all."""
    words = programs.attempt_words()
    in_phase = np.zeros(5_500)
    in_phase[2_500 : 2_500 + samples] = volt
    words[1] = programs.words(in_phase, (0, 2_000), [(2_980, 3_022)])
    words[2] = programs.words(np.zeros(5_500), None, [(2_500, 2_500 + samples)])
    return programs.table(words, [programs.branch_words("Z")])


def test_a_carrier_5_mhz_off_turns_the_spin_about_a_tilted_axis(
    rack: Rack, bench_with: Any, programs: ModuleType
) -> None:
    rack.source("FREQ 2.835e9")
    bench = bench_with(ALONE)
    bench.awgs["alice.awg"].change(elements=square_attempt(programs))
    bench.play(1_500)
    # W = 10 MHz, D = 5 MHz: P(flip) = W^2 / (W^2 + D^2) sin^2(pi sqrt(W^2 + D^2) t) = 0.8 x sin^2(1.756).
    stays = 1 - 0.8 * sin(pi * sqrt(125) * 0.050) ** 2
    assert stays == pytest.approx(0.227, abs=1e-3)
    assert_poisson(heralding_rounds(bench), expected_rounds(stays, 1_500))


def test_on_resonance_the_same_pulse_leaves_no_light(bench_with: Any, programs: ModuleType) -> None:
    bench = bench_with(ALONE)
    bench.awgs["alice.awg"].change(elements=square_attempt(programs))
    bench.play(300)
    # DAC steps leave 1e-6 of the light.
    assert heralding_rounds(bench) <= 1


def test_carrier_power_scales_the_rotation(rack: Rack, bench_with: Any) -> None:
    rack.source("POW 12")
    bench = bench_with(ALONE)
    bench.play(1_500)
    alpha = cos(acos(sqrt(0.3)) * 10 ** (-3 / 20)) ** 2
    assert alpha == pytest.approx(0.583, abs=1e-3)
    assert_poisson(heralding_rounds(bench), expected_rounds(alpha, 1_500))


@pytest.mark.parametrize("how", ["output off", "unplug", "pulse modulator"])
def test_without_the_carrier_the_spin_stays_bright(rack: Rack, bench_with: Any, how: str) -> None:
    if how == "unplug":
        rack.unplug("alice.microwave")
    else:
        rack.source({"output off": "OUTP OFF", "pulse modulator": "PULM:STAT ON"}[how])
    bench = bench_with(ALONE)
    bench.play(1_000)
    assert_poisson(heralding_rounds(bench), expected_rounds(1.0, 1_000))
    assert flux_while_playing(bench).microwave_v2 == 0.0
    assert flux_while_playing(bench, "bob").microwave_v2 > 0.0


def test_without_iq_the_whole_carrier_runs_through_while_the_switch_is_open(rack: Rack, bench_with: Any) -> None:
    # Six tenths of the amplitude: the switch is open for 200 ns, so 1.2 cycles, whatever I and Q say.
    rack.source("IQ:STAT OFF", f"POW {15 + 20 * log10(0.6):.9f}")
    bench = bench_with(ALONE)
    bench.play(1_500)
    assert_poisson(heralding_rounds(bench), expected_rounds(cos(pi * 1.2) ** 2, 1_500))
    # 0.6 V for 200 ns, 250 times in a round.
    assert flux_while_playing(bench).microwave_v2 == pytest.approx(0.36 * 0.200 * 250 / 1_495, rel=1e-6)


def test_by_its_own_oscillator_the_carrier_is_off(rack: Rack, bench_with: Any) -> None:
    rack.source("ROSC:SOUR INT")
    # 1e-7 of 2.83 GHz.
    assert bench_with().context.supplies.now().drives["alice"].carrier_hz == pytest.approx(283.0, abs=1e-3)


@pytest.mark.parametrize("offset_hz", [0.0, 0.5e6, 1.0e6])
def test_two_pulses_gather_the_phase_of_the_detuning_in_between(
    rack: Rack, bench_with: Any, programs: ModuleType, offset_hz: float
) -> None:
    rack.source(f"FREQ {2.83e9 + offset_hz:.0f}")
    bench = bench_with({**ALONE, "nodes.alice.spin.t2_star_us": 1e6, "nodes.alice.spin.rabi_mhz_per_volt": 100.0})
    in_phase = np.zeros(5_500)
    for start in (2_000, 2_500):
        in_phase[start : start + 5] = 0.5
    words = programs.attempt_words()
    words[1] = programs.words(in_phase, (0, 1_900), [(2_980, 3_022)])
    words[2] = programs.words(np.zeros(5_500), None, [(1_990, 2_600)])
    bench.awgs["alice.awg"].change(elements=programs.table(words, [programs.branch_words("Z")]))
    bench.play(700)
    # Two pi/2 pulses, 500 ns apart: bright becomes dark, and comes back with half a turn of phase in between.
    alpha = sin(pi * offset_hz * 500e-9) ** 2
    assert_poisson(heralding_rounds(bench), max(expected_rounds(alpha, 700), 1.0))


# --- detectors --------------------------------------------------------------------------------------------------------

DARKS = {"midpoints.midpoint.detectors.dark_rate_hz": 2_000.0}


def test_biased_detectors_are_counted_by_their_driver(make_bench: Any) -> None:
    bench = make_bench(DARKS)
    bench.play(400)
    for channel in (1, 2):
        # The driver sits at the detector; 10 ns of wire lie before the tagger.
        times = bench.taggers["midpoint.tagger"].tags(channel) - 10_000
        told = [(until - bench.context.origin_ps, counts.get(channel, 0)) for until, counts in bench.snspd.told]
        for begin_ps, end_ps in ((0, PS_PER_S), (PS_PER_S, PS_PER_S + 100 * 10**9), (0, told[-1][0])):
            expected = int(((times >= begin_ps) & (times < end_ps)).sum())
            assert sum(count for until, count in told if begin_ps < until <= end_ps) == expected > 100
    until_ps = [until for until, _ in bench.snspd.told]
    assert until_ps == sorted(until_ps)
    assert np.diff(until_ps).max() <= PS_PER_S / 2


@pytest.mark.parametrize("how", ["disabled", "no bias", "latched", "unplug"])
def test_detectors_without_bias_are_silent(rack: Rack, bench_with: Any, how: str) -> None:
    if how == "disabled":
        rack.detectors("DetectorEnable", False)
    elif how == "no bias":
        rack.bias([0.0] * 4)
    elif how == "latched":
        rack.happens("midpoint.snspd", "latch")
    else:
        rack.unplug("midpoint.snspd")
    bench = bench_with({**BRIGHT, **DARKS})
    bench.play(300)
    assert clicks(bench, 1) == clicks(bench, 2) == heralding_rounds(bench) == 0
    assert bench.taggers["midpoint.tagger"].tags(1).size == bench.taggers["midpoint.tagger"].tags(2).size == 0


def test_a_latched_detector_comes_back_when_its_bias_was_taken_away(rack: Rack, bench_with: Any) -> None:
    rack.happens("midpoint.snspd", "latch")
    bench = bench_with(BRIGHT)
    bench.arm(300)
    bench.engine.advance_to(PS_PER_S + 100 * ROUND_PS)
    assert clicks(bench, 1) == 0
    rack.bias([0.0] * 4)
    rack.bias([20.0, 19.6, 20.4, 19.2])
    bench.engine.advance_to(PS_PER_S + 302 * ROUND_PS)
    assert clicks(bench, 1) > 10
    assert min(bench.rounds("midpoint", 1)[0].tolist()) >= 100


def test_each_channel_has_its_own_efficiency_and_darks(rack: Rack, bench_with: Any) -> None:
    # Detector 2 is off; detector 1, at half of its switching current, counts half as often, with few darks.
    rack.bias([12.5, 0.0, 0.0, 0.0])
    bench = bench_with(ALONE)
    bench.play(2_000)
    assert clicks(bench, 2) == 0
    # erf(0) against erf(3): half of (nearly) everything. Half of Alice's photons go to detector 1.
    assert_poisson(heralding_rounds(bench), expected_rounds(0.3 * 0.5 * 0.5, 2_000))


def test_a_channel_of_another_name_biases_nothing(make_bench: Any) -> None:
    plain = make_bench(DARKS)
    wires = tuple(
        wire.model_copy(update={"from_": "midpoint.snspd.left"})
        if getattr(wire, "from_", "") == "midpoint.snspd.ch1"
        else wire
        for wire in plain.lab.wires
    )
    bench = type(plain)(plain.lab.model_copy(update={"wires": wires}), plain.context.world)
    bench.play(300)
    assert clicks(bench, 1) == 0
    assert clicks(bench, 2) > 500
    assert {channel for _, counts in bench.snspd.told for channel in counts} == {2}


def test_dark_counts_grow_with_the_bias(rack: Rack, bench_with: Any) -> None:
    # 0.05 of the switching current of 25 uA is one folding of e.
    rack.bias([20.0 - 1.25, 19.6, 0.0, 0.0])
    bench = bench_with({**DARKS, **{f"nodes.{n}.emitter.collection_efficiency": 0.0 for n in ("alice", "bob")}})
    bench.play(2_000)
    seconds = 2_000 * ROUND_PS / PS_PER_S
    assert_poisson(clicks(bench, 1), 2_000 * exp(-1) * seconds)
    assert_poisson(clicks(bench, 2), 2_000 * seconds)


def test_unlike_detectors_herald_as_the_closed_form_says(make_bench: Any) -> None:
    """Both nodes lit: patterns of one click, two detectors of efficiencies e1 and e2 behind the beam splitter."""
    bench = make_bench(
        {**BRIGHT, "nodes.alice.emitter.collection_efficiency": 0.8, "nodes.bob.emitter.collection_efficiency": 0.9}
    )
    bench.snspd.channel(1, efficiency=0.3)
    bench.snspd.channel(2, efficiency=0.9)
    bench.play(1_000)
    a, b = efficiency(0.8), efficiency(0.9)
    bunched = (1 + 0.9) / 2

    def silent(e: tuple[float, float], photons: str) -> float:
        """P(both detectors of these efficiencies silent), by who sent a photon."""
        one = {"a": a, "b": b}
        missed = {who: 1 - eta * (e[0] + e[1]) / 2 for who, eta in one.items()}
        if photons != "ab":
            return missed.get(photons, 1.0)
        # Independent photons, and what bunching moves from different detectors to one: (e1 - e2)^2 / 4 of each pair.
        return missed["a"] * missed["b"] + a * b * (bunched - 0.5) * (e[0] - e[1]) ** 2 / 2

    none = only = 0.0
    for who, weight in (("", 0.49), ("a", 0.21), ("b", 0.21), ("ab", 0.09)):
        none += weight * silent((0.3, 0.9), who)
        only += weight * (silent((0.3, 0.0), who) - silent((0.3, 0.9), who))
    # Of rounds, whose first click is nearly always in the first gates: detector 2 alone against all.
    firsts: dict[int, tuple[float, int]] = {}
    for detector in (1, 2):
        rounds, ns = bench.rounds("midpoint", detector)
        inside = (ns - 98_056 - 15) % 5_500 < 25
        for number, gate in zip(rounds[inside].tolist(), ((ns[inside] - 98_071) // 5_500).tolist(), strict=True):
            at, pattern = firsts.get(number, (gate, 0))
            if gate < at:
                firsts[number] = (gate, detector)
            elif gate == at:
                firsts[number] = (gate, pattern | detector)
    alone = sum(1 for _, pattern in firsts.values() if pattern == 2)
    assert len(firsts) > 990
    share = only / (1 - none)
    assert abs(alone - share * len(firsts)) < 3.5 * sqrt(len(firsts) * share * (1 - share))


def flux_while_playing(bench: Any, node: str = "alice") -> NodeFlux:
    """Of a bench that plays once more."""
    bench.arm(10_000)
    second = -(-bench.engine.now_ps // PS_PER_S)
    bench.engine.advance_to(second * PS_PER_S + 10 * ROUND_PS)
    return flux(bench, node)
