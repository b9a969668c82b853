"""A Tektronix AWG5014C: SCPI over a raw socket, four channels with two markers each, a sequence table with branches.

Headers, arguments and formats follow the clients that speak to the real one; what they leave open is labelled [K]:
engineer's knowledge, not checked on the bench. Forced triggers, events and jumps (``*TRG``, ``EVENt:IMMediate``,
``SEQuence:JUMP:IMMediate``) are taken, but the world doesn't see them: it follows wires only. There are no predefined
waveforms in the list.
"""

from __future__ import annotations

import zlib

from simulators.instruments.tektronix import (
    _channel_commands,
    _control_commands,
    _sequence_commands,
    _waveform_commands,
)
from simulators.instruments.tektronix._disk import Disk
from simulators.instruments.tektronix._state import Settings
from simulators.kit import AwgPlayback, SimInstrument, SimTime
from simulators.kit.scpi import ScpiDevice, ScpiError, raw_socket, scpi_server
from simulators.kit.tcp import TcpServer

__all__ = ["TektronixAWG5014C"]


class TektronixAWG5014C(SimInstrument):
    """The instrument; ``address`` is like ``TCPIP0::127.0.1.13::4000::SOCKET``.

    Raises:
        MisuseError: ``address`` is no raw socket.
    """

    playback: AwgPlayback

    def __init__(self, name: str, address: str, time: SimTime) -> None:
        super().__init__(name, address, time)
        host, port = raw_socket(name, address, "TCPIP0::127.0.1.13::4000::SOCKET")
        self.settings = Settings()
        self.disk = Disk()
        self.running = False
        self.position = 1
        self._playing = False
        self._changed = False
        self._revision = 0
        identity = f"TEKTRONIX,AWG5014C,B{zlib.crc32(address.encode()) % 1_000_000:06d},SCPI:99.0 FW:4.6.0.7"
        self.scpi = ScpiDevice(identity, self._reset)
        for commands in (_control_commands, _channel_commands, _waveform_commands, _sequence_commands):
            commands.register(self)
        self._server = TcpServer(name, host, port, scpi_server(self.scpi, self._settle))
        self._publish()

    async def power_up(self) -> None:
        """Factory settings, an empty list and table; then the socket. The drive C: is as it was left."""
        self.settings = Settings()
        self._stopped()
        self.scpi.power_on()
        await self._server.open()
        self._publish()

    async def power_down(self) -> None:
        """Dark first, then the socket."""
        self.settings = Settings()
        self._stopped()
        self._publish()
        await self._server.close()

    def world_playing(self, playing: bool) -> None:
        """Whether triggers keep it playing just now (else it waits for one)."""
        self._playing = playing

    def changed(self) -> None:
        """What the outputs do has changed; the world gets it when the client's message is worked through."""
        self._changed = True

    def run(self) -> None:
        """Start what is set up.

        Raises:
            ScpiError: there is nothing to play.
        """
        self.settings.check_playable()
        self.running = True
        self._playing = False
        self.position = 1
        self.changed()

    def stop_output(self) -> None:
        """Stop playing; the outputs stay switched as they are."""
        self._stopped()
        self.changed()

    def jump(self, line: int) -> None:
        """Note where a client has the sequence jump to.

        Raises:
            ScpiError: no sequence runs.
        """
        if not self.running or self.settings.run_mode != "SEQ":
            raise ScpiError(-221, "no sequence runs")
        self.position = line

    @property
    def run_state(self) -> int:
        """0 stopped, 1 waits for a trigger, 2 runs."""
        if not self.running:
            return 0
        return 2 if self._playing or not self.settings.starts_with_wait else 1

    def load(self, settings: Settings) -> None:
        """Replace everything, as a setup file does."""
        self.settings = settings
        self.stop_output()

    def _reset(self) -> None:
        """[K] Waveforms and table go too."""
        self.load(Settings())

    def _stopped(self) -> None:
        self.running = False
        self._playing = False
        self.position = 1

    def _settle(self) -> None:
        if self._changed:
            self._publish()

    def _publish(self) -> None:
        self._changed = False
        self._revision += 1
        self.playback = self.settings.playback(self._revision, self.running)
