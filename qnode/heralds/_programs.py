"""From a lab file to the programs that each site must upload for a plan. Pure: same lab, same plan, same hashes."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.roles import AwgLimits, AwgProgram, PulseLimits, PulseProgram
from qnode.errors import MisuseError
from qnode.heralds._rules import rules_of
from qnode.heralds._timing import LinkTiming, NodeOffsets, link_timing, through
from qnode.labfile import Lab, Link, NodeCalibration
from sequences import Output, Wiring, compile
from sequences.library import (
    NodeRound,
    NodeRoundParameters,
    ReadoutCalibration,
    RoundTiming,
    heralding_node,
    midpoint_round,
    readout_calibration,
)

__all__ = ["Limits", "LinkPrograms", "NodeWindows", "Program", "driver_limits", "programs_sha256", "site_wiring"]

Program = PulseProgram | AwgProgram
Limits = Mapping[str, PulseLimits | AwgLimits]
"""Instrument of a site to the limits of its model."""

PLAYERS = ("pulse_sequencer", "awg")
"""Roles that play a program; lasers and carriers are on meanwhile."""

QUIET_PS = 100_000
"""Without a charge slot a round's tags begin so long before its sync: the branch of the round before is over."""


GUARD_PS = 20_000
"""Windows for photons reach so far beyond the light: stamps have a grid (2 ns) whose phase differs from start to start,
and a photon at the edge must not count in one run and not in the next."""


@dataclass(frozen=True)
class NodeWindows:
    """Where a node looks for what, in picoseconds on its tagger's scale from a round sync's tag."""

    charge_open_ps: int
    """Charge slot; negative, it lies before the sync. From here on tags belong to this round."""
    charge_close_ps: int
    """Equal to the opening where there is no charge slot."""
    line_open_ps: int
    """Earliest herald line of attempt 0."""
    line_width_ps: int
    readout_open_ps: int
    """Readout light, from the end of the attempt after which the branch was played (sync + (a + 1) attempts)."""
    readout_close_ps: int


def driver_limits(lab: Lab, site: str) -> dict[str, PulseLimits | AwgLimits]:
    """What the drivers of a site's players state of their models; nothing is connected.

    Raises:
        MisuseError: a driver can't be imported.
    """
    limits = {}
    for name, entry in lab.sites[site].rack.items():
        if entry.role in PLAYERS:
            limits[name] = _driver(lab.sites[site].instruments[name].type).limits
    return limits


def site_wiring(lab: Lab, site: str) -> Wiring:
    """Who carries which signal at a site, read off the wires."""
    outputs: dict[str, Output] = {}
    triggers: dict[str, str] = {}
    for wire in lab.wires_only():
        source, _, connector = wire.from_.rpartition(".")
        if not source.startswith(f"{site}.") or source.partition(".")[2] not in lab.sites[site].instruments:
            continue
        instrument = source.partition(".")[2]
        entry = lab.sites[site].rack[instrument]
        if entry.role not in PLAYERS:
            continue
        channel = entry.channels.get(connector)
        for end in wire.ends:
            signal = _signal(lab, site, end)
            if signal is not None and signal not in outputs:
                vpp = channel.amplitude_vpp if channel else None
                outputs[signal] = Output(instrument, connector, wire.kind, wire.delay_ps, vpp)
                if signal == "round_trigger" and end.endswith(".trigger"):
                    triggers[end.split(".")[1]] = signal
    return Wiring(outputs, triggers)


