"""Uploading a link's programs without playing them: what a plan would load and arm, for whoever evaluates it."""

from __future__ import annotations

from pathlib import Path

from qnode.daemons._host import InstrumentHost, extend_driver_path
from qnode.daemons._slow import SlowInstruments
from qnode.heralds import LinkPrograms
from qnode.labfile import Lab, Link

__all__ = ["upload_programs"]


async def upload_programs(lab_path: Path, lab: Lab, link: Link, data_folder: Path, *, bases: str = "XYZ") -> None:
    """Load and arm one round of heralding at every site of a link, then close the connections.

    The instruments stay as they are then: lasers, carriers and bias on, AWGs waiting for their trigger, pulsers for the
    pulse per second.

    Raises:
        InstrumentError: an instrument does not answer or refuses.
    """
    extend_driver_path(lab_path)
    programs = LinkPrograms(lab, link, dict.fromkeys(link.between, bases))
    # One site after the other: QCoDeS knows one instrument of a name in a process, and two sites have an `awg`.
    for site in (*link.between, link.via):
        host = InstrumentHost(site, lab.sites[site], data_folder)
        try:
            await _upload(host, lab, programs)
        finally:
            await host.close()


async def _upload(host: InstrumentHost, lab: Lab, programs: LinkPrograms) -> None:
    await host.connect()
    await SlowInstruments(host, lab).switch_on()
    for name, program in programs.heralding(host.site_name, runs=1).items():
        if host.site.rack[name].role == "awg":
            await host.call(name, "load", program, timeout_s=120.0)
            await host.call(name, "run")
        else:
            await host.call(name, "arm", program)
