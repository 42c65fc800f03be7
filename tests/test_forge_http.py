"""What a forge may answer and how a connection may end, and that no token shows: over real sockets, on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from forge_github import LocalGitHub

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.forge import http, tokens
from gitops_registry.forge.http import Api, Token
from gitops_registry.forge.interface import Refused, Unanswered
from gitops_registry.forge.place import Site, connect, site
from gitops_registry.forge.reading import text
from gitops_registry.forge.tokens import how, token

SECRET = "secret-of-alice-1001"
HERE = "repos/acme/models"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalGitHub]:
    with LocalGitHub.running(tmp_path) as forge:
        yield forge


@pytest.fixture
def waited() -> list[float]:
    """The pauses that were asked for, in seconds, in place of waiting."""
    return []


@pytest.fixture
def api(server: LocalGitHub, waited: list[float]) -> Api:
    given = Token(SECRET, source="GITHUB_TOKEN")
    return Api(f"{server.url}/api/v3/", name="GitHub", token=given, ask_for="gh auth login", wait=waited.append)


# ── what is asked again, and what is not


@pytest.mark.parametrize("status", [0, 500, 502, 503])
def test_what_only_reads_is_asked_again_until_it_is_answered(server, api, waited, status):
    server.fail("GET", "models$", status, times=2)
    assert api.get(HERE)["full_name"] == "acme/models"
    assert len(server.asked) == 3
    assert len(waited) == 2


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_forge_in_trouble_for_ever_is_given_up(server, api, waited, status):
    server.fail("GET", "models$", status, times=99)
    with pytest.raises(Unanswered):
        api.get(HERE)
    assert len(server.asked) == len(waited) + 1 == 4


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("status", [0, 502])
def test_what_adds_something_is_sent_once(server, api, status, after):
    server.fail("POST", "statuses", status, after=after)
    with pytest.raises(Unanswered):
        api.send("POST", f"{HERE}/statuses/{'0' * 40}", json={"state": "success", "context": "x", "description": ""})
    assert len(server.writes()) == 1


def test_a_server_that_is_silent_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(http, "_TIMEOUT", (0.1, 0.1))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        silent = Api(f"http://127.0.0.1:{listener.getsockname()[1]}/", name="GitHub", wait=lambda _: None)
        with pytest.raises(Unanswered, match="it took too long"):
            silent.get("x")


def test_nobody_at_home_is_said(server):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(Unanswered, match="no connection"):
        Api(f"http://127.0.0.1:{port}/", name="GitHub", wait=lambda _: None).get("x")


# ── limits


@pytest.mark.parametrize(
    ("status", "headers", "data", "pause"),
    [
        (429, {"Retry-After": "7"}, None, 7.0),
        (403, {"Retry-After": "3"}, {"message": "You have exceeded a secondary rate limit"}, 3.0),
        (403, {}, {"message": "You have exceeded a secondary rate limit. Wait."}, 0.5),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "RESET"},
            {"message": "API rate limit exceeded"},
            20.0,
        ),
        (429, {"RateLimit-Reset": "RESET"}, None, 20.0),
        (429, {}, None, 0.5),
    ],
)
def test_a_forge_that_asks_to_wait_is_waited_for(server, api, waited, status, headers, data, pause):
    headers = {name: str(int(time.time()) + 20) if value == "RESET" else value for name, value in headers.items()}
    server.fail("POST", "labels", status, data=data, headers=headers)
    server.fail("GET", "models$", status, data=data, headers=headers)
    assert api.get(HERE)["full_name"] == "acme/models"
    assert waited == [pytest.approx(pause, abs=1.5 if pause == 20.0 else 0.3)]


def test_a_limit_that_takes_too_long_is_said_with_its_seconds(server, api, waited):
    server.fail("GET", "models$", 429, headers={"Retry-After": "3600"})
    with pytest.raises(Refused, match="takes no more requests for 3600 seconds") as told:
        api.get(HERE)
    assert "it goes on where it was" in told.value.hint
    assert waited == []


# ── what is refused


@pytest.mark.parametrize(
    ("status", "data", "kind", "words"),
    [
        (401, {"message": "Bad credentials"}, Refused, "does not accept the token of GITHUB_TOKEN: Bad credentials"),
        (403, {"message": "Resource not accessible"}, Refused, "does not allow it: Resource not accessible"),
        (404, {"message": "Not Found"}, NotFound, "has no repos/acme/models"),
        (409, {"message": "moved"}, Refused, "refuses it: moved"),
        (
            422,
            {"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}]},
            Refused,
            "Validation Failed; head; invalid",
        ),
        (418, None, Refused, r"refuses it \(418\)"),
        (400, ["odd", {"error": "nested"}], Refused, "odd; nested"),
        (400, {"message": f"you sent {SECRET}\n\x1b[31m"}, Refused, "you sent …"),
    ],
)
def test_a_refusal_is_told_in_the_forges_words(server, api, status, data, kind, words):
    server.fail("GET", "models$", status, data=data)
    with pytest.raises(kind, match=words) as told:
        api.get(HERE)
    assert SECRET not in str(told.value) + told.value.hint + repr(told.value)
    assert "\x1b" not in told.value.message


def test_without_a_token_it_says_how_to_get_one(server):
    bare = Api(f"{server.url}/api/v3/", name="GitHub", ask_for="gh auth login")
    server.fail("GET", "models$", 401)
    with pytest.raises(Refused, match="asks for a token") as told:
        bare.get(HERE)
    assert told.value.hint == "gh auth login"
    with pytest.raises(NotFound, match="shows it to nobody without a token"):
        bare.get("nowhere")
    assert bare.find("nowhere") is None


# ── answers that are none


class Odd:
    """A server that answers every request with the same bytes and notes the headers it got, and how often all was read."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.got, self.read = answer, b"", 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                self.got += client.recv(65_536)
                try:
                    client.sendall(self.answer)
                    self.read += 1
                except OSError:
                    continue

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Only then is it closed: the next server may get its number, and a thread that is about to accept would take calls of that.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def asking(odd: Odd, **more: Any) -> Api:
    return Api(odd.url, name="GitHub", token=Token(SECRET, source="GITHUB_TOKEN"), wait=lambda _: None, **more)


