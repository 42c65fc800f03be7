"""The hook and the door of a server without the start of an interpreter: one that has imported everything forks each.

`quicken` lets a repository's hooks, and its lines of `authorized_keys`, ask that process where `hook install` wrote a command
that starts Python. What runs is the same entry point in a process of its own, with the standard streams, the folder and the
environment that git or sshd gave. Tests of the commands themselves leave the repository as it was installed.
"""

from __future__ import annotations

import array
import atexit
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

IMPORTED = (
    "gitops_registry.hook", "gitops_registry.receiving.pushes", "gitops_registry.receiving.records",
    "gitops_registry.receiving.installing", "gitops_registry.receiving.serving", "gitops_registry.cel",
    "gitops_registry.signing.verdict", "gitops_registry.git.graph", "gitops_registry.plain_remote", "jinja2.sandbox", "dvc.config", "dvc.fs",
)  # fmt: skip
_running: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}


def quicken(*files: Path) -> None:
    """Let the commands in some files of a server be run by the process that forks."""
    installed = f"{sys.executable} -I -m gitops_registry.hook "
    for file in files:
        text = file.read_text()
        assert installed in text, text
        file.write_text(text.replace(installed, f"{sys.executable} -I -S {__file__} {_address()} "))


def _address() -> str:
    """Return where the one that forks listens; it is started once for each process of tests."""
    if os.getpid() not in _running:
        address = f"{tempfile.mkdtemp(prefix='hooked-')}/socket"
        process = subprocess.Popen([sys.executable, __file__, address], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        _running[os.getpid()] = address, process
        atexit.register(process.kill)
    return _running[os.getpid()][0]


def ask(address: str, words: list[str]) -> int:
    """Have the entry point run with our streams, folder and environment, and return its exit code."""
    request = json.dumps({"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(address)
        client.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
        return int(client.recv(64) or b"1")


def serve(address: str) -> None:
    """Fork for whoever asks, many at a time, until killed."""
    import importlib

    from gitops_registry.manifest.kinds import KINDS

    for name in IMPORTED:
        importlib.import_module(name)
    for kind in KINDS.values():
        kind.model_rebuild()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
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


def _answer(client: socket.socket) -> None:
    """Run one entry point in a child of its own and send what it returned."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, ancillary, *_ = client.recvmsg(1 << 20, socket.CMSG_SPACE(3 * 4))
    pid = os.fork()
    if pid == 0:
        client.close()
        _become(json.loads(request), list(array.array("i", ancillary[0][2])))
    for fd in (0, 1, 2):
        os.close(fd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    client.send(str(code if code >= 0 else 1).encode())
    os._exit(0)


def _become(request: dict[str, object], fds: list[int]) -> None:
    from gitops_registry.hook import main

    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.chdir(str(request["folder"]))
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", line_buffering=True)
    code = 1
    try:
        code = main(request["words"])  # type: ignore[arg-type]
    finally:
        os._exit(code)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
