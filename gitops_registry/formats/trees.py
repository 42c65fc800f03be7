"""A check of the index arrays inside fitted trees, which scikit-learn follows without checking them.

A reader that checks types cannot see a child or column number that leads out of its array; a crafted file could
so make the process read foreign memory at the first prediction (scikit-learn pull request 34558).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_UNLIMITED = 1 << 62
_ENSEMBLES = ("sklearn.ensemble._forest", "sklearn.ensemble._gb", "sklearn.ensemble._iforest")


def check_trees(estimator: Any) -> None:
    """Raise ValueError where an index of a tree inside the estimator leads out of its array, or backwards.

    Children must come after their parent, as scikit-learn's builders place them, so no walk is endless. A
    node's column is compared with what the tree, its owner and the forest round it accept as input.
    """
    for found, columns in _trees(estimator):
        kind = type(found).__name__
        if kind == "Tree":
            nodes = found.__getstate__()["nodes"]
            left, right, feature = nodes["left_child"], nodes["right_child"], nodes["feature"]
            _check_splits(left, right, feature, is_split=left != -1, columns=min(columns, found.n_features))
        elif kind == "TreePredictor":
            nodes = found.nodes
            is_split = nodes["is_leaf"] == 0
            left, right = nodes["left"].astype("i8"), nodes["right"].astype("i8")
            _check_splits(left, right, nodes["feature_idx"], is_split=is_split, columns=columns)
            sets = nodes["bitset_idx"][is_split & (nodes["is_categorical"] != 0)]
            if (sets >= len(found.raw_left_cat_bitsets)).any():
                raise ValueError("a tree's categories lead out of their table")
        else:
            _check_search_tree(found)


def _trees(estimator: Any) -> Iterator[tuple[Any, int]]:
    """Yield every tree reachable from the estimator with the number of columns its owner accepts."""
    seen: set[int] = set()
    waiting: list[tuple[Any, int, bool]] = [(estimator, _UNLIMITED, False)]
    while waiting:
        found, columns, in_ensemble = waiting.pop()
        if id(found) in seen or isinstance(found, (str, bytes, int, float, type(None))):
            continue
        seen.add(id(found))
        kind = f"{type(found).__module__}.{type(found).__name__}"
        if kind.endswith((".Tree", ".TreePredictor", ".KDTree", ".BallTree")) and kind.startswith("sklearn."):
            yield found, columns
            continue
        children: list[Any] = []
        if isinstance(found, dict):
            children = list(found.values())
        elif isinstance(found, (list, tuple, set)):
            children = list(found)
        elif getattr(getattr(found, "dtype", None), "kind", "") == "O" and hasattr(found, "ravel"):
            children = list(found.ravel())
        elif isinstance(attributes := getattr(found, "__dict__", None), dict):
            children = list(attributes.values())
            own = attributes.get("n_features_in_")
            if isinstance(own, int):
                columns = min(own, columns) if in_ensemble else own
            in_ensemble = kind.startswith(_ENSEMBLES)
        waiting.extend((child, columns, in_ensemble) for child in children)


def _check_splits(left: Any, right: Any, feature: Any, *, is_split: Any, columns: int) -> None:
    index = is_split.nonzero()[0]
    for child in (left[index], right[index]):
        if (child <= index).any() or (child >= len(left)).any():
            raise ValueError("a tree's child leads out of the tree")
    if (feature[index] < 0).any() or (feature[index] >= columns).any():
        raise ValueError("a tree asks for a column the model does not have")


def _check_search_tree(tree: Any) -> None:
    """Check a KDTree or BallTree: node i has the children 2i + 1 and 2i + 2, and a range of `idx_array`."""
    data, order, nodes, bounds = tree.get_arrays()
    rows, count = len(data), len(nodes)
    start, end = nodes["idx_start"], nodes["idx_end"]
    is_wrong = (
        len(order) != rows
        or ((order < 0) | (order >= rows)).any()
        or ((start < 0) | (start > end) | (end > rows)).any()
        or (nodes["is_leaf"][max(0, (count - 1) // 2) :] == 0).any()
        or bounds.shape[1:] != (count, data.shape[1])
        or tree.__getstate__()[6] != count
    )
    if is_wrong:
        raise ValueError("a search tree's index leads out of its array")
