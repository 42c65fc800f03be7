"""Reads and writes beside MLflow's registry in sqlite and GTO's tags, with 100, 1,000 and 10,000 versions over 100 models.

    .venv/bin/python benchmarks/peers.py [SIZE ...]     # GTO=/path/to/gto where it is not on the PATH

In-process times are wall-clock medians of calls in turns; times of commands are CPU seconds of a process. GTO is given 60 s.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from ground import CARD, COMMAND, cpu, folder, in_turns, started, table, verdict
from rivals import MODELS, entries, gto, gto_registry, mlflow_registry

from gitops_registry import edits, paths
from gitops_registry.git.landing import move_branches, write_commit, writer
from gitops_registry.manifest.facts import Version
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry

SIZES = (100, 1_000, 10_000)
TIMES, SLOW_TIMES = 9, 3
GTO_SECONDS = 60.0
AIM_READS, AIM_WRITES, AIM_MEMORY = 10.0, 1.0, 200.0


def main(sizes: list[int]) -> None:
    """Print one table for each size, then the tables of growth, memory and pushing."""
    ours_at: dict[int, dict[str, float]] = {}
    with folder() as there:
        for size in sizes:
            root = there / str(size)
            facts = started(root / "ours")
            start = time.monotonic()
            fill(root / "ours", facts, size)
            print(f"{size:,} versions: made in {time.monotonic() - start:.0f} s; ", end="", flush=True)
            client = mlflow_registry(root / "mlflow", size)
            tags = gto_registry(root / "gto", size)
            start = time.monotonic()
            Registry.open(root / "ours").search("number = 1", limit=1)
            print(f"the first search, which reads every manifest, took {time.monotonic() - start:.1f} s")
            ours_at[size] = beside(root, client, tags, size)
            if size == max(sizes):
                memory(root / "ours")
        growth(ours_at)
        pushing(there)


def fill(root: Path, facts: Version, size: int) -> None:
    """Add the versions, one decision for each (for ten, in the largest registry); the newest of each model serves."""
    place = Registry.open(root).place
    batch = 10 if size >= 10_000 else 1
    newest = {entry.name: entry.number for entry in entries(size)}
    with writer(place.repository):
        first = tip = place.tip()
        scratch, written, before = "", {}, place.snapshot(tip)
        for position, entry in enumerate(entries(size), 1):
            after = before.with_edits(written)
            made = facts.created + timedelta(seconds=position)  # no two manifests are the same
            version = facts.model_copy(
                update={"created": made, "metrics": {**facts.metrics, "accuracy": entry.accuracy}}
            )
            files = {f"{artifact.file}.dvc": pointer(artifact) for artifact in facts.artifacts}
            card = CARD.model_copy(update={"tags": {"domain": entry.domain}})
            written |= edits.register(
                after, entry.name, version, card=card, files=files, model={"tags": {"domain": entry.domain}}
            )
            reference = Reference(entry.name, entry.number)
            after = before.with_edits(written)
            written[paths.rendered_card_path(*reference)] = place.card(after, reference)
            if newest[entry.name] == entry.number:
                written |= edits.moved(after, entry.name, {entry.number: "production"})
            if position % batch == 0 or position == size:
                tip, scratch = write_commit(
                    place.repository, written, parents=[tip], message=f"register {reference.name} {reference.number}\n"
                )
                written, before = {}, place.snapshot(tip)
        move_branches(place.repository, {place.ref: (first, tip)}, scratch=scratch, follow=place.ref)
    subprocess.run(["git", "-C", str(root), "gc", "--quiet"], check=True)


def timed(call: Callable[[], Any]) -> Callable[[], float]:
    """Return what measures one call in milliseconds."""

    def measure() -> float:
        start = time.perf_counter()
        call()
        return (time.perf_counter() - start) * 1000

    return measure


def beside(root: Path, client: Any, tags: Path, size: int) -> dict[str, float]:
    """Print what each operation costs in the three, and return ours."""
    registry = Registry.open(root / "ours")
    name, moved = f"model-{MODELS // 2:03}", f"model-{MODELS // 3:03}"
    file = root / "ours-model.onnx"
    file.write_bytes(_bytes(registry, name))
    turn = iter(range(10**6))
    subprocess.run(["git", "clone", "--quiet", "--bare", str(root / "ours"), str(root / "bare.git")], check=True)
    bare, there = Registry.open(root / "bare.git"), iter(["staging", "archived"] * 10**6)
    moves = iter(["staging", "archived"] * 10**6)
    theirs = iter(["Staging", "Archived"] * 10**6)
    reads = {
        "resolve name@production": (lambda: registry.resolve(f"{name}@production"), lambda: client.get_latest_versions(name, stages=["Production"])),
        "latest version": (lambda: registry.resolve(f"{name}@latest"), lambda: client.get_latest_versions(name)),
        "search by name": (lambda: registry.search(f"name = {name}"), lambda: client.search_model_versions(f"name = '{name}'")),
        "search by tag": (lambda: registry.search("tags.domain = 'domain-7'"), lambda: client.search_model_versions("tags.domain = 'domain-7'")),
        "search by metric": (lambda: registry.search("metrics.accuracy > 0.99", limit=100), lambda: client.search_runs(["1"], "metrics.accuracy > 0.99", max_results=100)),
    }  # fmt: skip
    writes = {
        "register (bytes and facts)": (
            lambda: registry.register(name, _other(file, next(turn))),
            lambda: _mlflow_register(client, name, _other(file, next(turn))),
        ),
        "promote, in a bare repository": (
            lambda: bare.promote(moved, 1, to=next(there), direct=True),
            lambda: client.transition_model_version_stage(moved, "1", next(theirs)),
        ),
        "promote": (
            lambda: registry.promote(moved, 1, to=next(moves), direct=True),
            lambda: client.transition_model_version_stage(moved, "1", next(theirs)),
        ),
    }
    rows, ours = [], {}
    for kind, calls, aim in (("read", reads, AIM_READS), ("write", writes, AIM_WRITES)):
        for what, (mine, other) in calls.items():
            found = in_turns({"ours": timed(mine), "mlflow": timed(other)}, times=TIMES)
            ours[what] = found["ours"]
            faster = found["mlflow"] / found["ours"]
            told = verdict(aim, faster) if size >= 10_000 or kind == "write" else ""
            rows.append(
                [what, f"{found['ours']:.1f}", f"{found['mlflow']:.1f}", f"{faster:.1f} ×", f"{aim:.0f} ×", told]
            )
    table(
        f"{size:,} versions of {MODELS} models, milliseconds", ["", "ours", "MLflow", "MLflow / ours", "aim", ""], rows
    )
    commands(root, tags, name)
    return ours


def _bytes(registry: Registry, name: str) -> bytes:
    return next(
        path
        for path in registry.pull(name, 1, to=registry.place.repository.common_dir / "pulled")
        if path.suffix == ".onnx"
    ).read_bytes()


def _other(file: Path, turn: int) -> Path:
    """Return the model as another file: a field that no reader looks at differs."""
    import onnx

    model = onnx.load(file)
    model.doc_string = f"{turn}"
    other = file.with_name(f"{turn}.onnx")
    onnx.save(model, other)
    return other


def _mlflow_register(client: Any, name: str, file: Path) -> None:
    run = client.create_run("1")
    client.log_artifact(run.info.run_id, str(file), "model")
    client.log_metric(run.info.run_id, "accuracy", 0.9)
    client.create_model_version(name, source=f"{run.info.artifact_uri}/model", run_id=run.info.run_id)


def commands(root: Path, tags: Path, name: str) -> None:
    """Print what a person waits for at the command line, ours and GTO's."""
    rows = []
    for what, mine, other in (
        ("show all", ["list"], ["show"]),
        ("show one model", ["list", name], ["show", name]),
        ("which one is in production", ["show", f"{name}@production"], ["show", f"{name}#production"]),
    ):
        ours = min(cpu([*COMMAND, *mine], cwd=root / "ours") for _ in range(SLOW_TIMES))
        peer = _gto([*other, "--repo", str(tags)])
        ratio = f"{peer / ours:.1f} ×" if peer < GTO_SECONDS else f"> {GTO_SECONDS / ours:.0f} ×"
        rows.append(
            [what, f"{ours:.2f}", f"{peer:.2f}" if peer < GTO_SECONDS else f"> {GTO_SECONDS:.0f}", ratio]
            if peer
            else [what, f"{ours:.2f}", "not there", ""]
        )
    table("commands, seconds", ["", "ours", "GTO", "GTO / ours"], rows)