def test_a_page_for_people_is_no_answer():
    with (
        Odd(reply(b"<html>Sign in</html>", "Content-Type: text/html")) as odd,
        pytest.raises(RegistryError, match="no JSON"),
    ):
        asking(odd).get("x")


def test_an_answer_without_end_is_not_read(monkeypatch):
    monkeypatch.setattr(http, "_MOST_BYTES", 1000)
    with Odd(reply(b"[" + b"1," * 5000 + b"1]")) as odd, pytest.raises(Unanswered, match="could not be read"):
        asking(odd).get("x")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(b"[" * 100_000), "no JSON"),
        (reply(b"\xff\xfe"), "no JSON"),
        (reply(b"", "Location: https://[no", status="302 Found"), "no address"),
        (reply(b"", "Location: file:///etc/passwd", status="302 Found"), "another server"),
        (reply(b"[]", 'Link: <https://[no>; rel="next"'), "no address"),
        (reply(b"<html>", status="403 Forbidden"), "does not allow it"),
        (reply(b"", "Retry-After: \xb2", status="429 Wait"), "takes no more requests"),
        (reply(b"", f"Retry-After: {'9' * 400}", status="429 Wait"), "takes no more requests"),
        (reply(b"", f"X-RateLimit-Reset: {'9' * 400}", "X-RateLimit-Remaining: 0", status="403 No"), "takes no more"),
        (reply(b"xx", "Content-Encoding: gzip"), "could not be read"),
        (b"HELLO\r\n\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "could not be read"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "broke off"),
    ],
)
def test_an_odd_answer_is_an_error_of_one_line(answer, words):
    with Odd(answer) as odd, pytest.raises(RegistryError, match=words) as told:
        list(asking(odd).pages("x"))
    assert "\n" not in told.value.message
    assert SECRET not in str(told.value) + told.value.hint


def test_half_a_sign_is_one_that_can_be_written():
    with Odd(reply(b'{"title": "a \\ud800 b"}')) as odd:
        assert text(asking(odd).get("x"), "title") == "a ? b"


def test_a_redirect_whose_own_answer_has_no_end_is_not_read(monkeypatch):
    monkeypatch.setattr(http, "_MOST_BYTES", 100_000)
    with Odd(b"") as odd:
        odd.answer = reply(b"x" * 30_000_000, f"Location: {odd.url}y", status="302 Found")  # more than sockets keep
        with pytest.raises(Unanswered, match="could not be read"):
            asking(odd).get("x")
        assert b"GET /y" not in odd.got
    assert odd.read == 0


