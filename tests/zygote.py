"""Processes of the command line without the start of an interpreter: one that has imported everything forks each.

What is run is a process of its own with its own folder, environment and output, as one typed in a shell is; only what
Python does before `main` is left out. The one that forks has a single thread, so that a fork is a whole process.
`doors` makes a folder for PATH through which programs that start our commands by their names get the same.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import io
import marshal
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

IMPORTED = (
    "gitops_registry.__main__", "gitops_registry.cli.main", "gitops_registry.cli.changing", "gitops_registry.cli.registering", "gitops_registry.cli.judging",
    "gitops_registry.cli.looking", "gitops_registry.cli.cards", "gitops_registry.cli.starting", "gitops_registry.cli.labelling",
    "gitops_registry.cli.searching", "gitops_registry.cli.showing", "gitops_registry.cli.evaluating", "gitops_registry.cli.collecting", "gitops_registry.evaluating", "gitops_registry.cli.comparing", "gitops_registry.git.mirror", "gitops_registry.cli.using", "gitops_registry.doctor",
    "gitops_registry.registering", "gitops_registry.publishing", "gitops_registry.formats.onnx", "gitops_registry.formats.sklearn",
    "git", "dvc.config", "dvc.data_cloud", "dvc_data.hashfile.db", "pandas", "sklearn.ensemble", "sklearn.metrics",
    "skl2onnx", "onnxruntime", "rich.cells", "jinja2.sandbox", "pyarrow",
    "cryptography.exceptions", "cryptography.hazmat.primitives.serialization", "gitops_registry.cel", "gitops_registry.signing.verdict",
    "requests", "gitops_registry.forge.github", "gitops_registry.forge.gitlab", "gitops_registry.forge.gitea", "gitops_registry.connecting",
    "gitops_registry.delivery", "gitops_registry.landed", "gitops_registry.monitoring", "gitops_registry.proving", "gitops_registry.releasing",
    "gitops_registry.guarding", "gitops_registry.reporting.request", "gitops_registry.cli.checking", "gitops_registry.cli.membership",
    "gitops_registry.cli.policies", "gitops_registry.cli.reviewing", "gitops_registry.cli.monitoring", "gitops_registry.cli.releasing",
    "gitops_registry.cli.auditing", "gitops_registry.cli.exporting", "gitops_registry.cli.formats", "gitops_registry.cli.importing", "gitops_registry.cli.interop",
    "gitops_registry.cli.proving", "gitops_registry.cli.reporting", "gitops_registry.cli.signatures", "gitops_registry.cli.site", "gitops_registry.cli.timeline",
    "gitops_registry.bookkeeping", "gitops_registry.intake", "gitops_registry.judging", "gitops_registry.labelling", "gitops_registry.registry",
    "gitops_registry.reporting.text", "gitops_registry.team", "gitops_registry.verbs", "gitops_registry.git.graph", "gitops_registry.agreeing",
    "gitops_registry.removing", "gitops_registry.governing", "gitops_registry.auditing.verification", "gitops_registry.auditing.report",
    "gitops_registry.auditing.compliance", "gitops_registry.searching", "gitops_registry.collecting", "gitops_registry.timing", "gitops_registry.membership",
    "dvc.config_schema", "dvc.fs", "dvc.fs.dvc", "dvc_http", "encodings.utf_8_sig", "platformdirs.unix", "voluptuous", "markdown_it", "nh3",
    "gitops_registry.site.building",
)  # fmt: skip
DVC = (
    "dvc.cli", "dvc.cli.parser", "dvc.repo", "dvc.repo.push", "dvc.repo.status", "dvc.repo.add", "dvc.repo.checkout", "dvc.data_cloud",
    "gto.cli", "dvc.stage.cache", "dvc.dvcfile", "dvc_data.hashfile.db", "dvc_data.index", "dvc_data.index.push", "dvc_data.index.checkout",
    "dvc_data.index.fetch", "dvc.ui", "dvc.scm", "dvc.daemon", "dvc.updater", "dvc.analytics", "dvc.cachemgr", "dulwich.repo", "pygit2", "git",
)  # fmt: skip
"""What DVC and GTO alone need: where a test asks them as their users do, none of our modules is in the process."""
MLFLOW = (
    "mlflow", "mlflow.pyfunc", "mlflow.sklearn", "mlflow.store.artifact.models_artifact_repo", "sklearn.linear_model", "skops.io",
    "gitops_registry.mlflow_store.store", "gitops_registry.mlflow_store.artifacts", "gitops_registry.registering", "gitops_registry.publishing",
    "gitops_registry.git.mirror", "gitops_registry.verbs", "gitops_registry.intake", "git", "dvc.config", "dvc.data_cloud", "dvc_data.hashfile.db",
)  # fmt: skip
"""What a script needs that somebody wrote for MLflow."""
KINDS = {"": IMPORTED, ".dvc": DVC, ".mlflow": MLFLOW}
"""What has been imported by the one that forks, by the end of its address."""
ASKING = f"{sys.executable} -I -S {Path(__file__).with_name('asking.py')} --status"
_running: dict[str, subprocess.Popen[bytes]] = {}


class Started:
    """One command line that runs; it is asked for as `subprocess.Popen` is, and prints into files, never waiting for a reader."""

    def __init__(
        self, arguments: list[str], folder: Path, environment: Mapping[str, str], stdin: str = "",
        program: str = "gitops-registry",
    ) -> None:  # fmt: skip
        self.arguments = arguments
        self.returncode: int | None = None
        with tempfile.TemporaryFile() as given:
            given.write(stdin.encode())
            given.seek(0)
            self._told: list[IO[bytes]] = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - until it is read
            fds = [given.fileno(), *(file.fileno() for file in self._told)]
            self._client = _asked(_address(program), [program, *arguments], str(folder), environment, fds)
        self.pid = int(self._client.recv(64))

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for its end and return what it printed; `returncode` is negative for a signal from then on."""
        if self.returncode is None:
            self._client.settimeout(timeout)
            self.returncode = os.waitstatus_to_exitcode(int(self._client.recv(64)))
            self._client.close()
        out, err = (self._printed(file) for file in self._told)
        return out, err

    def has_begun(self, timeout: float) -> bool:
        """Wait until it prints something."""
        end = time.monotonic() + timeout
        while not os.fstat(self._told[0].fileno()).st_size:
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        has_ended = self.returncode is not None or select.select([self._client], [], [], 0)[0]
        with suppress(ProcessLookupError):
            if not has_ended:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    @staticmethod
    def _printed(file: IO[bytes]) -> str:
        file.seek(0)
        return file.read().decode()


