"""ID Quantique ID900 Time Controller: four inputs, START, recordings, and the DataLinkTarget that hands out stamps.

Sources, marked at what follows from them: [S] the maker's Python samples and manual, and lab drivers that are public;
[K] engineer's knowledge, not found in a public source. Both helpers listen on the instrument's address: commands on
the port of ``address`` (5555), the DataLinkTarget on 6060, streams on 4241 + channel or the port that was asked for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zmq
from numpy.typing import NDArray

from qnode.clock import PS_PER_S
from qnode.errors import MisuseError
from simulators.instruments.idquantique._blocks import COMMANDS, FACTORY_LINKS, INPUTS, source_input
from simulators.instruments.idquantique._commands import CommandError, CommandTree
from simulators.instruments.idquantique._counters import Counter, Histogram
from simulators.instruments.idquantique._dlt import DataLinkTarget
from simulators.instruments.idquantique._raw import RawChannel
from simulators.instruments.idquantique._recorder import ClosedSubAcquisitions, Recorder, RecordSettings
from simulators.instruments.idquantique._sockets import ReplySocket, StreamSocket
from simulators.kit import SimInstrument, SimTime, TaggerPlayback

__all__ = ["ID900"]

_DLT_PORT = 6060
_RAW_CHANNELS = (1, 2, 3, 4)
_RESOLUTION_PS = {"HIRES": 1, "LOWRES": 100}
_NO_EDGES = (np.zeros(0, np.int64), np.zeros(0, np.uint8))


class ID900(SimInstrument):
    """An ID900; ``address`` is ``tcp://ip:5555``.

    `deliver` may be called from any thread. A sub-acquisition's stamps leave at its end, one message a channel, none
    where there is no stamp.

    How a recording starts: ``REC:PLAY``. Where ``REC:TRIG:LINK`` names a block, each of its edges opens one
    sub-acquisition, until ``REC:NUM`` are done; where it says NONE, the first opens at once and the others follow by
    ``REC:PPER``. With ``REC:TRIG:ARM:MODE AUTO`` no PLAY is needed, and ``REC:NUM 1`` is armed again each
    time [S qudi].

    Args:
        name: ``site.instrument`` as in the lab file.
        address: of the command socket.
        time: lab time.
        restart_stamps: whether stamps without a reference restart in each sub-acquisition (the maker's stream merger
            says that they do), or count on through the recording.
        ref_index_first: order inside the pairs of ``--with-ref-index``; the maker's reader of files has the stamp
            first.
        save_folder: where the DataLinkTarget puts files with a relative name.
    """

    def __init__(
        self,
        name: str,
        address: str,
        time: SimTime,
        *,
        restart_stamps: bool = False,
        ref_index_first: bool = True,
        save_folder: Path | None = None,
    ) -> None:
        super().__init__(name, address, time)
        found = re.fullmatch(r"tcp://([\d.]+):(\d+)", address)
        if found is None:
            raise MisuseError(
                f"{name}: {address!r} is no address of an ID900",
                hint="write tcp://<ip>:5555",
                address=address,
            )
        self._ip = found[1]
        self._restart_stamps = restart_stamps
        self._ref_index_first = ref_index_first
        self._save_folder = save_folder or Path.cwd()
        self.playback = TaggerPlayback(revision=0, powered=False, enabled={}, threshold_v={})
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._sockets: list[ReplySocket] = []
        self._dlt: DataLinkTarget | None = None
        self._tree = CommandTree(COMMANDS, self._make_actions(), self._changed, FACTORY_LINKS)
        self._forget()

    def _forget(self) -> None:
        """What no setting holds, as after power-up."""
        self._recorder: Recorder | None = None
        self._stopping = False
        self._armed_only = False
        self._delivered_ps = 0
        self._lost = dict.fromkeys(_RAW_CHANNELS, 0)
        self._raw: dict[int, RawChannel] = {}
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[int, Histogram] = {}

    async def power_up(self) -> None:
        """Bind both sockets; factory settings.

        Raises:
            InstrumentError: a port is busy, or the address is not on this machine.
        """
        self._tree.reset()
        self._forget()
        self._reset_input_counters()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context = context
        try:
            self._dlt = DataLinkTarget(
                self._ip,
                lambda port: StreamSocket(context, self.name, f"tcp://{self._ip}:{port}"),
                self._save_folder,
                reference_first=self._ref_index_first,
            )
            self._sockets.append(ReplySocket(context, self.name, self.address, self._tree.execute))
            endpoint = f"tcp://{self._ip}:{_DLT_PORT}"
            self._sockets.append(ReplySocket(context, self.name, endpoint, self._dlt.execute))
        except BaseException:
            await self.power_down()
            raise
        self._publish(powered=True)

    async def power_down(self) -> None:
        """Dark playback, then all sockets close."""
        self._publish(powered=False)
        self._recorder = None
        if self._dlt is not None:
            self._dlt.close()
            self._dlt = None
        for socket in self._sockets:
            socket.close()
        self._sockets.clear()
        if self._context is not None:
            await asyncio.to_thread(self._context.term)
            self._context = None

    def deliver(self, origin_ps: int, t_ps: NDArray[np.int64], channel: NDArray[np.uint8], until_ps: int) -> None:
        """Edges at the inputs; see `simulators.kit.TaggerSim`."""
        if self.loop is not None and self.plug_state == "plugged" and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._accept, origin_ps, t_ps, channel, until_ps)

    # Edges, in the event loop.

    def _accept(self, origin_ps: int, t_ps: NDArray[np.int64], channel: NDArray[np.uint8], until_ps: int) -> None:
        self._delivered_ps = max(self._delivered_ps, until_ps)
        for block, counter in self._counters.items():
            source = source_input(self._tree.values, block)
            edges = t_ps[channel == source[0]] if source is not None else _NO_EDGES[0]
            counter.accept(origin_ps, edges, until_ps)
        self._advance(origin_ps, t_ps, channel, until_ps)

    def _advance(self, origin_ps: int, t_ps: NDArray[np.int64], channel: NDArray[np.uint8], until_ps: int) -> None:
        recorder = self._recorder
        if recorder is None:
            return
        closed = recorder.accept(origin_ps, t_ps, channel, until_ps)
        if closed is not None:
            self._hand_out(closed)
        if recorder.finished:
            self._recorder = None
            if self._dlt is not None:
                self._dlt.end()

    def _hand_out(self, closed: ClosedSubAcquisitions) -> None:
        values = self._tree.values
        count = int(closed.start_ps.size)
        for n in _RAW_CHANNELS:
            if values[f"RAW{n}:SEND"] == "ON" and self._dlt is not None:
                stamps, of, reference = self._raw[n].stamps(
                    closed,
                    source_input(values, values[f"RAW{n}:STOP:LINK"]),
                    source_input(values, values[f"RAW{n}:REF:LINK"]),
                    _RESOLUTION_PS[values["DEVI:RES"]],
                )
                self._lost[n] += self._dlt.add(n, count, stamps, of, reference)
            self._fill_histogram(n, closed)

    def _fill_histogram(self, n: int, closed: ClosedSubAcquisitions) -> None:
        values = self._tree.values
        reference = source_input(values, values[f"HIST{n}:REF:LINK"])
        stop = source_input(values, values[f"HIST{n}:STOP:LINK"])
        if reference is not None and stop is not None and values[f"HIST{n}:ENAB:LINK"] == "REC":
            self._histogram(n).accept(closed.of(reference[0])[0] + reference[1], closed.of(stop[0])[0] + stop[1])

    # Commands, in the event loop.

    def _make_actions(self) -> dict[str, Callable[[int, str], str | None]]:
        def nothing(_n: int, _argument: str) -> None:
            return None

        def zero(_n: int, _argument: str) -> str:
            return "0"

        actions: dict[str, Callable[[int, str], str | None]] = {
            "*IDN?": lambda _n, _a: f"ID Quantique,ID900,{self.name},1.0-simulated",
            "*RST": lambda _n, _a: self._reset(),
            "*CLS": lambda _n, _a: self._tree.clear_errors(),
            "*OPC": nothing,
            "*OPC?": lambda _n, _a: "1",
            "*WAI": nothing,
            "*ESR?": zero,
            "*STB?": zero,
            "*TST?": zero,
            "SYST:ERR?": lambda _n, _a: self._tree.next_error(),
            "REC:PLAY": lambda _n, _a: self._play(),
            "REC:STOP": lambda _n, _a: self._stop(),
            "REC:STAG?": lambda _n, _a: self._stage(),
            "REC:TRIG:ARM": lambda _n, _a: self._arm(),
            "REC:TRIG:DARM": lambda _n, _a: self._stop(),
            "RAW:ERRORS?": lambda n, _a: str(self._lost[n]),
            "RAW:ERRORS:CLEA": lambda n, _a: self._clear_lost(n),
            "HIST:DATA?": lambda n, _a: str(self._histogram(n).counts.tolist()),
            "HIST:FLUS": lambda n, _a: self._flush_histogram(n),
            "DEVI:RES:BWID?": lambda _n, _a: str(_RESOLUTION_PS[self._tree.values["DEVI:RES"]]),
            "DEVI:CONF:LOAD": nothing,
            "DEVI:SAMP:RECA": nothing,
        }
        for block in ("STAR", "INPU", "TSCO"):
            actions[f"{block}:COUN?"] = lambda n, _a, b=block: self._count(f"{b}{n or ''}")  # type: ignore[misc]
            actions[f"{block}:COUN:RESE"] = lambda n, _a, b=block: self._reset_counter(f"{b}{n or ''}")  # type: ignore[misc]
            actions[f"{block}:HIRE:ERRO?"] = zero
            actions[f"{block}:HIRE:ERRO:CLEA"] = nothing
        for word in ("PLAY", "STOP", "TRIG:ARM", "TRIG:DARM"):
            actions[f"GEN:{word}"] = nothing
        return actions

    def _changed(self, path: str) -> None:
        values = self._tree.values
        block, _, rest = path.partition(":")
        if block in INPUTS or path.startswith("DEVI:SYNC"):
            self._publish(powered=True)
        if rest == "COUN:INTE" or rest == "COUN:MODE":
            self._reset_counter(block)
        elif block.startswith("HIST") and rest in ("MIN", "BWID", "BCOU"):
            self._flush_histogram(int(block[4:]))
        elif path == "REC:DUR":
            values["REC:PWID"] = values["REC:DUR"]
        elif path == "REC:PWID":
            values["REC:DUR"] = values["REC:PWID"]
        if block == "REC" and values["REC:TRIG:ARM:MODE"] == "AUTO":
            self._arm_automatically()

    def _publish(self, *, powered: bool) -> None:
        values = self._tree.values
        self.playback = TaggerPlayback(
            revision=self.playback.revision + 1,
            powered=powered,
            enabled={n: powered and values[f"{block}:ENAB"] == "ON" for n, block in enumerate(INPUTS)},
            threshold_v={n: float(values[f"{block}:THRE"]) for n, block in enumerate(INPUTS)},
            external_reference=values["DEVI:SYNC"] == "EXTERNAL",
        )

    def _reset(self) -> None:
        self._finish_now()
        self._tree.reset()
        self._forget()
        self._reset_input_counters()
        self._publish(powered=True)

    # Recording.

    def _settings(self) -> RecordSettings:
        values = self._tree.values
        if values["REC:ENAB"] != "ON":
            raise CommandError(-221, "Settings conflict: the record generator is not enabled")
        trigger = source_input(values, values["REC:TRIG:LINK"])
        if trigger is None and values["REC:TRIG:LINK"] != "NONE":
            raise CommandError(-221, "Settings conflict: no edge comes from the trigger's block")
        number = None if values["REC:NUM"] == "INF" else int(values["REC:NUM"])
        return RecordSettings(
            duration_ps=max(1, round(float(values["REC:DUR"]))),
            period_ps=round(float(values["REC:PPER"])),
            number=number,
            trigger=trigger[0] if trigger is not None else None,
            trigger_delay_ps=round(float(values["REC:TRIG:DELA"])) + (trigger[1] if trigger is not None else 0),
        )

    def _begin(self, settings: RecordSettings, *, armed_only: bool) -> None:
        self._finish_now()
        self._recorder = Recorder(settings, self.time.now_ps())
        self._armed_only = armed_only
        self._stopping = False
        self._raw = {n: RawChannel(restart=self._restart_stamps) for n in _RAW_CHANNELS}

    def _play(self) -> None:
        self._begin(self._settings(), armed_only=False)

    def _arm(self) -> None:
        settings = self._settings()
        if settings.trigger is None:
            raise CommandError(-221, "Settings conflict: nothing triggers")
        self._begin(settings, armed_only=True)

    def _arm_automatically(self) -> None:
        values = self._tree.values
        if values["REC:TRIG:LINK"] == "NONE" or values["REC:ENAB"] != "ON":
            return
        if self._recorder is not None and (self._recorder.opened or not self._armed_only):
            return
        settings = self._settings()
        if settings.number == 1:
            settings = RecordSettings(
                settings.duration_ps, settings.period_ps, None, settings.trigger, settings.trigger_delay_ps
            )
        self._begin(settings, armed_only=True)

    def _stop(self) -> None:
        if self._recorder is None or self._stopping:
            return
        self._stopping = True
        now_ps = self.time.now_ps()
        self._recorder.stop(now_ps)
        self._advance(now_ps, *_NO_EDGES, self._delivered_ps)

    def _finish_now(self) -> None:
        """End what runs, without waiting for the world's last edges."""
        if self._recorder is None:
            return
        now_ps = self.time.now_ps()
        self._stop()
        self._advance(now_ps, *_NO_EDGES, now_ps)
        self._recorder = None

    def _stage(self) -> str:
        if self._recorder is None or self._stopping:
            return "IDLE"
        return "ARMED" if self._armed_only and not self._recorder.opened else "PLAYING"

    # Counters and histograms.

    def _reset_input_counters(self) -> None:
        for block in INPUTS:
            self._reset_counter(block)

    def _reset_counter(self, block: str) -> None:
        values = self._tree.values
        integration_ps = round(float(values[f"{block}:COUN:INTE"]) * (PS_PER_S // 1000))
        self._counters[block] = Counter(self.time.now_ps(), integration_ps)

    def _count(self, block: str) -> str:
        if block not in self._counters:
            self._reset_counter(block)
        counter = self._counters[block]
        return str(counter.last_cycle if self._tree.values[f"{block}:COUN:MODE"] == "CYCLE" else counter.total)

    def _histogram(self, n: int) -> Histogram:
        if n not in self._histograms:
            self._flush_histogram(n)
        return self._histograms[n]

    def _flush_histogram(self, n: int) -> None:
        minimum, width, bins = (
            round(float(self._tree.values[f"HIST{n}:{word}"])) for word in ("MIN", "BWID", "BCOU")
        )
        self._histograms[n] = Histogram(minimum, width, bins)

    def _clear_lost(self, n: int) -> None:
        self._lost[n] = 0
