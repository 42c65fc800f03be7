"""The audit log of long histories: `log` beside `git log --raw`, `log` again, and `audit verify` of signed commits.

Decisions are written through one `git fast-import`; signed ones get their signatures in process, for git would take a minute for
a thousand.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ed25519
from ground import CARD, COMMAND, folder, table, verdict
from signatures import public_line, signature, told

from gitops_registry import edits, paths
from gitops_registry.manifest.facts import Artifact, Person, Version
from gitops_registry.manifest.kinds import Model
from gitops_registry.manifest.members import Access, Key, Member
from gitops_registry.manifest.writing import dump
from gitops_registry.pointer import pointer
from gitops_registry.registry import Registry
from gitops_registry.signing.commits import join
from gitops_registry.signing.sshsig import armored
from gitops_registry.starting import Start, init

SIZES = (1_000, 10_000)
MODELS, TURNS, NEW = 50, 3, 10
FIRST, SECOND, VERIFY, MEMORY = 3.0, 0.3, 15.0, 200.0
EPOCH = 1_790_000_000
CREATED = datetime.fromtimestamp(EPOCH, UTC)
_NAME, _NUMBER = "pattern-of-all", 424242


class Decision(NamedTuple):
    """One commit to be: its subject and what it changes."""

    subject: str
    files: Mapping[str, bytes]


def main() -> None:
    """Print the table."""
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    rows = []
    with folder() as there:
        for size in sizes:
            for is_signed in (False, True):
                root = there / f"{size}-{is_signed}"
                key = ed25519.Ed25519PrivateKey.generate()
                grown(root, size, key if is_signed else None)
                rows.append(
                    [
                        f"{size}, {'signed' if is_signed else 'unsigned'}",
                        *measured(root, size, key if is_signed else None),
                    ]
                )
    headings = [
        "decisions", "git log --raw, s", "first log, s", "ratio", "aim 3", "all events, first", "all, again", f"log after {NEW} new, s", "aim 0.3", "list, s",
        "audit verify, s", "aim 15", "export, s", "report, s", "comply, s", "most MB", "aim 200",
    ]  # fmt: skip
    table("history: CPU seconds with those of git, medians; memory of the largest process", headings, rows)


# ── measuring


def measured(root: Path, size: int, key: Any) -> list[str]:
    """Return the cells of a row."""
    memory: list[float] = []
    raw = statistics.median(
        timed(["git", "-C", str(root), "log", "--raw", "--first-parent", "main"], [])[0] for _ in range(TURNS)
    )

    def fresh(*words: str) -> float:
        (root / ".git" / "gitops-registry").mkdir(exist_ok=True)
        for file in (root / ".git" / "gitops-registry").glob("events*"):
            file.unlink()
        return run(*words)

    def run(*words: str) -> float:
        seconds, _ = timed([*COMMAND, "-C", str(root), *words], memory)
        return seconds

    run("--version")
    first = statistics.median(fresh("log") for _ in range(TURNS))
    every = statistics.median(fresh("log", "--json") for _ in range(TURNS))
    again = statistics.median(run("log", "--json") for _ in range(TURNS))
    later = []
    for turn in range(TURNS):
        more(root, size + NEW * turn, key)
        later.append(run("log"))
    second = statistics.median(later)
    listed = statistics.median(run("list") for _ in range(TURNS))
    checked = run("audit", "verify")
    exported = run("audit", "export", "--format", "jsonl")
    reported = run("audit", "report", "model-001")
    complied = run("audit", "comply", "model-001", "--profile", "four-eyes")
    most = max(memory)
    return [
        f"{raw:.2f}", f"{first:.2f}", f"{first / raw:.1f}", verdict(first / raw, FIRST), f"{every:.2f}", f"{again:.2f}",
        f"{second:.2f}", verdict(second, SECOND), f"{listed:.2f}", f"{checked:.2f}", verdict(checked, VERIFY), f"{exported:.2f}", f"{reported:.2f}", f"{complied:.2f}", f"{most:.0f}", verdict(most, MEMORY),
    ]  # fmt: skip


def timed(command: Sequence[str], memory: list[float]) -> tuple[float, float]:
    """Run a command and return its CPU seconds, those of git included, and the most memory that a process had, in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    complaint = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:
        print(f"  ! {' '.join(command[-3:])}: {complaint.decode(errors='replace')[-300:]}")
    memory.append(used.ru_maxrss / 1024)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


# ── histories


def grown(root: Path, size: int, key: Any) -> None:
    """Make a registry with so many decisions, each signed where a key is given."""
    os.environ.update(GIT_AUTHOR_DATE=f"@{EPOCH - 9} +0000", GIT_COMMITTER_DATE=f"@{EPOCH - 9} +0000")
    init(root, Start(name="benchmark", storage=str(root.with_name(f"{root.name}-store"))))
    if key is not None:
        line = public_line(key)
        others = [public_line(ed25519.Ed25519PrivateKey.generate()) for _ in range(19)]
        members = [Member(name="alice", role="admin", email="alice@example.com", keys=(Key(key=line),))]
        members += [Member(name=f"user-{n}", role="viewer", keys=(Key(key=other),)) for n, other in enumerate(others)]
        (root / paths.ACCESS).write_bytes(dump(Access(members=tuple(members)), paths.ACCESS))
        subprocess.run(["git", "-C", str(root), "add", "--all"], check=True)
        subprocess.run(["git", "-C", str(root), "commit", "--quiet", "-m", "let everybody in"], check=True)
    append(root, list(decided(root, 0, size)), key, 0)
    subprocess.run(["git", "-C", str(root), "gc", "--quiet"], check=True)
    subprocess.run(["git", "-C", str(root), "reset", "--quiet", "--hard"], check=True)


