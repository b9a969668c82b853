"""Time tags: blocks, decoders, kernels.

Times are int64 picoseconds, channels the numbers printed on the instrument (1-based). Every kernel takes
``backend``: "numba", "numpy" or "auto" (numba when installed); both give the same bits. The environment
variable ``QNODE_TAGS_BACKEND=numpy`` forces numpy. Importing this package imports neither numba, pyarrow
nor matplotlib.
"""

from qnode.tags._axis import Axis, Histogram
from qnode.tags._backend import Backend
from qnode.tags._block import RefBlock, TagBlock
from qnode.tags._clock import ClockModel, PpsClock, apply_clock
from qnode.tags._coincide import CoincidenceCounter, coincidences
from qnode.tags._correlate import G2, Correlator, G2Counter, correlate, g2
from qnode.tags._decode import FORMATS, Decoder, decoder
from qnode.tags._files import (
    FILE_FORMATS,
    TagFile,
    TruncatedFileWarning,
    merge_files,
    open_tags,
    read_tags,
    write_tags,
)
from qnode.tags._histogram import (
    RoundCounter,
    RoundStatistics,
    round_statistics,
    start_multi_stop,
    start_multi_stop_counter,
)
from qnode.tags._order import DeadTime, Delay, dead_time, delay, merge
from qnode.tags._partitions import coincidences_of_files, correlate_files, g2_of_files, start_multi_stop_of_files
from qnode.tags._plot import require_picture
from qnode.tags._rates import Counts, RateCounter, count_rates
from qnode.tags._recorder import Recorder, RecorderState
from qnode.tags._rounds import Clicks, Patterns, WindowTrain, click_patterns, fold, fold_relative
from qnode.tags._spool import UNTIL_PS, Archive, archive_spool, spool_is_closed
from qnode.tags._tdc1 import Tdc1Decoder

__all__ = [
    "FILE_FORMATS",
    "FORMATS",
    "G2",
    "UNTIL_PS",
    "Archive",
    "Axis",
    "Backend",
    "Clicks",
    "ClockModel",
    "CoincidenceCounter",
    "Correlator",
    "Counts",
    "DeadTime",
    "Decoder",
    "Delay",
    "G2Counter",
    "Histogram",
    "Patterns",
    "PpsClock",
    "RateCounter",
    "Recorder",
    "RecorderState",
    "RefBlock",
    "RoundCounter",
    "RoundStatistics",
    "TagBlock",
    "TagFile",
    "Tdc1Decoder",
    "TruncatedFileWarning",
    "WindowTrain",
    "apply_clock",
    "archive_spool",
    "click_patterns",
    "coincidences",
    "coincidences_of_files",
    "correlate",
    "correlate_files",
    "count_rates",
    "dead_time",
    "decoder",
    "delay",
    "fold",
    "fold_relative",
    "g2",
    "g2_of_files",
    "merge",
    "merge_files",
    "open_tags",
    "read_tags",
    "require_picture",
    "round_statistics",
    "spool_is_closed",
    "start_multi_stop",
    "start_multi_stop_counter",
    "start_multi_stop_of_files",
    "write_tags",
]
