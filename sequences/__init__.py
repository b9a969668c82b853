"""The physicist's pulse language: write pulses on named signals, check them, see them, compile them.

Write with `Section`, `Train` and `Round` (or take a round from `sequences.library`), `check` it against a rack,
`compile` it to the programs of the instruments, `decode` and `draw` what will really play.

This is a regular package that a lab's own folder of the same name may extend.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)

from sequences._check import check
from sequences._compile import compile
from sequences.decode import DecodedLine, Trace, decode
from sequences.language import Pulse, Round, Section, Train, ms, ns, us
from sequences.shapes import Gaussian, Hermite, Shape, Square
from sequences.wiring import Connector, Output, Wiring

__all__ = [
    "Connector",
    "DecodedLine",
    "Gaussian",
    "Hermite",
    "Output",
    "Pulse",
    "Round",
    "Section",
    "Shape",
    "Square",
    "Trace",
    "Train",
    "Wiring",
    "check",
    "compile",
    "decode",
    "ms",
    "ns",
    "us",
]
