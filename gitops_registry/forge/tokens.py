"""Where the token for a forge comes from: the environment, or the forge's own command-line tool; no file of ours.

A token goes to the server it is for and to no other. A variable without the name of a server is for the public one, or
for the one that the environment names; the token of a job is for the server that runs the job, whatever else is named.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from urllib.parse import urlsplit

from gitops_registry.forge.http import Token

_PUBLIC = {"github": ("github.com",), "gitlab": ("gitlab.com",), "gitea": ("gitea.com", "codeberg.org")}
_VARIABLES = {
    "github": ("GH_TOKEN", "GITHUB_TOKEN"),
    "gitlab": ("GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN", "CI_JOB_TOKEN"),
    "gitea": ("GITEA_TOKEN", "FORGEJO_TOKEN", "GITHUB_TOKEN"),
}
_SERVERS = {
    "github": ("GITHUB_SERVER_URL", "GH_HOST"),
    "gitlab": ("CI_SERVER_URL", "GITLAB_HOST", "GITLAB_URI"),
    "gitea": ("GITEA_SERVER_URL", "FORGEJO_SERVER_URL", "GITHUB_SERVER_URL"),
}
"""The variables that say which server a token is for, as jobs and the forges' own tools set them."""
_ISSUERS = {"GITHUB_TOKEN": "GITHUB_SERVER_URL", "CI_JOB_TOKEN": "CI_SERVER_URL"}
"""The tokens that jobs get, and the variable that says which server made them."""
_ENTERPRISE = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
_SECRETS = {*(name for names in _VARIABLES.values() for name in names), *_ISSUERS, *_ENTERPRISE, "OAUTH_TOKEN"}
_TOOLS = {
    "github": ("gh", "auth", "token", "--hostname"),
    "gitlab": ("glab", "config", "get", "token", "--host"),
}
_SECONDS = 15


def token(kind: str, server: str, environ: Mapping[str, str]) -> Token | None:
    """Return the token for a server (`host` or `host:port`) of a kind of forge; None where nobody has one for it.

    Raises RegistryError for a variable whose value cannot be a token.
    """
    names = _VARIABLES[kind]
    named = {_host(environ[name]) for name in _SERVERS[kind] if environ.get(name)}
    for_it = server in named or (server in _PUBLIC[kind] and not (named - set(_PUBLIC[kind])))
    if kind == "github" and server not in _PUBLIC[kind]:
        names = (*_ENTERPRISE, *names)
    if for_it:
        for name in names:
            if (secret := environ.get(name, "").strip()) and _is_for(name, kind, server, environ):
                return _made(kind, secret, name)
    return _of_tool(kind, server, environ)


def how(kind: str, server: str) -> str:
    """Return how somebody gives a token for a server, as a hint."""
    if kind == "gitea":
        return f"export GITEA_TOKEN=…, and GITEA_SERVER_URL=https://{server}"
    name = _VARIABLES[kind][-1 if kind == "github" else 0]
    tool = _TOOLS[kind][0]
    told = f"{tool} auth login --hostname {server}, or export {name}=…"
    return told if server in _PUBLIC[kind] else f"{told} and {_SERVERS[kind][0]}=https://{server}"


def _made(kind: str, secret: str, source: str) -> Token:
    if kind == "gitlab":
        return Token(secret, "JOB-TOKEN" if source == "CI_JOB_TOKEN" else "PRIVATE-TOKEN", "", source)
    return Token(secret, scheme="token" if kind == "gitea" else "Bearer", source=source)


def _is_for(name: str, kind: str, server: str, environ: Mapping[str, str]) -> bool:
    """Say whether the token of a variable was made by a server; GITHUB_TOKEN is GitHub's where no job says another."""
    issuer = environ.get(_ISSUERS.get(name, ""), "")
    if issuer:
        return _host(issuer) == server
    return name != "CI_JOB_TOKEN" and (name, kind) != ("GITHUB_TOKEN", "gitea")


def _host(text: str) -> str:
    """Return `host` or `host:port` of an address, or of a host's name alone; empty for what is no address."""
    try:
        return urlsplit(text if "//" in text else f"//{text}").netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _of_tool(kind: str, server: str, environ: Mapping[str, str]) -> Token | None:
    words = _TOOLS.get(kind)
    program = shutil.which(words[0], path=environ.get("PATH")) if words else None
    if words is None or program is None or not server or server.startswith("-"):
        return None
    # The tool would say what a variable holds, for whichever server it is asked about.
    own = {name: value for name, value in environ.items() if name not in _SECRETS}
    try:
        done = subprocess.run(
            [program, *words[1:], server], capture_output=True, encoding="ascii", errors="replace", timeout=_SECONDS,
            check=False, stdin=subprocess.DEVNULL, env=own,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    secret = done.stdout.strip()
    is_token = done.returncode == 0 and re.fullmatch(r"[!-~]+", secret)
    return _made(kind, secret, words[0]) if is_token else None
