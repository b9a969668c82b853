"""What the world knows of a lab: the file, the truth, the wires, the simulated instruments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qnode.labfile import Lab, World
from simulators.kit import AwgSim, DetectorSim, LaserSim, MicrowaveSim, PulserSim, TaggerSim
from simulators.world.click_counter import ClickCounter
from simulators.world.node_player import AwgState
from simulators.world.rack import AwgRack
from simulators.world.station import Station
from simulators.world.supplies import Supplies
from simulators.world.tag_sink import TagSink
from simulators.world.wiring import Wiring

__all__ = ["Instruments", "NodeWiring", "WorldContext"]


@dataclass(frozen=True)
class Instruments:
    """The simulated instruments of a lab that the world couples, by ``site.instrument``."""

    pulsers: Mapping[str, PulserSim] = field(default_factory=dict)
    awgs: Mapping[str, AwgSim] = field(default_factory=dict)
    taggers: Mapping[str, TaggerSim] = field(default_factory=dict)
    lasers: Mapping[str, LaserSim] = field(default_factory=dict)
    microwaves: Mapping[str, MicrowaveSim] = field(default_factory=dict)
    detectors: Mapping[str, DetectorSim] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class NodeWiring:
    """One node's qubit and what is wired to it."""

    name: str
    qubit: str
    awg: str | None
    """The AWG that drives the qubit; None: none does."""
    rack: AwgRack | None
    trigger: tuple[str, int] | None
    """The output that triggers the AWG, with the delay."""
    charge_light: tuple[str, int] | None
    repump_light: tuple[str, int] | None


class WorldContext:
    """Everything that stays while a world runs.

    Args:
        lab: the lab file.
        world: its truth.
        instruments: the simulated ones.
        origin_ps: lab time at the world's start.
        seed: in place of the world's.
    """

    def __init__(
        self, lab: Lab, world: World, instruments: Instruments, origin_ps: int, seed: int | None = None
    ) -> None:
        self.lab = lab
        self.world = world
        self.instruments = instruments
        self.origin_ps = origin_ps
        self.seed = world.seed if seed is None else seed
        self.wiring = Wiring(lab, world.wire_delays_ns)
        self.sink = TagSink(origin_ps, instruments.taggers)
        self.supplies = Supplies(
            lab,
            world,
            self.wiring,
            Station.all_of(lab, world, self.wiring),
            instruments.lasers,
            instruments.microwaves,
            instruments.detectors,
        )
        self.counter = ClickCounter(origin_ps, instruments.detectors, self.wiring)
        self.nodes = {node.name: node for node in self._nodes()}
        self.awg_states = {name: AwgState() for name in instruments.awgs}
        self.ionised = dict.fromkeys(self.nodes, False)

    def _nodes(self) -> list[NodeWiring]:
        found = []
        for qubit, element in self.lab.elements().items():
            name = qubit.partition(".")[0]
            if element.kind != "emitter" or name not in self.world.nodes:
                continue
            awg = self._awg_of(qubit)
            found.append(
                NodeWiring(
                    name=name,
                    qubit=qubit,
                    awg=awg,
                    rack=AwgRack(awg, qubit, self.wiring, self.world.nodes[name]) if awg is not None else None,
                    trigger=self.wiring.source(f"{awg}.trigger") if awg is not None else None,
                    charge_light=self.wiring.source(f"{qubit}.charge_light"),
                    repump_light=self.wiring.source(f"{qubit}.repump_light"),
                )
            )
        return found

    def _awg_of(self, qubit: str) -> str | None:
        for connector in ("optical_pulse", "microwave_i", "microwave_q", "readout_light", "spin_pump"):
            source = self.wiring.source(f"{qubit}.{connector}")
            if source is not None and source[0].rpartition(".")[0] in self.instruments.awgs:
                return source[0].rpartition(".")[0]
        return None
