"""An MLflow model folder around a version's model: its own flavor (onnx or sklearn) for those, and `python_function`.

MLflow's own function for ONNX gives a graph flat columns and takes flat answers, which graphs of classifiers are not; so
`python_function` is the module that lies in `code`. It compares the SHA-256 first. Nothing in the folder is a pickle.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.exports.carrying import MODULE, Carried, about_bytes, carried
from gitops_registry.exports.subject import Subject, Written
from gitops_registry.formats.loaded import reason
from gitops_registry.manifest.columns import Column, Parameter, Signature

PROBABILITIES = "probabilities"
"""The parameter of prediction that asks for a table with the probabilities, too."""

_NUMPY = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64", "string": "str",
    "binary": "bytes", "datetime": "datetime64[ns]",
}  # fmt: skip
_LARGEST_EXAMPLE = 1 << 20


def write(subject: Subject, target: Path) -> Written:
    """Write a folder that `mlflow.pyfunc.load_model` reads, and of ONNX and skops the flavor's own `load_model`.

    MLflow's flavor for torch unpickles whole modules: what torch's formats hold is read by `python_function` alone.

    Raises RegistryError without MLflow, and where MLflow cannot express the signature's types.
    """
    with _mlflow() as mlflow:
        model = carried(subject)
        notes = list(about_bytes(model))
        described = mlflow.models.Model(signature=_signature(subject, model, notes), metadata=_metadata(subject, model))
        data = f"data/{_FOLDER}"
        if model.artifact.format == "onnx":
            import onnx

            described.add_flavor(
                "onnx", onnx_version=onnx.__version__, data=f"{data}/{model.file}",
                providers=["CPUExecutionProvider"], onnx_session_options=None, code=None,
            )  # fmt: skip
        elif model.artifact.format == "skops":
            import sklearn

            described.add_flavor(
                "sklearn", pickled_model=f"{data}/{model.file}", sklearn_version=sklearn.__version__,
                serialization_format="skops", code=None, skops_trusted_types=list(model.said["trusted_types"]),
            )  # fmt: skip
        _save(mlflow, subject, model, described, target, notes)
    notes.append("stages, aliases and evaluations stay in the registry: MLflow keeps them in its own")
    return Written(target, tuple(notes))


_FOLDER = "model"


def _save(mlflow: Any, subject: Subject, model: Carried, described: Any, target: Path, notes: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder:
        source = Path(folder) / _FOLDER
        source.mkdir()
        model.write(source)
        module = model.write_module(Path(folder))
        try:
            mlflow.pyfunc.save_model(
                path=str(target), loader_module=MODULE, data_path=str(source), code_paths=[str(module)],
                mlflow_model=described, input_example=_example(subject, notes),
                pip_requirements=[f"mlflow=={mlflow.__version__}", *_needed(model)],
            )  # fmt: skip
        except Exception as error:  # MLflow's own classes, and whatever it stumbles over
            raise RegistryError(
                f"MLflow cannot save {subject.reference}: {reason(error)}",
                hint=f"get the files themselves: gitops-registry pull {subject.reference}",
            ) from error


def _needed(model: Carried) -> list[str]:
    """Return what must be installed; MLflow's reader of ONNX wants onnx, too."""
    from importlib.metadata import version

    return [*model.requirements, *([f"onnx=={version('onnx')}"] if model.artifact.format == "onnx" else [])]


@contextmanager
def _mlflow() -> Iterator[Any]:
    """Yield MLflow, quiet: what it warns of is said in our words."""
    import logging
    import os

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import mlflow
        import mlflow.pyfunc
    except ImportError as error:
        raise RegistryError(
            "an MLflow model folder needs MLflow", hint="pip install 'gitops-registry[mlflow]'"
        ) from error
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield mlflow
    finally:
        logger.setLevel(before)


