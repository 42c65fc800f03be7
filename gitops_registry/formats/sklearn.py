"""scikit-learn estimators, stored as skops: the Python original of a model.

A .skops file is a zip of a JSON tree and arrays. Reading it resolves only types that skops, the reviewed list
below or registry.yaml trust, all of them before the first is built, and never falls back to pickle.
"""

from __future__ import annotations

import importlib
import json
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.formats.estimator import EstimatorModel, facts_of
from gitops_registry.formats.loaded import Description, LoadedModel, Trust, Unreviewed, reason, shown
from gitops_registry.formats.trees import check_trees
from gitops_registry.manifest.facts import Framework

DEFAULT_TRUSTED_TYPES: tuple[str, ...] = (
    # Fitted trees, in forests and both kinds of gradient boosting. skops leaves them out because their node
    # indices are used unchecked, so a crafted file could crash the process; `trees.check_trees` does check.
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    # The search trees of nearest neighbours (chosen by itself for few columns) and their distances: arrays
    # and one number. Their indices are checked in the same place.
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    # Column types that ColumnTransformer and the encoders remember, and the rule that selected columns.
    "numpy.dtype",
    "numpy.number",
    "sklearn.compose._column_transformer.make_column_selector",
    # A dict with attribute access, which voting and stacking keep their estimators in.
    "sklearn.utils._bunch.Bunch",
    # Calibrated probabilities: an estimator and two floats.
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    # What a finished search remembers of how it searched: numbers and names.
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    # The optimisers of neural networks: arrays and learning rates.
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
)
"""Types scikit-learn's common estimators hold that skops does not trust by itself. Each holds data only."""

_TORCH_BRIDGE = "sklearn.externals.array_api_compat.torch"
_SCHEMA = "schema.json"
_LARGEST_RATIO = 200
_LARGEST_UNPACKED = 1 << 30


def skops_io() -> Any:
    """Return skops.io, imported without torch: two seconds that nobody needs who did not import it.

    skops looks through all of scikit-learn's packages, and one of them imports torch wherever it is installed.
    """
    if "skops.io" not in sys.modules and "torch" not in sys.modules:
        stub = ModuleType(_TORCH_BRIDGE)
        stub.__path__ = []
        sys.modules[_TORCH_BRIDGE] = stub
        try:
            importlib.import_module("skops.io")
        finally:
            sys.modules.pop(_TORCH_BRIDGE, None)
    return importlib.import_module("skops.io")


def save(estimator: Any, path: Path) -> None:
    """Write the fitted estimator as skops. Raises where skops cannot express a part of it."""
    io = skops_io()

    facts_of(estimator)
    try:
        # A 100-tree forest on 569 rows: stored 2,059 KB, read in 52 ms; deflated 233 KB, 55 ms. A ninth of the
        # bytes to push and pull for 3 ms; LZMA takes eight times as long to write for another tenth. Level 6, the
        # usual one, takes a third longer than level 3 for a twelfth of the bytes.
        io.dump(estimator, path, compression=zipfile.ZIP_DEFLATED, compresslevel=3)
    except OSError:
        raise
    except Exception as error:  # whatever an object's own __reduce__ or __getstate__ raises
        raise RegistryError(
            f"{type(estimator).__name__} cannot be stored as skops: {reason(error)}",
            hint="use scikit-learn's own transformers, without lambdas and local classes, or store ONNX alone",
        ) from error


