"""A midpoint's gates against both nodes' attempts: which attempt's light falls into which gate, and what clicks.

All times of a round count from its nominal start: the PPS edge that started the pulsers plus whole rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import expm1, inf, log1p, radians

import numpy as np
from numpy.typing import NDArray

from qnode.labfile import HERALD_LOGIC, Lab, World
from simulators.world._arrivals import ArrivalSampler
from simulators.world.link import ClickMaps, NodeEmission, dark_click_probability
from simulators.world.wiring import End, Wiring

__all__ = [
    "ABSENT",
    "DETECTOR_LEVEL_V",
    "AttemptTrain",
    "Bias",
    "GatedLink",
    "Port",
    "Station",
    "few_offsets",
    "first_of",
    "meeting",
]

ABSENT = NodeEmission(np.eye(2, dtype=np.complex128) / 2, 0.0, 0.0, 0.0, 1.0)
"""A node that sends nothing, with a spin of which nothing is known."""

DETECTOR_LEVEL_V = 2.5
"""High level of a detector's output pulse: an APD module's TTL into 50 Ohm."""

FORGOTTEN_LIFETIMES = 40
"""A photon is looked for in gates that open up to so many lifetimes after its wave packet began."""

MAPS_AT_ONCE = 64
"""Distinct arrival times that get maps of their own; an attempt train that drifts through more of them against the
gates is taken at the nearest of them."""


@dataclass(frozen=True)
class Port:
    """One input of the beam splitter: the node whose light comes in there."""

    node: str
    qubit: str
    delay_ps: int
    """From the qubit to the beam splitter."""
    efficiency: float
    """P(click | photon emitted), fibre and detector included, the window not; see `window_included`."""
    window_included: bool
    """The efficiency holds for a photon in the window: the share inside the window is divided out again."""
    lifetime_ps: float
    double_excitation: float


@dataclass(frozen=True)
class Bias:
    """What its bias makes of a detector: factors of what it is at its working bias."""

    efficiency: float = 1.0
    dark_rate: float = 1.0


@dataclass(frozen=True)
class Station:
    """A beam splitter with two detectors and the herald logic behind them, as wired."""

    site: str
    ports: tuple[Port | None, Port | None]
    to_logic_ps: tuple[int | None, int | None]
    """From the output of detector 1, 2 to the herald logic; None: no wire."""
    path_ps: int
    """From the beam splitter through detector 1 to the herald logic."""
    detectors: tuple[str | None, str | None]
    """``site.element`` behind either output of the beam splitter."""
    detector_ends: tuple[tuple[End, ...], tuple[End, ...]]
    """Where the outputs of detector 1, 2 go, the herald logic left out."""
    gate: tuple[str, int] | None
    """The output that gates the logic, and its delay."""
    line_ends: tuple[End, ...]
    """Where the herald line goes."""
    latency_ps: int
    latches: bool
    """The logic is a `two_window_latch`; else it fires on every click in a gate."""
    line_v: float
    window_visibility: float
    phase_rms_rad: float
    phase_correlation_ps: float
    psi_plus_on: str
    dark_rate_hz: float
    """Of either detector at its working bias."""
    dead_time_ps: int
    jitter_rms_ps: float
    bias: tuple[Bias, Bias] = (Bias(), Bias())

    @classmethod
    def all_of(cls, lab: Lab, world: World, wiring: Wiring) -> list[Station]:
        """Every beam splitter of a lab that has a world behind it."""
        elements = lab.elements()
        return [
            cls._of(name, lab, world, wiring)
            for name, element in elements.items()
            if element.kind == "beam_splitter" and name.partition(".")[0] in world.midpoints
        ]

    @property
    def efficiencies(self) -> tuple[float, float]:
        """Of either detector, as factors of that at its working bias."""
        return self.bias[0].efficiency, self.bias[1].efficiency

    @property
    def dark_rates_hz(self) -> tuple[float, float]:
        """Of either detector, as it is biased."""
        return self.dark_rate_hz * self.bias[0].dark_rate, self.dark_rate_hz * self.bias[1].dark_rate

    def dark_probability(self, window_ps: float) -> tuple[float, float]:
        """P(dark click) of either detector in a window."""
        first, second = (dark_click_probability(rate_hz, window_ps) for rate_hz in self.dark_rates_hz)
        return first, second

    def light(self, port: int, window_ps: int) -> tuple[float, float]:
        """P(click | photon emitted), the window not included, and the lifetime in ps, of a port with a node."""
        channel = self.ports[port]
        if channel is None:
            return 0.0, 1.0
        efficiency, lifetime_ps = channel.efficiency, channel.lifetime_ps
        # Where no gate opens there is no window: the efficiency is then taken for the whole photon.
        if channel.window_included and window_ps > 0:
            lifetime_ps = min(lifetime_ps, self._shortened_ps(window_ps))
            efficiency = min(1.0, efficiency / -expm1(-window_ps / lifetime_ps))
        return efficiency, lifetime_ps

    def _shortened_ps(self, window_ps: int) -> float:
        """Lifetime whose share in the window is the largest `detection_efficiency`: no larger one can be true.

        Both nodes get it, so that their packets still overlap.
        """
        given = [port.efficiency for port in self.ports if port is not None and port.window_included]
        return window_ps / -log1p(-min(max(given, default=0.0), 1 - 1e-12)) if max(given, default=0.0) else inf

    @classmethod
    def _of(cls, splitter: str, lab: Lab, world: World, wiring: Wiring) -> Station:
        site = splitter.partition(".")[0]
        truth = world.midpoints[site]
        elements = lab.elements()
        detectors: list[str | None] = []
        to_detector: list[int] = []
        for output in ("out1", "out2"):
            ends = [e for e in wiring.ends(f"{splitter}.{output}") if e.connector == "in" and e.thing in elements]
            detectors.append(ends[0].thing if ends else None)
            to_detector.append(ends[0].delay_ps if ends else 0)
        logic = next(
            (n for n, e in elements.items() if e.kind in HERALD_LOGIC.values() and n.startswith(f"{site}.")), None
        )
        outs = [wiring.ends(f"{d}.out") if d is not None else () for d in detectors]
        to_logic = [next((end.delay_ps for end in ends if end.thing == logic), None) for ends in outs]
        first = next((d for d in to_logic if d is not None), 0)
        return cls(
            site=site,
            ports=(_port(f"{splitter}.in1", world, wiring), _port(f"{splitter}.in2", world, wiring)),
            to_logic_ps=(to_logic[0], to_logic[1]),
            path_ps=to_detector[0] + first,
            detectors=(detectors[0], detectors[1]),
            detector_ends=(
                tuple(end for end in outs[0] if end.thing != logic),
                tuple(end for end in outs[1] if end.thing != logic),
            ),
            gate=wiring.source(f"{logic}.gate") if logic is not None else None,
            line_ends=wiring.ends(f"{logic}.out") if logic is not None else (),
            latency_ps=round(elements[logic].latency_ns * 1e3) if logic is not None else 0,
            latches=logic is not None and elements[logic].kind == "two_window_latch",
            line_v=elements[logic].output_v if logic is not None else 0.0,
            window_visibility=truth.interferometer.indistinguishability,
            phase_rms_rad=radians(truth.interferometer.phase_rms_deg),
            phase_correlation_ps=truth.interferometer.phase_correlation_ms * 1e9,
            psi_plus_on=truth.interferometer.psi_plus_on,
            dark_rate_hz=truth.detectors.dark_rate_hz,
            dead_time_ps=round(truth.detectors.dead_time_ns * 1e3),
            jitter_rms_ps=truth.detectors.jitter_fwhm_ps / 2.3548200450309493,
        )


def _port(end: str, world: World, wiring: Wiring) -> Port | None:
    source = wiring.source(end)
    if source is None:
        return None
    qubit, _, connector = source[0].rpartition(".")
    node = qubit.partition(".")[0]
    if connector != "zero_phonon_line" or node not in world.nodes:
        return None
    truth = world.nodes[node]
    site = end.partition(".")[0]
    fibre = 10 ** (-truth.fibre.length_km * truth.fibre.loss_db_per_km / 10)
    product = truth.emitter.collection_efficiency * fibre * world.midpoints[site].detectors.efficiency
    given = truth.detection_efficiency
    return Port(
        node=node,
        qubit=qubit,
        delay_ps=source[1],
        efficiency=product if given is None else given,
        window_included=given is not None,
        lifetime_ps=truth.emitter.lifetime_ns * 1e3,
        double_excitation=truth.emitter.double_excitation,
    )


@dataclass(frozen=True, eq=False)
class AttemptTrain:
    """One node's attempts of a round, as the herald logic could see them."""

    spin: NDArray[np.complex128]
    """Before the optical pulse, see `SpinModel.before_pulse`."""
    angle_rad: float
    pulse_ps: NDArray[np.int64]
    """Shape (attempts,): the optical pulse at the qubit, from the round's nominal start."""


