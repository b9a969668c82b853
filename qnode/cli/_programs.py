"""The programs of a link, and at which line of the lab file what keeps them from being made stands."""

from __future__ import annotations

import importlib
from pathlib import Path

from qnode.daemons import extend_driver_path
from qnode.errors import MisuseError
from qnode.heralds import LinkPrograms, TimingError
from qnode.labfile import Lab, LabFault, LabFileError, Link, line_of, unfed_inputs

__all__ = ["checked_programs"]

BASES = "XYZ"
AMPLE_US = 10_000.0
"""An attempt period that is long enough for 1,000 km of fibre and back."""


def checked_programs(lab_path: Path, lab: Lab, link: Link) -> LinkPrograms:
    """The programs of a link, compiled for every site.

    Raises:
        LabFileError: a driver can't be loaded, an emitter or a detector lacks its laser, carrier or bias, a sequence or
            the loop timing can't be; with the line of the lab file that is to be changed, all of them at once.
    """
    extend_driver_path(lab_path)
    faults = [*_driver_faults(lab_path, lab, link), *_unfed_faults(lab_path, lab, link)]
    if faults:
        raise LabFileError(sorted(faults, key=lambda fault: fault.line))
    bases = dict.fromkeys(link.between, BASES)
    try:
        programs = LinkPrograms(lab, link, bases)
    except MisuseError as error:
        raise LabFileError([_link_fault(lab_path, lab, link, error)]) from error
    for site in (*link.between, link.via):
        try:
            programs.heralding(site, runs=1)
        except MisuseError as error:
            faults.append(_site_fault(lab_path, lab, link, site, error))
    if faults:
        raise LabFileError(sorted(faults, key=lambda fault: fault.line))
    return programs


def _driver_faults(lab_path: Path, lab: Lab, link: Link) -> list[LabFault]:
    """Drivers of a link's sites that can't be imported."""
    faults = []
    for site in (*link.between, link.via):
        part = "nodes" if site in lab.nodes else "midpoints"
        for name, block in lab.sites[site].instruments.items():
            module, _, kind = block.type.rpartition(".")
            try:
                getattr(importlib.import_module(module), kind)
            except (ImportError, AttributeError) as error:
                text = f"{site}.{name}: driver {block.type} can't be loaded: {error}; correct `type:`"
                line = line_of(lab_path, (part, site, "instruments", name, "type"))
                faults.append(LabFault(str(lab_path), line, text))
    return faults


def _unfed_faults(lab_path: Path, lab: Lab, link: Link) -> list[LabFault]:
    """Emitters and detectors of a link that get no light, no carrier or no bias, at the line of the element."""
    faults = []
    for site in (*link.between, link.via):
        for end, role in unfed_inputs(lab, site):
            index = lab.wires.index(lab.elements()[end.rpartition(".")[0]])
            text = f"link {link.name}: no wire reaches {end}; add one from an output of a {role}"
            faults.append(LabFault(str(lab_path), line_of(lab_path, ("wires", index)), text))
    return faults


def _link_fault(lab_path: Path, lab: Lab, link: Link, error: MisuseError) -> LabFault:
    """What keeps a link from working, at the line of the key that is to be changed."""
    place: tuple[str | int, ...] = ("links", lab.links.index(link))
    smallest_us = _smallest_attempt_us(lab, link)
    if smallest_us is not None and link.attempt_period_us < smallest_us:
        text = (
            f"link {link.name}: an attempt of {link.attempt_period_us:g} us is over before the herald line is back; "
            f"the smallest legal attempt_period_us is {smallest_us:g}"
        )
        return LabFault(str(lab_path), line_of(lab_path, (*place, "attempt_period_us")), text)
    return LabFault(str(lab_path), line_of(lab_path, place), _with_link(link, error))


def _smallest_attempt_us(lab: Lab, link: Link) -> float | None:
    """Smallest attempt period with which a link's loop closes, worked out with one that is long enough for any."""
    slots = link.round.model_copy(update={"attempts": 1, "branch_us": link.round.branch_us + 4 * AMPLE_US})
    ample = link.model_copy(update={"attempt_period_us": AMPLE_US, "round": slots})
    try:
        return LinkPrograms(lab, ample, dict.fromkeys(link.between, BASES)).timing.smallest_attempt_ps / 1e6
    except TimingError as error:
        found = error.context.get("smallest_attempt_period_us")
        return found if isinstance(found, float) else None
    except MisuseError:
        return None


def _site_fault(lab_path: Path, lab: Lab, link: Link, site: str, error: MisuseError) -> LabFault:
    """What a site can't play, at the line of the wire that it is about, or of the link."""
    output = f"{site}.{error.context.get('wire')}"
    for number, entry in enumerate(lab.wires):
        if getattr(entry, "from_", None) == output:
            return LabFault(str(lab_path), line_of(lab_path, ("wires", number)), f"{site}: {error}")
    place = ("links", lab.links.index(link))
    return LabFault(str(lab_path), line_of(lab_path, place), f"link {link.name}, {site}: {error}")


def _with_link(link: Link, error: MisuseError) -> str:
    return str(error) if f"link {link.name}" in str(error) else f"link {link.name}: {error}"
