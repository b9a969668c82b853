"""What comes out right now: light and microwaves of every node, for tests of safe states.

Read from the outputs themselves, so a daemon that only believes to be safe is found out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from qnode.clock import PS_PER_S
from simulators.world.group import Group
from simulators.world.node_player import NodePlayer
from simulators.world.noise import CHARGE_CHECK_PS
from simulators.world.rack import Light, LinePath
from simulators.world.wiring import crosses
from simulators.world.world_context import NodeWiring, WorldContext

__all__ = ["NodeFlux", "node_flux"]


@dataclass(frozen=True)
class NodeFlux:
    """Means over the rounds that play; all zero and empty where a node is dark."""

    zero_phonon_line_per_s: float = 0.0
    """Photons a second into the fibre to the midpoint."""
    sideband_per_s: float = 0.0
    """Detected photons a second, charge light only."""
    microwave_v2: float = 0.0
    """Mean square of the microwave's amplitude at the qubit."""
    light: tuple[str, ...] = ()
    """Names of the lights that are on at some time of a round, or now."""

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {**asdict(self), "light": list(self.light)}


def node_flux(context: WorldContext, groups: tuple[Group, ...], wired: NodeWiring) -> NodeFlux:
    """What one node gives off now."""
    light: set[str] = set()
    sideband = 0.0
    check_rate = context.world.nodes[wired.name].charge.counts_per_check / CHARGE_CHECK_PS * PS_PER_S
    for name, source in (("charge_light", wired.charge_light), ("repump_light", wired.repump_light)):
        duty = _duty(context, groups, source)
        if duty > 0:
            light.add(name)
            sideband += duty * check_rate if name == "charge_light" else 0.0
    for group in groups:
        group.stage.refresh()
    player = next((g.stage.nodes[wired.name] for g in groups if wired.name in g.stage.nodes), None)
    line = player.state.line if player is not None else None
    if player is None or line is None:
        return NodeFlux(0.0, sideband, 0.0, tuple(sorted(light)))
    path = player.path(line)
    period_s = next(g.period_ps for g in groups if wired.name in g.stage.nodes) / PS_PER_S
    microwave = 0.0
    for segment in path.segments:
        waveform = segment.waveform
        seconds = waveform.start_ps(segment.loops) / PS_PER_S
        microwave += waveform.microwave_mean_square_v2 * seconds / period_s
        light |= {op.name for op in waveform.operations if isinstance(op, Light)}
        if any(pulse.angle_rad != 0 for pulse in waveform.excitations):
            light.add("optical_pulse")
    return NodeFlux(_photons(context, player, path) / period_s, sideband, microwave, tuple(sorted(light)))


def _photons(context: WorldContext, player: NodePlayer, path: LinePath) -> float:
    """Photons into the fibre in one round without a herald."""
    attempts = path.attempts
    if attempts is None or context.ionised[player.name]:
        return 0.0
    emitted = sum(player.emission(attempts.waveform, number) for number in range(len(attempts.waveform.excitations)))
    return attempts.loops * emitted * player.truth.emitter.collection_efficiency


def _duty(context: WorldContext, groups: tuple[Group, ...], source: tuple[str, int] | None) -> float:
    """Share of the time in which a pulser's output is high."""
    if source is None:
        return 0.0
    thing, _, connector = source[0].rpartition(".")
    sim = context.instruments.pulsers.get(thing)
    if sim is None or not crosses(sim.playback.output_high_v, 1.0):
        return 0.0
    output = int(connector.removeprefix("d"))
    for group in groups:
        member = group.members.get(thing)
        if member is not None:
            high = member.intervals(output)
            return float((high[:, 1] - high[:, 0]).sum()) / member.period_ps
    dark = sim.playback.state == "off"
    return 0.0 if dark else float(sim.playback.idle_digital >> output & 1)
