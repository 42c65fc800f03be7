"""What state a pickled model may give its objects without anybody's word.

Most are named attributes, which a class takes over as they are. Looked at more closely are those that would make an
object call a function, open a file, or follow an index that nothing checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gitops_registry.formats.pickle_calls import RANDOM_STATE, is_reviewed
from gitops_registry.formats.pickle_reviewed import DISTANCES, INSTANCES, SPARSE, WRAPPER
from gitops_registry.formats.pickle_values import Array, Dtype, Items, Made, Named, Refused, shape_of

_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]{0,39}")
_SPARSE = {"_shape", "data", "indices", "indptr"}
_SPARSE_MARKS = {
    "_has_canonical_format",
    "_has_sorted_indices",
    "has_canonical_format",
    "has_sorted_indices",
    "maxprint",
}
_FIELDS_BEFORE_1_2 = frozenset({"allow_mmap", "dtype", "order", "shape", "subclass"})
_FIELDS = _FIELDS_BEFORE_1_2 | {"numpy_array_alignment_bytes"}


def build(made: Any, state: Any) -> None:
    """Give the object its state. Raises Refused where nobody has reviewed such a state."""
    if isinstance(made, (Array, Dtype)):
        made.build(state)
        return
    if not isinstance(made, Made) or made.is_built:
        raise Refused("it gives a state to what has one already, or to what takes none")
    made.is_built = True
    if made.name == WRAPPER:  # the machine looks at what it describes
        made.hold(state)
        return
    if not made.is_free:
        _STATES.get(made.name, _attributes)(made, state)
    made.keep(state)


def described(state: Any) -> tuple[tuple[int, ...], Dtype, Any]:
    """Return the shape and dtype in joblib's description of an array, and to what its content is aligned, or None."""
    found = state.attributes() if isinstance(state, Items) else {}
    dtype, kind = found.get("dtype"), found.get("subclass")
    is_known = (found.keys() == _FIELDS or found.keys() == _FIELDS_BEFORE_1_2) and found["order"] in {"C", "F"}
    is_plain = isinstance(kind, Named) and kind.name == "numpy.ndarray"
    if not is_known or not is_plain or not isinstance(dtype, Dtype) or not dtype.is_ready:
        raise Refused("an array of joblib's in it is of no reviewed kind")
    return shape_of(found["shape"]), dtype, found.get("numpy_array_alignment_bytes")


def _attributes(made: Made, state: Any) -> None:
    """Check the state of an instance: named attributes, which the class takes over as they are."""
    found = state.attributes() if isinstance(state, Items) else None
    if made.name not in INSTANCES or found is None or "\n__" in "\n" + "\n".join(found):
        raise Refused(f"it gives {made.name} a state of no reviewed kind")
    version = found.get("_sklearn_version", "0")  # scikit-learn prints it where it is not its own
    if type(version) is not str or not _VERSION.fullmatch(version):
        raise Refused("it names a version of scikit-learn that is none")
    if "_sklearn_version" in found:
        made.version = version


def _text_features(made: Made, state: Any) -> None:
    """Check that texts are counted as they are given: the other kinds of input open files."""
    _attributes(made, state)
    if state.attributes().get("input") != "content":
        raise Refused(f"its {made.name} opens files")


def _function(made: Made, state: Any) -> None:
    """Check that a FunctionTransformer only passes its columns on, or calls what somebody else must trust by name.

    It calls its function with any arguments that the file chooses.
    """
    _attributes(made, state)
    found = state.attributes()
    for function in (found.get("func", 0), found.get("inverse_func", 0)):
        is_named = isinstance(function, Named) and not is_reviewed(function.name)
        if function is not None and not is_named and not (isinstance(function, Made) and function.is_free):
            raise Refused("its FunctionTransformer calls a function that is reviewed as data only")


def _sparse(made: Made, state: Any) -> None:
    """Check that a sparse matrix has its arrays and nothing that could stand for its methods."""
    _attributes(made, state)
    found = state.attributes()
    is_known = found.keys() - _SPARSE_MARKS == _SPARSE and len(shape_of(found["_shape"])) == 2
    if not is_known or not all(isinstance(found[name], Array) for name in _SPARSE - {"_shape"}):
        raise Refused(f"it gives {made.name} a state of no reviewed kind")


def _tuple(length: int) -> Callable[[Made, Any], None]:
    def check(made: Made, state: Any) -> None:
        if not isinstance(state, Items) or state.kind != "tuple" or state.count != length:
            raise Refused(f"it gives {made.name} a state of no reviewed kind")

    return check


def _nodes(made: Made, state: Any) -> None:
    """Check that a tree is given arrays; it compares their layouts itself, and `trees.check_trees` their indices."""
    found = state.attributes() if isinstance(state, Items) else {}
    if not isinstance(found.get("nodes"), Array) or not isinstance(found.get("values"), Array):
        raise Refused(f"it gives {made.name} a state of no reviewed kind")


def _minkowski(made: Made, state: Any) -> None:
    _tuple(3)(made, state)
    if not isinstance(state.parts[1], Array) or state.parts[1].shape != (0,):
        raise Refused("it weights a distance, and nothing checks how many columns it weights")


def _generator_state(made: Made, state: Any) -> None:
    """Check the state of a random generator, whose position in its numbers is used unchecked."""
    if isinstance(state, Items) and state.kind == "tuple" and state.count == 2:
        state = state.parts[0]
    found = state.attributes() if isinstance(state, Items) else {}
    inner = found.get("state")
    numbers = inner.attributes() if isinstance(inner, Items) else {}
    is_mersenne = found.get("bit_generator") == "MT19937"
    position = numbers.get("pos", -1)
    is_sound = type(position) is int and 0 <= position <= 624 if is_mersenne else made.name != RANDOM_STATE
    if not numbers or not is_sound or is_mersenne == made.name.endswith("PCG64"):
        raise Refused(f"it gives {made.name} a state of no reviewed kind")


_STATES: dict[str, Callable[[Made, Any], None]] = {
    "numpy.random._mt19937.MT19937": _generator_state,
    "numpy.random._pcg64.PCG64": _generator_state,
    RANDOM_STATE: _generator_state,
    "numpy.random.bit_generator.SeedSequence": _tuple(5),
    **dict.fromkeys(SPARSE, _sparse),
    "sklearn.feature_extraction.text.CountVectorizer": _text_features,
    "sklearn.feature_extraction.text.HashingVectorizer": _text_features,
    "sklearn.feature_extraction.text.TfidfVectorizer": _text_features,
    "sklearn.metrics._dist_metrics.MinkowskiDistance64": _minkowski,
    "sklearn.neighbors._ball_tree.BallTree": _tuple(13),
    "sklearn.neighbors._kd_tree.KDTree": _tuple(13),
    "sklearn.preprocessing._function_transformer.FunctionTransformer": _function,
    "sklearn.tree._tree.Tree": _nodes,
    **{name: _tuple(3) for name in DISTANCES if not name.endswith("MinkowskiDistance64")},
}
