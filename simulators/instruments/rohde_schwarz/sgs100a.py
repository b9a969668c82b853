"""A Rohde & Schwarz SGS100A: one microwave carrier with I/Q inputs and a pulse modulator, SCPI over a raw socket.

What can be set, and from which source that is known, stands in `simulators.instruments.rohde_schwarz._settings`.
Settings outlive neither ``*RST`` nor the mains [K]; all of them are taken at any time, output on or off [K].
"""

from __future__ import annotations

import zlib

from simulators.instruments.rohde_schwarz._settings import SETTINGS, Setting, Value
from simulators.kit import MicrowavePlayback, SimInstrument, SimTime
from simulators.kit.scpi import Call, ScpiDevice, raw_socket, scpi_server
from simulators.kit.tcp import TcpServer

__all__ = ["RohdeSchwarzSGS100A"]


class RohdeSchwarzSGS100A(SimInstrument):
    """The instrument; ``address`` is like ``TCPIP0::127.0.1.14::5025::SOCKET``.

    Raises:
        MisuseError: ``address`` is no raw socket.
    """

    playback: MicrowavePlayback

    def __init__(self, name: str, address: str, time: SimTime) -> None:
        super().__init__(name, address, time)
        host, port = raw_socket(name, address, "TCPIP0::127.0.1.14::5025::SOCKET")
        serial = 100_000 + zlib.crc32(address.encode()) % 900_000
        identity = f"Rohde&Schwarz,SGS100A,1416.0505k02/{serial},3.1.19.26-3.20.390.24"
        self._scpi = ScpiDevice(identity, self._factory)
        for setting in SETTINGS:
            self._register(setting)
        self._scpi.query("CALibration:ALL", lambda call: "0")
        self._server = TcpServer(name, host, port, scpi_server(self._scpi, self._settle))
        self._powered = False
        self._changed = False
        self._revision = 0
        self._factory()
        self._publish()

    async def power_up(self) -> None:
        """Factory settings, output off; then the socket."""
        self._scpi.power_on()
        self._factory()
        await self._server.open()
        self._powered = True
        self._publish()

    async def power_down(self) -> None:
        """Dark first, then the socket."""
        self._powered = False
        self._factory()
        self._publish()
        await self._server.close()

    def _register(self, setting: Setting) -> None:
        def put(call: Call) -> None:
            self._values[setting.name] = setting.read(call)
            self._changed = True

        self._scpi.setting(setting.pattern, lambda call: setting.show(self._values[setting.name]), put)

    def _factory(self) -> None:
        self._values: dict[str, Value] = {setting.name: setting.factory for setting in SETTINGS}
        self._changed = True

    def _settle(self) -> None:
        if self._changed:
            self._publish()

    def _publish(self) -> None:
        self._changed = False
        self._revision += 1
        values = self._values
        self.playback = MicrowavePlayback(
            revision=self._revision,
            powered=self._powered,
            on=bool(values["on"]),
            frequency_hz=float(values["frequency_hz"]),
            power_dbm=float(values["power_dbm"]),
            phase_deg=float(values["phase_deg"]),
            iq_on=bool(values["iq_on"]),
            pulse_modulated=bool(values["pulse_on"]),
            external_reference=values["reference_source"] == "EXT",
        )
