"""A module of torch's in memory: what it is, and how it is stored as TorchScript, as .pt2 and as ONNX.

Storing works on a copy in evaluation mode on the CPU, so the caller's module stays as it is. A stored file is a function of
the module and the example: storing twice gives the same bytes, and nothing in them tells of this machine's folders.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.formats import torch_exported, torch_program
from gitops_registry.formats.loaded import reason
from gitops_registry.formats.onnx_graph import renumber
from gitops_registry.formats.torch_archive import Said, library, pack, saying, unpacked, why
from gitops_registry.formats.torch_model import TorchModel, tensor
from gitops_registry.manifest.columns import Column
from gitops_registry.manifest.facts import Framework
from gitops_registry.manifest.parts import Param, Task

__all__ = ["TorchModel", "convert_onnx", "facts_of", "is_module", "save_export", "save_torchscript"]

_OPSET = 18
_TOLERANCE = 1e-4
_TYPES = {"float32": "float", "float64": "double", "int64": "long", "int32": "integer", "bool": "boolean"}
_EXACTLY = {"float16": "float", "int8": "integer", "uint8": "integer", "int16": "integer"}


def is_module(model: Any) -> bool:
    """Say whether a model is a module of torch's. Where torch was never imported nothing is, and it stays so."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def facts_of(module: Any) -> tuple[Task, str, Framework, dict[str, Param]]:
    """Return the task, the kind of model, the framework, and how many numbers of which types the module has.

    The task is always "other": a module says nothing of what its scores mean.
    """
    torch = library()
    if not is_module(module):
        raise RegistryError(f"a {type(module).__name__} is no module of torch's", hint="give a torch.nn.Module")
    parameters = list(module.parameters())
    dtypes = sorted({str(parameter.dtype).removeprefix("torch.") for parameter in parameters})
    params: dict[str, Param] = {
        "parameters": sum(parameter.numel() for parameter in parameters),
        "trainable_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "dtype": dtypes[0] if len(dtypes) == 1 else tuple(dtypes),
    }
    return "other", _name(module), Framework(name="torch", version=torch.__version__.partition("+")[0]), params


def _name(module: Any) -> str:
    return str(getattr(module, "original_name", "") or type(module).__name__)


# ── storing


def save_torchscript(module: Any, path: Path, *, example: Any) -> None:
    """Write the module as TorchScript: scripted, so that its control flow stays, or else traced on the example.

    The example is a table or array of some rows. Raises where neither works, in the words of both attempts.
    """
    torch = library()
    ready, inputs = _ready(module, example)
    try:
        with _quiet():
            program = ready if isinstance(ready, torch.jit.ScriptModule) else _scripted(ready, inputs)
            buffer = BytesIO()
            torch.jit.save(program, buffer)
    except RegistryError:
        raise
    except Exception as error:  # the compiler fails with whatever it stumbles over
        raise _cannot(ready, "TorchScript", why(error)) from error
    words = _words(ready, inputs)
    data = torch_program.canonical(buffer.getvalue(), saying(words))
    again = torch.jit.load(BytesIO(data), map_location="cpu").eval()
    _check_agreement(ready, TorchModel(again, "torchscript", inputs=words.inputs), inputs, "TorchScript")
    path.write_bytes(data)


def _scripted(module: Any, inputs: Any) -> Any:
    torch = library()
    try:
        return torch.jit.script(module)
    except Exception as first:  # what the compiler has no words for
        scripting = why(first)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", torch.jit.TracerWarning)
        try:
            with torch.no_grad():
                traced = torch.jit.trace(module, inputs, check_trace=False)
        except Exception as error:
            raise _cannot(module, "TorchScript", f"{why(error)} (tracing); {scripting} (scripting)") from error
    for warning in heard:
        if issubclass(
            warning.category, torch.jit.TracerWarning
        ):  # the example alone would decide a branch for all rows
            because = f"its control flow depends on the data (tracing); {scripting} (scripting)"
            raise _cannot(module, "TorchScript", because)
    return traced


def save_export(module: Any, path: Path, *, example: Any) -> None:
    """Write the module as a torch.export program (.pt2) that takes any number of rows shaped like the example's.

    Raises where its control flow depends on the data.
    """
    torch = library()
    ready, inputs = _ready(module, example)
    program = _exported(ready, inputs, "a .pt2 file")
    buffer = BytesIO()
    with _quiet():
        torch.export.save(program, buffer)
    archive = unpacked(buffer.getvalue(), path.name)
    everything = tuple(_operators(program))  # they are the module's own; who opens the file decides which to allow
    words = _words(ready, inputs)
    data = pack({**torch_exported.reviewed(archive, everything), **saying(words)})
    again = torch.export.load(BytesIO(data)).module()
    _check_agreement(ready, TorchModel(again, "torch-export", inputs=words.inputs), inputs, "a .pt2 file")
    path.write_bytes(data)


