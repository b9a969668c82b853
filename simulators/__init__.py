"""Simulated instruments that speak the makers' wire protocols, and the one physical world behind them."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
