"""What manifests are made of: the grammar of their fields, and the two classes every kind derives from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from gitops_registry.paths import name_problem


def _name(value: str) -> str:
    if problem := name_problem(value):
        raise ValueError(f"name {value!r} {problem}")
    return value


def _alias(value: str) -> str:
    if value.lower() == "latest" or value.lower().removeprefix("v").isdigit():
        raise ValueError(f"alias {value!r} is reserved: it would be read as a version")
    return _name(value)


def _branch(value: str) -> str:
    """The grammar of `git check-ref-format --branch`, less what a terminal cannot show."""
    parts = value.split("/")
    is_wrong = (
        value.startswith("-") or value == "@" or not value.isprintable() or any(sign in value for sign in " ~^:?*[\\")
        or ".." in value or "@{" in value or any(not p or p.startswith(".") or p.endswith((".", ".lock")) for p in parts)
    )  # fmt: skip
    if is_wrong:
        raise ValueError(f"branch {value!r} is no name that git takes for a branch")
    return value


def _file_name(value: str) -> str:
    if "/" in value or "\\" in value or value in {"", ".", ".."} or value.startswith("."):
        raise ValueError(f"file {value!r} must be a plain file name inside the version's folder")
    if not value.isprintable() or value != value.strip() or value.endswith("."):
        raise ValueError(f"file {value!a} must be a plain file name: no control characters, no space or dot at its end")
    if value.lower().endswith(".dvc") or value.lower() in {"version.yaml", "card.yaml", "evaluations"}:
        raise ValueError(f"file {value!r} is a name the registry uses itself")
    return value


def _release(value: str) -> str:
    """The grammar of https://semver.org, version 2.0.0, items 2, 9 and 10."""
    number, word = r"(0|[1-9]\d*)", r"[0-9A-Za-z-]+"
    if not re.fullmatch(rf"{number}\.{number}\.{number}(-{word}(\.{word})*)?(\+{word}(\.{word})*)?", value, re.ASCII):
        raise ValueError(f"release {value!r} is no semantic version; write it like 1.2.0")
    return value


def _unique(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(value)) != len(value):
        raise ValueError("a version is listed twice")
    return value


Name = Annotated[str, AfterValidator(_name)]
Branch = Annotated[str, StringConstraints(max_length=200), AfterValidator(_branch)]
Alias = Annotated[str, AfterValidator(_alias)]
FileName = Annotated[str, StringConstraints(max_length=255), AfterValidator(_file_name)]
Number = Annotated[int, Field(ge=1, le=999_999_999)]
Numbers = Annotated[tuple[Number, ...], AfterValidator(_unique)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Scalar = bool | int | Finite | str | None
Param = Scalar | tuple[Scalar, ...]
Release = Annotated[str, AfterValidator(_release)]
Text = Annotated[str, StringConstraints(max_length=100_000)]
LanguageTag = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
"""A language as in BCP 47, which pages and readers of screens know it by: en, ja, pt-BR."""
Permission = Literal["read", "write", "deploy", "delete", "administer", "attest"]
Task = Literal["binary-classification", "multiclass-classification", "regression", "other"]


P = TypeVar("P", bound="Part")


class Part(BaseModel):
    """A piece of a manifest. `flow` asks the writer for one line instead of a block."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, protected_namespaces=(), defer_build=True
    )
    flow: ClassVar[bool] = False


class Document(Part):
    """A whole file. `by_people` files name their JSON Schema, so that editors complete and check them."""

    by_people: ClassVar[bool] = False
    schema_name: ClassVar[str]


def plain(part: Part) -> dict[str, Any]:
    """Return a manifest as JSON-ready data: aliases of fields applied, datetimes as ISO strings, nothing left out."""
    return part.model_dump(mode="json", by_alias=True)


def of_plain(kind: type[P], data: Mapping[str, Any]) -> P:
    """Return the part that `plain` gave this data of. Raises ValueError for what is none."""
    return kind.model_validate_json(json.dumps(data), by_alias=True, by_name=False)
