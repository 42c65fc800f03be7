"""Which forge a repository is on, from the address git has for it and what registry.yaml says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

from gitops_registry.errors import RegistryError
from gitops_registry.forge.http import Api
from gitops_registry.forge.tokens import how, token

if TYPE_CHECKING:
    from gitops_registry.forge.interface import Forge

Known = Literal["github", "gitlab", "gitea"]
_HOSTS: dict[str, Known] = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "codeberg.org": "gitea",
    "gitea.com": "gitea",
}
_SSH_HOSTS = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}
_SCP = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>(?!//).+)")
_VERSIONS = {"github": "v3", "gitlab": "v4", "gitea": "v1"}
_NAMES = {"github": "GitHub", "gitlab": "GitLab", "gitea": "Gitea"}


class Site(NamedTuple):
    """A repository on a forge: which kind, the address of the server (`https://host`), and the repository's path there."""

    kind: Known
    server: str
    path: str

    @property
    def host(self) -> str:
        """`host`, or `host:port` where the port is not the usual one."""
        return urlsplit(self.server).netloc

    @property
    def api(self) -> str:
        """The address that its API is below."""
        if self.server == "https://github.com":
            return "https://api.github.com/"
        return f"{self.server}/api/{_VERSIONS[self.kind]}/"


def site(remote: str, *, kind: Known | None = None, url: str = "") -> Site | None:
    """Return where a repository is on a forge, from git's address of it; `kind` and `url` are what registry.yaml says.

    None for an address that is on no server, or on one nobody named. Raises RegistryError where registry.yaml names another
    server than git's remote, which a token is not sent to.
    """
    found = _split(remote)
    if found is None:
        return None
    server, path = found
    host = urlsplit(server).netloc
    told = kind or _HOSTS.get(host)
    named = urlsplit(url)
    if not _is_ssh(remote):  # git's address has the folder that the server is in, where it is in one
        path = path.removeprefix(f"{named.path.strip('/')}/")
    if told is None or path.count("/") < 1 or (told != "gitlab" and path.count("/") != 1):
        return None
    if url:
        if named.scheme not in {"https", "http"}:
            raise RegistryError(f"the forge {url} is on no web server", hint="say https://… in registry.yaml")
        if named.scheme != "https" and named.netloc != host:
            raise RegistryError(f"the forge {url} is not on https", hint="say https://… in registry.yaml")
        if named.hostname != urlsplit(server).hostname and not _is_ssh(remote):
            raise RegistryError(
                f"registry.yaml says the forge is {url}, and the remote is on {host}",
                hint="one of the two is wrong; a token is sent to neither",
            )
        server = f"{named.scheme}://{named.netloc}{named.path.rstrip('/')}"
    return Site(told, server, path)


def _is_ssh(remote: str) -> bool:
    return "//" not in remote or remote.startswith(("ssh://", "git+ssh://"))


def _split(remote: str) -> tuple[str, str] | None:
    """Return the server's address, without the usual port, and the path of the repository on it."""
    if "://" in remote:
        try:
            parts, port = urlsplit(remote), urlsplit(remote).port
        except ValueError:
            return None
        if parts.scheme not in {"https", "http", "ssh", "git+ssh"} or not parts.hostname:
            return None
        is_web = parts.scheme in {"https", "http"}
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        if is_web and port not in {None, {"https": 443, "http": 80}[parts.scheme]}:
            host = f"{host}:{port}"
        server, path = f"{parts.scheme if is_web else 'https'}://{_SSH_HOSTS.get(host, host)}", parts.path
    else:
        match = _SCP.fullmatch(remote)
        if match is None:
            return None
        host, path = match["host"].lower(), match["path"]
        server = f"https://{_SSH_HOSTS.get(host, host)}"
    path = path.strip("/").removesuffix(".git")
    return (server, path) if path and re.fullmatch(r"[\w./-]+", path) and ".." not in path else None


def _is_private(server: str) -> bool:
    parts = urlsplit(server)
    return parts.scheme == "https" or parts.hostname in {"127.0.0.1", "::1", "localhost"}


def connect(where: Site, environ: Mapping[str, str]) -> Forge:
    """Return the forge a repository is on, with whatever token there is for it; none goes over a line that others can read."""
    headers = {"User-Agent": "gitops-registry"}
    if where.kind == "github":
        headers |= {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    api = Api(
        where.api,
        name=_NAMES[where.kind],
        token=token(where.kind, where.host, environ) if _is_private(where.server) else None,
        ask_for=how(where.kind, where.host),
        headers=headers,
    )
    if where.kind == "github":
        from gitops_registry.forge.github import GitHub

        return GitHub(api, where.server, where.path)
    if where.kind == "gitlab":
        from gitops_registry.forge.gitlab import GitLab

        return GitLab(api, where.server, where.path)
    from gitops_registry.forge.gitea import Gitea

    return Gitea(api, where.server, where.path)