def _gto(words: list[str]) -> float:
    """Return the seconds of one of GTO's commands; the limit where it takes longer, 0 where there is no GTO."""
    if not gto():
        return 0.0
    start = time.monotonic()
    try:
        subprocess.run([gto(), *words], capture_output=True, check=True, timeout=GTO_SECONDS)
    except subprocess.TimeoutExpired:
        return GTO_SECONDS
    except subprocess.CalledProcessError as error:
        print(f"  ! gto {' '.join(words)}: {error.stdout.decode(errors='replace')[:200]}")
        return 0.0
    return time.monotonic() - start


def growth(ours: dict[int, dict[str, float]]) -> None:
    """Print how our costs grow from the smallest registry to the largest."""
    small, large = min(ours), max(ours)
    rows = [
        [what, *(f"{ours[size][what]:.1f}" for size in sorted(ours)), f"{ours[large][what] / ours[small][what]:.1f} ×"]
        for what in ours[small]
    ]
    table(
        "ours as the registry grows, milliseconds",
        ["", *(f"{size:,}" for size in sorted(ours)), f"{large // small} × as many"],
        rows,
    )


def memory(root: Path) -> None:
    """Print the most memory that a process of ours takes in the largest registry."""
    rows = []
    for what, words in {
        "list": ["list"],
        "search": ["search", "metrics.accuracy > 0.9", "-n", "0"],
        "first search (no cache)": ["search", "number = 1", "-n", "1"],
        "check": ["check"],
    }.items():
        if "no cache" in what:
            for cached in (root / ".git" / "gitops-registry").glob("search.sqlite*"):
                cached.unlink()
        code = f"import resource, subprocess, sys; subprocess.run({[*COMMAND, *words]!r}, stdout=-3, cwd={str(root)!r}); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peak = float(done.stdout)
        rows.append([what, f"{peak:.0f}", f"{AIM_MEMORY:.0f}", verdict(peak, AIM_MEMORY)])
    table("peak memory of a process and the git below it, MB", ["command", "MB", "aim", ""], rows)


