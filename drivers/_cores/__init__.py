"""What several drivers share: the wording of their faults, and their lines."""

from pkgutil import extend_path

from drivers._cores._faults import fault
from drivers._cores._identity import idn_of
from drivers._cores._terminal import TerminalInstrument, open_terminal
from drivers._cores._visa import GuardedVisa

__all__ = ["GuardedVisa", "TerminalInstrument", "fault", "idn_of", "open_terminal"]

__path__ = extend_path(__path__, __name__)
