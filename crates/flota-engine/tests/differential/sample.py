"""A file of the differential gate, and what the engine must make of it."""

from dataclasses import dataclass, field
from enum import Enum

import numpy


class Expect(Enum):
    """What the engine must do with a file that the reference reads.

    Where the reference refuses a file, the engine must refuse it too, whatever is expected here.
    """

    SAME = "decode to the reference's pixels"
    SAME_OR_UNSUPPORTED = "decode to the reference's pixels, or refuse with DECODE_UNSUPPORTED"
    UNSUPPORTED = "refuse with DECODE_UNSUPPORTED"
    REFUSED = "refuse with any code of its own, for the file is cut off or damaged"


@dataclass(frozen=True)
class Tolerance:
    """How far pixels may be from the reference's, in levels of 0 to 255 of a channel."""

    max: float
    mean: float


#: Inverse DCTs and colour conversions differ by rounding alone.
ROUNDING = Tolerance(max=4, mean=1.0)
#: Decoders of JPEG interpolate colour differences each in a way of its own: from neighbours, or repeated,
#: which libjpeg itself does of few samples and of rare factors. Measured on the gate's pictures, whose
#: colours change by up to 11 levels a pixel: at most 9, and 2.75 on average, both of pictures 4 pixels wide.
CHROMA = Tolerance(max=10, mean=3.0)
CHROMA_ALSO = ["djpeg_without_smoothing"]
#: For formats without loss.
EXACT = Tolerance(max=0, mean=0)


@dataclass
class Sample:
    """One file. `kind` is its row in the table, `name` finds it again (`gate.py --only`)."""

    kind: str
    name: str
    data: bytes
    expect: Expect = Expect.SAME
    tolerance: Tolerance = ROUNDING
    #: Pixels (height, width, 3) of 8 bits, where Pillow does not say what is right.
    reference: numpy.ndarray | None = None
    #: Whether parts of the file are tried as well, each of which the engine must refuse.
    is_cut: bool = False
    #: Where a kind may be judged by a second reading of the reference too: by name, see reference.py.
    also: list[str] = field(default_factory=list)
