"""Pickles and joblib files made by hand to do harm: each makes a folder, the marker, where its names are resolved."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from pathlib import Path

import joblib
import numpy as np


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def short(value: str) -> bytes:
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    """Return opcodes that call what other opcodes push, with what others push."""
    return function + b"(" + b"".join(arguments) + b"t" + b"R"


def two(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def four(body: bytes, length: int | None = None) -> bytes:
    return b"\x80\x04\x95" + struct.pack("<Q", len(body) + 1 if length is None else length) + body + b"."


class Harm:
    """What its pickle does is make the marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        import os

        return os.mkdir, (self.marker,)


def that_run(marker: Path) -> dict[str, bytes]:
    """Return pickles that make the marker in Python's own reader, each in another way."""
    where = text(str(marker))
    line = f"V{marker}\n".encode()
    mkdir = named("os", "mkdir")
    importing = called(named("builtins", "__import__"), text("os"))
    program = text(f"__import__('os').mkdir({str(marker)!r})")
    return {
        "GLOBAL and REDUCE": mkdir + b"(" + line + b"tR.",
        "the names of Python 2": b"c__builtin__\neval\n(" + program + b"tR.",
        "STACK_GLOBAL": four(short("os") + short("mkdir") + b"\x93" + where + b"\x85R"),
        "STACK_GLOBAL of the memo": four(
            short("mkdir") + b"\x94" + short("os") + b"\x94" + b"\x86" + b"\x94" + b"h\x01h\x00\x93" + where + b"\x85R" + b"\x86"
        ),
        "names with escapes": b"\x80\x02V\\u006f\\u0073\nV\\u006dkdir\n\x93" + where + b"\x85R.",
        "a name inside another": four(short("os") + short("path.os.mkdir") + b"\x93" + where + b"\x85R"),
        "INST": b"(" + line + b"ios\nmkdir\n.",
        "OBJ": b"(" + mkdir + line + b"o.",
        "a chain of getattr": two(called(called(named("builtins", "getattr"), importing, text("mkdir")), where)),
        "exec": two(called(named("builtins", "exec"), program)),
        "functools.partial": two(called(called(named("functools", "partial"), mkdir, where))),
        "operator.methodcaller": two(
            called(called(named("operator", "methodcaller"), text("mkdir"), where), importing)
        ),
        "NEWOBJ_EX": four(named("functools", "partial") + b"(" + mkdir + where + b"t}\x92)R"),
        "a value that is dropped": two(called(mkdir, where) + b"0N"),
        "numpy.memmap": two(
            called(named("numpy", "memmap"), where, text("u1"), text("w+"), b"K\x00", b"(K\x01t")
        ),
        "numpy.savetxt": two(called(named("numpy", "savetxt"), where, b"]K\x01a")),
        "a random state of any function": two(
            called(named("numpy.random._pickle", "__randomstate_ctor"), where, mkdir)
        ),
        "a call in a key": two(b"}" + called(mkdir, where) + b"K\x01s"),
        "a call beside a function that a transformer calls": two(
            named("sklearn.preprocessing._function_transformer", "FunctionTransformer") + b")\x81}("
            + text("func") + mkdir + text("inverse_func") + b"Nub" + called(mkdir, where) + b"\x86"
        ),
    }  # fmt: skip


def joblib_dumped(value: object, **more: object) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, **more)
    return file.getvalue()


def inside_an_array(marker: Path) -> bytes:
    """Return a joblib file that makes the marker from the pickle inside an array of objects."""
    return joblib_dumped({"classes_": np.array([Harm(marker), None], dtype=object)})