def _metadata(subject: Subject, model: Carried) -> dict[str, Any]:
    told = {
        "model": subject.reference.name,
        "version": subject.reference.number,
        "commit": subject.commit,
        "registry": subject.home,
        "sha256": model.artifact.sha256,
    }
    return {f"gitops_registry.{key}": value for key, value in told.items() if value}


# ── the signature


def _signature(subject: Subject, model: Carried, notes: list[str]) -> Any:
    from mlflow.exceptions import MlflowException
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ParamSchema

    ours = subject.version.signature
    if ours is None or not ours.inputs:
        notes.append("it has no signature, so MLflow checks nothing of what it is given")
        return None
    names = {one.name for one in ours.parameters}
    wanted = list(ours.parameters)
    if model.said["probabilities"] and PROBABILITIES not in names:
        wanted.append(Parameter(name=PROBABILITIES, type="boolean", default=False))
    if names:
        notes.append(f"parameters are in the signature, and the model does not use them: {', '.join(sorted(names))}")
    notes.extend(_unsaid(ours))
    try:
        params = [_parameter(one) for one in wanted]
        return ModelSignature(
            inputs=_schema(ours.inputs), outputs=_schema(ours.outputs), params=ParamSchema(params) if params else None
        )
    except (MlflowException, ValueError, TypeError, OverflowError) as error:
        raise RegistryError(
            f"MLflow has no words for the signature of {subject.reference}: {reason(error)}",
            hint=f"get the files themselves: gitops-registry pull {subject.reference}",
        ) from error


def _schema(columns: tuple[Column, ...]) -> Any:
    """Return columns as MLflow's schema: of columns, or, where one has a shape, of tensors, for it mixes the two nowhere."""
    import numpy
    from mlflow.types.schema import ColSpec, DataType, Schema, TensorSpec

    if not columns:
        return None
    if any(column.shape for column in columns):
        return Schema(
            [
                TensorSpec(numpy.dtype(column.dtype or _NUMPY[column.type]), column.shape or (-1,), column.name)
                for column in columns
            ]
        )
    return Schema(
        [
            ColSpec(getattr(DataType, column.type), column.name, required=column.required)
            for column in columns
        ]
    )  # fmt: skip


def _parameter(one: Parameter) -> Any:
    from mlflow.types.schema import DataType, ParamSpec

    default = list(one.default) if isinstance(one.default, tuple) else one.default
    return ParamSpec(one.name, getattr(DataType, one.type), default, shape=one.shape)


def _unsaid(signature: Signature) -> Iterator[str]:
    """Yield what MLflow's signature has no words for."""
    limited = [c.name for c in signature.inputs if c.categories or c.minimum is not None or c.maximum is not None]
    if limited:
        yield f"MLflow checks no minimum, maximum or categories: {_some(limited)}"
    present = [c.name for c in signature.inputs if c.required and c.nullable]
    if present:
        yield f"MLflow has no word for a column that must be there and may have missing values: {_some(present)}"


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


# ── the example


def _example(subject: Subject, notes: list[str]) -> Any:
    """Return the rows of the artifact `input_example` as a table; None where there is none, or it is no table."""
    import pandas

    artifact = next(
        (a for a in subject.version.artifacts if a.name == "input_example" and a.name in subject.files), None
    )
    if artifact is None or artifact.size > _LARGEST_EXAMPLE:
        return None
    path = subject.files[artifact.name]
    try:
        if artifact.file.endswith(".csv"):
            return pandas.read_csv(path)
        if artifact.file.endswith(".parquet"):
            return pandas.read_parquet(path)
        told = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(told, dict) and "columns" in told and "data" in told:
            return pandas.DataFrame(told["data"], columns=told["columns"])
        return pandas.DataFrame([told] if isinstance(told, dict) and not _is_columns(told) else told)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, OSError, ImportError):
        notes.append(f"{artifact.file} was left out: it is no table")
        return None


def _is_columns(told: dict[str, Any]) -> bool:
    return all(isinstance(values, list) for values in told.values())