def run(
    arguments: list[str],
    folder: Path,
    environment: Mapping[str, str],
    stdin: str = "",
    *,
    timeout: float,
    program: str = "gitops-registry",
) -> subprocess.CompletedProcess[str]:
    """Run one command line and return what it printed and its exit code, negative for a signal."""
    started = Started(arguments, folder, environment, stdin, program)
    told = started.communicate(timeout)
    assert started.returncode is not None
    return subprocess.CompletedProcess(arguments, started.returncode, *told)


def doors(folder: Path) -> Path:
    """Make a folder of commands, `gitops-registry`, `dvc` and `python SCRIPT`, that are run here; return it."""
    folder.mkdir()
    for name in ("gitops-registry", "dvc", "python"):
        door = folder / name
        door.write_text(f'#!/bin/sh\nexec {ASKING} {_address()} {name} "$@"\n')
        door.chmod(0o755)
    return folder


def cage_door() -> str:
    """Return what stands for the interpreter that measures models in a cage; see `forked_cage` in conftest."""
    return f"{_address()}.python"


def _cage_door(address: str) -> str:
    """Make what stands for the interpreter that measures models in a cage: it is forked too, and limits itself as ever."""
    door = Path(f"{address}.python")
    door.write_text(f'#!/bin/sh\nshift\nexec {ASKING} {address} python "$@"\n')
    door.chmod(0o755)
    return str(door)