def that_lie(marker: Path) -> dict[str, bytes]:
    """Return pickles that are refused for what they are, though Python may stop at them too."""
    good = pickle.dumps({"a": 1}, 4)
    harm = pickle.dumps(Harm(marker))
    dtype = named("numpy", "dtype")
    reconstructed = called(
        named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), b"(K\x00t", b"C\x01b"
    )
    record = called(dtype, text("V8"), b"\x89", b"\x88")
    objects = called(dtype, text("O8"), b"\x89", b"\x88")
    fields = b"}" + text("a") + objects + b"K\x00\x86s"
    pointers = record + b"(K\x03" + text("|") + b"N" + b"(" + text("a") + b"t" + fields + b"K\x08K\x01K\x10tb"
    tree = called(
        named("sklearn.tree._tree", "Tree"), b"K\x02", array("i8", 1, b"\x02" + bytes(7)), b"J\x00\x00\x10\x00"
    )
    return {
        "a second pickle behind the first": good + harm,
        "text behind the end": good + b"\n",
        "a persistent id": b"\x80\x02" + text("x") + b"Q.",
        "a persistent id in text": b"\x80\x02Px\n.",
        "bytes that are not in it": b"\x80\x05\x97.",
        "a read-only view": b"\x80\x05C\x01a\x98.",
        "a string of Python 2": b"\x80\x02U\x01a.",
        "dropped objects": b"\x80\x02NN0.",
        "two objects at the end": b"\x80\x02NN.",
        "an open mark at the end": b"\x80\x02(N.",
        "a second protocol": b"\x80\x02\x80\x04N.",
        "an unknown protocol": b"\x80\x06N.",
        "an octal number": b"\x80\x02I010\n.",
        "a number with blanks": b"\x80\x02I 1\n.",
        "a number with underscores": b"\x80\x02L1_0L\n.",
        "a frame that is too short": four(short("abc"), 3),
        "a frame that is too long": four(short("a"), 50),
        "a frame in a frame": b"\x80\x04\x95" + struct.pack("<Q", 20) + b"N\x95" + struct.pack("<Q", 2) + bytes(20),
        "an end that is missing": good[:-1],
        "a huge string": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"a.",
        "a huge number": b"\x80\x04\x8b" + struct.pack("<i", 1 << 30) + b"a.",
        "a negative length": b"\x80\x04\x8b" + struct.pack("<i", -1) + b"a.",
        "a huge memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
        "a number used twice": b"\x80\x02Nq\x00Nq\x00\x86.",
        "an unknown number": b"\x80\x02h\x07.",
        "lists that hold the one before twice": two(b"(" + doubled(b"(", b"l") + b"t"),
        "a very deep list": two(b"]" * 300 + b"a" * 299),
        "a list in itself": two(b"]q\x00h\x00a"),
        "keys that take for ever to hash": two(b"}(" + doubled(b"", b"\x86") + b"u"),
        "a state given to a class": two(
            named("sklearn.model_selection._split", "KFold") + b"N}" + text("harmed") + b"K\x01s\x86b"),
        "a class among its own constants": four(short("numpy") + b"K\x01\x93"),
        "a line break in a name": four(short("os\n") + short("mkdir") + b"\x93"),
        "a local function": four(short("m") + short("f.<locals>.<lambda>") + b"\x93"),
        "numpy.dtype of objects without objects": two(pointers),
        "NumPy's own dtype": two(called(dtype, text("f8"), b"\x89", b"\x89")),
        "an array larger than its bytes": two(reconstructed + b"(K\x01" + b"M\xff\x00\x85" + numbers("f8") + b"\x89C\x08" + bytes(8) + b"tb"),
        "an array of objects made of bytes": two(reconstructed + b"(K\x01" + b"K\x01\x85" + objects + b"\x89C\x08" + bytes(8) + b"tb"),
        "an empty array of any size": two(called(
            named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), b"(J\x00\x00\x00\x7ft", b"C\x01b")),
        "a scalar of objects": two(called(named("numpy._core.multiarray", "scalar"), objects, b"C\x08" + bytes(8))),
        "a buffer that is too short": two(called(
            named("numpy._core.numeric", "_frombuffer"), b"C\x08" + bytes(8), numbers("f8"), b"(K\x09t", text("C"))),
        "an encoding that is imported": two(called(named("_codecs", "encode"), text("a"), text("antigravity"))),
        "a tree of more outputs than classes": two(tree),
        "a reviewed class that is called": two(called(named("sklearn.pipeline", "Pipeline"), b"]")),
        "a reviewed class with arguments": two(named("sklearn.utils._bunch", "Bunch") + b"(K\x01t\x81"),
        "a tool kept as data": two(b"]" + named("numpy", "dtype") + b"a"),
        "a sequence of any class": two(called(named("builtins", "bytearray"), b"J\x00\x00\x00\x7f")),
        "a number generator of any class": two(called(
            named("numpy.random._pickle", "__bit_generator_ctor"), named("sklearn.pipeline", "Pipeline"))),
        "an object that is built twice": two(
            named("sklearn.pipeline", "Pipeline") + b")\x81}b}b"),
        "an attribute of Python's": two(
            named("sklearn.pipeline", "Pipeline") + b")\x81}" + text("__class__") + b"Nsb"),
        "a version that speaks to the terminal": two(
            named("sklearn.pipeline", "Pipeline") + b")\x81}" + text("_sklearn_version") + text("\x1b[2J") + b"sb"),
        "a text model that opens files": two(
            named("sklearn.feature_extraction.text", "CountVectorizer") + b")\x81}" + text("input") + text("filename") + b"sb"),
        "a random state beyond its numbers": two(
            called(named("numpy.random._pickle", "__randomstate_ctor"),
                   called(named("numpy.random._pickle", "__bit_generator_ctor"), named("numpy.random._mt19937", "MT19937")))
            + b"}(" + text("bit_generator") + text("MT19937") + text("state")
            + b"}(" + text("key") + b"N" + text("pos") + b"M\xff\xffu" + b"ub"),
    }  # fmt: skip


