"""Showing the site on this machine: built once more after each decision, to nobody but who sits here."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.site.building import Built, build
from gitops_registry.workplace import Workplace

_HOST = "127.0.0.1"
_LOOK_AGAIN = 2.0
"""Seconds between two looks at the branch."""


class _Pages(SimpleHTTPRequestHandler):
    """The files of the site, and no list of a folder; a name that leads to this machine from elsewhere is turned away."""

    def send_head(self):  # type: ignore[no-untyped-def]
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in {_HOST, "localhost"}:  # a page elsewhere whose name was made to lead here may not read it
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        file = Path(self.translate_path(self.path))
        is_hidden = any(part.startswith(".") for part in file.relative_to(self.directory).parts)
        if is_hidden or not file.resolve().is_relative_to(Path(self.directory).resolve()):  # a link led elsewhere
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def list_directory(self, path):  # type: ignore[no-untyped-def]  # noqa: ARG002
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing of requests."""


def serve(place: Workplace, folder: Path | None, *, port: int, says: Callable[[str], None]) -> None:
    """Build the site, show it at http://127.0.0.1:PORT until KeyboardInterrupt, and build it again after each decision.

    Raises RegistryError where it cannot be built the first time, or the port is taken.
    """
    with ExitStack() as stack:
        out = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gitops-registry-site-")))
        try:
            server = ThreadingHTTPServer((_HOST, port), partial(_Pages, directory=str(out)))
        except OSError as error:
            raise RegistryError(
                f"port {port} cannot be used: {error.strerror}",
                hint="name another one: --port 0 takes any that is free",
            ) from error
        stack.callback(server.server_close)
        built = build(place, out)
        shower = threading.Thread(target=server.serve_forever, daemon=True)
        shower.start()
        stack.callback(server.shutdown)
        says(f"http://{_HOST}:{server.server_port}/  {built.pages} pages{_lacking(built)}; Ctrl-C ends it")
        seen, pause = built.commit, threading.Event()
        while not pause.wait(_LOOK_AGAIN):
            try:
                place.refresh()
                if place.commit() != seen:
                    built = build(place, out)
                    seen = built.commit
                    says(f"{built.made} of {built.pages} pages made{_lacking(built)}, of {seen[:9]}")
            except RegistryError as error:  # what was built stays
                says(f"not built: {error.message}")


def _lacking(built: Built) -> str:
    lacking = [f"{len(built.problems)} without a card, which say why"] if built.problems else []
    lacking += [f"{len(built.unread)} manifests cannot be read, as the index says"] if built.unread else []
    return f" ({'; '.join(lacking)})" if lacking else ""
