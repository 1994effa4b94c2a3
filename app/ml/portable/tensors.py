"""Safetensors objects joined into one without reading them into memory, and without the package: the web process,
which has neither torch nor safetensors, streams models with it.

The format: the header's length (eight bytes, little-endian), the header in JSON, then the tensors' bytes, to which the
header's offsets refer.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from app.errors import InvalidInput

BLOCK = 1 << 20
_MOST_HEADER = 100_000_000  # what the format's own readers accept


@dataclass(frozen=True)
class Part:
    """One object: how it is opened, and what its tensors are called in the whole."""

    open: Callable[[], BinaryIO]
    rename: Callable[[str], str]


def read_header(stream: BinaryIO) -> dict[str, Any]:
    """Leaves the stream at the tensors' first byte. Raises InvalidInput for what is no safetensors object."""
    start = stream.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 0 < length <= _MOST_HEADER:
        raise InvalidInput("The model's weights are not in the safetensors format.")
    try:
        header = json.loads(stream.read(length))
    except ValueError as error:
        raise InvalidInput("The model's weights are not in the safetensors format.") from error
    return dict(header)


def join(parts: Sequence[Part]) -> Iterator[bytes]:
    """The whole as blocks of at most a mebibyte. Raises InvalidInput where two parts name a tensor alike."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    before = 0
    for part in parts:
        with part.open() as stream:
            tensors = {name: about for name, about in read_header(stream).items() if name != "__metadata__"}
        for name, about in tensors.items():
            if part.rename(name) in header:
                raise InvalidInput(f"Two parts of the model hold a tensor '{part.rename(name)}'.")
            header[part.rename(name)] = _moved(about, before)
        before += max((about["data_offsets"][1] for about in tensors.values()), default=0)
    written = json.dumps(header, separators=(",", ":")).encode()
    written += b" " * (-len(written) % 8)  # so that the tensors begin where a processor reads them fastest
    yield struct.pack("<Q", len(written)) + written
    for part in parts:
        with part.open() as stream:
            read_header(stream)
            yield from blocks(stream)


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block


def _moved(about: Mapping[str, Any], by: int) -> dict[str, Any]:
    first, last = about["data_offsets"]
    return {**about, "data_offsets": [first + by, last + by]}
