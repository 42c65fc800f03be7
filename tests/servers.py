"""Places for bytes as people have them: a folder, and real servers of SSH, S3 and WebDAV on this machine.

Each server is a process of its own that listens on 127.0.0.1 at a free port and dies with the tests. `Lane` is a road to
a server that stops in the middle of a transfer.
"""

from __future__ import annotations

import ctypes
import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

SSHD = "/usr/sbin/sshd"
PASSWORD = "open-sesame-42"


@dataclass(frozen=True)
class Site:
    """A place for a DVC remote: its URL, what opens it (kept in `.dvc/config.local`) and where its port is in these."""

    kind: str
    url: str
    port: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def below(self, name: str) -> Site:
        """Return a place of one's own on the same server."""
        if self.folder is not None:
            (self.folder / name).mkdir()
        return replace(self, url=f"{self.url}/{name}")

    def through(self, port: int) -> Site:
        """Return the same place as it is reached at another port."""
        there, here = f"127.0.0.1:{self.port}", f"127.0.0.1:{port}"
        options = {key: value.replace(there, here) for key, value in self.options.items()}
        if "port" in options:
            options["port"] = str(port)
        return replace(self, url=self.url.replace(there, here), port=port, options=options)

    def with_options(self, **options: str) -> Site:
        """Return the same place opened with other keys or passwords."""
        return replace(self, options={**self.options, **options})

    def opened_in(self, root: Path) -> None:
        """Let the repository at `root` reach this place: the URL as here, and what opens it where git does not look."""
        url = {} if self.kind == "folder" else {"url": self.url}
        lines = ["['remote \"storage\"']", *(f"    {key} = {value}" for key, value in {**url, **self.options}.items())]
        (root / ".dvc/config.local").write_text("\n".join(lines) + "\n")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def folder_site(folder: Path) -> Iterator[Site]:
    """Yield a folder as others mount it."""
    (folder / "remote").mkdir(parents=True)
    yield Site("folder", str(folder / "remote"), folder=folder / "remote")


@contextmanager
def ssh_site(folder: Path) -> Iterator[Site]:
    """Yield a folder behind Debian's sshd, which runs as the user of the tests with keys of its own."""
    (folder / "remote").mkdir(parents=True)
    for key in ("user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    with sshd(folder, folder / "user.pub") as port:
        options = {"port": str(port), "user": getpass.getuser(), "keyfile": str(folder / "user"), "timeout": "20"}
        yield Site("ssh", f"ssh://127.0.0.1{folder}/remote", port, options)


@contextmanager
def sshd(folder: Path, authorized_keys: Path) -> Iterator[int]:
    """Yield the port of Debian's sshd, which lets the user of the tests in with the keys of a file, read at each connection."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # the package's service makes it at boot
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")], check=True)
    port = free_port()
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {authorized_keys}\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "MaxStartups 100\nMaxSessions 100\nSubsystem sftp internal-sftp\n"
    )
    with _serving([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], folder / "sshd.log", port):
        yield port


@contextmanager
def s3_site(folder: Path) -> Iterator[Site]:
    """Yield a bucket of moto's server."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with _serving([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], folder / "s3.log", port):
        options = {
            "endpointurl": f"http://127.0.0.1:{port}", "use_ssl": "false", "region": "eu-central-1",
            "access_key_id": "alice", "secret_access_key": PASSWORD,
        }  # fmt: skip
        _make_bucket(port)
        yield Site("s3", "s3://bucket/models", port, options)


def _make_bucket(port: int) -> None:
    from urllib.request import Request, urlopen

    signed = "AWS4-HMAC-SHA256 Credential=alice/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    request = Request(f"http://127.0.0.1:{port}/bucket", method="PUT", headers={"Authorization": signed})
    with urlopen(request, timeout=20) as answer:
        assert answer.status == 200


@contextmanager
def webdav_site(folder: Path) -> Iterator[Site]:
    """Yield a collection of wsgidav, with a password."""
    (folder / "dav/remote").mkdir(parents=True)
    port = free_port()
    config = {
        "host": "127.0.0.1", "port": port, "server": "cheroot", "logging": {"enable": True}, "verbose": 1,
        "provider_mapping": {"/": str(folder / "dav")},
        "simple_dc": {"user_mapping": {"*": {"alice": {"password": PASSWORD}}}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
    }  # fmt: skip
    (folder / "dav.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "wsgidav.server.server_cli", "--config", str(folder / "dav.json")]
    with _serving(command, folder / "dav.log", port):
        options = {"user": "alice", "password": PASSWORD, "timeout": "20"}
        yield Site("webdav", f"webdav://127.0.0.1:{port}/remote", port, options, folder / "dav/remote")


SITES: dict[str, Callable[[Path], AbstractContextManager[Site]]] = {
    "folder": folder_site, "ssh": ssh_site, "s3": s3_site, "webdav": webdav_site,
}  # fmt: skip


@contextmanager
def _serving(command: list[str], log: Path, port: int) -> Iterator[None]:
    """Run a server until the block ends, or the tests die; the block starts when it answers."""
    with log.open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told, stdin=subprocess.DEVNULL, preexec_fn=_die_with_us)
    try:
        end = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, f"{command} does not answer\n{log.read_text()}"
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Lane:
    """A road to a server on this machine that takes `limit` bytes in one direction and then lets nothing through.

    `full` is set when that happens. With `cuts` the connections end there; else they stay open and silent.
    """

    def __init__(self, port: int, *, limit: int, upwards: bool, cuts: bool = False) -> None:
        self.full = threading.Event()
        self._target = port
        self._left = limit
        self._upwards = upwards
        self._cuts = cuts
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._open.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._server.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            for one in (here, there):
                self._open.callback(_end, one)
            threading.Thread(target=self._carry, args=(here, there, self._upwards), daemon=True).start()
            threading.Thread(target=self._carry, args=(there, here, not self._upwards), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(16384):
                if counts:
                    with self._lock:
                        self._left -= len(piece)
                        if self._left < 0:
                            self.full.set()
                if self.full.is_set():
                    if self._cuts:
                        break
                    return
                sink.sendall(piece)
        for one in (source, sink):
            _end(one)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
