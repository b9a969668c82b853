"""Regular package that a lab's own folder of the same name may extend."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
