"""Errors of ours as MLflow's: one exception, whose error code says what a caller can do about it.

What the rules refuse, and what became a proposal instead, is PERMISSION_DENIED: the call changed nothing that is decided. What
somebody else's writing prevented may be tried again (TEMPORARILY_UNAVAILABLE).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes

from gitops_registry.deciding import Outcome
from gitops_registry.errors import Conflict, Damaged, ManifestError, Moved, NotFound, RegistryError

INVALID = codes.INVALID_PARAMETER_VALUE
ABSENT = codes.RESOURCE_DOES_NOT_EXIST
EXISTS = codes.RESOURCE_ALREADY_EXISTS

C = TypeVar("C", bound=Callable[..., Any])

_CODES: tuple[tuple[type[RegistryError], int], ...] = (
    (Moved, codes.TEMPORARILY_UNAVAILABLE), (Conflict, codes.PERMISSION_DENIED), (NotFound, ABSENT),
    (Damaged, codes.DATA_LOSS), (ManifestError, INVALID), (RegistryError, INVALID),
)  # fmt: skip


def refuse(message: str, code: int = INVALID) -> NoReturn:
    """Raise MLflow's exception."""
    raise MlflowException(message, error_code=code)


def no_model(name: str) -> NoReturn:
    """Raise what MLflow says of a model that is not there."""
    refuse(f"Registered Model with name={name} not found", ABSENT)


def no_version(name: str, version: Any) -> NoReturn:
    """Raise what MLflow says of a version that is not there."""
    refuse(f"Model Version (name={name}, version={version}) not found", ABSENT)


@contextmanager
def told_to_mlflow() -> Iterator[None]:
    """Raise what is wrong here as MLflow's exception, in one line with the hint.

    What nobody foresaw (a name that is a number, a disk that is full) is INTERNAL_ERROR, as MLflow's own store says it.
    """
    try:
        yield
    except MlflowException:
        raise
    except RegistryError as error:
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        hint = f" ({error.hint})" if error.hint else ""
        raise MlflowException(f"{error.message}{hint}", error_code=code) from error
    except Exception as error:
        told = (str(error).splitlines() or [""])[0]
        raise MlflowException(f"{type(error).__name__}: {told}", error_code=codes.INTERNAL_ERROR) from error


@contextmanager
def names_are_taken() -> Iterator[None]:
    """Raise a conflict about a name as MLflow does: it exists already."""
    try:
        yield
    except Conflict as error:
        raise MlflowException(f"{error.message} ({error.hint})", error_code=EXISTS) from error


def in_mlflows_words(call: C) -> C:
    """Return a method that raises MLflow's exceptions instead of ours."""

    @wraps(call)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        with told_to_mlflow():
            return call(*arguments, **named)

    return wrapped  # type: ignore[return-value]


def insist(outcome: Outcome) -> Outcome:
    """Return what became of a change where it is decided; raise what stands in its way, or where it waits."""
    if outcome.is_refused:
        first = outcome.refusals[0]
        more = f"; and {len(outcome.refusals) - 1} more" if len(outcome.refusals) > 1 else ""
        hint = f" ({first.hint})" if first.hint else ""
        raise MlflowException(
            f"{outcome.subject}: {first.rule}: {first.message}{hint}{more}",
            error_code=codes.PERMISSION_DENIED, rule=first.rule,
        )  # fmt: skip
    if outcome.request is not None:
        raise MlflowException(
            f"{outcome.subject} is not done: this registry takes changes of MLflow as proposals, and it waits in pull request "
            f"{outcome.request.number}, {outcome.request.url}",
            error_code=codes.PERMISSION_DENIED, proposal=outcome.proposal, pull_request=outcome.request.url,
        )  # fmt: skip
    if outcome.proposal is not None:
        raise MlflowException(
            f"{outcome.subject} is not done: this registry takes changes of MLflow as proposals, and it waits on the branch "
            f"{outcome.proposal} (gitops-registry merge {outcome.proposal})",
            error_code=codes.PERMISSION_DENIED, proposal=outcome.proposal,
        )  # fmt: skip
    return outcome