class LinkPrograms:
    """All programs, offsets and windows of one link.

    Args:
        lab: the lab.
        link: the link.
        bases: node to its table of bases, one letter a round.
        limits: site to the limits of its players; None asks the drivers.
        echo: False leaves the echo out of the branch.

    Raises:
        MisuseError: the sequence does not fit, or breaks a limit of a model.
        TimingError: the loop can't close in time.
    """

    def __init__(
        self,
        lab: Lab,
        link: Link,
        bases: Mapping[str, str],
        *,
        limits: Mapping[str, Limits] | None = None,
        echo: bool = True,
    ) -> None:
        self.lab, self.link = lab, link
        self._bases, self._echo = dict(bases), echo
        sites = (*link.between, link.via)
        self._limits: dict[str, Limits] = {
            site: limits[site] if limits and site in limits else driver_limits(lab, site) for site in sites
        }
        self.wiring = {site: site_wiring(lab, site) for site in sites}
        shortest = heralding_timing(link, lead_ps=0, branch_ps=round(link.round.branch_us * 1e6))
        first = {node: heralding_node(self._parameters(node, shortest)) for node in link.between}
        self.timing: LinkTiming = link_timing(lab, link, {node: self._offsets(node, first[node]) for node in first})
        self.nodes: dict[str, NodeRound] = {
            node: heralding_node(self._parameters(node, self._node_timing(node))) for node in link.between
        }

    def heralding(self, site: str, runs: int) -> dict[str, Program]:
        """What a site uploads for ``runs`` rounds of heralding."""
        if site == self.link.via:
            return self._midpoint(runs)
        return compile(self.nodes[site].round, self.wiring[site], self._limits[site], runs=runs)

    def calibration(self, node: str, runs: int) -> tuple[ReadoutCalibration, dict[str, Program]]:
        """What a node uploads for ``runs`` rounds of readout calibration."""
        shots = readout_calibration(self._parameters(node, self._node_timing(node)))
        return shots, compile(shots.round, self.wiring[node], self._limits[node], runs=runs)

    def windows(self, node: str) -> NodeWindows:
        """Where a node's tagger sees what."""
        round_, tagger = self.nodes[node], f"{node}.{self.lab.sites[node].by_role('time_tagger')}"
        photons = (through(self.lab, f"{tagger}.in1") or 0) - (through(self.lab, f"{tagger}.in2") or 0)
        charge = (-QUIET_PS, -QUIET_PS)
        if round_.charge_window_ps is not None:
            opens, closes = round_.charge_window_ps
            charge = opens + photons - GUARD_PS, closes + photons + GUARD_PS
        branch = round_.attempt_end_ps - self.link.attempt_period_ps + photons
        return NodeWindows(
            charge_open_ps=charge[0],
            charge_close_ps=charge[1],
            line_open_ps=self.timing.node_line_open_ps[node],
            line_width_ps=self.link.detection_window_ps,
            readout_open_ps=round_.readout_window_ps[0] + branch - GUARD_PS,
            readout_close_ps=round_.readout_window_ps[1] + branch + GUARD_PS,
        )

    def shot_windows(self, node: str, shots: ReadoutCalibration) -> list[tuple[int, int]]:
        """Readout windows of a calibration round from the round sync's tag: the bright shots, then the dark ones."""
        tagger = f"{node}.{self.lab.sites[node].by_role('time_tagger')}"
        photons = (through(self.lab, f"{tagger}.in1") or 0) - (through(self.lab, f"{tagger}.in2") or 0)
        windows = []
        for kind in (shots.bright, shots.dark):
            for shot in range(kind.shots):
                start = kind.start_ps + shot * kind.spacing_ps + photons
                windows.append((start - GUARD_PS, start + kind.length_ps + GUARD_PS))
        return windows

    def node_calibration(self, node: str) -> NodeCalibration:
        """What the stack believes of a node."""
        return self.lab.calibration.nodes[node]

    def _midpoint(self, runs: int) -> dict[str, Program]:
        link, site = self.link, self.link.via
        period, rules = link.attempt_period_ps, rules_of(link.protocol)
        wiring = self.wiring[site]
        pulser = self._limits[site][wiring.output("round_trigger").instrument]
        tick_ps = pulser.tick_ps if isinstance(pulser, PulseLimits) else 1_000
        lead_ps = self.timing.midpoint_trigger_ps - wiring.shift_ps("round_trigger", tick_ps)
        round_ = midpoint_round(
            RoundTiming(lead_ps, 0, 0, link.round.attempts, period, 0, link.round_period_ps),
            wiring,
            self._limits[site],
            [
                self.timing.gate_ps + attempt * period + window * rules.window_spacing_ps
                for attempt in range(link.round.attempts)
                for window in range(rules.windows)
            ],
            link.detection_window_ps,
        )
        return compile(round_.round, wiring, self._limits[site], runs=runs)

    def _node_timing(self, node: str) -> RoundTiming:
        return heralding_timing(self.link, lead_ps=self.timing.lead_ps[node], branch_ps=self.timing.branch_ps)

    def _parameters(self, node: str, timing: RoundTiming) -> NodeRoundParameters:
        calibration = self.node_calibration(node)
        return NodeRoundParameters(
            timing=timing,
            bases=tuple(self._bases[node]),
            alpha=self.link.bright_state[node],
            rabi_mhz_per_volt=calibration.microwave_rabi_mhz_per_volt.value,
            optical_pi_volt=calibration.optical_pi_volt.value,
            wiring=self.wiring[node],
            limits=self._limits[node],
            echo=self._echo,
            optical_spacing_ps=rules_of(self.link.protocol).window_spacing_ps,
        )

    def _offsets(self, node: str, round_: NodeRound) -> NodeOffsets:
        awg = self.lab.sites[node].by_role("awg")
        limits = self._limits[node][awg]
        setup = limits.event_to_output_ps if isinstance(limits, AwgLimits) else 0
        return NodeOffsets(round_.trigger_edge_ps, round_.optical_centre_ps, round_.herald_earliest_ps, setup)


def heralding_timing(link: Link, *, lead_ps: int, branch_ps: int) -> RoundTiming:
    """The slots of a node's round."""
    return RoundTiming(
        lead_ps=lead_ps,
        charge_ps=round(link.round.charge_check_us * 1e6),
        phase_ps=round(link.round.phase_us * 1e6),
        attempts=link.round.attempts,
        attempt_period_ps=link.attempt_period_ps,
        branch_ps=branch_ps,
        round_period_ps=link.round_period_ps,
    )


def programs_sha256(programs: Mapping[str, Program]) -> str:
    """One hash (hex) of all programs of a site."""
    digest = hashlib.sha256()
    for name in sorted(programs):
        digest.update(f"{name} {programs[name].sha256()}\n".encode())
    return digest.hexdigest()


def _signal(lab: Lab, site: str, end: str) -> str | None:
    """Name of the signal that a wire's end receives, or None where it is none of a sequence."""
    thing, _, connector = end.rpartition(".")
    elements = lab.elements()
    if thing in elements:
        if elements[thing].kind == "emitter":
            return connector
        return "herald_gate" if connector == "gate" else None
    name = thing.partition(".")[2]
    entry = lab.sites[site].rack.get(name) if thing.startswith(f"{site}.") else None
    if entry is None:
        return None
    is_trigger = (entry.role, connector) in {("awg", "trigger"), ("time_controller", "start")}
    return "round_trigger" if is_trigger else None


def _driver(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise MisuseError(
            f"driver {path} can't be loaded: {error}", hint="correct `type:` in the lab file"
        ) from error
