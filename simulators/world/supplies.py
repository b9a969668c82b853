"""What the slow instruments give: light, carrier and bias, along their wires, as factors of what the truth is given at.

A lab on resonance at nominal power and working bias has factors of exactly 1. An input without a wire gets nothing; one
that is fed by a real instrument (``simulated: false``) is taken as nominal, since nothing of ours sees what it plays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import atan

from qnode.labfile import Lab, World, WorldNode
from simulators.kit import (
    DetectorPlayback,
    DetectorSim,
    LaserBeam,
    LaserPlayback,
    LaserSim,
    MicrowavePlayback,
    MicrowaveSim,
)
from simulators.world.drive import Drive
from simulators.world.station import Bias, Station
from simulators.world.wiring import Wiring, channel_number

__all__ = ["Supplies", "Supply"]

_Playback = LaserPlayback | MicrowavePlayback | DetectorPlayback
_Playbacks = Mapping[str, _Playback]


@dataclass(frozen=True, eq=False)
class Supply:
    """All that the slow instruments give at a time."""

    drives: Mapping[str, Drive]
    """By node."""
    stations: tuple[Station, ...]
    """The midpoints with their detectors as they are biased."""


class Supplies:
    """The slow instruments of a lab, evaluated once for each set of playbacks.

    Args:
        lab: which instruments are simulated.
        world: its truth.
        wiring: its wires.
        stations: its midpoints.
        lasers: simulated ones, by ``site.instrument``.
        microwaves: simulated sources.
        detectors: simulated drivers.
    """

    def __init__(
        self,
        lab: Lab,
        world: World,
        wiring: Wiring,
        stations: list[Station],
        lasers: Mapping[str, LaserSim],
        microwaves: Mapping[str, MicrowaveSim],
        detectors: Mapping[str, DetectorSim],
    ) -> None:
        self._world = world
        self._wiring = wiring
        self._stations = stations
        self._sims: dict[str, LaserSim | MicrowaveSim | DetectorSim] = {**lasers, **microwaves, **detectors}
        self._real = {
            f"{site}.{name}" for site, part in lab.sites.items() for name, e in part.rack.items() if not e.simulated
        }
        self._qubits = {
            qubit.partition(".")[0]: qubit for qubit, element in lab.elements().items() if element.kind == "emitter"
        }
        self._seen: tuple[object, ...] | None = None
        self._supply = Supply({}, ())

    def now(self) -> Supply:
        """As the instruments are now; the same object as long as nothing changes that has an effect."""
        playbacks = {name: sim.playback for name, sim in self._sims.items()}
        # Playbacks compare by identity; kept here, they keep it.
        seen = tuple(playbacks.values())
        if seen != self._seen:
            self._seen = seen
            drives = {
                name: self._drive(qubit, self._world.nodes[name], playbacks)
                for name, qubit in self._qubits.items()
                if name in self._world.nodes
            }
            stations = tuple(self._biased(station, playbacks) for station in self._stations)
            if drives != self._supply.drives or stations != self._supply.stations:
                self._supply = Supply(drives, stations)
        return self._supply

    def _drive(self, qubit: str, truth: WorldNode, playbacks: _Playbacks) -> Drive:
        lasers, width_mhz = truth.lasers, truth.lasers.linewidth_mhz
        resonant, of_resonant = self._laser(f"{qubit}.resonant_laser", lasers.resonant_mw, playbacks)
        pump, of_pump = self._laser(f"{qubit}.spin_pump_laser", lasers.spin_pump_mw, playbacks)
        repump, _ = self._laser(f"{qubit}.repump_laser", lasers.repump_mw, playbacks)
        detuning_mhz = of_resonant.detuning_mhz - lasers.resonant_mhz if of_resonant is not None else 0.0
        pump_mhz = of_pump.detuning_mhz - lasers.spin_pump_mhz if of_pump is not None else 0.0
        scan_mhz = of_resonant.scan_mhz if of_resonant is not None else 0.0
        pump_scan_mhz = of_pump.scan_mhz if of_pump is not None else 0.0
        carrier, carrier_hz, modulated = self._carrier(qubit, truth, playbacks)
        return Drive(
            resonant=resonant,
            resonant_mhz=detuning_mhz if resonant else 0.0,
            scan_mhz=scan_mhz if resonant else 0.0,
            scattering=resonant * _line(detuning_mhz, scan_mhz, width_mhz),
            pumping=pump * _line(pump_mhz, pump_scan_mhz, width_mhz),
            repump=repump,
            carrier=carrier,
            carrier_hz=carrier_hz,
            modulated=modulated,
        )

    def _feed(self, end: str, playbacks: _Playbacks) -> tuple[_Playback, str] | float:
        """Playback and output of what feeds an input; or 1 for a real instrument, 0 for none at all."""
        source = self._wiring.source(end)
        if source is None:
            return 0.0
        thing, _, connector = source[0].rpartition(".")
        if thing in self._real:
            return 1.0
        return (playbacks[thing], connector) if thing in playbacks else 0.0

    def _laser(self, end: str, nominal_mw: float, playbacks: _Playbacks) -> tuple[float, LaserBeam | None]:
        """Power of the nominal, and the beam where it is known."""
        feed = self._feed(end, playbacks)
        if not isinstance(feed, tuple):
            return feed, None
        playback, output = feed
        beam = playback.beams.get(output) if isinstance(playback, LaserPlayback) else None
        if not isinstance(playback, LaserPlayback) or beam is None:
            return 0.0, None
        # No wire reaches a head's modulation input: while it waits for one, it is dark.
        lit = playback.powered and beam.emission and not playback.interlock_open and not beam.modulated
        return (beam.power_mw / nominal_mw if lit else 0.0), beam

    def _carrier(self, qubit: str, truth: WorldNode, playbacks: _Playbacks) -> tuple[float, float, bool]:
        """Amplitude of the nominal, detuning in Hz, and whether I and Q modulate."""
        feed = self._feed(f"{qubit}.microwave_carrier", playbacks)
        if not isinstance(feed, tuple):
            return feed, 0.0, True
        playback = feed[0]
        # No wire reaches the pulse modulator: while it is on, nothing passes.
        on = isinstance(playback, MicrowavePlayback) and playback.powered and playback.on
        if not isinstance(playback, MicrowavePlayback) or not on or playback.pulse_modulated:
            return 0.0, 0.0, True
        locked = playback.external_reference and self._has_reference(qubit)
        off_hz = 0.0 if locked else playback.frequency_hz * truth.microwave.reference_error
        amplitude = 10 ** ((playback.power_dbm - truth.microwave.carrier_dbm) / 20)
        return amplitude, playback.frequency_hz + off_hz - truth.microwave.carrier_hz, playback.iq_on

    def _has_reference(self, qubit: str) -> bool:
        """Whether a site's 10 MHz reach the source of a qubit's carrier."""
        carrier = self._wiring.source(f"{qubit}.microwave_carrier")
        reference = None if carrier is None else self._wiring.source(f"{carrier[0].rpartition('.')[0]}.ref")
        return reference is not None and reference[0].endswith(".clock.ref_10mhz")

    def _biased(self, station: Station, playbacks: _Playbacks) -> Station:
        first, second = (self._bias(detector, playbacks) for detector in station.detectors)
        return replace(station, bias=(first, second))

    def _bias(self, detector: str | None, playbacks: _Playbacks) -> Bias:
        feed = self._feed(f"{detector}.bias", playbacks) if detector is not None else 0.0
        if not isinstance(feed, tuple):
            return Bias(feed, feed)
        playback, connector = feed
        channel = channel_number(connector)
        if not isinstance(playback, DetectorPlayback) or not playback.powered or channel is None:
            return Bias(0.0, 0.0)
        return Bias(playback.efficiency.get(channel, 0.0), playback.dark_rate.get(channel, 0.0))


def _line(detuning_mhz: float, scan_mhz: float, width_mhz: float) -> float:
    """A Lorentzian of height 1 and full width ``width_mhz``, averaged over a scan around the detuning."""
    if scan_mhz <= 0:
        return 1 / (1 + (2 * detuning_mhz / width_mhz) ** 2)
    low, high = ((2 * detuning_mhz + sign * scan_mhz) / width_mhz for sign in (-1, 1))
    return width_mhz / (2 * scan_mhz) * (atan(high) - atan(low))
