"""Parameters of prediction: what a model takes beside its rows, each with its type and its default."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.columns import Parameter, Signature, fits_type
from gitops_registry.signature.dtypes import type_of_class, type_of_values


def parameters_of(signature: Signature, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter of a signature with its value, in the signature's order: the given one, else its default.

    Integers pass for double and float, and whole numbers for integer and long; a datetime is one of Python's or ISO 8601
    text; a list is given for a shape of [-1]. None is taken where it is the default. Raises RegistryError that names every
    parameter that is unknown or of another type.
    """
    known = {parameter.name: parameter for parameter in signature.parameters}
    problems = [f"parameter {name!r} is none that the model knows" for name in given if name not in known]
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        value = _plain(given.get(name, parameter.default))
        values[name] = value
        if name in given and not _fits(parameter, value):
            kind = parameter.type if parameter.shape is None else f"a list of {parameter.type}"
            problems.append(f"parameter {name!r} must be {kind}, not {value!r:.60}")
    if problems:
        hint = (
            f"it takes {', '.join(f'{one.name} ({one.type})' for one in known.values())}" if known else "it takes none"
        )
        raise RegistryError("; ".join(problems), hint=hint)
    return values


def inferred(defaults: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return parameters from their defaults. Raises RegistryError where a default says no type."""
    found = []
    for name, default in defaults.items():
        value = _plain(default)
        is_list = isinstance(value, list)
        kind = type_of_values(value) if is_list else type_of_class(type(value))
        if kind is None or (is_list and not value):
            raise RegistryError(
                f"parameter {name!r} has a default that says no type: {value!r:.60}",
                hint="give a number, a boolean, text, or a list of these",
            )
        text = value.isoformat() if isinstance(value, datetime) else value
        found.append(
            Parameter(name=name, type=kind, default=tuple(text) if is_list else text, shape=(-1,) if is_list else None)
        )
    return tuple(found)


def _plain(value: Any) -> Any:
    """Return NumPy's scalars and arrays as Python's, and a tuple as a list."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _fits(parameter: Parameter, value: Any) -> bool:
    if value is None:
        return parameter.default is None
    if parameter.shape is None:
        return fits_type(parameter.type, value)
    return isinstance(value, list) and all(fits_type(parameter.type, one) for one in value)
