"""The default-deny reader of pickles: what a file names and does, known before any of it happens.

`examine` walks the bytes without resolving a name. `opened` builds the model only if every name is reviewed or
trusted, from the very bytes that were examined, through an unpickler that gives out those names alone, in the order in
which the walk met them: were the two ever of different opinion about the bytes, the first name would show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.formats.estimator import EstimatorModel, facts_of
from gitops_registry.formats.loaded import Description, Trust, Unreviewed, reason, shown
from gitops_registry.formats.pickle_calls import is_reviewed
from gitops_registry.formats.pickle_machine import Machine
from gitops_registry.formats.pickle_stream import Stream, Walk
from gitops_registry.formats.pickle_values import Made, NotAPickle, Refused
from gitops_registry.formats.trees import check_trees
from gitops_registry.manifest.facts import Framework

LARGEST = 1 << 31
"""Bytes of a pickle, packed or not; a file is read into memory as a whole."""
_OWN = {"_codecs", "builtins", "copyreg"}
_MOST_SHOWN = 20

Resolve = Callable[[str, str], Any]
"""What an unpickler asks for a name in a module: its `find_class`."""


@dataclass(frozen=True)
class Pickled:
    """What a pickle names, nested ones included: `globals` as `module.name`, sorted, and their top-level `modules`.

    `root` is the class of the outermost object and `version` the version of scikit-learn it was written by; both are
    empty where it does not say. `order` is every use of a name, in the order in which a reader meets them. `arrays`: see `pickle_stream.Walk`.
    """

    globals: tuple[str, ...]
    modules: tuple[str, ...]
    root: str = ""
    version: str = ""
    order: tuple[str, ...] = ()
    arrays: tuple[tuple[int, int, int], ...] = ()

    def untrusted(self, trust: Trust) -> list[str]:
        """Return the names that are neither reviewed nor trusted, sorted."""
        return [name for name in self.globals if not is_reviewed(name) and name not in trust.types]


def examine(data: bytes, *, name: str = "the data", has_arrays: bool = False) -> Pickled:
    """Return what a pickle names; nothing is imported, resolved or called. `has_arrays`: read it as joblib does.

    Raises RegistryError for bytes that are no whole pickle, or are followed by others, and Unreviewed for those that do
    what no reviewed model needs, whoever is trusted: call a reviewed name in another way, ask their reader for objects,
    or hold more than its limits.
    """
    walk = Walk(len(data))
    try:
        root = _walked(data, walk, has_arrays=has_arrays)
    except NotAPickle as error:
        raise damaged(name, "joblib" if has_arrays else "pickle", error) from error
    except Refused as error:
        strange = sorted({found for found in walk.names if not is_reviewed(found)})
        beside = f" (and names {_listed(strange)})" if strange else ""
        raise Unreviewed(
            f"{name} is refused: {reason(error)}{beside}",
            hint="store the model as skops or ONNX, which hold data only",
        ) from error
    found = tuple(sorted(set(walk.names)))
    modules = tuple(sorted({name.partition(".")[0] for name in found} - _OWN))
    is_made = isinstance(root, Made)
    kind = root.name.rpartition(".")[2] if is_made else ""
    return Pickled(found, modules, kind, root.version if is_made else "", tuple(walk.names), tuple(walk.arrays))


def reads(data: bytes, *, has_arrays: bool = False) -> bool:
    """Say whether the bytes are one whole pickle, whatever it would do."""
    try:
        _walked(data, Walk(len(data)), has_arrays=has_arrays)
    except NotAPickle:
        return False
    except Refused:
        return True
    return True


def _walked(data: bytes, walk: Walk, *, has_arrays: bool) -> Any:
    stream = Stream(data)
    root = Machine(stream, walk, has_arrays=has_arrays).run()
    if not stream.is_at_end():
        raise NotAPickle(f"{len(data) - stream.at} bytes follow its end")
    return root


def read(path: Path) -> bytes:
    """Return the bytes of a file. Raises RegistryError for files that cannot be read, or are too large to hold."""
    try:
        if path.stat().st_size > LARGEST:
            raise RegistryError(f"{path.name} has more than {LARGEST >> 30} GiB", hint="store the model as ONNX")
        return path.read_bytes()
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror}", hint="check the path") from error


def described(kind: str, found: Pickled) -> Description:
    """Return what an examined file of a format says of itself."""
    framework = Framework(name="scikit-learn", version=found.version) if "sklearn" in found.modules else None
    return Description(kind, found.root, framework, found.modules)


def refuse_untrusted_format(kind: str, path: Path, trust: Trust) -> None:
    """Raise Unreviewed unless registry.yaml trusts the format."""
    if kind not in trust.formats:
        raise Unreviewed(
            f"{path.name} is in a format ({kind}) that can run code when it is opened, and registry.yaml does not trust it",
            hint=f"store the model as skops or ONNX, or add trusted_formats: [{kind}] to registry.yaml and commit it",
        )


def opened(kind: str, path: Path, found: Pickled, trust: Trust, unpickle: Callable[[Resolve], Any]) -> EstimatorModel:
    """Return the model that `unpickle` builds of the examined bytes, with the names it asks for.

    Raises Unreviewed before anything is built if a name is neither reviewed nor trusted, and RegistryError where the
    model does not fit the libraries here, or its indices lead out of its arrays.
    """
    if names := found.untrusted(trust):
        raise Unreviewed(
            f"{path.name} names what nobody has reviewed: {_listed(names)}",
            hint="review them; add those you trust to trusted_types in registry.yaml, and commit it",
        )
    try:
        estimator = unpickle(_resolver(found, trust))
        _check_sparse(estimator)
        check_trees(estimator)
        return EstimatorModel(estimator, facts_of(estimator)[0], kind)
    except RegistryError:
        raise
    except Exception as error:  # the file decides what its classes stumble over
        raise RegistryError(
            f"{path.name} cannot be opened here: {reason(error)}",
            hint="it needs the packages and versions it was written with, or it is damaged",
        ) from error


def damaged(name: str, kind: str, error: Exception) -> RegistryError:
    return RegistryError(
        f"{name} is not a readable {kind} file: {reason(error)}",
        hint="the file is damaged or renamed from another format; save the model again",
    )


def _listed(names: list[str]) -> str:
    return ", ".join(shown(name) for name in names[:_MOST_SHOWN]) + (", …" if len(names) > _MOST_SHOWN else "")


def _resolver(found: Pickled, trust: Trust) -> Resolve:
    """Return a `find_class` that gives out the examined names, each when it is its turn, and nothing else."""
    from gitops_registry.formats.pickle_reviewed import renamed

    turns: Iterator[str] = iter(found.order)

    def resolve(module: str, name: str) -> Any:
        full = renamed(module, name)
        if full != next(turns, None) or not (is_reviewed(full) or full in trust.types):
            raise Refused(f"{full} was not examined")
        home, _, own = full.rpartition(".")
        return getattr(import_module(home), own)

    return resolve


def _check_sparse(estimator: Any) -> None:
    """Raise ValueError where an index of a sparse matrix leads out of it: SciPy follows them unchecked."""
    import numpy

    for found in _sparse(estimator):
        arrays = {"i": (found.indices, found.indptr), "biufc": (found.data,)}
        if not all(_is_row(one, kinds) for kinds, some in arrays.items() for one in some):
            raise ValueError("a sparse matrix is not made of three arrays of numbers")
        found.check_format(full_check=True)
        # The library's own check passes over the rows where the last of them ends at 0.
        if (numpy.diff(found.indptr) < 0).any():
            raise ValueError("the rows of a sparse matrix overlap")


def _is_row(found: Any, kinds: str) -> bool:
    import numpy

    return type(found) is numpy.ndarray and found.ndim == 1 and found.dtype.kind in kinds


def _sparse(estimator: Any) -> Iterator[Any]:
    """Yield every compressed sparse matrix that is reachable from the estimator."""
    import numpy

    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, (str, bytes, int, float, type, type(None))):
            continue
        seen.add(id(found))
        if type(found).__module__.startswith("scipy.sparse."):
            yield found
        elif isinstance(found, dict):
            waiting.extend(found.values())
        elif isinstance(found, (list, tuple, set, frozenset)):
            waiting.extend(found)
        elif getattr(getattr(found, "dtype", None), "kind", "") == "O" and hasattr(found, "ravel"):
            waiting.extend(numpy.asarray(found).ravel())
        if not isinstance(found, type) and isinstance(attributes := getattr(found, "__dict__", None), dict):
            waiting.extend(attributes.values())
