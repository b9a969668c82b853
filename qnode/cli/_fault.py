"""``qnode fault``: through the control endpoint of the simulators."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qnode.cli._exit import say
from qnode.errors import MisuseError, NetworkError
from qnode.labfile import load_lab, load_world

__all__ = ["ask_simulators", "fault"]

ANSWER_S = 10.0
PLUG = ("plug", "unplug")
"""What changes the state of its plug, which is then the answer."""


def fault(lab_path: Path, instrument: str, what: str) -> None:
    """Unplug or plug a simulated instrument, or bring about another fault that it knows."""
    lab = load_lab(lab_path)
    known = [f"{site}.{name}" for site, part in lab.sites.items() for name in part.instruments]
    if instrument not in known:
        raise MisuseError(f"{lab_path}: there is no instrument {instrument}", hint=f"there are {', '.join(known)}")
    site, _, name = instrument.partition(".")
    if not lab.sites[site].rack[name].simulated:
        raise MisuseError(f"{instrument} is not simulated", hint="pull its plug by hand")
    # Which faults there are is for the instrument's simulator to say.
    answer = ask_simulators(load_world(lab_path).control, {"op": "fault", "instrument": instrument, "fault": what})
    say(f"{instrument}: {answer['state'] if what in PLUG else f'{what} done'}")


def ask_simulators(control: str, request: dict[str, Any]) -> dict[str, Any]:
    """One question to the simulators' control endpoint.

    Raises:
        NetworkError: they do not run.
        MisuseError: they refuse.
    """
    address = urlsplit(control)
    try:
        with socket.create_connection((address.hostname, address.port), timeout=ANSWER_S) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = connection.makefile("rb").readline()
    except OSError as error:
        raise NetworkError(
            f"no simulators at {control}: {error.strerror or error}", hint="start them with `qnode simulate LAB`"
        ) from error
    if not line.endswith(b"\n"):
        raise NetworkError(f"the simulators at {control} ended before they answered", hint="see `qnode logs LAB`")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise MisuseError(str(answer["error"]))
    return answer