class GatedLink:
    """What can click in one round, gate by gate.

    Args:
        station: the midpoint.
        open_ps: shape (gates,), ascending: the gate's openings at the herald logic.
        window_ps: their length.
        trains: per port the node's attempts, or None where none is lit.
    """

    def __init__(
        self,
        station: Station,
        open_ps: NDArray[np.int64],
        window_ps: int,
        trains: tuple[AttemptTrain | None, AttemptTrain | None],
    ) -> None:
        self.station = station
        self.open_ps = open_ps
        self.window_ps = window_ps
        self._trains = trains
        self._maps: dict[tuple[int | None, int | None], ClickMaps] = {}
        self.attempt = tuple(self._attempts(port) for port in range(2))
        """Per port, shape (gates,): the attempt whose light falls into each gate; -1: none."""
        self._offset = tuple(self._offsets(port) for port in range(2))
        self._tables: dict[tuple[bool, bool], tuple[NDArray[np.int64], list[ClickMaps]]] = {}
        self._cumulative: dict[tuple[bool, bool], NDArray[np.float64]] = {}

    @property
    def gates(self) -> int:
        """How many gates a round has."""
        return int(self.open_ps.size)

    @property
    def tries(self) -> int:
        """How often the logic may fire in a round."""
        return self.gates

    def last_gate(self, gate: int) -> int:
        """The last gate that belongs to one: itself."""
        return gate

    def arrival_ps(self, port: int) -> NDArray[np.int64]:
        """Shape (attempts,): where each wave packet begins at the herald logic."""
        train, channel = self._trains[port], self.station.ports[port]
        if train is None or channel is None:
            return np.zeros(0, dtype=np.int64)
        return train.pulse_ps + (channel.delay_ps + self.station.path_ps)

    def maps_at(self, gate: int, lit: tuple[bool, bool] = (True, True)) -> ClickMaps:
        """The maps of one gate, with the light of either node there or not."""
        index, maps = self._table(lit)
        return maps[int(index[gate])]

    def survival(self, lit: tuple[bool, bool] = (True, True)) -> NDArray[np.float64]:
        """Shape (gates,): log of the probability that no gate up to and with this one clicks."""
        if lit not in self._cumulative:
            index, maps = self._table(lit)
            clicks = np.array([min(float(m.probability[1:].sum()), 1 - 1e-16) for m in maps])
            self._cumulative[lit] = np.cumsum(np.log1p(-clicks)[index])
        return self._cumulative[lit]

    def first_click(
        self, uniform: NDArray[np.float64], lit: tuple[bool, bool] = (True, True), after: int = -1
    ) -> NDArray[np.int64]:
        """The first gate with a click, from one uniform number a round; the inverse of the cumulative distribution.

        Where all gates are alike this is the geometric skip; gates that differ need no other rule.

        Args:
            uniform: shape (rounds,), in [0, 1).
            lit: whose light is there.
            after: look at later gates only.

        Returns:
            Shape (rounds,): number of the gate, or `gates` where none clicks.
        """
        if not self.gates:
            return np.zeros(uniform.shape, dtype=np.int64)
        return first_of(self.survival(lit), uniform, after)

    def patterns(
        self, gate: NDArray[np.int64], uniform: NDArray[np.float64], lit: tuple[bool, bool] = (True, True)
    ) -> NDArray[np.uint8]:
        """Click patterns (bit masks) of gates that clicked."""
        index, maps = self._table(lit)
        cumulative = np.array([np.cumsum(m.probability[1:]) / max(m.probability[1:].sum(), 1e-300) for m in maps])
        chosen = cumulative[index[gate]]
        passed = (uniform[:, np.newaxis] >= chosen[:, :2]).sum(axis=1)
        return np.asarray(1 + passed, dtype=np.uint8)

    def arrivals_at(self, gate: int) -> ArrivalSampler:
        """When clicks of a gate's attempts came."""
        return self.maps_at(gate).arrivals

    @cached_property
    def outside(self) -> NDArray[np.float64]:
        """Shape (gates,): mean number of photons of a gate's attempts that click outside it, both detectors."""
        index, maps = self._table((True, True))
        return np.array([2 * m.arrivals.outside_probability for m in maps])[index] if self.gates else np.zeros(0)

    def kinds(self) -> NDArray[np.int64]:
        """Shape (gates,): equal numbers for gates with the same maps."""
        return self._table((True, True))[0]

    @cached_property
    def ungated(self) -> tuple[NDArray[np.int64], ...]:
        """Per port: attempts whose light meets no gate."""
        found = []
        for port in range(2):
            train = self._trains[port]
            attempts = np.arange(0 if train is None else train.pulse_ps.size)
            found.append(np.setdiff1d(attempts, self.attempt[port]))
        return tuple(found)

    def emission_probability(self, port: int) -> float:
        """P(a photon of this node clicks somewhere) in one attempt."""
        if self._trains[port] is None or self.station.ports[port] is None:
            return 0.0
        emission = self._emission(port, 0)
        return emission.emission_probability * emission.efficiency

    def _attempts(self, port: int) -> NDArray[np.int64]:
        """The latest attempt whose packet begins before each gate closes, unless it is forgotten or comes again."""
        arrival = self.arrival_ps(port)
        channel = self.station.ports[port]
        if not arrival.size or channel is None:
            return np.full(self.gates, -1, dtype=np.int64)
        return meeting(arrival, self.open_ps, self.window_ps, channel.lifetime_ps)

    def _offsets(self, port: int) -> NDArray[np.int64]:
        arrival = self.arrival_ps(port)
        if not arrival.size:
            return np.zeros(self.gates, dtype=np.int64)
        return few_offsets(arrival[np.maximum(self.attempt[port], 0)] - self.open_ps, self.attempt[port] >= 0)

    def _table(self, lit: tuple[bool, bool]) -> tuple[NDArray[np.int64], list[ClickMaps]]:
        """Per gate the number of its maps, and the maps."""
        if lit not in self._tables:
            keys: dict[tuple[int | None, int | None], int] = {}
            index = np.zeros(self.gates, dtype=np.int64)
            columns = [
                [
                    int(offset) if lit[port] and attempt >= 0 else None
                    for offset, attempt in zip(self._offset[port], self.attempt[port], strict=True)
                ]
                for port in range(2)
            ]
            for gate, key in enumerate(zip(*columns, strict=True)):
                index[gate] = keys.setdefault(key, len(keys))
            self._tables[lit] = (index, [self._compute(key) for key in keys])
        return self._tables[lit]

    def _compute(self, offsets: tuple[int | None, int | None]) -> ClickMaps:
        if offsets not in self._maps:
            station = self.station
            a, b = (ABSENT if offset is None else self._emission(port, offset) for port, offset in enumerate(offsets))
            self._maps[offsets] = ClickMaps.compute(
                a,
                b,
                float(self.window_ps),
                station.window_visibility,
                station.dark_probability(self.window_ps),
                "det1" if station.psi_plus_on == "det1" else "det2",
                phase_rms_rad=station.phase_rms_rad,
                detectors=station.efficiencies,
            )
        return self._maps[offsets]

    def _emission(self, port: int, offset_ps: int) -> NodeEmission:
        train, channel = self._trains[port], self.station.ports[port]
        if train is None or channel is None:
            return ABSENT
        efficiency, lifetime_ps = self.station.light(port, self.window_ps)
        return NodeEmission(
            spin=train.spin,
            excitation_rad=train.angle_rad,
            efficiency=efficiency,
            arrival_ps=float(offset_ps),
            lifetime_ps=lifetime_ps,
            double_excitation=channel.double_excitation,
        )


