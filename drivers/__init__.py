"""QCoDeS drivers, one module a model: ``drivers.<maker>.<model>``.

A lab adds its own as ``drivers/<name>.py`` beside its lab file.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