def test_an_answer_that_breaks_off_is_asked_for_again():
    with Odd(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{") as odd, pytest.raises(Unanswered):
        asking(odd).get("x")


def test_a_list_that_is_none_and_one_without_end_are_refused(monkeypatch):
    with Odd(reply(b"{}")) as odd, pytest.raises(RegistryError, match="no list"):
        list(asking(odd).pages("x"))
    monkeypatch.setattr(http, "_MOST_PAGES", 3)
    with Odd(b"") as odd:
        odd.answer = reply(b"[1]", f'Link: <{odd.url}x?page=2>; rel="next"')
        with pytest.raises(RegistryError, match="more than 3 pages"):
            list(asking(odd).pages("x"))


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
def test_a_token_follows_no_redirect_to_another_server(status):
    with Odd(reply(b"{}")) as other, Odd(b"") as odd:
        odd.answer = reply(b"", f"Location: {other.url}x", status=status)
        with pytest.raises(RegistryError, match="points to another server"):
            asking(odd).get("x")
        assert SECRET.encode() in odd.got
        assert other.got == b""


def test_a_list_that_goes_on_elsewhere_is_not_followed():
    with Odd(reply(b"[]")) as other, Odd(b"") as odd:
        odd.answer = reply(b"[1]", f'Link: <{other.url}x?page=2>; rel="next"')
        with pytest.raises(RegistryError, match="points to another server"):
            list(asking(odd).pages("x"))
        assert other.got == b""


def test_a_repository_that_moved_on_the_same_server_is_followed():
    with Odd(b"") as odd:
        odd.answer = reply(b"", f"Location: {odd.url}y", status="301 Moved Permanently")
        with pytest.raises(Refused):  # for ever: it gives up, and tells that answer
            asking(odd).get("x")
        assert odd.got.count(b"GET /y") >= 1


# ── tokens


def test_a_token_does_not_show_itself():
    given = Token(SECRET, source="GITHUB_TOKEN")
    assert SECRET not in repr(given)
    assert SECRET not in repr(Api("https://example.com/", name="GitHub", token=given))


PUBLIC = [
    ("github", "github.com", {"GH_TOKEN": "a", "GITHUB_TOKEN": "b"}, "Bearer a"),
    ("github", "github.com", {"GITHUB_TOKEN": " b \n"}, "Bearer b"),
    ("github", "git.corp.example", {"GITHUB_TOKEN": "b"}, None),
    ("github", "git.corp.example", {"GITHUB_TOKEN": "b", "GITHUB_SERVER_URL": "https://git.corp.example"}, "Bearer b"),
    ("github", "git.corp.example", {"GH_ENTERPRISE_TOKEN": "e", "GH_HOST": "git.corp.example"}, "Bearer e"),
    ("github", "github.com", {"GITHUB_TOKEN": "b", "GITHUB_SERVER_URL": "https://git.corp.example"}, None),
    ("gitlab", "gitlab.com", {"GITLAB_TOKEN": "g"}, "g"),
    ("gitlab", "git.corp.example", {"GITLAB_TOKEN": "g"}, None),
    ("gitlab", "git.corp.example:8443", {"CI_JOB_TOKEN": "j", "CI_SERVER_URL": "https://git.corp.example:8443"}, "j"),
    ("gitea", "codeberg.org", {"FORGEJO_TOKEN": "f"}, "token f"),
    ("gitea", "git.corp.example", {"GITEA_TOKEN": "t", "GITEA_SERVER_URL": "https://git.corp.example/"}, "token t"),
    ("gitea", "git.corp.example", {"GITEA_TOKEN": "t", "GITEA_SERVER_URL": "https://evil.example"}, None),
    ("github", "github.com", {"GITHUB_TOKEN": "b", "GH_HOST": "https://[no"}, None),
    # The token of a job is for the server that runs it, whatever other server is named too.
    ("gitea", "codeberg.org", {"GITHUB_TOKEN": "b"}, None),
    ("gitea", "codeberg.org", {"GITHUB_TOKEN": "b", "GITHUB_SERVER_URL": "https://codeberg.org"}, "token b"),
    ("gitea", "git.corp.example", {"GITHUB_TOKEN": "b", "GITHUB_SERVER_URL": "https://github.com", "GITEA_SERVER_URL": "https://git.corp.example"}, None),
    ("github", "git.corp.example", {"GITHUB_TOKEN": "b", "GITHUB_SERVER_URL": "https://github.com", "GH_HOST": "git.corp.example"}, None),
    ("gitlab", "git.corp.example", {"CI_JOB_TOKEN": "j", "CI_SERVER_URL": "https://gitlab.com", "GITLAB_HOST": "git.corp.example"}, None),
    ("gitlab", "gitlab.com", {"CI_JOB_TOKEN": "j"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "host", "environ", "wanted"), PUBLIC)
def test_a_token_is_for_its_server_alone(kind, host, environ, wanted):
    found = token(kind, host, {**environ, "PATH": "/nowhere"})
    assert (found.value if found else None) == wanted


def test_the_forges_own_tool_is_asked_where_the_environment_has_none(tmp_path):
    tool = tmp_path / "gh"
    tool.write_text('#!/bin/sh\n[ "$*" = "auth token --hostname github.com" ] && echo of-the-tool\n')
    tool.chmod(0o755)
    found = token("github", "github.com", {"PATH": f"{tmp_path}:/bin:/usr/bin"})
    assert found is not None
    assert (found.value, found.source) == ("Bearer of-the-tool", "gh")
    assert token("github", "git.corp.example", {"PATH": f"{tmp_path}:/bin:/usr/bin"}) is None
    tool.write_text("#!/bin/sh\nprintf 'one\\ntwo\\n'\n")
    assert token("github", "github.com", {"PATH": f"{tmp_path}:/bin:/usr/bin"}) is None


@pytest.mark.parametrize(
    ("kind", "tool", "server", "environ"),
    [
        ("github", "gh", "github.com", {"GH_TOKEN": SECRET, "GITHUB_TOKEN": SECRET, "GH_HOST": "git.corp.example"}),
        ("github", "gh", "other.example", {"GH_ENTERPRISE_TOKEN": SECRET, "GITHUB_ENTERPRISE_TOKEN": SECRET}),
        ("gitlab", "glab", "git.corp.example", {"GITLAB_TOKEN": SECRET, "OAUTH_TOKEN": SECRET, "CI_JOB_TOKEN": SECRET}),
    ],
)
def test_a_tool_that_would_say_what_a_variable_holds_for_another_server_does_not_see_it(
    tmp_path, kind, tool, server, environ
):
    (tmp_path / tool).write_text('#!/bin/sh\necho "own:$(env | grep -c secret)"\n')
    (tmp_path / tool).chmod(0o755)
    found = token(kind, server, {**environ, "PATH": f"{tmp_path}:/bin:/usr/bin"})
    assert found is not None
    assert (found.secret, found.source) == ("own:0", tool)


@pytest.mark.parametrize("said", ["printf '\\377\\n'", "echo", "echo a b", "echo x; exit 1", "kill $$"])
def test_a_tool_that_says_no_token_has_none(tmp_path, said):
    (tmp_path / "glab").write_text(f"#!/bin/sh\n{said}\n")
    (tmp_path / "glab").chmod(0o755)
    assert token("gitlab", "gitlab.com", {"PATH": f"{tmp_path}:/bin:/usr/bin"}) is None


def test_a_tool_that_never_answers_or_cannot_run_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "_SECONDS", 0.1)
    (tmp_path / "gh").write_text("#!/bin/sh\nexec sleep 5\n")
    (tmp_path / "gh").chmod(0o755)
    assert token("github", "github.com", {"PATH": f"{tmp_path}:/bin:/usr/bin"}) is None
    (tmp_path / "gh").write_text("#!/no/such/shell\n")
    assert token("github", "github.com", {"PATH": str(tmp_path)}) is None
    assert token("github", "--help", {"PATH": str(tmp_path)}) is None


@pytest.mark.parametrize("secret", ["a\nb", "a b", "a…b", "“ab”", "a\x7fb"])
def test_what_no_header_can_carry_is_refused_before_it_is_sent_and_not_shown(secret):
    with pytest.raises(RegistryError, match="GITHUB_TOKEN holds something that no token is") as told:
        token("github", "github.com", {"GITHUB_TOKEN": f"hidden{secret}hidden", "PATH": "/nowhere"})
    assert "hidden" not in repr(told.value) + told.value.hint


@pytest.mark.parametrize(
    ("kind", "host"), [("github", "github.com"), ("gitlab", "git.corp.example"), ("gitea", "codeberg.org")]
)
def test_how_to_give_a_token_is_a_command(kind, host):
    assert "export " in how(kind, host)


# ── addresses


PLACES = [
    ("https://github.com/acme/models.git", ("github", "https://github.com", "acme/models")),
    ("git@github.com:acme/models.git", ("github", "https://github.com", "acme/models")),
    ("ssh://git@ssh.github.com:443/acme/models.git", ("github", "https://github.com", "acme/models")),
    ("https://alice:hidden@gitlab.com/acme/team/models", ("gitlab", "https://gitlab.com", "acme/team/models")),
    ("https://codeberg.org/acme/models/", ("gitea", "https://codeberg.org", "acme/models")),
    ("https://github.com/acme/team/models", None),
    ("https://git.corp.example/acme/models", None),
    ("/srv/models.git", None),
    ("https://github.com/../models", None),
    ("https://GitHub.com:443/acme/models.git", ("github", "https://github.com", "acme/models")),
    ("https://hidden@github.com/acme/models", ("github", "https://github.com", "acme/models")),
    (
        "ssh://git@altssh.gitlab.com:443/acme/team/deep/models",
        ("gitlab", "https://gitlab.com", "acme/team/deep/models"),
    ),
    ("git+ssh://git@codeberg.org/acme/models.git", ("gitea", "https://codeberg.org", "acme/models")),
    ("codeberg.org:acme/models.git", ("gitea", "https://codeberg.org", "acme/models")),
    ("https://github.com.evil.example/acme/models", None),
    ("https://github.com@evil.example/acme/models", None),
    ("https://github.com:8443/acme/models", None),
    ("https://github.com:x/acme/models", None),
    ("https://[no/acme/models", None),
    ("https://github.com/acme/models?hidden", ("github", "https://github.com", "acme/models")),
    ("git@github.com:acme/mod els", None),
    ("git://github.com/acme/models", None),
    ("", None),
    ("file:///srv/models.git", None),
]


@pytest.mark.parametrize(("remote", "wanted"), PLACES)
def test_where_a_repository_is_on_a_forge_is_read_from_its_address(remote, wanted):
    found = site(remote)
    assert (tuple(found) if found else None) == wanted
    assert "hidden" not in repr(found)


def test_a_server_of_ones_own_is_known_when_registry_yaml_names_it():
    found = site("ssh://git@git.corp.example:2222/acme/models.git", kind="gitea", url="https://git.corp.example/forge")
    assert found == Site("gitea", "https://git.corp.example/forge", "acme/models")
    assert found.api == "https://git.corp.example/forge/api/v1/"
    assert site("ssh://git@[::1]:22/acme/models", kind="gitea") == Site("gitea", "https://[::1]", "acme/models")
    assert site("http://127.0.0.1:3000/acme/models", kind="gitea") == Site(
        "gitea", "http://127.0.0.1:3000", "acme/models"
    )
    with pytest.raises(RegistryError, match="the remote is on git"):
        site("https://git.corp.example/acme/models", kind="github", url="https://evil.example")
    with pytest.raises(RegistryError, match="not on https"):
        site("git@git.corp.example:acme/models", kind="github", url="http://evil.example")


@pytest.mark.parametrize(
    ("kind", "path"), [("gitea", "acme/models"), ("gitlab", "acme/models"), ("gitlab", "acme/team/models")]
)
@pytest.mark.parametrize("start", ["https://alice@git.corp.example/forge/", "git@git.corp.example:"])
def test_a_server_in_a_folder_of_another_is_no_part_of_the_path(kind, path, start):
    found = site(f"{start}{path}.git", kind=kind, url="https://git.corp.example/forge/")
    assert found == Site(kind, "https://git.corp.example/forge", path)
    assert found.host == "git.corp.example"


def test_no_token_goes_over_a_line_that_others_read():
    with Odd(reply(b'{"id": 1, "login": "alice"}')) as odd:
        where = Site("github", odd.url.rstrip("/").replace("127.0.0.1", "localhost"), "acme/models")
        environ = {"GITHUB_TOKEN": SECRET, "GITHUB_SERVER_URL": where.server, "PATH": "/nowhere"}
        assert connect(where, environ).person("alice").id == 1
        assert SECRET.encode() in odd.got  # loopback is this machine
    plain = connect(
        Site("github", "http://git.corp.example", "acme/models"),
        {**environ, "GITHUB_SERVER_URL": "http://git.corp.example"},
    )
    assert plain._api._token is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("url", ["javascript://git.corp.example/%0aalert(1)", "ftp://git.corp.example", "//git.corp.example", "file://git.corp.example/x"])  # fmt: skip
def test_a_forge_is_on_the_web_and_no_other_address_becomes_a_link(url: str) -> None:
    with pytest.raises(RegistryError, match="is on no web server"):
        site("https://git.corp.example/acme/models", kind="github", url=url)
