"""A .pt2 archive as a whole: its one graph and its numbers, and what of both torch may open."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from gitops_registry.formats.loaded import Unreviewed, shown
from gitops_registry.formats.torch_archive import Archive, damaged
from gitops_registry.formats.torch_graph import Reviewer, parsed
from gitops_registry.manifest.columns import Column, ColumnType, Dtype

GRAPH = "models/model.json"
# ScalarType of torch/_export/serde/schema.py → bytes an item, our type and, where that does not say it, the exact one.
_TYPES: dict[int, tuple[int, ColumnType | None, Dtype | None]] = {
    1: (1, "integer", "uint8"), 2: (1, "integer", "int8"), 3: (2, "integer", "int16"), 4: (4, "integer", None),
    5: (8, "long", None), 6: (2, "float", "float16"), 7: (4, "float", None), 8: (8, "double", None), 9: (4, None, None),
    10: (8, None, None), 11: (16, None, None), 12: (1, "boolean", None), 13: (2, None, None), 28: (2, "integer", "uint16"),
    34: (4, "long", "uint32"), 35: (8, "long", "uint64"),
}  # fmt: skip
_STRIDED = 7
_NUMBERS = {"weights": re.compile(r"weight_\d{1,6}"), "constants": re.compile(r"tensor_\d{1,6}")}


def graph_of(archive: Archive) -> dict[str, Any]:
    """Return the program's JSON. Raises for archives of several programs."""
    models = [name for name in archive.records if name.startswith("models/")]
    if models != [GRAPH]:
        raise damaged(archive.file, f"it holds {len(models)} programs" if models else "it holds no program")
    return parsed(archive.file, archive.text(GRAPH), GRAPH)


def compiled_in(archive: Archive) -> list[str]:
    """Return the names of machine code in the archive, which opening it as torch does would run."""
    return [name for name in archive.records if name.startswith(("data/aotinductor", "data/executorch", "data/mtia"))]


def reviewed(archive: Archive, trusted: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return the records of an archive that torch may open: nothing of them was not looked at, nothing is a pickle.

    Raises Unreviewed for operators that are not allowed, for objects that would be unpickled and for machine code.
    """
    if compiled := compiled_in(archive):
        raise Unreviewed(
            f"{archive.file} holds machine code ({shown(compiled[0])}), which nobody can review",
            hint="save the module with torch.export.save, without AOTInductor",
        )
    program = Reviewer(archive.file, trusted).clean(graph_of(archive))
    records = {GRAPH: json.dumps(program).encode()}
    for kind in _NUMBERS:
        records |= _numbers(archive, kind)
    records["data/sample_inputs/model.pt"] = b""  # a pickle in every file that torch writes; nothing needs it
    return {
        **records,
        "archive_format": b"pt2",
        "archive_version": b"0",
        ".data/version": b"6\n",
        "byteorder": b"little",
    }


def _numbers(archive: Archive, kind: str) -> dict[str, bytes]:
    """Return the records of weights or constants: what says where they are, and they themselves."""
    if f"data/{kind}/model.pt" in archive.records or archive.records.get("byteorder", b"little") != b"little":
        raise damaged(archive.file, "it was written by an old torch, or on a big-endian machine")
    file = f"data/{kind}/model_{kind}_config.json"
    config = parsed(archive.file, archive.text(file), file).get("config")
    if not isinstance(config, dict):
        raise damaged(archive.file, f"its {file} names nothing")
    records: dict[str, bytes] = {}
    clean: dict[str, Any] = {}
    for name, meta in config.items():
        try:
            clean[name] = _payload(archive, kind, name, meta)
        except (KeyError, TypeError, AttributeError) as error:
            raise damaged(archive.file, f"its {file} does not describe {shown(name)}") from error
        path = f"data/{kind}/{clean[name]['path_name']}"
        records[path] = archive.records[path]
    return {**records, file: json.dumps({"config": clean}).encode()}


def _payload(archive: Archive, kind: str, name: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return where one tensor lies, once it is sure to lie there whole."""
    path = meta["path_name"]
    if meta["use_pickle"] is not False or not _NUMBERS[kind].fullmatch(path) or type(meta["is_param"]) is not bool:
        raise Unreviewed(
            f"{archive.file} holds an object ({shown(name)}) that torch would unpickle, which runs code",
            hint="export the module without custom objects and tensor subclasses, or store ONNX",
        )
    tensor = meta["tensor_meta"]
    sizes, strides = ([size["as_int"] for size in tensor[key]] for key in ("sizes", "strides"))
    offset, dtype = tensor["storage_offset"]["as_int"], tensor["dtype"]
    are_lengths = all(type(n) is int and 0 <= n < 1 << 62 for n in (*sizes, *strides, offset)) and len(sizes) == len(
        strides
    )
    if not are_lengths or len(sizes) > 64 or dtype not in _TYPES or tensor["layout"] != _STRIDED:
        raise damaged(archive.file, f"{shown(name)} is no plain tensor")
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    needed = 0 if 0 in sizes else (last + 1) * _TYPES[dtype][0]
    data = archive.records.get(f"data/{kind}/{path}")
    if data is None or needed > len(data) or len(data) % _TYPES[dtype][0] or (not data and math.prod(sizes) > 0):
        raise damaged(archive.file, f"{shown(name)} is larger than its numbers")
    Reviewer(archive.file, ()).path(name)
    plain = {
        "dtype": dtype, "sizes": [{"as_int": n} for n in sizes], "strides": [{"as_int": n} for n in strides],
        "storage_offset": {"as_int": offset}, "layout": _STRIDED, "requires_grad": tensor["requires_grad"] is True,
        "device": {"type": "cpu", "index": None},
    }  # fmt: skip
    return {"path_name": path, "is_param": meta["is_param"], "use_pickle": False, "tensor_meta": plain}


# ── description


def class_of(program: Mapping[str, Any]) -> str:
    """Return the class of the module that was exported, where a node says from which it came; else empty."""
    for node in program["graph_module"]["graph"]["nodes"]:
        stack = str(node["metadata"].get("nn_module_stack", ""))
        if stack.startswith("L__self__,,"):
            return shown(stack.partition(";")[0].rpartition(",")[2].rpartition(".")[2])
    return ""


def columns_of(program: Mapping[str, Any], side: str) -> tuple[Column | None, ...]:
    """Return the tensors that go in (`input`) or come out (`output`), -1 for any size; None for what is no tensor."""
    module = program["graph_module"]
    specs = [spec[f"user_{side}"]["arg"] for spec in module["signature"][f"{side}_specs"] if f"user_{side}" in spec]
    return tuple(_column(arg, module["graph"]["tensor_values"]) for arg in specs)


def _column(arg: Mapping[str, Any], tensors: Mapping[str, Any]) -> Column | None:
    if "as_tensor" not in arg:
        return None
    name = str(arg["as_tensor"]["name"])
    kind = _TYPES.get(tensors[name]["dtype"])
    if kind is None or kind[1] is None:
        return None
    sizes = (size.get("as_int", -1) for size in tensors[name]["sizes"])
    return Column(name=shown(name), type=kind[1], dtype=kind[2], shape=tuple(sizes) or None)
