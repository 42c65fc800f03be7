"""A small Hugging Face Hub on loopback: takes what `huggingface_hub` uploads, every file in the commit.

The real one asks for large files over Xet, a store of its own: which way a file goes is between the library and the Hub.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """What was uploaded: path → bytes of each repository's only branch, and the front matters that were to be checked."""

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    cards: list[str] = field(default_factory=list)


@contextmanager
def running() -> Iterator[Hub]:
    """Yield a hub that serves on a free port of loopback."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            self._answer(answer(hub, self.path, body))

        def do_GET(self) -> None:
            self._answer(None)

        def _answer(self, told: Any) -> None:
            text = json.dumps(told).encode()
            self.send_response(404 if told is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(hub: Hub, path: str, body: bytes) -> Any:
    """Return what the Hub says to a request; None for one that it does not know."""
    if path == "/api/repos/create":
        asked = json.loads(body)
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        hub.files.setdefault(name, {})
        return {"url": f"{hub.url}/{name}", "name": name, "id": name}
    if path == "/api/validate-yaml":
        hub.cards.append(json.loads(body)["content"])
        return {"errors": [], "warnings": []}
    if re.match(r"/api/models/(.+)/preupload/main", path):
        asked = json.loads(body)["files"]
        return {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]}
    if found := re.match(r"/api/models/(.+)/commit/main", path):
        committed = hub.files.setdefault(found[1], {})
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                committed[value["path"]] = base64.b64decode(value["content"])
        return {"commitUrl": f"{hub.url}/{found[1]}/commit/{'a' * 40}", "commitOid": "a" * 40, "success": True}
    return None
