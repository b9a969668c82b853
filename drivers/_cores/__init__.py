"""What several drivers share: the wording of their faults."""

from pkgutil import extend_path

from drivers._cores._faults import fault

__all__ = ["fault"]

__path__ = extend_path(__path__, __name__)