def is_format(path: Path) -> bool:
    """True for a zip that holds skops' schema. Reads the directory of the zip only."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _SCHEMA in archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def untrusted(path_or_bytes: Path | bytes, trusted: Sequence[str] = ()) -> list[str]:
    """Return the types in the file that neither skops, the reviewed list nor `trusted` allows, sorted.

    Nothing is built and nothing imported on the file's behalf. Raises for a damaged file.
    """
    io = skops_io()

    data = _read(path_or_bytes)
    try:
        found = io.get_untrusted_types(data=data)
    except Exception as error:  # the file decides what skops stumbles over
        raise _damaged(path_or_bytes, error) from error
    return sorted(set(found) - set(DEFAULT_TRUSTED_TYPES) - set(trusted))


def describe(path: Path) -> Description:
    """Return what the schema in a .skops file says: the class of the estimator and the modules it needs. Nothing is built."""
    schema = _schema(path)
    modules = {"skops", *(str(name).partition(".")[0] for name in _modules(schema))}
    framework = Framework(name="scikit-learn") if "sklearn" in modules else None
    return Description("skops", str(schema.get("__class__", "")), framework, tuple(sorted(modules - {"builtins"})))


def _schema(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(BytesIO(_read(path))) as archive:
            found = json.loads(archive.read(_SCHEMA))
    except (KeyError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, RecursionError) as error:
        raise _damaged(path, error) from error
    if not isinstance(found, dict):
        raise _damaged(path, ValueError("its schema is no mapping"))
    return found


def _modules(schema: Any) -> Iterator[str]:
    """Yield the module of every object that a schema describes."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("__module__"), str):
                yield node["__module__"]
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def load(path: Path, trust: Trust = Trust()) -> LoadedModel:  # noqa: B008 - a frozen value
    """Return the estimator in a .skops file, ready to predict.

    Raises Unreviewed before anything is built if the file holds a type that is not trusted (`untrusted`), and for
    damaged files, trees whose indices lead out of their arrays, and objects that are no fitted estimator.
    """
    io = skops_io()
    from skops.io.exceptions import UntrustedTypesFoundException

    data = _read(path)
    try:
        estimator = io.loads(data, trusted=[*DEFAULT_TRUSTED_TYPES, *trust.types])
        check_trees(estimator)
    except UntrustedTypesFoundException as error:  # raised by the audit, which precedes all building
        refused = [shown(name) for name in untrusted(data, trust.types)]
        raise Unreviewed(
            f"{path.name} holds types that nobody has reviewed: {', '.join(refused[:20])}",
            hint="review them; add those you trust to trusted_types in registry.yaml, and commit it",
        ) from error
    except Exception as error:  # the file decides what skops and the estimators' __setstate__ stumble over
        raise _damaged(path, error) from error
    return EstimatorModel(estimator, facts_of(estimator)[0], "skops")


def load_pickle(path: Path) -> LoadedModel:
    """Return the estimator in a .pkl, .pickle or .joblib file. THIS RUNS CODE FROM THE FILE.

    Only for a file whose maker the user has said to trust, in so many words; nothing here can check it.
    """
    import joblib

    try:
        estimator = joblib.load(path)
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {reason(error)}", hint="check the path") from error
    except Exception as error:  # unpickling can raise anything
        raise RegistryError(
            f"{path.name} cannot be unpickled here: {reason(error)}",
            hint="it needs the packages and versions it was written with, or it is damaged",
        ) from error
    return EstimatorModel(estimator, facts_of(estimator)[0], "skops")


def _read(path_or_bytes: Path | bytes) -> bytes:
    """Return the bytes of a skops file that is a readable zip and does not unpack to a flood."""
    try:
        data = path_or_bytes if isinstance(path_or_bytes, bytes) else path_or_bytes.read_bytes()
    except OSError as error:
        raise RegistryError(f"cannot read {path_or_bytes!s}: {error.strerror}", hint="check the path") from error
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged(path_or_bytes, error) from error
    if unpacked > _LARGEST_UNPACKED and unpacked > _LARGEST_RATIO * len(data):
        raise _damaged(path_or_bytes, ValueError(f"{len(data)} bytes unpack to {unpacked}"))
    return data


def _damaged(source: Path | bytes, error: Exception) -> RegistryError:
    name = "the data" if isinstance(source, bytes) else source.name
    return RegistryError(
        f"{name} is not a readable skops file: {reason(error)}",
        hint="the file is damaged, or was written with newer versions of skops or scikit-learn",
    )
