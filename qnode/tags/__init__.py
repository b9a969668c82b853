"""Time tags: blocks, decoders, kernels.

Times are int64 picoseconds, channels the numbers printed on the instrument (1-based). Every kernel takes
``backend``: "numba", "numpy" or "auto" (numba when installed); both give the same bits. The environment
variable ``QNODE_TAGS_BACKEND=numpy`` forces numpy. Importing this package imports neither numba, pyarrow
nor matplotlib.
"""

from qnode.tags._backend import Backend
from qnode.tags._block import RefBlock, TagBlock
from qnode.tags._decode import FORMATS, Decoder, decoder
from qnode.tags._rounds import Clicks, Patterns, WindowTrain, click_patterns, fold, fold_relative
from qnode.tags._tdc1 import Tdc1Decoder

__all__ = [
    "FORMATS",
    "Backend",
    "Clicks",
    "Decoder",
    "Patterns",
    "RefBlock",
    "TagBlock",
    "Tdc1Decoder",
    "WindowTrain",
    "click_patterns",
    "decoder",
    "fold",
    "fold_relative",
]
