"""The hook and the door of a server without the start of an interpreter: one that has imported everything forks each.

`quicken` lets a repository's hooks, and its lines of `authorized_keys`, ask that process where `hook install` wrote a command
that starts Python. What runs is the same entry point in a process of its own, with the standard streams, the folder and the
environment that git or sshd gave. Tests of the commands themselves leave the repository as it was installed.
"""

from __future__ import annotations

import array
import atexit
import importlib
import io
import marshal
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import zygote

IMPORTED = (
    "gitops_registry.hook", "gitops_registry.receiving.records", "gitops_registry.receiving.installing",
    "gitops_registry.receiving.serving", "gitops_registry.git.graph", "gitops_registry.signing.verdict", "gitops_registry.cel",
    "cryptography.hazmat.primitives.serialization", "cryptography.exceptions", "jinja2.sandbox", "platformdirs.unix",
    "dvc.config", "dvc.config_schema", "dvc.fs", "dvc.fs.dvc", "dvc_http",
)  # fmt: skip
INSTALLED = f"{sys.executable} -I -m gitops_registry.hook "
_running: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}


def quicken(repository: Path, *files: Path) -> None:
    """Let the commands in some files of a server be run by the process that forks; it warms up on the server's repository."""
    asked = f"{sys.executable} -I -S {Path(__file__).with_name('asking.py')} {_address(repository)} "
    for file in files:
        text = file.read_text()
        assert INSTALLED in text, text
        file.write_text(text.replace(INSTALLED, asked))


def _address(repository: Path) -> str:
    """Return where the one that forks listens; it is started once for each process of tests."""
    if os.getpid() not in _running:
        address = f"{tempfile.mkdtemp(prefix='hooked-')}/socket"
        process = subprocess.Popen([sys.executable, __file__, address, str(repository)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        _running[os.getpid()] = address, process
        atexit.register(process.kill)
    return _running[os.getpid()][0]


def serve(address: str, repository: Path) -> None:
    """Fork for whoever asks, many at a time, until killed."""
    for name in IMPORTED:
        importlib.import_module(name)
    _warm_up(repository)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(address)
        server.listen(16)
        print("ready", flush=True)
        while True:
            client, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _answer(client)
            client.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _warm_up(repository: Path) -> None:
    """Judge the last decisions once, for what is imported, built and compiled on the way; nothing that is said is kept.

    They bring no version: what its card and the whereabouts of its bytes need is made by itself.
    """
    from gitops_registry.git.repository import Repository
    from gitops_registry.receiving.pushes import Pusher, judge
    from gitops_registry.receiving.updates import Update
    from gitops_registry.workplace import Workplace

    zygote.warm()
    place = Workplace(Repository.open(repository))
    tip = place.repository.tip("refs/heads/main") or ""
    for commit in (tip, place.repository.commit(tip).parents[0]):
        update = Update("refs/heads/main", place.repository.commit(commit).parents[0], commit)
        list(judge(place, [update], Pusher(), now=datetime.now(UTC)))


def _answer(client: socket.socket) -> None:
    """Run one entry point in a child of its own and send what it returned."""
    request, ancillary, *_ = client.recvmsg(1 << 20, socket.CMSG_SPACE(3 * 4))
    pid = os.fork()
    if pid == 0:
        client.close()
        _become(*marshal.loads(request), array.array("i", ancillary[0][2]))
    for fd in (0, 1, 2, *array.array("i", ancillary[0][2])):
        os.close(fd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    client.send(str(code if code >= 0 else 1).encode())
    os._exit(0)


def _become(words: list[str], folder: str, environment: dict[str, str], fds: Sequence[int]) -> None:
    from gitops_registry.hook import main

    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", line_buffering=True)
    code = 1
    try:
        code = main(words)
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
