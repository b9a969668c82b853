"""What every simulated instrument is made of: sockets on an own address, a mains plug, and what its outputs will do.

`SimInstrument` is the base of all; the playbacks are the seam towards the world: immutable, decoded from what was
uploaded over the wire, and all that the world ever learns of an instrument.
"""

from simulators.kit._instrument import PlugState, SimInstrument, SimTime
from simulators.kit._playback import (
    AwgElementPlayback,
    AwgPlayback,
    AwgSim,
    DetectorPlayback,
    DetectorSim,
    LaserBeam,
    LaserPlayback,
    LaserSim,
    MicrowavePlayback,
    MicrowaveSim,
    PulserPlayback,
    PulserSim,
    TaggerPlayback,
    TaggerSim,
)

__all__ = [
    "AwgElementPlayback",
    "AwgPlayback",
    "AwgSim",
    "DetectorPlayback",
    "DetectorSim",
    "LaserBeam",
    "LaserPlayback",
    "LaserSim",
    "MicrowavePlayback",
    "MicrowaveSim",
    "PlugState",
    "PulserPlayback",
    "PulserSim",
    "SimInstrument",
    "SimTime",
    "TaggerPlayback",
    "TaggerSim",
]
