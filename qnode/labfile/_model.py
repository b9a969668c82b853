"""The parts of a lab file as frozen models: shapes, ranges and units of single entries.

What several entries must agree on (a wire's ends, a link's nodes, loop timing) is checked in `_cross`.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

__all__ = [
    "HERALD_LOGIC",
    "LATCH_PAIR_NS",
    "Bus",
    "Calibration",
    "Channel",
    "Clock",
    "Data",
    "Element",
    "Instrument",
    "Lab",
    "Link",
    "LinkCalibration",
    "MeasuredName",
    "MeasuredValue",
    "Midpoint",
    "Node",
    "NodeCalibration",
    "RackEntry",
    "Role",
    "Round",
    "Site",
    "Wire",
]

LATCH_PAIR_NS = 2_000
"""A `two_window_latch` takes a gate for the second of a pair if it opens at most this long after the first one."""

HERALD_LOGIC = {"single_click": "gated_or", "double_click": "two_window_latch"}
"""The element that decides, by protocol."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
LinkName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
Probability = Annotated[float, Field(ge=0, le=1)]
ADDRESS_PATTERN = r"^tcp://[A-Za-z0-9.-]+:[0-9]{1,5}$"
LAB_TIME_PATTERN = r"^(host|tcp://[A-Za-z0-9.-]+:[0-9]{1,5})$"


class Entry(BaseModel):
    """Base of every entry: unknown keys are faults, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class Bus(Entry):
    """Where a daemon listens on the bus."""

    address: str
    """IPv4 address or host name."""
    command_port: int = Field(5700, ge=1, le=65535)
    stream_port: int = Field(5701, ge=1, le=65535)
    tap_port: int = Field(5702, ge=1, le=65535)


class Instrument(Entry):
    """A block of a QCoDeS station file, word for word; `qcodes.Station` loads it."""

    type: str = Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")
    """Module and class, e.g. ``drivers.sfifteen.tdc1.TDC1``."""
    address: str | None = None
    """As the driver takes it. A leading ``data:`` stands for the lab's data folder."""
    enable_forced_reconnect: bool = False
    init: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    add_parameters: dict[str, Any] = Field(default_factory=dict)


Role = Literal[
    "pulse_sequencer", "awg", "time_tagger", "time_controller", "laser", "microwave_source", "detector_driver"
]


class Channel(Entry):
    """One connector of an instrument that a wire may use."""

    amplitude_vpp: float | None = Field(None, gt=0)
    """Analog outputs: the range that the output is set to."""
    high_v: float = 3.3
    """Digital and marker outputs: the high level."""
    threshold_v: float = 1.0
    """Inputs: the level that counts as an edge."""


class RackEntry(Entry):
    """What qnode must know of an instrument beside its station block."""

    role: Role
    simulated: bool
    safe_state: Literal["outputs_off", "stopped"]
    channels: dict[str, Channel] = Field(default_factory=dict)
    """By the names of section `Connectors` of the reference: d0, ch1, ch1m1, in1, start, laser1, rf."""
    inputs: dict[str, Channel] = Field(default_factory=dict)
    """Settings of the trigger, event and reference inputs, where they differ from the defaults."""


class Site(Entry):
    """A node or a midpoint: a daemon, its instruments, and what stands beside them."""

    bus: Bus
    instruments: dict[Name, Instrument]
    rack: dict[Name, RackEntry]

    def by_role(self, role: Role) -> str:
        """Name of the first instrument that plays a role.

        Raises:
            KeyError: no instrument of this site does.
        """
        for name, entry in self.rack.items():
            if entry.role == role:
                return name
        raise KeyError(role)


class Node(Site):
    """A node: its qubits emit."""


class Midpoint(Site):
    """A midpoint station: its detectors herald."""


class Round(Entry):
    """The slots of a round: charge slot, phase slot, attempts, branch slot."""

    attempts: int = Field(ge=1, le=32767)
    """Attempts in a round; columns of the ledger hold 16 bits each."""
    charge_check_us: float = Field(ge=0)
    phase_us: float = Field(ge=0)
    branch_us: float = Field(gt=0)


class Link(Entry):
    """Two nodes whose photons meet at a midpoint."""

    name: LinkName
    between: tuple[Name, Name]
    via: Name
    protocol: Literal["single_click", "double_click"]
    """``double_click`` (Barrett-Kok): two optical pulses and two gates an attempt, a microwave pi in between."""
    bright_state: dict[Name, Annotated[float, Field(gt=0, lt=1)]]
    """Bright-state population alpha that each node prepares."""
    attempt_period_us: float = Field(gt=0)
    detection_window_ns: float = Field(gt=0)
    round: Round

    @property
    def attempt_period_ps(self) -> int:
        """Length of one attempt, picoseconds."""
        return round(self.attempt_period_us * 1e6)

    @property
    def detection_window_ps(self) -> int:
        """Width of the detection window, picoseconds."""
        return round(self.detection_window_ns * 1e3)

    @property
    def round_period_ps(self) -> int:
        """P: the fixed length of a round, picoseconds."""
        slots_us = self.round.charge_check_us + self.round.phase_us + self.round.branch_us
        return round(slots_us * 1e6) + self.round.attempts * self.attempt_period_ps


