"""An instrument's identity in the words of QCoDeS."""

from __future__ import annotations

from drivers.roles import Identity

__all__ = ["idn_of"]


def idn_of(identity: Identity) -> dict[str, str | None]:
    """What `qcodes.instrument.Instrument.get_idn` gives; None for what the instrument does not tell."""
    return {
        "vendor": identity.maker,
        "model": identity.model,
        "serial": identity.serial or None,
        "firmware": identity.firmware or None,
    }
