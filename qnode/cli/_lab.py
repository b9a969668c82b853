"""What several commands need of a lab file: its data folder, its processes."""

from __future__ import annotations

from pathlib import Path

from qnode.daemons import extend_driver_path
from qnode.errors import MisuseError
from qnode.heralds import LinkPrograms
from qnode.labfile import Lab, LabFault, LabFileError, Link, line_of, load_lab

__all__ = ["checked_programs", "data_folder", "load", "parse_peers", "parse_speed", "simulated_instruments"]

BASES = "XYZ"


def data_folder(lab: Lab, option: Path | None) -> Path:
    """Absolute data folder: the option's, or the lab file's seen from here."""
    return (option or Path(lab.data.folder)).resolve()


def load(path: Path, option: Path | None) -> tuple[Lab, Path]:
    """Lab and absolute data folder of a command."""
    lab = load_lab(path)
    return lab, data_folder(lab, option)


def parse_speed(text: str | None) -> str | None:
    """Check a ``--speed``.

    Raises:
        MisuseError: neither ``max`` nor a positive number.
    """
    if text is None or text == "max":
        return text
    try:
        good = float(text) > 0
    except ValueError:
        good = False
    if not good:
        raise MisuseError(f"--speed {text}: expected `max` or a positive number", hint="1 is real time")
    return text


def parse_peers(options: list[str]) -> dict[str, str]:
    """Check ``--via SITE=ADDRESS``.

    Raises:
        MisuseError: not of that form.
    """
    peers = {}
    for option in options:
        site, separator, address = option.partition("=")
        if not separator or not site or not address:
            raise MisuseError(f"--via {option}: expected SITE=ADDRESS", hint="for example --via midpoint=127.0.0.1")
        peers[site] = address
    return peers


def simulated_instruments(lab: Lab) -> list[str]:
    """``site.instrument`` of all that are simulated."""
    return [
        f"{site}.{name}" for site, part in lab.sites.items() for name, entry in part.rack.items() if entry.simulated
    ]


def checked_programs(lab_path: Path, lab: Lab, link: Link) -> LinkPrograms:
    """The programs of a link, compiled for every site.

    Raises:
        LabFileError: a sequence or the loop timing can't be; with the line of the lab file that is to be changed.
    """
    extend_driver_path(lab_path)
    index = lab.links.index(link)
    try:
        programs = LinkPrograms(lab, link, dict.fromkeys(link.between, BASES))
    except MisuseError as error:
        raise _located(lab_path, ("links", index), error) from error
    for site in (*link.between, link.via):
        try:
            programs.heralding(site, runs=1)
        except MisuseError as error:
            raise _located(lab_path, _place_of(lab, site, error) or ("links", index), error) from error
    return programs


def _place_of(lab: Lab, site: str, error: MisuseError) -> tuple[str | int, ...] | None:
    """The wire that an error names."""
    output = f"{site}.{error.context.get('wire')}"
    for number, entry in enumerate(lab.wires):
        if getattr(entry, "from_", None) == output:
            return ("wires", number)
    return None


def _located(lab_path: Path, place: tuple[str | int, ...], error: MisuseError) -> LabFileError:
    return LabFileError([LabFault(str(lab_path), line_of(lab_path, place), str(error))])