class Element(Entry):
    """Something on the wires that speaks no protocol: emitter, beam splitter, detector, herald logic, fan-out."""

    element: str = Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")
    kind: Literal["emitter", "beam_splitter", "detector", "gated_or", "two_window_latch", "fan_out"]
    latency_ns: float = Field(0, ge=0)
    output_v: float = 3.3


class Wire(Entry):
    """One output to one or many inputs, ``site.thing.connector`` each."""

    from_: str = Field(alias="from")
    to: str | tuple[str, ...]
    kind: Literal["trigger", "herald", "photon", "microwave", "light", "bias", "clock", "pps"]
    delay_ns: float = Field(0, ge=0)

    @property
    def ends(self) -> tuple[str, ...]:
        """All inputs this wire reaches."""
        return (self.to,) if isinstance(self.to, str) else self.to

    @property
    def delay_ps(self) -> int:
        """Delay from the output to each input, picoseconds."""
        return round(self.delay_ns * 1e3)


def _wire_or_element(entry: Any) -> str:
    """Which of the two an entry of `wires:` means to be."""
    given = "element" in entry if isinstance(entry, dict) else isinstance(entry, Element)
    return "<element>" if given else "<wire>"


WireEntry = Annotated[
    Annotated[Wire, Tag("<wire>")] | Annotated[Element, Tag("<element>")], Discriminator(_wire_or_element)
]


class Clock(Entry):
    """Time at one site."""

    reference: Literal["external_10mhz", "internal"]
    pps: bool
    lab_time: str = Field(pattern=LAB_TIME_PATTERN)
    """``host``, or ``tcp://address:port`` of the world's clock endpoint."""


class MeasuredValue(Entry):
    """A calibration: what the stack believes, with its error, and where it comes from."""

    value: float
    error: float = Field(0, ge=0)
    date: datetime.date
    run: str = ""


class MeasuredName(Entry):
    """A calibration whose value is a name."""

    value: str
    date: datetime.date
    run: str = ""


class NodeCalibration(Entry):
    """Measured numbers of one node."""

    microwave_rabi_mhz_per_volt: MeasuredValue
    optical_pi_volt: MeasuredValue
    """Amplitude of the optical pulse that excites fully."""
    charge_check_threshold: MeasuredValue
    """A round whose charge check counts fewer photons is masked."""
    readout_threshold: MeasuredValue
    """Counts from which on a readout says bright."""


class LinkCalibration(Entry):
    """Measured numbers of one link."""

    psi_plus_on: MeasuredName
    """Which detector heralds psi+: det1 or det2."""
    herald_probability_per_round: MeasuredValue | None = None
    """From an earlier run; used to plan how many rounds a number of heralds needs."""


class Calibration(Entry):
    """All that was measured."""

    nodes: dict[Name, NodeCalibration] = Field(default_factory=dict)
    links: dict[LinkName, LinkCalibration] = Field(default_factory=dict)


class Data(Entry):
    """Where runs go."""

    folder: str = "qnode-data"
    """Relative to the working directory of whoever starts the lab, or absolute."""


class Lab(Entry):
    """A lab file without its `world:` part."""

    schema_: Literal[1] = Field(alias="schema")
    lab: Name
    nodes: dict[Name, Node] = Field(min_length=1)
    midpoints: dict[Name, Midpoint] = Field(default_factory=dict)
    links: tuple[Link, ...] = ()
    wires: tuple[WireEntry, ...] = ()
    clocks: dict[Name, Clock] = Field(default_factory=dict)
    calibration: Calibration = Field(default_factory=Calibration)
    data: Data = Field(default_factory=Data)

    @property
    def sites(self) -> dict[str, Site]:
        """Nodes and midpoints by name."""
        return {**self.nodes, **self.midpoints}

    def link(self, name: str) -> Link:
        """The link of a name.

        Raises:
            KeyError: there is none.
        """
        for link in self.links:
            if link.name == name:
                return link
        raise KeyError(name)

    def wires_only(self) -> tuple[Wire, ...]:
        """The lines, without the elements."""
        return tuple(entry for entry in self.wires if isinstance(entry, Wire))

    def elements(self) -> dict[str, Element]:
        """The elements by name."""
        return {entry.element: entry for entry in self.wires if isinstance(entry, Element)}

    def into(self, end: str) -> Wire | None:
        """The wire that reaches an input, or None."""
        return next((wire for wire in self.wires_only() if end in wire.ends), None)

    def out_of(self, output: str) -> tuple[Wire, ...]:
        """The wires that leave an output."""
        return tuple(wire for wire in self.wires_only() if wire.from_ == output)
