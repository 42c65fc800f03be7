"""One way to speak HTTP to a forge: with a token that goes to that forge alone, patience, and errors that say the next step.

Only what may be asked twice is asked twice. A token is never part of an error, of a representation or of an address.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urljoin, urlsplit

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.forge.interface import Refused, Unanswered

if TYPE_CHECKING:
    import requests

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_TIMEOUT = (10.0, 30.0)
_TRIES = 4
_PATIENCE = 90.0
"""Seconds that are waited in all for a forge that asks to wait."""
_MOST_BYTES = 20_000_000
_MOST_PAGES = 200
_PAUSE = 0.5
_SECONDS = re.compile(r"[0-9]{1,12}")


class Answer(NamedTuple):
    """What came back: decoded JSON (None where there was no body) and the headers, whose names have no case."""

    status: int
    data: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Token:
    """A secret, the header that carries it, and where it was found; it never shows itself.

    Raises RegistryError for what no header can carry: whatever would send it would show it in its error.
    """

    secret: str = field(repr=False)
    header: str = "Authorization"
    scheme: str = "Bearer"
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse a secret with anything but visible signs of ASCII."""
        if re.fullmatch(r"[!-~]+", self.secret) is None:
            raise RegistryError(
                f"{self.source or 'the token'} holds something that no token is",
                hint="copy the token again, without blanks, lines or quotes around it",
            )

    @property
    def value(self) -> str:
        """What the header says."""
        return f"{self.scheme} {self.secret}" if self.scheme else self.secret


