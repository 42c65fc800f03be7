"""Loading a registered model beside what its own library takes for the same file plus one SHA-256 of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from ground import FIRST, folder, in_turns, started, table, verdict

from gitops_registry.registry import Registry

TARGET = 1.15
FORESTS = {5: 31, 100: 25, 500: 11}
"""Trees → how often each side is measured."""


def main() -> None:
    """Print the table."""
    rows = []
    with folder() as there:
        for trees, times in FORESTS.items():
            root = there / str(trees)
            started(root, trees=trees)
            registry = Registry.open(root)
            files = {file.suffix[1:]: file for file in registry.pull(f"{FIRST}@1", to=there / f"files-{trees}")}
            for kind in ("onnx", "skops"):
                measures = {"bare": partial(timed, BARE[kind], files[kind])}
                measures |= {"registered": partial(timed, partial(registry.load, format=kind), f"{FIRST}@1")}
                found = in_turns(measures, times=times)
                ratio = found["registered"] / found["bare"]
                size = f"{files[kind].stat().st_size / 1e6:.2f} MB"
                rows.append([f"{kind}, {trees} trees, {size}", *(f"{value * 1000:.1f}" for value in found.values()), f"{ratio:.2f}", f"{TARGET:.2f}", verdict(ratio, TARGET)])  # fmt: skip
    table(
        "load: CPU milliseconds in one process, medians in turns; bare = the library's own load + SHA-256 of the file",
        ["model", "bare", "registered", "ratio", "target", ""],
        rows,
    )


def timed(load: Callable[[Any], Any], what: Any) -> float:
    """Return the CPU seconds of one load."""
    start = process_time()
    load(what)
    return process_time() - start


def hashed(file: Path) -> None:
    """Read the whole file once."""
    with file.open("rb") as data:
        hashlib.file_digest(data, "sha256").hexdigest()


def bare_onnx(file: Path) -> Any:
    """Open a session as onnxruntime's documentation does."""
    import onnxruntime

    hashed(file)
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def bare_skops(file: Path) -> Any:
    """Load an estimator as skops' documentation does, with the types it holds known beforehand."""
    from skops.io import load

    hashed(file)
    return load(file, trusted=["sklearn.tree._tree.Tree"])


BARE = {"onnx": bare_onnx, "skops": bare_skops}


if __name__ == "__main__":
    main()
