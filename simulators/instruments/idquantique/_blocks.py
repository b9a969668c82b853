"""The blocks of a Time Controller and their commands.

[S] from the maker's Python samples and the lab drivers of qudi and others; defaults are [K] unless said otherwise. A
combiner passes its first input on, where no window is enabled [the rest of what combiners and generators do is not
simulated: their settings are kept and answered, and no edge comes out of them].
"""

from __future__ import annotations

from collections.abc import Mapping

from simulators.instruments.idquantique._commands import Leaf

__all__ = ["COMMANDS", "FACTORY_LINKS", "INPUTS", "source_input"]

INPUTS = ("STAR", "INPU1", "INPU2", "INPU3", "INPU4")
"""The block of each input; its place is its number."""

_DO = Leaf("do")
_ASK = Leaf("ask")
_ZERO = Leaf("number", "0")
_NO_LINK = Leaf("link", "NONE")
_EDGE = Leaf("choice", "RISING", ("RISING", "FALLING"))
_COUNTER = {
    "COUNter": _ASK,
    "COUNter:INTEgration": Leaf("number", "1000"),  # [S] milliseconds in two lab drivers
    "COUNter:MODE": Leaf("choice", "CYCLE", ("CYCLE", "ACCUM", "ACCUMULATE")),
    "COUNter:RESEt": _DO,
}
_INPUT = {
    "ENABle": Leaf("switch", "OFF"),
    "COUPling": Leaf("choice", "DC", ("DC", "AC")),
    "EDGE": _EDGE,
    "THREshold": Leaf("number", "0.5"),
    "DELAy": _ZERO,
    "MODE": Leaf("choice", "HIRES", ("HIRES", "LOWRES", "HISPEED")),
    "SELEct": Leaf("choice", "UNSHAPED", ("UNSHAPED", "SHAPED", "LOOP", "OUTPUT")),
    "RESYnc": Leaf("choice", "AUTO", ("AUTO", "MANUAL")),
    "HIREs:ERROrs": _ASK,
    "HIREs:ERROrs:CLEAr": _DO,
    **_COUNTER,
}
_WINDOW = {"LINK": _NO_LINK, "DELAy": _ZERO, "EDGE": _EDGE}
_COMBINER = {
    "FIRst:LINK": _NO_LINK,
    "SECond:LINK": _NO_LINK,
    "OPIN": Leaf("choice", "ONLYFIR", ("ONLYFIR", "ONLYSEC", "AND", "OR", "MUTE")),
    "OPOUt": Leaf("choice", "ONLYFIR", ("ONLYFIR", "ONLYSEC", "AND", "OR", "MUTE")),
    "WINDow:ENABle": Leaf("switch", "OFF"),
    **{f"WINDow:BEGIn:{name}": leaf for name, leaf in _WINDOW.items()},
    **{f"WINDow:END:{name}": leaf for name, leaf in _WINDOW.items()},
    **_COUNTER,
}
_TRIGGER = {
    "TRIGger:LINK": _NO_LINK,
    "TRIGger:DELAy": _ZERO,
    "TRIGger:ARM": _DO,
    "TRIGger:DARM": _DO,
    "TRIGger:ARM:MODE": Leaf("choice", "MANUAL", ("MANUAL", "AUTO")),
}
_GENERATOR = {
    "ENABle": Leaf("switch", "OFF"),
    "PPERiod": Leaf("number", "1000000"),
    "PWIDth": Leaf("number", "4000"),
    "PNUMber": Leaf("count", "INF"),
    "PLAY": _DO,
    "STOP": _DO,
    **_TRIGGER,
}
_RECORD = {
    "ENABle": Leaf("switch", "ON"),
    "NUMber": Leaf("count", "1"),
    "DURation": Leaf("number", "1000000000000"),
    "PWIDth": Leaf("number", "1000000000000"),
    "PPERiod": Leaf("number", "1000000040000"),
    "STAGe": _ASK,
    "PLAY": _DO,
    "STOP": _DO,
    **_TRIGGER,
}
_RAW = {
    "REFerence:LINK": _NO_LINK,
    "STOP:LINK": _NO_LINK,
    "SEND": Leaf("switch", "OFF"),
    "ERRORS": _ASK,
    "ERRORS:CLEAr": _DO,
}
_HISTOGRAM = {
    "MINimum": Leaf("number", "0", unit="TB"),
    "BWIDth": Leaf("number", "100", unit="TB"),
    "BCOUnt": Leaf("number", "16384"),
    "FLUSh": _DO,
    "DATA": _ASK,
    "REFerence:LINK": Leaf("link", "STAR"),
    "STOP:LINK": _NO_LINK,
    "ENABle:LINK": Leaf("link", "REC"),
}
_OUTPUT = {
    "ENABle": Leaf("switch", "OFF"),
    "LINK": _NO_LINK,
    "MODE": Leaf("choice", "NIM", ("NIM", "TTL")),
    "PULSe": Leaf("switch", "OFF"),
    "PULSe:WIDTh": Leaf("number", "4000"),
    "DELAy": _ZERO,
}
_DEVICE = {
    "RESolution": Leaf("choice", "HIRES", ("HIRES", "LOWRES")),
    "RESolution:BWIDth": _ASK,
    "SYNChronization": Leaf("choice", "INTERNAL", ("INTERNAL", "EXTERNAL")),
    "LEDS": Leaf("switch", "ON"),
    "CONFiguration:LOAD": _DO,
    "SAMPling:RECAlibrate": _DO,
}
_COMMON = dict.fromkeys(("*RST", "*CLS", "*OPC", "*WAI"), _DO) | dict.fromkeys(("*IDN", "*ESR", "*STB", "*TST"), _ASK)