def more(root: Path, done: int, key: Any) -> None:
    """Add ten decisions more."""
    append(root, list(decided(root, done, NEW)), key, done)


def decided(root: Path, done: int, size: int) -> Iterator[Decision]:
    """Yield decisions as a busy registry has them: of five, one registers, three move or name a version, one edits a card."""
    pattern = _pattern(root)
    states = {}
    for at in range(done + size):
        model, turn = f"model-{at % MODELS:03}", at // MODELS
        number, act = turn // 5 + 1, turn % 5
        state = states.get(model, Model(name=model, owners=("risk-team",)))
        files: dict[str, bytes] = {}
        if act == 0:
            files = {path.replace(_NAME, model).replace(str(_NUMBER), str(number)): data.replace(_NAME.encode(), model.encode()).replace(str(_NUMBER).encode(), str(number).encode()) for path, data in pattern.items()}  # fmt: skip
            subject = f"register {model} {number}"
        elif act == 4:
            card = CARD.model_copy(update={"limitations": f"Seen {at} times."})
            files[paths.card_path(model, number)] = dump(card, paths.card_path(model, number))
            subject = f"card {model} {number}"
        else:
            state, subject = _moved(state, model, number, act)
        if act in {1, 2, 3} or (act == 0 and number == 1):
            states[model] = state
            files[paths.model_path(model)] = dump(state, paths.model_path(model))
        if at >= done:
            yield Decision(subject, files)


def _moved(state: Model, model: str, number: int, act: int) -> tuple[Model, str]:
    if act == 3:
        return state.model_copy(update={"aliases": {"champion": number}}), f"alias champion {model} {number}"
    stages = {stage: tuple(n for n in held if n != number) for stage, held in state.stages.items()}
    if act == 1:
        stages["staging"] = (number,)
    else:
        stages["archived"] = tuple(sorted({*stages.get("archived", ()), *stages.get("production", ())}))[-20:]
        stages["production"] = (number,)
    return state.model_copy(update={"stages": stages}), f"promote {model} {number}"


def _pattern(root: Path) -> dict[str, bytes]:
    """Return the files of one version: path → bytes."""
    place = Registry.open(root).place
    digest = hashlib.sha256(b"bytes").hexdigest()
    artifact = Artifact(name="model", file="model.onnx", format="onnx", size=5, md5=digest[:32], sha256=digest)
    version = Version(
        created=CREATED, author=Person(name="Alice", email="alice@example.com"), task="binary-classification",
        model_type="RandomForestClassifier", params={"n_estimators": 100, "max_depth": 15},
        metrics={"accuracy": 0.9, "precision": 0.91, "recall": 0.89, "f1": 0.9, "roc_auc": 0.95}, artifacts=(artifact,),
    )  # fmt: skip
    before = place.snapshot()
    after = edits.register(before, _NAME, version, card=CARD, files={"model.onnx.dvc": pointer(artifact)}, model={})
    number = edits.next_number(before, _NAME)
    found = {
        path.replace(f"/{number}/", f"/{_NUMBER}/"): data for path, data in after.items() if isinstance(data, bytes)
    }
    found.pop(paths.model_path(_NAME))
    return found


def append(root: Path, wanted: Sequence[Decision], key: Any, done: int) -> None:
    """Put decisions on top of the branch."""
    tip = told(root, "rev-parse", "main")
    stream = subprocess.Popen(["git", "-C", str(root), "fast-import", "--quiet", "--force"], stdin=subprocess.PIPE)
    assert stream.stdin is not None
    for at, one in enumerate(wanted):
        who, text = f"Alice <alice@example.com> {EPOCH + done + at} +0000", f"{one.subject}\n".encode()
        head = f"commit refs/heads/made\nauthor {who}\ncommitter {who}\ndata {len(text)}\n".encode() + text
        stream.stdin.write(head + (f"from {tip}\n".encode() if at == 0 else b""))
        for path, data in one.files.items():
            stream.stdin.write(f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n")
    stream.stdin.close()
    if stream.wait():
        raise SystemExit("git fast-import did not end well")
    made = _signed(root, tip, key) if key is not None else told(root, "rev-parse", "made")
    told(root, "update-ref", "refs/heads/main", made)
    told(root, "update-ref", "-d", "refs/heads/made")


def _signed(root: Path, tip: str, key: Any) -> str:
    """Write the commits of the branch `made` anew, signed, and return the last one."""
    listed = told(root, "log", "--reverse", "--format=%T %at %s", f"{tip}..made").splitlines()
    files = root / ".git" / "made"
    files.mkdir()
    for at, row in enumerate(listed):
        tree, time, subject = row.split(" ", 2)
        person = f"Alice <alice@example.com> {time} +0000"
        payload = f"tree {tree}\nparent {tip}\nauthor {person}\ncommitter {person}\n\n{subject}\n".encode()
        data = join(payload, armored(signature(key, payload)))
        (files / f"{at:06}").write_bytes(data)
        tip = hashlib.sha1(b"commit %d\0" % len(data) + data).hexdigest()
    names = "".join(f"{files / f'{at:06}'}\n" for at in range(len(listed)))
    told(root, "hash-object", "-t", "commit", "-w", "--no-filters", "--stdin-paths", stdin=names)
    shutil.rmtree(files)
    return tip


if __name__ == "__main__":
    main()
