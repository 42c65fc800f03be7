"""joblib files: pickles between whose opcodes the bytes of arrays stand, packed or not.

Opened only where registry.yaml trusts the format, and only after the default-deny reader has read them. How a file is
packed is told by its first bytes, as joblib does; a file's name says nothing. A plain pickle is a joblib file too: it
is what joblib writes for a model without arrays, byte by byte, and the same rules hold for it.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from gitops_registry.formats import pickle_reader as reader
from gitops_registry.formats.joblib_reading import built
from gitops_registry.formats.loaded import Description, LoadedModel, Trust
from gitops_registry.formats.pickle_values import NotAPickle

LARGEST_UNPACKED = 1 << 26
LARGEST_RATIO = 200
"""A file may unpack to 64 MiB, and to more only by this ratio."""
_PIECE = 1 << 16
_PACKED_PIECE = 1 << 14
_MEMORY = 1 << 28


class _Unpacker(Protocol):
    """What the standard library's decompressors have in common."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def unpacked(data: bytes) -> bytes:
    """Return the bytes as joblib would unpack them: as they are where their first ones name no kind of packing.

    They are unpacked in pieces, and never beyond the limits. Raises NotAPickle for damaged or cut off bytes, kinds of
    packing that are not read, bytes behind the end, and for what unpacks to a flood.
    """
    for first, make in _PACKINGS.items():
        if data.startswith(first):
            try:
                return _unpacked(data, make())
            except (OSError, EOFError, lzma.LZMAError, zlib.error, MemoryError) as error:
                raise NotAPickle(f"it does not unpack: {error}") from error
    if data.startswith(b"\x04\x22\x4d\x18"):
        raise NotAPickle("it is packed with LZ4, which is not read here")
    if data.startswith(b"ZF"):
        raise NotAPickle("it was written by a joblib before 0.10, which is not read here")
    return data


def _unpacked(data: bytes, unpacker: _Unpacker) -> bytes:
    most = min(reader.LARGEST, max(LARGEST_UNPACKED, LARGEST_RATIO * len(data)))
    found = BytesIO()
    for start in range(0, len(data), _PACKED_PIECE):
        piece = data[start : start + _PACKED_PIECE]
        while True:
            if unpacker.eof:
                raise NotAPickle("bytes follow the end of what is packed")
            part = unpacker.decompress(piece, _PIECE)
            if found.tell() + len(part) > most:
                raise NotAPickle(f"{len(data)} bytes unpack to more than {most}")
            found.write(part)
            piece = getattr(unpacker, "unconsumed_tail", b"")
            if unpacker.unused_data:
                raise NotAPickle("bytes follow the end of what is packed")
            if unpacker.eof or (not piece and len(part) < _PIECE):
                break
    if not unpacker.eof:
        raise NotAPickle("it ends in the middle")
    return found.getvalue()


_PACKINGS: dict[bytes, Callable[[], Any]] = {
    b"\x78": zlib.decompressobj,
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZ": bz2.BZ2Decompressor,
    b"\xfd\x37\x7a\x58\x5a": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY),
    b"\x5d\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MEMORY),
}


def is_format(path: Path) -> bool:
    """True for a file that joblib reads to its last byte: packed or not, with arrays or not. Nothing of it runs."""
    try:
        return reader.reads(unpacked(reader.read(path)), has_arrays=True)
    except NotAPickle:
        return False


def describe(path: Path) -> Description:
    """Return the class of the model in a joblib file, and the modules it names. Nothing is imported or built."""
    return reader.described("joblib", _examined(path)[1])


def load(path: Path, trust: Trust = Trust()) -> LoadedModel:  # noqa: B008 - a frozen value
    """Return the estimator in a joblib file, ready to predict.

    Raises Unreviewed before anything is built if registry.yaml does not trust the format or the file names or does
    what nobody has reviewed, and RegistryError for damaged files and what is no fitted estimator.
    """
    reader.refuse_untrusted_format("joblib", path, trust)
    data, found = _examined(path)
    return reader.opened("joblib", path, found, trust, lambda resolve: built(data, found.arrays, resolve))


def _examined(path: Path) -> tuple[bytes, reader.Pickled]:
    try:
        data = unpacked(reader.read(path))
    except NotAPickle as error:
        raise reader.damaged(path.name, "joblib", error) from error
    return data, reader.examine(data, name=path.name, has_arrays=True)
