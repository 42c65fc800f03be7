"""Several processes that register versions of one model at a URL at once, each turn with the registry opened anew.

    python writers.py URL PROCESSES TURNS CACHES FOLDER

All of them come out of one that has imported everything. What is printed are the numbers that they got.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy
import onnxruntime  # noqa: F401 - before the forks
from onnx import TensorProto, helper, numpy_helper

import gitops_registry.appraisal
import gitops_registry.registering  # noqa: F401 - before the forks
from gitops_registry import Registry


def model(value: int, file: Path) -> Path:
    """Write a model of one multiplication."""
    made = [numpy_helper.from_array(numpy.array([float(value)], "float32"), "c")]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Mul", ["x", "c"], ["y"])], "g", sides[:1], sides[1:], made)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    file.write_bytes(whole.SerializeToString())
    return file


def write(url: str, number: int, turns: int, cache: Path, folder: Path) -> None:
    """Register as one of the writers."""
    for turn in range(turns):
        registry = Registry.open(url, cache=cache)
        file = model(number * 1000 + turn, folder / f"{number}-{turn}.onnx")
        found = registry.register("shared", file, tags={"writer": f"{number}-{turn}"})
        print(found.number, flush=True)


def main(url: str, count: int, turns: int, caches: int, folder: Path) -> int:
    """Fork the writers and return the worst of their exit codes."""
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            try:
                write(url, number, turns, folder / f"cache-{number % caches}", folder)
                os._exit(0)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:5]), Path(sys.argv[5])))  # type: ignore[call-arg, arg-type]
