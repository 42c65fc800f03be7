"""A model repository of the Open Inference Protocol (version 2) around the ONNX file, for Triton and for MLServer.

Tensors are the graph's own, so one request means the same to both. `metadata.json` is what a server answers to
`GET v2/models/NAME`, as https://github.com/open-inference/open-inference-protocol has it ("metadata model response").
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.exports.carrying import Carried, carried
from gitops_registry.exports.subject import Subject, Written
from gitops_registry.formats import describe
from gitops_registry.manifest.columns import Column

_RUNTIME = "registered_runtime"
_LABELS = "labels.txt"
_DATATYPES = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64", "string": "BYTES",
    "int8": "INT8", "int16": "INT16", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "float16": "FP16",
}  # fmt: skip


def write(subject: Subject, target: Path) -> Written:
    """Write a folder that `tritonserver --model-repository` and `mlserver start` take, with one model in it: NAME/NUMBER.

    Raises NotFound without ONNX, RegistryError for a graph whose inputs or outputs are no tensors of a known rank.
    """
    if subject.artifact("onnx") is None:
        there = ", ".join(sorted({artifact.format for artifact in subject.version.artifacts}))
        raise NotFound(f"{subject.reference} has no ONNX, which is what is served here", hint=f"it has: {there}")
    model = carried(subject)
    inputs, outputs = _tensors(subject, model)
    folder = target / subject.reference.name
    version = folder / str(subject.reference.number)
    version.mkdir(parents=True)
    shutil.copyfile(model.path, version / "model.onnx")
    labels = [str(label) for label in model.said["labels"] or ()]
    has_file = bool(labels) and all(label.isprintable() and label for label in labels)
    if has_file:
        (folder / _LABELS).write_text("\n".join(labels) + "\n", encoding="utf-8")
    config = _triton(subject, model, inputs, outputs, labels=has_file)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
    _write_json(folder / "metadata.json", _metadata(subject, inputs, outputs))
    _write_json(folder / "model-settings.json", _mlserver(subject, model, inputs, outputs))
    runtime = resources.files("gitops_registry") / "templates" / "exports" / f"{_RUNTIME}.py"
    (folder / f"{_RUNTIME}.py").write_bytes(runtime.read_bytes())
    return Written(target, _notes(subject, model, inputs))


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _tensors(subject: Subject, model: Carried) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    found = describe("onnx", model.path)
    odd = [column.name for column in (*found.inputs, *found.outputs) if column.shape is None]
    if found.notes or odd or not found.inputs or not found.outputs:
        raise RegistryError(
            f"the graph of {subject.reference} has inputs or outputs that are no tensors of a known rank",
            hint="convert it again with tensors as outputs (skl2onnx: zipmap=False)",
        )
    return found.inputs, found.outputs


def _datatype(column: Column) -> str:
    return _DATATYPES[column.dtype or column.type]


def _tensor(column: Column) -> dict[str, Any]:
    return {"name": column.name, "datatype": _datatype(column), "shape": list(column.shape or ())}


def _metadata(subject: Subject, inputs: Sequence[Column], outputs: Sequence[Column]) -> dict[str, Any]:
    return {
        "name": subject.reference.name,
        "versions": [str(subject.reference.number)],
        "platform": "onnxruntime_onnx",
        "inputs": [_tensor(column) for column in inputs],
        "outputs": [_tensor(column) for column in outputs],
    }


def _mlserver(subject: Subject, model: Carried, inputs: Sequence[Column], outputs: Sequence[Column]) -> dict[str, Any]:
    """Return the settings of MLServer, which has no reader of ONNX: the one beside them is named."""
    number = str(subject.reference.number)
    extra = {key: model.said[key] for key in ("version", "commit", "sha256", "columns", "labels", "scores")}
    return {
        "name": subject.reference.name,
        "implementation": f"{_RUNTIME}.RegisteredModel",
        "platform": "onnxruntime_onnx",
        "versions": [number],
        "inputs": [_tensor(column) for column in inputs],
        "outputs": [_tensor(column) for column in outputs],
        "parameters": {"uri": f"./{number}/model.onnx", "version": number, "extra": extra},
    }


def _triton(
    subject: Subject, model: Carried, inputs: Sequence[Column], outputs: Sequence[Column], *, labels: bool
) -> str:
    """Return the configuration as protobuf's text: shapes are whole (max_batch_size 0), for an answer may be one number a row."""
    lines = [f"name: {_quoted(subject.reference.name)}", 'backend: "onnxruntime"', "max_batch_size: 0"]
    scores = 0 if model.said["scores"] else 1
    for kind, columns in (("input", inputs), ("output", outputs)):
        for place, column in enumerate(columns):
            datatype = _datatype(column).replace("BYTES", "STRING")
            shape = ", ".join(map(str, column.shape or ()))
            named = f" label_filename: {_quoted(_LABELS)}" if labels and kind == "output" and place == scores else ""
            lines.append(
                f"{kind} {{ name: {_quoted(column.name)} data_type: TYPE_{datatype} dims: [ {shape} ]{named} }}"
            )
    lines.append("instance_group { kind: KIND_CPU count: 1 }")
    lines.append(f"version_policy {{ specific {{ versions: {subject.reference.number} }} }}")
    for key in ("version", "commit", "sha256", "columns", "labels", "scores"):
        if value := model.said[key]:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append(f'parameters {{ key: "registry.{key}" value {{ string_value: {_quoted(text)} }} }}')
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return text as protobuf's text format quotes it, which reads JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)


def _notes(subject: Subject, model: Carried, inputs: Sequence[Column]) -> tuple[str, ...]:
    notes = ["the protocol names tensors: ranges, categories and missing values of columns are not checked"]
    columns = model.said["columns"]
    if columns and len(inputs) == 1:
        shown = ", ".join(columns[:8]) + (", …" if len(columns) > 8 else "")
        notes.append(f"the input {inputs[0].name!r} has {len(columns)} columns without names, in this order: {shown}")
    if filled := model.said["missing"]:
        notes.append(f"empty text is what stands for a missing value of {', '.join(map(repr, filled))}")
    if subject.version.signature and subject.version.signature.parameters:
        notes.append("parameters of prediction are left out: the graph has none")
    return tuple(notes)
