"""Looking into received bytes without a library: marks by search, frames by their length prefixes."""

import struct
from typing import Final

from scene import HALTED, MARK_ID

GENERIC: Final = b"45\x006\x00"
"""How every tickGeneric begins."""

_LENGTH = struct.Struct(">I")
_MARK: Final = GENERIC + b"%d\x00%d\x00" % (MARK_ID, HALTED)


def find_marks(data: bytes) -> tuple[list[int], bytes]:
    """Numbers of the marks, and the bytes to put before what comes next.

    A chunk is searched, not walked, so that looking never is the bottleneck.
    """
    numbers: list[int] = []
    position = 0
    while (found := data.find(_MARK, position)) >= 0:
        start = found + len(_MARK)
        end = data.find(b"\0", start)
        if end < 0:
            return numbers, data[found:]
        numbers.append(int(float(data[start:end])))
        position = end
    return numbers, data[max(position, len(data) - len(_MARK)) :]


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Payloads of the whole frames, and the incomplete rest."""
    payloads: list[bytes] = []
    position = 0
    while len(data) - position >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(data, position)
        end = position + _LENGTH.size + length
        if end > len(data):
            break
        payloads.append(data[position + _LENGTH.size : end])
        position = end
    return payloads, data[position:]
