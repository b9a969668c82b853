"""What several drivers share: the wording of their faults."""

from pkgutil import extend_path

from drivers._cores._faults import fault
from drivers._cores._terminal import open_terminal

__all__ = ["fault", "open_terminal"]

__path__ = extend_path(__path__, __name__)
