"""What the forges that tests run on loopback share: HTTP, accounts with tokens, faults on request, and git itself.

A forge of these keeps its state as the real one does, in a bare repository and a few lists; each kind has a module of
its own with its routes. Pull requests, heads and merges are read from, and made in, the repository.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from githost import backend, body_of


@dataclass
class Account:
    """Somebody with a number, a login, a token, and what they may do in the repository."""

    id: int
    login: str
    token: str
    may: str = "write"  # none, read, write, admin
    is_bot: bool = False


@dataclass
class Asked:
    """One request as it arrived: who sent it, and the decoded body."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: Mapping[str, str]
    account: Account | None = None


class Reply(NamedTuple):
    """What is answered: a status, JSON (None for no body), and headers."""

    status: int
    data: Any = None
    headers: Mapping[str, str] = {}


@dataclass
class Fault:
    """What goes wrong with the next requests that match: an answer instead of the real one, or a connection that breaks off.

    `after`: the request is carried out first, and only its answer is lost.
    """

    method: str
    pattern: str
    status: int = 0  # 0: break the connection off
    data: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    after: bool = False


Route = tuple[str, str, str]
Answering = Callable[..., Reply]


def route(method: str, pattern: str) -> Callable[[Answering], Answering]:
    """Mark a method as the answer to requests; `{name}` in the pattern is one part of the path, given as an argument."""

    def marked(function: Answering) -> Answering:
        function.routes = [*getattr(function, "routes", []), (method, pattern)]  # type: ignore[attr-defined]
        return function

    return marked


class LocalForge:
    """A forge on loopback with one repository, `acme/models`. `asked` is every request of the API so far, oldest first."""

    api: ClassVar[str] = "/api/v3"
    wrong_path: ClassVar[Reply] = Reply(404, {"message": "Not Found"})
    no_token: ClassVar[Reply] = Reply(401, {"message": "Bad credentials"})
    path: ClassVar[str] = "acme/models"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / f"{self.path}.git"
        self.accounts: dict[str, Account] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.page = 3  # entries of a page: small, so that every list has several
        self.url = ""
        self._lock = threading.RLock()
        self._id = 100
        for number, login in enumerate(("alice", "bob", "carol", "robot"), 1001):
            self.accounts[login] = Account(number, login, f"secret-of-{login}-{number}", is_bot=login == "robot")

    def number(self) -> int:
        """Return a number that nothing has yet."""
        self._id += 1
        return self._id

    def now(self) -> str:
        """Return a moment, later than any that was given before."""
        return (datetime.now(UTC) + timedelta(seconds=self.number())).strftime("%Y-%m-%dT%H:%M:%SZ")

    # ── what tests do to it

    @property
    def remote(self) -> str:
        """The address that git has for the repository."""
        return f"{self.url}/{self.path}.git"

    def fail(self, method: str, pattern: str, status: int = 0, **more: Any) -> None:
        """Let the next requests of a method whose path matches go wrong; see `Fault`."""
        self.faults.append(Fault(method, pattern, status, **more))

    def writes(self) -> list[Asked]:
        """Return the requests so far that change something."""
        return [asked for asked in self.asked if asked.method != "GET"]

    def git(self, *words: str, stdin: str = "") -> str:
        """Run git in the repository and return what it prints."""
        done = subprocess.run(
            ["git", "-C", str(self.repository), *words], input=stdin, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def tip(self, branch: str) -> str:
        """Return the commit of a branch; empty where there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    # ── serving

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """Run one on a free port of loopback, with an empty repository, until the block ends."""
        forge = cls(folder)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(forge.repository)], check=True)
        forge.git("config", "http.receivepack", "true")
        forge.git("config", "uploadpack.allowAnySHA1InWant", "true")
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(forge))
        server.daemon_threads = True
        forge.url = f"http://127.0.0.1:{server.server_address[1]}"
        # It looks that often whether it is to end; half a second, as it is else, is long for a test.
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield forge
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def whose(self, headers: Mapping[str, str]) -> Account | None:
        """Return the account whose token a request has, in whichever of the headers that forges read."""
        told = {headers.get(name, "").rpartition(" ")[2] for name in ("Authorization", "PRIVATE-TOKEN", "JOB-TOKEN")}
        return next((account for account in self.accounts.values() if account.token in told), None)

    def answer(self, asked: Asked) -> Reply:
        """Return what this forge says to a request: a wrong token first, then its route."""
        if any(asked.headers.get(name) for name in ("Authorization", "PRIVATE-TOKEN")) and asked.account is None:
            return self.no_token
        for name in dir(type(self)):
            function = getattr(type(self), name)
            for method, pattern in getattr(function, "routes", ()):
                expression = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.api + pattern))
                match = re.fullmatch(expression, asked.path) if method == asked.method else None
                if match:
                    return function(self, asked, **{key: unquote(value) for key, value in match.groupdict().items()})
        return self.wrong_path

    def paged(self, asked: Asked, entries: list[Any]) -> Reply:
        """Return one page of a list, with the links to the others."""
        size = min(self.page, int(asked.query.get("per_page") or asked.query.get("limit") or 30))
        number = int(asked.query.get("page", "1"))
        links = []
        if number * size < len(entries):
            query = "&".join(f"{key}={value}" for key, value in {**asked.query, "page": str(number + 1)}.items())
            links.append(f'<{self.url}{asked.path}?{query}>; rel="next"')
        return Reply(200, entries[(number - 1) * size : number * size], {"Link": ", ".join(links)} if links else {})


def grown(forge: Any, branch: str, text: str, *, base: str = "", path: str = "") -> str:
    """Put a commit with one file more on a branch of a forge, and return it."""
    before = forge.tip(base or branch)
    blob = forge.git("hash-object", "-w", "--stdin", stdin=text)
    there = forge.git("ls-tree", before).splitlines() if before else []
    lines = [line for line in there if not line.endswith(f"\t{path or text}")]
    tree = forge.git("mktree", stdin="\n".join([*lines, f"100644 blob {blob}\t{path or text}"]) + "\n")
    made = str(forge._commit(tree, [before] if before else [], text, "alice"))
    forge.git("update-ref", f"refs/heads/{branch}", made)
    return made


def _handler(forge: LocalForge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # the body would wait for the headers to be acknowledged

        def serve(self) -> None:
            url = urlsplit(self.path)
            if url.path.startswith(f"/{forge.path}.git/"):
                backend(self, forge.folder)
                return
            raw = body_of(self)
            body = json.loads(raw) if raw.strip() else None
            asked = Asked(self.command, url.path, dict(parse_qsl(url.query)), body, self.headers)
            with forge._lock:
                asked.account = forge.whose(asked.headers)
                forge.asked.append(asked)
                fault = next(
                    (f for f in forge.faults if f.method in (asked.method, "*") and re.search(f.pattern, asked.path)),
                    None,
                )
                if fault is not None:
                    fault.times -= 1
                    forge.faults = [f for f in forge.faults if f.times > 0]
                reply = (
                    forge.answer(asked)
                    if fault is None or fault.after
                    else Reply(fault.status, fault.data, fault.headers)
                )
            if fault is not None and fault.status == 0:
                self.close_connection = True
                self.connection.close()
                return
            if fault is not None:
                reply = Reply(fault.status, fault.data, fault.headers)
            data = b"" if reply.data is None else json.dumps(reply.data).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 - the names that the server calls

        def log_message(self, *_: object) -> None:
            """Say nothing: what is told belongs to the tests."""

    return Handler