def numbers(code: str) -> bytes:
    """Return opcodes that push a dtype of numbers."""
    state = b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return called(named("numpy", "dtype"), text(code), b"\x89", b"\x88") + state


def array(code: str, length: int, data: bytes) -> bytes:
    """Return opcodes that push an array of one dimension."""
    start = called(named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), b"(K\x00t", b"C\x01b")
    content = b"B" + struct.pack("<I", len(data)) + data
    return start + b"(K\x01" + b"J" + struct.pack("<i", length) + b"\x85" + numbers(code) + b"\x89" + content + b"tb"


def doubled(start: bytes, end: bytes) -> bytes:
    """Return opcodes for 60 containers of which each holds the one before twice."""
    steps = (start + b"h%ch%c" % (n, n) + end + b"q%c" % (n + 1) for n in range(59))
    return start + b"NN" + end + b"q\x00" + b"".join(steps)


def wrapper(**state: bytes) -> bytes:
    """Return opcodes of joblib's description of an array; what is not given is as joblib writes it."""
    parts = {
        "subclass": named("numpy", "ndarray"),
        "shape": b"K\x01\x85",
        "order": text("C"),
        "dtype": numbers("f8"),
        "allow_mmap": b"\x88",
        "numpy_array_alignment_bytes": b"K\x10",
        **state,
    }
    items = b"".join(text(name) + value for name, value in parts.items())
    return named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}(" + items + b"ub"


def joblibs_that_lie(marker: Path) -> dict[str, bytes]:
    """Return joblib files whose arrays are not what they say, or that would make the two readers disagree."""
    harm = called(named("os", "mkdir"), text(str(marker)))
    padded = b"\x01\xff" + bytes(8)
    return {
        "an array that is cut off": b"\x80\x02" + wrapper() + b"\x01\xff" + bytes(4),
        "an array of another class": b"\x80\x02" + wrapper(subclass=named("numpy", "matrix")) + padded + b".",
        "an array of unknown order": b"\x80\x02" + wrapper(order=text("X")) + padded + b".",
        "an array of a huge shape": b"\x80\x02" + wrapper(shape=b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86") + padded + b".",
        "an array of a negative shape": b"\x80\x02" + wrapper(shape=b"J\xff\xff\xff\xff\x85") + padded + b".",
        "padding that is something else": b"\x80\x02" + wrapper() + b"\x01A" + bytes(8) + b".",
        "an array inside a frame": four(wrapper() + padded),
        "an array described by two names alike": b"\x80\x02" + wrapper()[:-2] + called(
            named("numpy._core.multiarray", "scalar"), called(named("numpy", "dtype"), text("U5"), b"\x89", b"\x88"),
            b"C\x14" + "shape".encode("utf-32-le")) + b"K\x02\x85ub" + padded + b".",
        "a pickle inside that is no array": b"\x80\x02" + wrapper(
            dtype=called(named("numpy", "dtype"), text("O8"), b"\x89", b"\x88")) + two(b"N") + b".",
        "a pickle inside that does harm": b"\x80\x02" + wrapper(
            dtype=called(named("numpy", "dtype"), text("O8"), b"\x89", b"\x88")) + two(harm) + b".",
        "an array that is never read": b"\x80\x02]" + named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81a.",
        "arrays in other files": b"\x80\x02" + named("joblib.numpy_pickle_compat", "NDArrayWrapper") + b")\x81}("
        + text("filename") + text(str(marker)) + text("subclass") + named("numpy", "ndarray") + b"ub.",
        "arrays in other packed files": b"\x80\x02" + named("joblib.numpy_pickle_compat", "ZNDArrayWrapper") + b")\x81}b.",
        "a loader of joblib's": two(called(named("joblib.numpy_pickle", "load"), text(str(marker)))),
        "a joblib before 0.10": b"ZF0x10              " + zlib.compress(two(harm)),
        "LZ4": b"\x04\x22\x4d\x18" + bytes(40),
    }  # fmt: skip
