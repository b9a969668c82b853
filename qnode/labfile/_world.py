"""The `world:` part of a lab file: the truth, for the simulators and for ``qnode predict`` alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qnode.labfile._model import ADDRESS_PATTERN, Entry, Name, Probability

__all__ = [
    "Charge",
    "ClockFaults",
    "Detectors",
    "Emitter",
    "Fibre",
    "Interferometer",
    "Lasers",
    "Microwave",
    "Spin",
    "World",
    "WorldMidpoint",
    "WorldNode",
]


class Emitter(Entry):
    """How a qubit emits, and what of it reaches the fibre."""

    platform: Literal["nv"] = "nv"
    wavelength_nm: float = Field(gt=0)
    lifetime_ns: float = Field(gt=0)
    collection_efficiency: Probability
    double_excitation: Probability = 0.0
    """p2 of one node: lowers the coherence by sqrt(1 - p2), adds no clicks."""
    optical_rabi_mhz_per_volt: float = Field(gt=0)
    """Optical rotation per second, in cycles, for one volt: angle = 2 pi f integral(V dt)."""


class Spin(Entry):
    """The electron spin."""

    pumped_state: Literal["bright", "dark"] = "bright"
    rabi_mhz_per_volt: float = Field(gt=0)
    """Microwave rotation, in cycles, for one volt."""
    t1_s: float = Field(gt=0)
    t2_star_us: float = Field(gt=0)
    """Quasi-static dephasing: coherence exp(-(t/T2*)^2)."""
    t2_s: float = Field(gt=0)
    """What an echo can't refocus: coherence exp(-t/T2)."""
    readout_fidelity_bright: Probability
    """P(at least one count | bright) in a nominal readout."""
    readout_fidelity_dark: Probability
    """P(no count | dark) in a nominal readout."""
    readout_us: float = Field(3.7, gt=0)
    """The nominal readout: length of the light. Mean counts scale with the light that was played."""
    pump_time_ns: float = Field(100, gt=0)
    """1/e time of spin pumping while its light is on."""


class Charge(Entry):
    """The charge state, seen in the charge-resonance check."""

    counts_per_check: float = Field(ge=0)
    """Mean counts in 100 us of charge light while in resonance; scales with the light that was played."""
    ionisation_per_round: Probability = 0.0
    """Probability that a round ends ionised: no counts, no emission, until repump light."""


class Fibre(Entry):
    """Loss between the collection and the midpoint. Its delay stands on the photon's wire."""

    length_km: float = Field(ge=0)
    loss_db_per_km: float = Field(ge=0)


class Lasers(Entry):
    """What the emitter wants of the lasers that are wired to it. Powers are those behind the heads."""

    resonant_mw: float = Field(default=25.0, gt=0)
    """Power at which `optical_rabi_mhz_per_volt`, the readout and the charge check hold: the excitation's rotation
    goes with the root of the power, counts and pumping go with the power."""
    resonant_mhz: float = 0.0
    """Where the transition of excitation, readout and charge check lies, from the frequency that the head has at its
    factory settings."""
    spin_pump_mw: float = Field(default=25.0, gt=0)
    """Power at which `pump_time_ns` holds."""
    spin_pump_mhz: float = 0.0
    """The same for the transition of spin pumping and its head."""
    repump_mw: float = Field(default=50.0, gt=0)
    """Nominal power of the repump light; it needs at least half of it to give the electron back."""
    linewidth_mhz: float = Field(default=13.0, gt=0)
    """Full width of the transitions at half maximum: 1/(2 pi 12.4 ns) and a little."""


class Microwave(Entry):
    """What the spin wants of the microwave carrier."""

    carrier_hz: float = Field(default=2.83e9, gt=0)
    """The spin's transition; a carrier beside it turns the spin by the detuning."""
    carrier_dbm: float = 15.0
    """Power of the source at which `rabi_mhz_per_volt` holds; rotations scale by 10^((P - carrier_dbm)/20)."""
    full_drive_v: float = Field(default=1.0, gt=0)
    """Amplitude at I and Q that lets the whole carrier through; so much runs through while I and Q are off."""
    reference_error: float = 1e-7
    """Relative error of the source's own oscillator, which counts while it does not run on the site's 10 MHz."""


class WorldNode(Entry):
    """The truth of a node."""

    emitter: Emitter
    spin: Spin
    charge: Charge
    fibre: Fibre
    lasers: Lasers = Field(default_factory=Lasers)
    microwave: Microwave = Field(default_factory=Microwave)
    detection_efficiency: Probability | None = None
    """eta of the node, in place of collection x fibre x detector x share of the emission in the window."""


class Interferometer(Entry):
    """The beam splitter and the paths to it."""

    indistinguishability: Probability
    """V: squared overlap of the two photons at equal arrival."""
    phase_rms_deg: float = Field(ge=0)
    """Standard deviation of the optical phase, an Ornstein-Uhlenbeck process."""
    phase_correlation_ms: float = Field(10.0, gt=0)
    """Its correlation time."""
    psi_plus_on: Literal["det1", "det2"] = "det1"


class Detectors(Entry):
    """Both detectors of a midpoint, at the working bias of their driver."""

    efficiency: Probability
    dark_rate_hz: float = Field(ge=0)
    jitter_fwhm_ps: float = Field(ge=0)
    dead_time_ns: float = Field(ge=0)


class WorldMidpoint(Entry):
    """The truth of a midpoint."""

    interferometer: Interferometer
    detectors: Detectors


class ClockFaults(Entry):
    """What is wrong with the time at one site. Seconds count from the world's start."""

    pps_missing_at_s: tuple[int, ...] = ()
    """Seconds whose edge does not come."""
    pps_doubled_at_s: tuple[int, ...] = ()
    """Seconds after whose edge, by 0.4 s, a second edge comes."""
    label_offset_s: int = 0
    """The site's lab time is wrong by whole seconds: it labels each edge wrongly."""


class World(Entry):
    """The truth."""

    seed: int = Field(ge=0, lt=2**63)
    speed: Annotated[float, Field(gt=0)] | Literal["max"] = 1
    control: str = Field("tcp://127.0.1.1:5601", pattern=ADDRESS_PATTERN)
    """Where ``qnode fault`` reaches the simulators."""
    nodes: dict[Name, WorldNode]
    midpoints: dict[Name, WorldMidpoint] = Field(default_factory=dict)
    clocks: dict[Name, ClockFaults] = Field(default_factory=dict)
    wire_delays_ns: dict[str, float] = Field(default_factory=dict)
    """True delay per input (``site.thing.connector``) where it differs from the wire's ``delay_ns``."""
