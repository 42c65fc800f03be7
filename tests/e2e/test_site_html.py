"""Every page of the site is HTML as the standard says, by the checker of those who write it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@pytest.mark.needs("html")
@pytest.mark.slow
def test_the_nu_html_checker_finds_no_error_on_any_page(built: Path) -> None:
    checker = Path(sys.prefix) / "share" / "vnu.jar"
    # By address and not by file: what `'self'` is of a page in a folder, the checker does not know, and browsers do.
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(built)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages = [
        f"http://127.0.0.1:{server.server_port}/{file.relative_to(built)}" for file in sorted(built.rglob("*.html"))
    ]
    done = subprocess.run(
        ["java", "-Xss2m", "-Dnu.validator.servlet.allow-forbidden-hosts=true", "-jar", str(checker), "--format", "json", "--stdout", "--exit-zero-always", *pages],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    server.shutdown()
    found = [
        (one.get("url"), one["message"], one.get("extract"))
        for one in json.loads(done.stdout)["messages"]
        if one["type"] != "info" or one.get("subType") == "warning"
    ]
    assert len(pages) > 15
    assert found == []