COMMANDS: Mapping[str, Leaf] = {
    **_COMMON,
    "SYSTem:ERRor": _ASK,
    **{f"{block}:{name}": leaf for block in ("STARt", "INPUt#4") for name, leaf in _INPUT.items()},
    **{f"TSCO#24:{name}": leaf for name, leaf in _COMBINER.items()},
    **{f"DELAy#8:{name}": leaf for name, leaf in {"VALUe": _ZERO, "LINK": _NO_LINK}.items()},
    **{f"GENerator#8:{name}": leaf for name, leaf in _GENERATOR.items()},
    **{f"RECord:{name}": leaf for name, leaf in _RECORD.items()},
    **{f"RAW#4:{name}": leaf for name, leaf in _RAW.items()},
    **{f"HISTogram#4:{name}": leaf for name, leaf in _HISTOGRAM.items()},
    **{f"OUTPut#4:{name}": leaf for name, leaf in _OUTPUT.items()},
    **{f"DEVIce:{name}": leaf for name, leaf in _DEVICE.items()},
}
"""Long path to command, as `CommandTree` takes it."""

FACTORY_LINKS: Mapping[str, str] = {
    # [S] qudi: START by delay 5; inputs by delays 1..4 to combiners 5..8. The raw channels' links are [K].
    "DELA5:LINK": "STAR",
    **{f"DELA{n}:LINK": f"INPU{n}" for n in range(1, 5)},
    **{f"TSCO{n + 4}:FIR:LINK": f"DELA{n}" for n in range(1, 5)},
    **{f"RAW{n}:STOP:LINK": f"TSCO{n + 4}" for n in range(1, 5)},
    **{f"HIST{n}:STOP:LINK": f"TSCO{n + 4}" for n in range(1, 5)},
}
"""How the blocks are wired after power-up."""


def source_input(values: Mapping[str, str], block: str) -> tuple[int, int] | None:
    """The input whose edges come out of ``block``, and how much later.

    Args:
        values: settings by canonical path.
        block: such as ``TSCO5``.

    Returns:
        (input, delay in ps), or None where no input's edges come out.
    """
    delay_ps = 0
    for _ in range(len(values)):
        if block in INPUTS:
            return INPUTS.index(block), delay_ps + round(float(values[f"{block}:DELA"]))
        if block.startswith("DELA"):
            delay_ps += round(float(values[f"{block}:VALU"]))
            block = values.get(f"{block}:LINK", "NONE")
        elif block.startswith("TSCO"):
            if values.get(f"{block}:WIND:ENAB") != "OFF" or values.get(f"{block}:OPIN") != "ONLYFIR":
                return None
            block = values[f"{block}:FIR:LINK"]
        else:
            return None
    return None
