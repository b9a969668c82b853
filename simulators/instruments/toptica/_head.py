"""One laser head of a DLC pro: its settings as they leave the factory, and what follows from them.

The numbers are those of a diode laser at 637 nm with an external cavity, in round figures [K]: threshold, slope, and
how piezo, current and temperature tune it. A head answers a new setting at once; the real one takes seconds to
settle its temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping

from simulators.instruments.toptica._decof import Value
from simulators.kit import LaserBeam

__all__ = ["CURRENT_MHZ_PER_MA", "PIEZO_MHZ_PER_V", "TEMPERATURE_MHZ_PER_K", "Head"]

PIEZO_MHZ_PER_V = 300.0
CURRENT_MHZ_PER_MA = -100.0
TEMPERATURE_MHZ_PER_K = -3000.0

_THRESHOLD_MA = 50.0
_SLOPE_MW_PER_MA = 0.5
_DIODE_V = 2.1
_ROOM_C = 25.0

# The scan generator's outputs [S: toptica.lasersdk.utils.dlcpro.SignalChannel].
_TO_PIEZO, _TO_CURRENT = 50, 51

_PIEZO_V, _CURRENT_MA, _TEMPERATURE_C = 70.0, 100.0, 20.0
_MAX_PIEZO_V = 140.0
_MAX_CURRENT_MA = 180.0

_FACTORY: Mapping[str, Value] = {
    "type": "DL pro",
    "product-name": "DL pro 637",
    "enabled-valid": True,
    "health-txt": "OK",
    "dl:type": "DL pro",
    "dl:model": "DL pro 637",
    "dl:cc:enabled": False,
    "dl:cc:forced-off": False,
    "dl:cc:variant": "CC-500",
    "dl:cc:current-set": _CURRENT_MA,
    "dl:cc:current-clip": _MAX_CURRENT_MA,
    "dl:cc:current-clip-limit": 250.0,
    "dl:cc:voltage-clip": 4.0,
    "dl:cc:positive-polarity": True,
    "dl:pc:enabled": True,
    "dl:pc:voltage-set": _PIEZO_V,
    "dl:pc:voltage-min": 0.0,
    "dl:pc:voltage-max": _MAX_PIEZO_V,
    "dl:pc:status-txt": "OK",
    "dl:tc:enabled": True,
    "dl:tc:temp-set": _TEMPERATURE_C,
    "dl:tc:temp-set-min": 15.0,
    "dl:tc:temp-set-max": 35.0,
    "dl:tc:status-txt": "OK",
    "dl:lock:state-txt": "Idle",
    "dl:factory-settings:wavelength": 637.2,
    "dl:factory-settings:threshold-current": _THRESHOLD_MA,
    "dl:factory-settings:power": _SLOPE_MW_PER_MA * (_CURRENT_MA - _THRESHOLD_MA),
    "dl:factory-settings:cc:current-set": _CURRENT_MA,
    "dl:factory-settings:cc:current-clip": _MAX_CURRENT_MA,
    "dl:factory-settings:pc:voltage-max": _MAX_PIEZO_V,
    "dl:factory-settings:pc:scan-offset": _PIEZO_V,
    "dl:factory-settings:tc:temp-set": _TEMPERATURE_C,
    "scan:enabled": False,
    "scan:output-channel": _TO_PIEZO,
    "scan:amplitude": 1.0,
    "scan:frequency": 10.0,
}


class Head:
    """One head, a view on the values that the controller keeps.

    Args:
        name: ``laser1`` and so on.
        values: of all parameters that are not empty, by path; shared with the controller.
        allowed: whether interlock, key and button let any laser emit.
    """

    def __init__(self, name: str, values: MutableMapping[str, Value], allowed: Callable[[], bool]) -> None:
        self.name = name
        self._values = values
        self._allowed = allowed
        number = name.removeprefix("laser")
        self._boards = {
            "dl:cc:path": f"cc{number}:channel1",
            "dl:pc:path": f"pc{number}:channel1",
            "dl:tc:path": f"tc1:channel{number}",
        }

    def factory(self) -> None:
        """Write what the head has when it is new; it is dark then."""
        for path, value in {**_FACTORY, **self._boards}.items():
            self._values[f"{self.name}:{path}"] = value

    def switch_off(self) -> None:
        """As an open interlock does: it stays off until somebody switches it on again."""
        self._values[f"{self.name}:dl:cc:enabled"] = False

    @property
    def emission(self) -> bool:
        """Whether light leaves it."""
        return self._flag("dl:cc:enabled") and not self._flag("dl:cc:forced-off") and self._allowed()

    def beam(self) -> LaserBeam:
        """What the world sees."""
        return LaserBeam(
            emission=self.emission,
            power_mw=self._power_mw,
            detuning_mhz=(
                PIEZO_MHZ_PER_V * (self._piezo_v - _PIEZO_V)
                + CURRENT_MHZ_PER_MA * (self._set_ma - _CURRENT_MA)
                + TEMPERATURE_MHZ_PER_K * (self._temperature_c - _TEMPERATURE_C)
            ),
            scan_mhz=self._scan_mhz,
        )

    def derived(self) -> dict[str, Callable[[], Value]]:
        """Full path to value, of all that is measured or follows from something else."""
        relative: dict[str, Callable[[], Value]] = {
            "emission": lambda: self.emission,
            "dl:cc:emission": lambda: self.emission,
            "dl:cc:current-act": lambda: self._set_ma if self.emission else 0.0,
            "dl:cc:voltage-act": lambda: _DIODE_V if self.emission else 0.0,
            "dl:cc:status-txt": lambda: "Emission on" if self.emission else "Emission off",
            "dl:pc:voltage-act": lambda: self._piezo_v,
            "dl:pc:voltage-out": lambda: self._piezo_v,
            "dl:tc:temp-act": lambda: self._temperature_c,
            "dl:tc:ready": lambda: self._flag("dl:tc:enabled"),
            "dl:pd:seed:power": lambda: self._power_mw,
            "pd-ext:power": lambda: self._power_mw,
            "scan:unit": lambda: "mA" if self._values[f"{self.name}:scan:output-channel"] == _TO_CURRENT else "V",
            "scan:start": lambda: self._scan_centre - self._real("scan:amplitude") / 2,
            "scan:end": lambda: self._scan_centre + self._real("scan:amplitude") / 2,
        }
        return {f"{self.name}:{path}": value for path, value in relative.items()}

    def limits(self) -> dict[str, Callable[[], tuple[float, float]]]:
        """Full path to the smallest and the largest value that is taken now."""
        relative: dict[str, Callable[[], tuple[float, float]]] = {
            "dl:cc:current-set": lambda: (0.0, self._real("dl:cc:current-clip")),
            "dl:cc:current-clip": lambda: (0.0, self._real("dl:cc:current-clip-limit")),
            "dl:pc:voltage-set": lambda: (self._real("dl:pc:voltage-min"), self._real("dl:pc:voltage-max")),
            "dl:pc:voltage-min": lambda: (0.0, self._real("dl:pc:voltage-max")),
            "dl:pc:voltage-max": lambda: (self._real("dl:pc:voltage-min"), _MAX_PIEZO_V),
            "dl:tc:temp-set": lambda: (self._real("dl:tc:temp-set-min"), self._real("dl:tc:temp-set-max")),
            "scan:amplitude": lambda: (0.0, _MAX_CURRENT_MA),
            "scan:frequency": lambda: (0.02, 400.0),
        }
        return {f"{self.name}:{path}": value for path, value in relative.items()}

    def scan_offset_path(self) -> str:
        """The offset of a scan is the set value of what it drives."""
        target = self._values[f"{self.name}:scan:output-channel"]
        own = {_TO_PIEZO: "dl:pc:voltage-set", _TO_CURRENT: "dl:cc:current-set"}
        return f"{self.name}:{own.get(target, 'scan:offset') if isinstance(target, int) else 'scan:offset'}"

    def scan_range(self, start: float, end: float) -> dict[str, float]:
        """Amplitude and offset, by path, of a scan from ``start`` to ``end``."""
        return {f"{self.name}:scan:amplitude": abs(end - start), self.scan_offset_path(): (start + end) / 2}

    def _flag(self, path: str) -> bool:
        return bool(self._values[f"{self.name}:{path}"])

    def _real(self, path: str) -> float:
        value = self._values.get(f"{self.name}:{path}", 0.0)
        assert isinstance(value, (int, float))
        return float(value)

    @property
    def _set_ma(self) -> float:
        return min(self._real("dl:cc:current-set"), self._real("dl:cc:current-clip"))

    @property
    def _power_mw(self) -> float:
        return _SLOPE_MW_PER_MA * max(0.0, self._set_ma - _THRESHOLD_MA) if self.emission else 0.0

    @property
    def _piezo_v(self) -> float:
        return self._real("dl:pc:voltage-set") if self._flag("dl:pc:enabled") else 0.0

    @property
    def _temperature_c(self) -> float:
        return self._real("dl:tc:temp-set") if self._flag("dl:tc:enabled") else _ROOM_C

    @property
    def _scan_centre(self) -> float:
        return self._real(self.scan_offset_path().removeprefix(f"{self.name}:"))

    @property
    def _scan_mhz(self) -> float:
        if not self._flag("scan:enabled"):
            return 0.0
        target = self._values[f"{self.name}:scan:output-channel"]
        slope = {_TO_PIEZO: PIEZO_MHZ_PER_V, _TO_CURRENT: -CURRENT_MHZ_PER_MA}
        return self._real("scan:amplitude") * (slope.get(target, 0.0) if isinstance(target, int) else 0.0)