class Api:
    """The API of one forge at `base`, which ends with a slash. `name` is what people call the forge; `ask_for` says how to get a token."""

    def __init__(
        self,
        base: str,
        *,
        name: str,
        token: Token | None = None,
        ask_for: str = "",
        headers: Mapping[str, str] | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base = base
        self.name = name
        self._token = token
        self._ask_for = ask_for
        self._headers = {"Accept": "application/json", **(headers or {})}
        self._wait = wait
        self._session: requests.Session | None = None

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON of what is at a path below the base. Raises NotFound and what `send` raises."""
        return self.send("GET", path, params=params).data

    def find(self, path: str, **params: Any) -> Any:
        """Return the JSON of what is at a path, None where nothing is."""
        try:
            return self.get(path, **params)
        except NotFound:
            return None

    def pages(self, path: str, *, key: str = "", **params: Any) -> Iterator[Any]:
        """Yield the entries of a list, page after page as the forge links them; `key` is where an answer keeps its list.

        Raises RegistryError where a link leads to somebody else, or to no end.
        """
        answer = self.send("GET", path, params=params)
        for _ in range(_MOST_PAGES):
            entries = answer.data.get(key) if key and isinstance(answer.data, dict) else answer.data
            if not isinstance(entries, list):
                raise RegistryError(f"{self.name} answered with no list for {path}", hint="is that address its API?")
            yield from entries
            there = _next(answer.headers.get("Link", ""))
            if not there:
                return
            answer = self.send("GET", there)
        raise RegistryError(f"{self.name} has more than {_MOST_PAGES} pages of {path}", hint="close what is not needed")

    def once(self, find: Callable[[], Any], path: str, *, json: Any) -> Any:
        """Return what `find` finds; where that is None, add it with a POST, and look again where its answer is lost."""
        found = find()
        if found is not None:
            return found
        try:
            return self.send("POST", path, json=json).data
        except Unanswered:
            found = find()
            if found is None:
                raise
            return found

    def send(
        self,
        method: Method,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        may_repeat: bool = False,
    ) -> Answer:
        """Return what a forge answers to a request at a path below the base, or at a full address of the same server.

        What only reads or replaces is asked again where no answer came (and a POST that `may_repeat`, for said twice it is the
        same); what adds something is not, and raises Unanswered.
        Raises NotFound (404), Refused with the forge's words for everything else that it does not do.
        """
        url = self._address(path)
        patience, tries = _PATIENCE, 0
        is_one_try = method == "POST" and not may_repeat
        while True:
            tries += 1
            try:
                answer = self._once(method, url, json, params)
            except Unanswered:
                if is_one_try or tries >= _TRIES:
                    raise
                self._wait(_pause(tries))
                continue
            pause = _asked_to_wait(answer)
            if pause is not None:
                pause = pause if pause > 0 else _pause(tries)
                if pause > patience or tries > 8 * _TRIES:
                    raise Refused(
                        f"{self.name} takes no more requests for {round(pause)} seconds",
                        hint="wait that long, then run it again: it goes on where it was",
                        status=429,  # also where it says 403, which means that somebody may not
                    )
                patience -= pause
                self._wait(pause)
                continue
            if answer.status >= 500:
                if is_one_try or tries >= _TRIES:
                    raise Unanswered(
                        f"{self.name} is in trouble: it answered {answer.status}", hint="try again in a while"
                    )
                self._wait(_pause(tries))
                continue
            if answer.status >= 300:
                raise self._refusal(answer, path)
            return answer

    def _address(self, path: str, start: str = "") -> str:
        """Return the address of a path below `start`, or below the base. Raises RegistryError where that is another server."""
        try:
            url = urljoin(start or self.base, path)
            there = urlsplit(url)
        except ValueError:
            raise RegistryError(
                f"{self.name} points to something that is no address", hint="is that address its API?"
            ) from None
        if there[:2] != urlsplit(self.base)[:2]:
            raise RegistryError(
                f"{self.name} points to another server, {there.hostname}", hint="is that address its API?"
            )
        return url

    def _once(self, method: Method, url: str, json: Any, params: Mapping[str, Any] | None) -> Answer:
        import requests

        sent = dict(params or {})
        for _ in range(5):
            try:
                with self._connected().request(
                    method, url, json=json, params=sent, timeout=_TIMEOUT, allow_redirects=False, stream=True
                ) as got:
                    body = _read(got)
            except requests.RequestException as error:
                raise Unanswered(
                    f"{self.name} gives no answer ({_cause(error)})", hint="is this machine online? Then run it again"
                ) from None  # its text has the whole address
            there = got.headers.get("Location", "")
            moved = got.status_code in {307, 308} or (got.status_code in {301, 302} and method == "GET")
            if not moved or not there:
                break
            url, sent = self._address(there, url), {}
        return Answer(got.status_code, self._decoded(got, body), got.headers)

    def _decoded(self, got: requests.Response, body: bytes) -> Any:
        import json

        if not body.strip():
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            if got.status_code < 300:
                raise RegistryError(
                    f"{self.name} answered with something that is no JSON", hint="is that address its API?"
                ) from None
            return None

    def _connected(self) -> requests.Session:
        if self._session is None:
            import requests

            class Here(requests.Session):
                """One that follows nothing by itself: it would read the whole answer first, however long."""

                def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - as requests calls it
                    return None

            self._session = Here()
            self._session.headers.update(self._headers)
            token = self._token

            def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
                if token is not None:
                    request.headers[token.header] = token.value
                return request

            self._session.auth = sign  # also keeps requests from looking for a password in .netrc
        return self._session

    def _refusal(self, answer: Answer, path: str) -> RegistryError:
        told = self.words(answer.data)
        behind = f": {told}" if told else ""
        if answer.status == 401:
            whose = f"the token of {self._token.source}" if self._token and self._token.source else "the token"
            known = f"{self.name} does not accept {whose}" if self._token else f"{self.name} asks for a token"
            return Refused(known + behind, hint=self._ask_for, status=401)
        if answer.status == 404:
            what = "" if self._token else ", or shows it to nobody without a token"
            return NotFound(f"{self.name} has no {path.partition('?')[0]}{what}", hint=self._ask_for)
        if answer.status == 403:
            hint = self._ask_for if self._token is None else "that token may not do this: give it what it needs"
            return Refused(f"{self.name} does not allow it{behind}", hint=hint, status=403)
        return Refused(f"{self.name} refuses it{behind or f' ({answer.status})'}", status=answer.status)

    def words(self, data: Any) -> str:
        """Return what an error of a forge says, as one short line in which the token does not stand."""
        told = list(_told(data))
        text = " ".join("; ".join(dict.fromkeys(told)).split())
        if self._token is not None and self._token.secret:
            text = text.replace(self._token.secret, "…")
        return "".join(sign if sign.isprintable() else "?" for sign in text)[:300]


def _told(data: Any) -> Iterator[str]:
    """Yield the words of an error, whichever way a forge puts them."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, list):
        for entry in data[:5]:
            yield from _told(entry)
    elif isinstance(data, dict):
        for name in ("message", "error", "error_description", "errors"):
            yield from _told(data.get(name))
        if not any(data.get(name) for name in ("message", "error", "errors")):
            for name, value in list(data.items())[:5]:
                if isinstance(value, list) and name not in {"documentation_url"}:
                    yield from (f"{name} {text}" for text in _told(value))
                elif name in {"field", "code"}:
                    yield str(value)


def _asked_to_wait(answer: Answer) -> float | None:
    """Return the seconds a forge asks to wait; 0 where it does not say how long, None where it asks for nothing.

    GitHub says 403 or 429, with Retry-After, or with the moment its count begins anew; GitLab and Gitea 429.
    """
    headers = answer.headers
    after: str = headers.get("Retry-After", "")
    words = str(answer.data.get("message", "")) if isinstance(answer.data, dict) else ""
    is_limit = answer.status == 429 or (
        answer.status == 403
        and (after != "" or headers.get("X-RateLimit-Remaining") == "0" or "secondary rate limit" in words.lower())
    )
    if not is_limit:
        return None
    if _SECONDS.fullmatch(after.strip()):
        return float(after)
    reset: str = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or ""
    if headers.get("X-RateLimit-Remaining", "0") == "0" and _SECONDS.fullmatch(reset):
        left: float = float(reset) - time.time()
        return left if left > 1.0 else 1.0
    return 0.0


def _pause(tries: int) -> float:
    return _PAUSE * 2.0 ** (tries - 1) * random.uniform(0.5, 1.0)


def _read(got: requests.Response) -> bytes:
    import requests

    found = bytearray()
    for piece in got.iter_content(65_536):
        found += piece
        if len(found) > _MOST_BYTES:
            raise requests.RequestException("too long")
    return bytes(found)


def _cause(error: Exception) -> str:
    """Return what kind of trouble a connection had; its own text names addresses."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.Timeout):
        return "it took too long"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or it broke off"
    return "the answer could not be read"


def _next(link: str) -> str:
    """Return the address of the next page from a Link header; empty where this is the last."""
    from requests.utils import parse_header_links

    found = parse_header_links(link) if link else []
    return next((str(entry["url"]) for entry in found if "next" in str(entry.get("rel")).split()), "")
