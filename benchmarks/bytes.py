"""What large bytes cost: how much is read and held in memory by each step of one large file through a folder remote.

Run it as `python benchmarks/bytes.py [MEGABYTES]` (1,500 without) where three times as much is free. Each step is a
process of its own; `read` is what it read in all, as a multiple of the file, and `memory` its peak resident set.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = {
    "nothing": "pass",
    "add": "print(json.dumps(store.add(source).__dict__))",
    "push": "store.push([digest])",
    "presence": "assert store.presence(digest) == 'present'",
    "fetch": "store.fetch(digest, 'x')",
    "pull": "store.materialise(digest, root / 'out', 'x')",
}
PRELUDE = """
import json, resource, sys
from pathlib import Path
from gitops_registry.artifact import Store
from gitops_registry.digests import Digest
root, source, told = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
digest = Digest(**told) if told else None
store = Store(root)
store.trouble(), store._cache
def read(): return int(Path("/proc/self/io").read_text().split()[1])
before = read()
"""
POSTLUDE = """
print(read() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, source = Path(folder) / "registry", Path(folder) / "model"
        (root / ".dvc").mkdir(parents=True)
        (Path(folder) / "remote").mkdir()
        (root / ".dvc/config").write_text("[core]\n    remote = r\n['remote \"r\"']\n    url = ../../remote\n")
        source.mkdir()
        with (source / "weights.bin").open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(1 << 20))
        size, digest = megabytes << 20, "null"
        print(f"one file of {megabytes:,} MB in a folder\n{'step':10} {'seconds':>8} {'read':>6} {'memory MB':>10}")
        for step, code in STEPS.items():
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", f"{PRELUDE}{code}{POSTLUDE}", str(root), str(source), digest],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            took = time.perf_counter() - start
            *told, numbers = done.stdout.splitlines()
            digest = told[0] if told else digest
            read, memory = map(int, numbers.split())
            print(f"{step:10} {took:8.1f} {read / size:5.2f}x {memory / 1024:10.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
