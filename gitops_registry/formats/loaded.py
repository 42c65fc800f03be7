"""What is known of a model's file before it is opened, what every opened model can do, and who is trusted with what.

Also how a failing library's words become one line.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.columns import Column
from gitops_registry.manifest.facts import Framework
from gitops_registry.manifest.parts import Task

PARITY_FLOOR = 0.995
"""Share of rows on which a converted model must agree with the original to stand in for it."""


class Unreviewed(RegistryError):
    """A file is in a format, or holds types, that neither the reviewed list nor the caller trusts; nothing of it was built."""


class Unopened(RegistryError):
    """A folder of a kind that nothing here opens; no file of it was read as a model."""


@dataclass(frozen=True)
class Trust:
    """What registry.yaml trusts: types beyond the reviewed lists, and formats that could run code when they are opened."""

    types: tuple[str, ...] = ()
    formats: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Description:
    """What a model's file or folder says of itself, read without running or building anything of it.

    `modules` are the top-level Python modules that its bytes name, sorted. Of a folder that holds a model in another
    format, `inner` is that format and the file's path in the folder.
    """

    format: str
    model_type: str = ""
    framework: Framework | None = None
    modules: tuple[str, ...] = ()
    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    inner: tuple[str, str] | None = None


class LoadedModel(Protocol):
    """A model that is ready to predict. Prediction changes nothing in it, so threads may share one."""

    @property
    def format(self) -> str:
        """The name under which `formats.FORMATS` lists it."""
        ...

    @property
    def native(self) -> Any:
        """The library's own object: an estimator or an inference session."""
        ...

    @property
    def task(self) -> Task: ...

    @property
    def labels(self) -> list[Any] | None:
        """The classes in the order of the probabilities' columns; None for anything but a classifier."""
        ...

    def predict(self, table: Any) -> Any:
        """Return a label or a value for each row of a DataFrame or 2-D array, as a NumPy array.

        A DataFrame's columns are picked by name; more than the model needs are allowed.
        """
        ...

    def predict_proba(self, table: Any) -> Any | None:
        """Return rows x classes probabilities in the order of `labels`; None where the model has none."""
        ...


def lacking(missing: Sequence[object], there: Sequence[object]) -> RegistryError:
    """Return the error that names the columns a table lacks, with the one there that is close."""
    names = [str(name) for name in missing]
    what = "a column of the model" if len(names) == 1 else f"{len(names)} columns of the model"
    some = ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")
    close = difflib.get_close_matches(names[0], [str(name) for name in there], n=1)
    hint = f"is it {close[0]!r} there?" if close else "add what is missing"
    return RegistryError(f"the data lacks {what}: {some}", hint=hint)


def reason(error: BaseException) -> str:
    """Return the first line of what a library said, short enough for an error of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[0] if lines else type(error).__name__)


def shown(text: str) -> str:
    """Return text that a file may have chosen, cut to a line's length and without control characters."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text[:400])
    return text if len(text) <= 200 else text[:197] + "..."