def pushing(there: Path) -> None:
    """Print what bringing one new artifact costs in a registry of 1,000 pointers, beside `dvc push` of its pointer."""
    root = there / "pushing"
    facts = started(root)
    remote = there / "remote"
    subprocess.run(
        [sys.executable, "-m", "dvc", "remote", "add", "-d", "-f", "far", str(remote)],
        cwd=root,
        check=True,
        capture_output=True,
    )
    subprocess.run(["git", "commit", "--quiet", "--all", "--message", "a remote"], cwd=root, check=True)
    fill(root, facts, 1_000)
    new = there / "new.bin"
    rows = []
    for kind in ("ours", "dvc push TARGET", "dvc push (all)"):
        taken = []
        for turn in range(SLOW_TIMES):
            new.write_bytes(f"{kind} {turn}".encode() * 100_000)
            digest = Registry.open(root).place.store().add(new)
            folder_of = root / paths.version_folder("model-000", 1)
            target = folder_of / "new.bin.dvc"
            target.write_text(f"outs:\n- md5: {digest.md5}\n  size: {digest.size}\n  hash: md5\n  path: new.bin\n")
            code = (
                "from gitops_registry import Registry; from gitops_registry.digests import Digest; "
                f"Registry.open({str(root)!r}).place.store().push([Digest({digest.md5!r}, {digest.sha256!r}, {digest.size})])"
            )
            command = {
                "ours": [sys.executable, "-c", code],
                "dvc push TARGET": [sys.executable, "-m", "dvc", "push", "--quiet", str(target)],
                "dvc push (all)": [sys.executable, "-m", "dvc", "push", "--quiet"],
            }[kind]
            taken.append(cpu(command, cwd=root))
        rows.append([kind, f"{min(taken):.2f}"])
    base = float(rows[0][1])
    table(
        "bring one new artifact of 1.5 MB to a remote folder, 1,000 pointers, CPU seconds of a process",
        ["", "s", "ours = 1"],
        [[*row, f"{float(row[1]) / base:.1f}"] for row in rows],
    )


if __name__ == "__main__":
    print(f"memory before: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    main([int(word.replace(",", "")) for word in sys.argv[1:]] or list(SIZES))
