"""Limits of an AWG as tests compile for it, from the data sheet of the AWG5014C by hand."""

from __future__ import annotations

from drivers.roles import AwgLimits, ChannelLimits

AWG = AwgLimits(
    sample_rate_hz=1_000_000_000,
    channels=4,
    markers_per_channel=2,
    analog=ChannelLimits(0.02, 4.5, 14),
    minimum_waveform_samples=250,
    maximum_elements=8000,
    maximum_loop_count=65_536,
    event_to_output_ps=1_304_000,
)