def meeting(
    arrival_ps: NDArray[np.int64], open_ps: NDArray[np.int64], window_ps: int, lifetime_ps: float
) -> NDArray[np.int64]:
    """Per gate the number of the wave packet that falls into it; -1: none does.

    Args:
        arrival_ps: shape (packets,), ascending: where each begins.
        open_ps: shape (gates,), ascending.
        window_ps: length of the gates.
        lifetime_ps: of the packets.
    """
    packet = np.searchsorted(arrival_ps, open_ps + window_ps, side="left") - 1
    known = packet >= 0
    offset = arrival_ps[np.maximum(packet, 0)] - open_ps
    known &= offset > -FORGOTTEN_LIFETIMES * lifetime_ps
    # One photon is looked for in one gate only: the first that it can reach.
    again = np.concatenate([[False], packet[1:] == packet[:-1]]) if packet.size else np.zeros(0, dtype=bool)
    return np.where(known & ~again, packet, -1)


def few_offsets(offset_ps: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Arrivals against their gates, rounded so that at most about `MAPS_AT_ONCE` of the known ones differ."""
    values = np.unique(offset_ps[known])
    if values.size > MAPS_AT_ONCE:
        step = (int(values[-1]) - int(values[0])) / MAPS_AT_ONCE
        offset_ps = np.rint(np.rint((offset_ps - values[0]) / step) * step + values[0]).astype(np.int64)
    return offset_ps


def first_of(survival: NDArray[np.float64], uniform: NDArray[np.float64], after: int = -1) -> NDArray[np.int64]:
    """What comes first, by the inverse of the cumulative distribution.

    Args:
        survival: log of the probability that none up to and with this one came.
        uniform: shape (n,), in [0, 1).
        after: only later ones count.
    """
    base = float(survival[after]) if after >= 0 else 0.0
    return np.asarray(np.searchsorted(-survival, -(base + np.log1p(-uniform)), side="left"), dtype=np.int64)