def _exported(module: Any, inputs: Any, what: str) -> Any:
    torch = library()
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(module, (inputs,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except Exception as error:  # the exporter fails with whatever it stumbles over
        raise _cannot(module, what, why(error)) from error


def _operators(program: Any) -> Iterator[str]:
    for inner in program.graph_module.modules():
        for node in getattr(getattr(inner, "graph", None), "nodes", ()):
            if hasattr(node.target, "namespace") and hasattr(node.target, "name"):
                yield str(node.target.name()).partition(".")[0]


def convert_onnx(module: Any, path: Path, *, example: Any, columns: Sequence[str] | None = None) -> None:
    """Write the module as ONNX in one file, for any number of rows.

    With `columns`, whose product of the example's inner shape they must be, it takes a table with these columns; without,
    rows shaped like the example's. Raises where its control flow depends on the data, or an operator has no equivalent.
    """
    torch = library()
    ready, inputs = _ready(module, example)
    if columns is not None:
        inputs, wrapped = _flat(ready, inputs, len(columns))
    else:
        wrapped = ready
    program = _exported(wrapped, inputs, "ONNX")
    try:
        with _quiet():
            converted = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=_OPSET,
                input_names=["input"],
                output_names=["output"],
                verbose=False,
            )
        model = converted.model_proto
    except Exception as error:
        raise _cannot(ready, "ONNX", why(error)) from error
    _plain(model, list(columns) if columns is not None else None)
    data = model.SerializeToString(deterministic=True)
    _check_agreement(wrapped, _OnnxRun(data), inputs, "ONNX")
    path.write_bytes(data)


def _flat(module: Any, inputs: Any, count: int) -> tuple[Any, Any]:
    """Return the inputs as a table, and the module as one that takes it."""
    torch = library()
    shape = tuple(inputs.shape[1:])
    if inputs[0].numel() != count:
        raise RegistryError(
            f"there are {count} columns, and a row of the example has {inputs[0].numel()} numbers",
            hint="name a column for each number of a row",
        )
    if len(shape) == 1:
        return inputs, module

    class Rows(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, table: Any) -> Any:
            return self.inner(table.reshape(-1, *shape))

    return inputs.reshape(len(inputs), -1), Rows().eval()


def _plain(model: Any, columns: list[str] | None) -> None:
    """Take out what the exporter noted of the source files, and number the inner names."""
    for part in (model.graph, *model.functions):
        del part.metadata_props[:]
        for node in part.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
    model.graph.doc_string, model.graph.name = "", "model"
    del model.metadata_props[:]
    renumber(model.graph)
    for key, value in {"task": "other", "columns": columns}.items():
        model.metadata_props.add(key=f"gitops_registry.{key}", value=json.dumps(value, ensure_ascii=False))


class _OnnxRun:
    """A converted graph, run once to see that it agrees."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def predict(self, table: Any) -> Any:
        found = self._session.run(None, {self._session.get_inputs()[0].name: table.numpy()})[0]
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found


# ── what storing has in common


def _ready(module: Any, example: Any) -> tuple[Any, Any]:
    """Return a copy of the module in evaluation mode on the CPU, and at least two rows of the example as its input.

    Of one row an exporter would take the number for a part of the shape.
    """
    torch = library()
    facts_of(module)
    try:
        ready = copy.deepcopy(module).cpu().eval()
    except Exception as error:  # hooks, and tensors that are no leaves
        raise RegistryError(
            f"{_name(module)} cannot be copied: {reason(error)}", hint="remove its hooks and parametrizations first"
        ) from error
    inputs = tensor(ready, example)
    if inputs.ndim < 1 or len(inputs) < 1:
        raise RegistryError("the example has no rows", hint="give a few rows of what the module predicts from")
    inputs = torch.cat([inputs, inputs])[: max(2, min(len(inputs), 16))]
    TorchModel(ready, "torchscript").predict(inputs)  # raises where the example does not fit the module
    return ready, inputs


def _words(module: Any, inputs: Any) -> Said:
    """Return what is written beside the program: the module's class, and the tensors that go in and come out."""
    torch = library()
    with torch.inference_mode():
        found = module(inputs)
    output = found[0] if isinstance(found, list | tuple) else found
    sides = [tuple(filter(None, [_column(name, value)])) for name, value in (("input", inputs), ("output", output))]
    return Said(_name(module), torch.__version__.partition("+")[0], sides[0], sides[1])


def _column(name: str, value: Any) -> Column | None:
    dtype = str(value.dtype).removeprefix("torch.")
    kind: Any = _TYPES.get(dtype) or _EXACTLY.get(dtype)
    exact: Any = dtype if dtype in _EXACTLY else None
    return Column(name=name, type=kind, dtype=exact, shape=(-1, *value.shape[1:])) if kind else None


def _check_agreement(module: Any, stored: Any, inputs: Any, what: str) -> None:
    """Raise unless the stored module answers as the module does, for another number of rows than the example's, too."""
    import numpy

    torch = library()
    for rows in (inputs, torch.cat([inputs, inputs[:1]])):
        try:
            wanted = TorchModel(module, "torchscript").predict(rows)
            found = stored.predict(rows)
        except Exception as error:  # onnxruntime's classes derive from Exception alone
            raise _cannot(module, what, f"it fails on {len(rows)} rows: {reason(error)}") from error
        if found.shape != wanted.shape or not numpy.allclose(
            found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True
        ):
            raise _cannot(
                module, what, "what was stored answers differently; does it use chance, or the number of rows?"
            )


def _cannot(module: Any, what: str, because: str) -> RegistryError:
    return RegistryError(
        f"{_name(module)} cannot be stored as {what}: {because}",
        hint="use tensor operators in place of Python that depends on the data, or wrap the part that is to be stored",
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' warnings, progress and printed graphs from the caller's terminal."""
    loggers = [
        logging.getLogger(name) for name in ("torch.export", "torch.onnx", "torch._export", "torch.fx", "onnxscript")
    ]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(StringIO()), contextlib.redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
