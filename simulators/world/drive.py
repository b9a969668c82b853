"""What a node's qubit gets from the slow instruments, as factors of what the truth is given at."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Drive"]


@dataclass(frozen=True)
class Drive:
    """What a node's qubit gets; 0 is nothing, 1 is nominal. Equal drives act equally."""

    resonant: float = 1.0
    """Power of the light of excitation, readout and charge check."""
    resonant_mhz: float = 0.0
    """Its detuning from the transition."""
    scan_mhz: float = 0.0
    """Peak to peak, when a scan runs around that detuning."""
    scattering: float = 1.0
    """Rate at which that light is scattered: power, and how much of the line it meets."""
    pumping: float = 1.0
    """The same for spin pumping."""
    repump: float = 1.0
    """Power of the repump light."""
    carrier: float = 1.0
    """Amplitude of the microwave carrier."""
    carrier_hz: float = 0.0
    """Its frequency above the spin's transition."""
    modulated: bool = True
    """False: I and Q do nothing, the carrier runs through."""

    @property
    def repumps(self) -> bool:
        """Whether repump light gives an electron back."""
        return self.repump >= 0.5
