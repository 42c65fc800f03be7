"""ONNX files as data: what can be known of one, and changed in one, without running it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitops_registry.formats.loaded import Description, shown
from gitops_registry.manifest.columns import Column, ColumnType, Dtype
from gitops_registry.manifest.facts import Framework

# TensorProto.DataType of onnx.proto → our type and, where that does not say it, the exact one.
_TYPES: dict[int, tuple[ColumnType, Dtype | None]] = {
    1: ("float", None), 2: ("integer", "uint8"), 3: ("integer", "int8"), 4: ("integer", "uint16"), 5: ("integer", "int16"),
    6: ("integer", None), 7: ("long", None), 8: ("string", None), 9: ("boolean", None), 10: ("float", "float16"),
    11: ("double", None), 12: ("long", "uint32"), 13: ("long", "uint64"),
}  # fmt: skip


def renumber(graph: Any) -> None:
    """Number the graph's inner names in the order they occur.

    The converter numbers some with counters of the process, so they would differ from one call to the next.
    Inputs and outputs of the model keep their names; subgraphs share the names of the graph round them.
    """
    names: dict[str, str] = {value.name: value.name for value in (*graph.input, *graph.output)}

    def new(name: str) -> str:
        if name and name not in names:
            candidate = f"v{len(names)}"
            while candidate in names:
                candidate += "_"
            names[name] = candidate
        return names[name] if name else ""

    def walk(part: Any, where: str) -> None:
        for holder in (*part.input, *part.initializer, *part.output, *part.value_info):
            holder.name = new(holder.name)
        for number, node in enumerate(part.node):
            node.name = f"{where}{number}_{node.op_type}"
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]
            for attribute in node.attribute:
                for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                    inner.name = f"{node.name}_{attribute.name}"
                    walk(inner, f"{node.name}_")

    walk(graph, "n")


def is_format(path: Path) -> bool:
    """True where the file's top level reads as an ONNX ModelProto: known fields, among them version and graph.

    Walks over the fields' lengths only, so that a large file costs nothing.
    """
    size = path.stat().st_size
    found: set[int] = set()
    with path.open("rb") as file:
        while file.tell() < size:
            tag = _varint(file)
            if tag is None or not 1 <= tag >> 3 <= 31:
                return False
            found.add(tag >> 3)
            value = _varint(file)
            if value is None or tag & 7 not in {0, 2}:
                return False
            if tag & 7 == 2:
                if file.tell() + value > size:
                    return False
                file.seek(value, 1)
    return {1, 7} <= found  # ir_version and graph


def _varint(file: Any) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte: bytes = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None


def has_external_data(message: Any) -> bool:
    """True if a tensor anywhere in the message (subgraphs, attributes, functions) names another file."""
    if message.DESCRIPTOR.name == "TensorProto":
        return message.data_location == 1 or len(message.external_data) > 0
    return any(has_external_data(part) for part in _parts(message))


def is_split(path: Path) -> bool:
    """True for a readable file that keeps weights in other files; it is parsed only where it may."""
    data = path.read_bytes()
    if b"location" not in data:  # external weights are named under this key
        return False
    import onnx

    try:
        return has_external_data(onnx.load_model_from_string(data))
    except Exception:  # protobuf's own class; whoever opens the file says that it is damaged
        return False


def _parts(message: Any) -> Iterator[Any]:
    for field, value in message.ListFields():
        if field.message_type is not None:
            yield from [value] if hasattr(value, "ListFields") else value


def class_labels(model: Any) -> list[Any] | None:
    """Return the labels a classifier's node names, for files that others converted."""
    for node in reversed(model.graph.node):
        for attribute in node.attribute:
            if attribute.name in {"classlabels_int64s", "classlabels_ints"} and len(attribute.ints):
                return list(attribute.ints)
            if attribute.name in {"classlabels_strings", "cats_strings"} and len(attribute.strings):
                return [text.decode("utf-8") for text in attribute.strings]
    return None


def described(model: Any) -> Description:
    """Return what a parsed file says of itself: its maker, and the tensors that go in and come out."""
    made_by = (
        Framework(name=shown(model.producer_name), version=shown(model.producer_version))
        if model.producer_name
        else None
    )
    initial = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_column(value) for value in model.graph.input if value.name not in initial)
    outputs = tuple(_column(value) for value in model.graph.output)
    notes = ("some inputs or outputs are no tensors of a known type",) if None in (*inputs, *outputs) else ()
    return Description(
        "onnx", "ONNX graph", made_by, ("onnxruntime",),
        tuple(filter(None, inputs)), tuple(filter(None, outputs)), notes,
    )  # fmt: skip


def _column(value: Any) -> Column | None:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type not in _TYPES:
        return None
    name, dtype = _TYPES[kind.elem_type]
    shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else -1 for d in kind.shape.dim)
    return Column(name=shown(value.name), type=name, dtype=dtype, shape=shape or None)
