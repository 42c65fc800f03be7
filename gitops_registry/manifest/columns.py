"""What goes into a model and what comes out: the parts of a signature, as version.yaml and people write them.

`type` is MLflow's name of a column's type. `dtype` is NumPy's name of it, and is written only where `type` does not say it
exactly (uint8 is an integer, too). Order of fields is the order in which they are written.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from gitops_registry.manifest.parts import Document, Finite, Param, Part, Scalar, Text

ColumnType = Literal["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"]
Dtype = Literal["int8", "int16", "uint8", "uint16", "uint32", "uint64", "float16"]
Bound = int | Finite
NUMBERS = frozenset({"integer", "long", "float", "double"})

_EXACTLY: dict[str, frozenset[str]] = {
    "integer": frozenset({"int8", "int16", "uint8", "uint16"}),
    "long": frozenset({"uint32", "uint64"}),
    "float": frozenset({"float16"}),
}


def fits_type(kind: ColumnType, value: Any) -> bool:
    """Whether a plain value may stand for a type: integers for floating-point ones, whole numbers for integers.

    A datetime is one of Python's, or text in ISO 8601.
    """
    if kind in NUMBERS:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_number = is_number and (isinstance(value, int) or math.isfinite(value))
        if kind in {"float", "double"} or not is_number:
            return is_number
        reach = 31 if kind == "integer" else 63
        return bool(value == value // 1 and -(2**reach) <= value < 2**reach)
    if kind == "datetime" and isinstance(value, str):
        try:
            return bool(datetime.fromisoformat(value))
        except ValueError:
            return False
    classes: dict[str, type] = {"boolean": bool, "string": str, "binary": bytes, "datetime": datetime}
    return isinstance(value, classes[kind])


class Column(Part):
    """One column or tensor, in or out.

    `required`: it must be there. `nullable`: its values may be missing; where nothing is said, they may in a column that is
    not required. `shape` is that of a tensor, -1 for any length; without it, one value for each row. `minimum` and
    `maximum` are allowed themselves; `categories` are all the values there may be.
    """

    flow: ClassVar[bool] = True
    name: Text
    type: ColumnType
    dtype: Dtype | None = None
    required: bool = True
    nullable: bool | None = None
    shape: Annotated[tuple[Annotated[int, Field(ge=-1)], ...], Field(max_length=16)] | None = None
    minimum: Bound | None = None
    maximum: Bound | None = None
    categories: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Column:
        if self.dtype is not None and self.dtype not in _EXACTLY.get(self.type, ()):
            raise ValueError(f"column {self.name!r}: {self.dtype} is no {self.type}")
        if (self.minimum is not None or self.maximum is not None) and self.type not in NUMBERS:
            raise ValueError(f"column {self.name!r} is a {self.type}, which has no minimum or maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"column {self.name!r} has a minimum above its maximum")
        if self.categories is not None:
            self._agree(self.categories)
        return self

    def _agree(self, categories: tuple[Scalar, ...]) -> None:
        if self.type in {"binary", "datetime"}:
            raise ValueError(f"column {self.name!r} is a {self.type}, which has no categories")
        for one in categories:
            is_large = self.dtype == "uint64" and type(one) is int and 0 <= one < 2**64
            if not fits_type(self.type, one) and not is_large:
                raise ValueError(f"column {self.name!r}: category {one!r:.40} is no {self.type}")
        if len(set(categories)) != len(categories):
            raise ValueError(f"column {self.name!r} lists a category twice")

    @property
    def may_be_missing(self) -> bool:
        """Whether values of it may be missing."""
        return not self.required if self.nullable is None else self.nullable


class Parameter(Part):
    """A parameter of prediction, such as a threshold: its type, what it is without a word, and -1 for a list of them."""

    flow: ClassVar[bool] = True
    name: Text
    type: ColumnType
    default: Param = None
    shape: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Parameter:
        if self.shape not in {None, (-1,)}:
            raise ValueError(
                f"parameter {self.name!r} has the shape {list(self.shape or ())}; write [-1] for a list, or nothing"
            )
        if self.default is None:
            return self
        if isinstance(self.default, tuple) != (self.shape is not None):
            raise ValueError(
                f"parameter {self.name!r}: a default that is a list goes with 'shape: [-1]', and with no other"
            )
        for one in self.default if isinstance(self.default, tuple) else (self.default,):
            if not fits_type(self.type, one):
                raise ValueError(f"parameter {self.name!r}: its default {one!r:.40} is no {self.type}")
        return self


class Signature(Part):
    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()
    parameters: tuple[Parameter, ...] = ()


class SignatureFile(Document):
    """A signature that people write, for `register --signature`: what goes into a model and what comes out."""

    schema_name: ClassVar[str] = "signature"
    kind: Literal["Signature"] = "Signature"
    schema_version: Literal[1] = 1
    inputs: Annotated[tuple[Column, ...], Field(min_length=1)]
    outputs: tuple[Column, ...] = ()
    parameters: tuple[Parameter, ...] = ()

    @model_validator(mode="after")
    def _names_once(self) -> SignatureFile:
        for side, parts in (("inputs", self.inputs), ("outputs", self.outputs), ("parameters", self.parameters)):
            names = [part.name for part in parts]
            twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
            if twice is not None:
                raise ValueError(f"{side} name {twice!r} twice")
        return self

    @property
    def signature(self) -> Signature:
        """What it says, as a version keeps it."""
        return Signature(inputs=self.inputs, outputs=self.outputs, parameters=self.parameters)
