"""A module of torch's that is ready to predict, whichever format it was stored in: tables in, NumPy arrays out."""

from __future__ import annotations

import math
import os
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.formats.torch_archive import library, why
from gitops_registry.manifest.columns import Column
from gitops_registry.manifest.parts import Task

_MOST_THREADS = 4
_DTYPES = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"}


class TorchModel:
    """A module behind the interface of `LoadedModel`. It predicts scores; what they mean is not in the module."""

    task: Task = "other"
    labels: list[Any] | None = None

    def __init__(self, module: Any, format: str, *, inputs: tuple[Column, ...] = ()) -> None:  # noqa: A002
        self.format = format
        self.native = module
        self._input = inputs[0] if len(inputs) == 1 else None
        torch = library()
        # A server runs several predictions at once; torch's number is one for the whole process, so it only shrinks.
        if torch.get_num_threads() > _MOST_THREADS:
            torch.set_num_threads(min(_MOST_THREADS, os.cpu_count() or 1))

    @property
    def takes(self) -> tuple[str, tuple[int, ...] | None]:
        """The type of the tensor that it takes, as torch calls it, and its shape, -1 for any length; None where nobody knows."""
        return _dtype(self.native, self._input), self._input.shape if self._input else None

    def predict(self, table: Any) -> Any:
        """Return the module's output for each row: (n,) where it is one number, else (n, k) or the shape it has.

        A DataFrame's columns are taken in their order, all of them; where the input's shape is known and the columns are
        as many as its product, the rows are given that shape.
        """
        torch = library()
        values = tensor(self.native, table, self._input)
        try:
            with torch.inference_mode():
                found = self.native(values)
        except Exception as error:  # a program fails with whatever its operators raise
            raise RegistryError(
                f"the model cannot predict from this data: {why(error)}",
                hint="compare the data's shape and types with the input the module was made for",
            ) from error
        return _rows(found, len(values))

    def predict_proba(self, table: Any) -> Any | None:  # noqa: ARG002
        return None


def _rows(found: Any, rows: int) -> Any:
    """Return a module's output as an array with one entry for each row."""
    torch = library()
    if isinstance(found, list | tuple) and len(found) == 1:
        found = found[0]
    if not isinstance(found, torch.Tensor):
        raise RegistryError(
            f"the model returns a {type(found).__name__}, not one tensor", hint="wrap the module so that it returns one"
        )
    if found.ndim == 0 or len(found) != rows:
        raise RegistryError(
            f"the model returns shape {tuple(found.shape)} for {rows} rows",
            hint="its first dimension must be that of the rows; was it traced for another number of them?",
        )
    found = found.detach().cpu()
    array = (found.float() if found.dtype == torch.bfloat16 else found.resolve_conj().resolve_neg()).numpy()
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def tensor(module: Any, table: Any, known: Column | None = None) -> Any:
    """Return a table, array or tensor as what the module takes: of the known input's type and shape, or of its weights' type."""
    torch = library()
    if isinstance(table, torch.Tensor):
        return table.detach().cpu()
    array = _numbers(table)
    name = _dtype(module, known)
    if not name.startswith(("float", "bfloat", "complex")) and not (
        (array == array.round()).all() if array.dtype.kind == "f" else True
    ):
        raise RegistryError(f"the model takes {name}, and the data has fractions", hint="give whole numbers")
    array = _shaped(array, known)
    return torch.from_numpy(array).to(getattr(torch, name))


def _numbers(table: Any) -> Any:
    import numpy

    if hasattr(table, "columns"):
        for name, dtype in zip(table.columns, table.dtypes, strict=True):
            if getattr(dtype, "kind", "O") not in "biuf":
                raise RegistryError(
                    f"column {str(name)!r} of type {dtype} cannot go into a torch model",
                    hint="give the model numbers only",
                )
        has_missing = any(getattr(dtype, "kind", "O") == "f" for dtype in table.dtypes) or bool(
            table.isna().any().any()
        )
        array = table.to_numpy(dtype="float64", na_value=numpy.nan) if has_missing else table.to_numpy()
    else:
        array = numpy.asarray(table)
    if array.dtype.kind not in "biuf" or array.ndim < 1:
        raise RegistryError("the data is no table of numbers", hint="give a DataFrame or an array of numbers")
    return numpy.ascontiguousarray(array)


def _dtype(module: Any, known: Column | None) -> str:
    if known is not None and known.type in _DTYPES:
        return known.dtype or _DTYPES[known.type]
    first = next(iter(module.parameters()), None) if hasattr(module, "parameters") else None
    return str(first.dtype).removeprefix("torch.") if first is not None else "float32"


def _shaped(array: Any, known: Column | None) -> Any:
    shape = known.shape if known is not None else None
    if shape is None or array.ndim == 0:
        return array
    inner = tuple(shape[1:])
    if array.ndim == 2 and len(inner) != 1 and -1 not in inner and math.prod(inner) == array.shape[1]:
        return array.reshape(len(array), *inner)
    fits = array.ndim == len(shape) and all(want in {-1, has} for want, has in zip(inner, array.shape[1:], strict=True))
    if not fits:
        raise RegistryError(
            f"the model takes rows of shape {inner}, not {tuple(array.shape[1:])}",
            hint="compare the data's columns with the input the module was made for",
        )
    return array