def _asked(
    address: str, words: list[str], folder: str, environment: Mapping[str, str], fds: list[int]
) -> socket.socket:
    """Have one process run and return where its pid is told, and then its status as `wait` knows it."""
    request = marshal.dumps((words, folder, dict(environment)))
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(address)
    client.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    return client


def _address(program: str = "gitops-registry") -> str:
    """Return where the one that forks listens; it is started once for each process of tests, and one more for DVC or MLflow."""
    folder = os.environ.get("ZYGOTE_FOLDER") or tempfile.mkdtemp(prefix="zygote-")
    address = f"{folder}/{os.getpid()}" + {"dvc": ".dvc", "gto": ".dvc", "mlflow": ".mlflow"}.get(program, "")
    if address not in _running:
        os.environ["ZYGOTE_FOLDER"] = folder
        process = subprocess.Popen(
            [sys.executable, __file__, address], stdout=subprocess.PIPE, cwd=Path(__file__).parent
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        _running[address] = process
        atexit.register(process.kill)
    return address


def serve(address: str) -> None:
    """Fork for whoever asks, until killed."""
    kind = Path(address).suffix
    for name in KINDS[kind]:
        importlib.import_module(name)
    if kind != ".dvc":
        from gitops_registry import cage
        from gitops_registry.formats.sklearn import skops_io

        skops_io()
        cage.python = _cage_door(address)
        warm()
    gc.collect()
    gc.freeze()  # else the first collection in a child copies every page
    ended, wake = socket.socketpair()
    for one in (ended, wake):
        one.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # else nothing wakes it
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(address)
        server.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([server, ended], [], [])
            if ended in ready:
                ended.recv(4096)
                tell_ends(running)
            if server in ready:
                client, _ = server.accept()
                request, ancillary, *_ = client.recvmsg(1 << 20, socket.CMSG_SPACE(3 * 4))
                fds = list(array.array("i", ancillary[0][2]))
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for one in (server, client, ended, wake, *running.values()):
                        one.close()
                    end(PROGRAMS[become(*marshal.loads(request), fds)])
                for fd in fds:
                    os.close(fd)
                running[pid] = client
                client.send(str(pid).encode())


def warm() -> None:
    """Make what every process would make for itself and keep: readers of manifests, compiled templates, the digest of the rules."""
    from gitops_registry import sealed
    from gitops_registry.card import rendering
    from gitops_registry.manifest.parts import Part
    from gitops_registry.printing.templates import packaged

    waiting = [Part]
    while waiting:
        part = waiting.pop()
        waiting += part.__subclasses__()
        part.model_rebuild()
    for language in ("en", "ja"):
        templates = packaged(language)
        for name in ("card.md.j2", "card.html.j2"):
            rendering._environment(name, templates).get_template(name)
    sealed._rules()


def tell_ends(running: dict[int, socket.socket]) -> None:
    """Tell whoever asked for a process that has ended; forget it."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as client, suppress(OSError):
            client.send(str(status).encode())


def end(main: Callable[[], None]) -> None:
    """Run to the end, without the destructors of libraries whose threads did not come along."""
    code: object = 1
    try:
        main()
        code = 0
    except SystemExit as left:
        code = left.code
    except Exception:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else int(bool(code)))


def become(words: list[str], folder: str, environment: dict[str, str], fds: list[int]) -> str:
    """Become the process that was asked for, and return the name of its program."""
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = io.TextIOWrapper(io.FileIO(0), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w")), encoding="utf-8", line_buffering=True)
    sys.argv = words
    return sys.argv[0]


def registry() -> None:
    """The command line of the registry."""
    from gitops_registry.__main__ import main

    main()


def dvc() -> None:
    """DVC's own command line."""
    from dvc.cli import main

    sys.exit(main())


def gto() -> None:
    """GTO's own command line."""
    from gto.cli import app

    sys.exit(app())


def script() -> None:
    """`python SCRIPT`; as `mlflow SCRIPT`, where MLflow is there already."""
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


PROGRAMS = {"gitops-registry": registry, "dvc": dvc, "gto": gto, "python": script, "mlflow": script}


if __name__ == "__main__":
    serve(sys.argv[1])
