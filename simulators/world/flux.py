"""What comes out right now: light and microwaves of every node, for tests of safe states.

Read from the outputs themselves, so a daemon that only believes to be safe is found out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from qnode.clock import PS_PER_S
from simulators.world.drive import Drive
from simulators.world.group import Group
from simulators.world.node_player import AwgState, NodePlayer
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
    """Microwave power at the qubit: mean square of I and Q behind the switch, carried by the source's output."""
    light: tuple[str, ...] = ()
    """Names of the lights that are on at some time of a round, or now."""

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {**asdict(self), "light": list(self.light)}


def node_flux(context: WorldContext, groups: tuple[Group, ...], wired: NodeWiring) -> NodeFlux:
    """What one node gives off now."""
    light: set[str] = set()
    sideband = 0.0
    drive = context.supplies.now().drives[wired.name]
    check_rate = context.world.nodes[wired.name].charge.counts_per_check / CHARGE_CHECK_PS * PS_PER_S
    for name, source, power in (
        ("charge_light", wired.charge_light, drive.resonant),
        ("repump_light", wired.repump_light, drive.repump),
    ):
        duty = _duty(context, groups, source)
        if duty > 0 and power > 0:
            light.add(name)
            sideband += duty * check_rate * drive.scattering if name == "charge_light" else 0.0
    for group in groups:
        group.stage.refresh()
    found = _playing(context, groups, wired, drive)
    if found is None:
        return NodeFlux(0.0, sideband, 0.0, tuple(sorted(light)))
    player, line, period_ps = found
    path = player.path(line)
    period_s = (period_ps or path.stop_ps) / PS_PER_S
    microwave = 0.0
    for segment in path.segments:
        waveform = segment.waveform
        seconds = waveform.start_ps(segment.loops) / PS_PER_S
        microwave += waveform.microwave_mean_square_v2 * seconds / period_s
        light |= {op.name for op in waveform.operations if isinstance(op, Light)}
        if any(pulse.angle_rad != 0 for pulse in waveform.excitations):
            light.add("optical_pulse")
    return NodeFlux(_photons(context, player, path) / period_s, sideband, microwave, tuple(sorted(light)))


def _playing(
    context: WorldContext, groups: tuple[Group, ...], wired: NodeWiring, drive: Drive
) -> tuple[NodePlayer, int, int | None] | None:
    """A node's AWG, the line that plays, and the period at which it does; None: that of the line itself."""
    for group in groups:
        player = group.stage.nodes.get(wired.name)
        if player is not None and player.state.line is not None:
            return player, player.state.line, group.period_ps
    if wired.awg is None or wired.rack is None:
        return None
    playback = context.instruments.awgs[wired.awg].playback
    if not (playback.running and playback.sequence_mode and playback.elements):
        return None
    if playback.elements[0].wait_for_trigger:
        return None
    # Its first line waits for nobody: it plays over and over, in step with no round, and light is light.
    truth = context.world.nodes[wired.name]
    return NodePlayer(wired.name, truth, wired.rack, playback, drive, AwgState(1), None, PS_PER_S), 1, None


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
