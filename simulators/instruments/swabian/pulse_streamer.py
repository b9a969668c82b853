"""A Swabian Instruments Pulse Streamer 8/2 on its own address: JSON-RPC on port 8050, binary upload on 21328.

Framing, names and values are those of the maker's client 2.1; texts and readings that it passes on unread (serial
numbers, temperature, supply) are made up. There is no gRPC server and no discovery by UDP.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence

from simulators.instruments.swabian._binary import BinaryUpload
from simulators.instruments.swabian._json_rpc import Method, answer
from simulators.instruments.swabian._player import ClockSource, Player, Rearm, TriggerStart
from simulators.instruments.swabian._steps import OutputState, decode_pulses
from simulators.kit import PulserPlayback, SimInstrument, SimTime
from simulators.kit.http import post_server
from simulators.kit.tcp import TcpServer

__all__ = ["BINARY_PORT", "JSON_RPC_PORT", "PulseStreamer"]

JSON_RPC_PORT = 8050
BINARY_PORT = 21328

_FIRMWARE = "2.1.0"
_HARDWARE = "1.3"


class PulseStreamer(SimInstrument):
    """The instrument; ``address`` is an IP address of its own, as the ports are fixed."""

    def __init__(self, name: str, address: str, time: SimTime) -> None:
        super().__init__(name, address, time)
        self._player = Player()
        self._serial = _serial(address)
        self._hostname = "pulsestreamer"
        self._network: dict[str, object] = {"dhcp": False, "ip": address, "netmask": "255.0.0.0", "gateway": ""}
        self._permanent_network = dict(self._network)
        self._calibration = {"dc_offset_a0": 0.0, "dc_offset_a1": 0.0, "slope_a0": 1.0, "slope_a1": 1.0}
        methods = self._methods()
        rpc = post_server("/json-rpc", lambda body: answer(body, methods))
        self._rpc = TcpServer(name, address, JSON_RPC_PORT, rpc)
        self._binary = TcpServer(name, address, BINARY_PORT, BinaryUpload(self._player).serve)

    @property
    def playback(self) -> PulserPlayback:
        """What the outputs do."""
        return self._player.playback

    def world_started(self, revision: int, at_ps: int) -> None:
        """The edge came and it streams; ignored when the instrument has changed since ``revision``."""
        self._player.world_started(revision, at_ps)

    def world_finished(self, revision: int, at_ps: int) -> None:
        """The last run is over; ignored when the instrument has changed since ``revision``."""
        self._player.world_finished(revision, at_ps)

    async def power_up(self) -> None:
        """Factory state, then both ports, or none."""
        await self._rpc.open()
        try:
            await self._binary.open()
        except BaseException:
            await self._rpc.close()
            raise
        self._player.power_on()

    async def power_down(self) -> None:
        """Dark first, then the sockets. What the instrument keeps in flash stays: names, network, calibration."""
        self._player.power_off()
        await self._rpc.close()
        await self._binary.close()

    def _methods(self) -> dict[str, Method]:
        player = self._player
        return {
            "reset": _acknowledged(player.reset),
            "reboot": self._reboot,
            "constant": self._constant,
            "forceFinal": _acknowledged(player.force_final),
            "stream": self._stream,
            "start": self._start,
            "startNow": _acknowledged(player.start_now),
            "rearm": lambda: int(player.rearm()),
            "isStreaming": lambda: int(player.is_streaming),
            "hasSequence": lambda: int(player.has_sequence),
            "hasFinished": lambda: int(player.has_finished),
            "isReadyForData": lambda slot_nr: int(player.ready_for_data(slot_nr)),
            "getStreamingState": lambda: player.streaming_state(self.time.now_ps()),
            "getSequenceControlData": self._sequence_control_data,
            "setTrigger": self._set_trigger,
            "getTriggerStart": lambda: int(player.trigger[0]),
            "getTriggerRearm": lambda: int(player.trigger[1]),
            "selectClock": self._select_clock,
            "getClock": lambda: int(player.clock),
            "setClkParam": lambda value: 0,
            "shiftClkPhase": lambda value: 0,
            "setSquareWave125MHz": _set_square_wave,
            "getUnderflow": lambda: 0,
            "getTemperature": lambda: "45.0",
            "getSupplyState": lambda: {"Current/A": 0.8, "Voltage_12/V": 12.0, "Voltage_3.3/V": 3.3},
            "getStatusRegister": lambda: 0,
            "getSerial": lambda which=1: self._serial if which else self._fpga_id(),
            "getFPGAID": self._fpga_id,
            "getFirmwareVersion": lambda: _FIRMWARE,
            "getHardwareVersion": lambda: _HARDWARE,
            "setHostname": self._set_hostname,
            "getHostname": lambda: self._hostname,
            "setNetworkConfiguration": self._set_network,
            "getNetworkConfiguration": lambda permanent=False: (
                self._permanent_network if permanent else self._network
            ),
            "applyNetworkConfiguration": self._apply_network,
            "setAnalogCalibration": self._set_calibration,
            "getAnalogCalibration": lambda: self._calibration,
        }

    def _reboot(self) -> int:
        self._player.reset()
        self._binary.reset_connections()
        return 0

    def _constant(self, state: Sequence[int]) -> int:
        self._player.constant(_output_state(state))
        return 0

    def _stream(self, data: str, n_runs: int, final: Sequence[int]) -> int:
        try:
            pulses = base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"the sequence is no base64: {error}") from error
        self._player.stream(decode_pulses(pulses), n_runs, _output_state(final))
        return 0

    def _start(self, slot_nr: int = 0, slots_to_run: int = -1) -> int:
        self._player.start(slot_nr, slots_to_run)
        return 0

    def _set_trigger(self, start: int, rearm: int = 0) -> int:
        self._player.set_trigger(TriggerStart(start), Rearm(rearm))
        return 0

    def _select_clock(self, source: int) -> int:
        self._player.select_clock(ClockSource(source))
        return 0

    def _sequence_control_data(self, slot_nr: int) -> dict[str, int]:
        # [K] The client hands the answer on as it is; these names are ours.
        slot = self._player.slot(slot_nr)
        if slot is None:
            return {}
        return {
            "n_runs": slot.n_runs,
            "n_pulses": len(slot.steps.duration_ps),
            "next_action": int(slot.next_action),
            "when": int(slot.when),
            "on_nodata": int(slot.on_no_data),
        }

    def _set_hostname(self, hostname: str) -> int:
        self._hostname = str(hostname)
        return 0

    def _set_network(
        self, dhcp: bool, ip: str = "", netmask: str = "", gateway: str = "", testmode: bool = True
    ) -> int:
        """Kept and told, never followed: the sockets stay where the lab file put them."""
        self._network = {"dhcp": bool(dhcp), "ip": ip, "netmask": netmask, "gateway": gateway}
        return 0 if testmode else self._apply_network()

    def _apply_network(self) -> int:
        self._permanent_network = dict(self._network)
        return 0

    def _set_calibration(self, dc_offset_a0: float, dc_offset_a1: float, slope_a0: float, slope_a1: float) -> int:
        self._calibration = {
            "dc_offset_a0": float(dc_offset_a0),
            "dc_offset_a1": float(dc_offset_a1),
            "slope_a0": float(slope_a0),
            "slope_a1": float(slope_a1),
        }
        return 0

    def _fpga_id(self) -> str:
        return f"{zlib.crc32(self._serial.encode()):016x}"


def _acknowledged(action: Method) -> Method:
    """``action`` as a method that answers 0."""

    def method() -> int:
        action()
        return 0

    return method


def _byte(value: int) -> int:
    if not 0 <= value <= 0xFF:
        raise ValueError(f"mask {value} is not 0 to 255")
    return value


def _set_square_wave(mask: int) -> int:
    """Taken and not played: no wire of a lab needs 125 MHz, and a playback can't say it."""
    _byte(mask)
    return 0


def _output_state(step: Sequence[int]) -> OutputState:
    """Of a step ``[ticks, mask, a0, a1]``, whose duration means nothing here."""
    _, mask, a0, a1 = step
    for word in (a0, a1):
        if not -0x8000 <= word <= 0x7FFF:
            raise ValueError(f"analog word {word} is not within 16 bits")
    return OutputState.from_wire(_byte(mask), a0, a1)


def _serial(address: str) -> str:
    """A MAC address, the same for the same address at each start."""
    digits = f"{zlib.crc32(address.encode()) & 0xFFFFFF:06X}"
    return ":".join(["00", "26", "32", *(digits[i : i + 2] for i in range(0, 6, 2))])
