"""The building of the object in an examined joblib file, from the very bytes that were examined.

joblib writes an array's content between the opcodes that follow its description, and reads it with the unpickler that
is written in Python. Where each content stands is known from the examination. So the opcodes are read without it by the
unpickler that is written in C, which asks for each array as for an object of somebody else's (a persistent id; a file
that has one of its own is refused). That takes a fifth of the time.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from io import BytesIO
from math import prod
from typing import Any

from gitops_registry.formats.pickle_reviewed import WRAPPER
from gitops_registry.formats.pickle_values import Refused

_ASK = pickle.BINPERSID


class _Described:
    """What stands for joblib's description of an array: its attributes, and no way to read anything."""


def built(data: bytes, arrays: Sequence[tuple[int, int, int]], resolve: Callable[[str, str], Any]) -> Any:
    """Return the object in a joblib file.

    `arrays` are those that `pickle_machine` met: where the description ends, where the content starts and ends. `resolve`
    gives out the names. Raises Refused for names of joblib's other readers, and what unpickling the bytes raises.
    """
    waiting = iter(arrays)

    class Reviewed(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found = resolve(module, name)
            if f"{module}.{name}" == WRAPPER:
                return _Described
            _refuse_readers(found, f"{module}.{name}")
            return found

        def persistent_load(self, described: Any) -> Any:
            _, start, end = next(waiting)
            if described.dtype.hasobject:
                return Reviewed(BytesIO(data[start:end])).load()
            return _array(described, memoryview(data)[start:end])

    return Reviewed(BytesIO(_asking(data, arrays))).load()


def _asking(data: bytes, arrays: Sequence[tuple[int, int, int]]) -> bytes:
    """Return the opcodes alone, with one more behind the description of each array: it asks for the array."""
    parts, at = [], 0
    for after, _, end in arrays:
        parts += [data[at:after], _ASK]
        at = end
    return b"".join([*parts, data[at:]])


def _array(described: Any, content: memoryview) -> Any:
    """Return the array of the described dtype, shape and order, in memory of its own and the host's order of bytes."""
    import numpy

    shape, dtype = described.shape, described.dtype
    if dtype.itemsize * prod(shape) != len(content):
        raise Refused("an array of joblib's in it does not have the size it claims")
    found = numpy.frombuffer(content, dtype).copy() if len(content) else numpy.empty(prod(shape), dtype)
    found = found.reshape(shape[::-1]).transpose() if described.order == "F" else found.reshape(shape)
    kinds = [field[0] for field in dtype.fields.values()] if dtype.fields else [dtype]
    is_foreign = not any(kind.isnative for kind in kinds)
    return found.byteswap().view(dtype.newbyteorder("=")) if is_foreign else found


def _refuse_readers(found: Any, name: str) -> None:
    """Raise Refused for other descriptions of joblib's, and classes made from them: nobody examined how they read."""
    from joblib.numpy_pickle import NDArrayWrapper, NumpyArrayWrapper

    if isinstance(found, type) and issubclass(found, (NDArrayWrapper, NumpyArrayWrapper)):
        raise Refused(f"{name} reads arrays as nobody has reviewed")
