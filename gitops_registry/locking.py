"""The packages of an environment with everything they need, each with its hashes: `pylock.toml` (PEP 751).

A resolver that is installed does the work: uv, else pip where it has `pip lock`. Nothing is built, so no code of a package
runs here; nothing but names and versions is asked for; no secret of the environment reaches the resolver beyond what it
needs to ask an index, and none comes out of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from ast import literal_eval
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from packaging.pylock import Pylock, PylockValidationError
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gitops_registry.errors import RegistryError

_SECONDS = 180
_PIP_LOCKS_SINCE = Version("25.1")
_KEPT = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TMPDIR|TZ|XDG_\w+|VIRTUAL_ENV|NETRC|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|((HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy)|PIP_\w+|UV_(?!PUBLISH)\w+"
)
"""The variables that a resolver sees: where it works, whom it trusts, and its own settings."""
_AS_UV = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find-links": ("UV_FIND_LINKS",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "cert": ("SSL_CERT_FILE",),
    "proxy": ("ALL_PROXY", "HTTPS_PROXY", "https_proxy", "all_proxy"),
}
"""pip's settings of where packages come from, and uv's variables for them; the first is set if none of them is."""
_USER = re.compile(r"(?<=://)[^/\s\"'@]+@")


def lock(requirements: Sequence[str], *, python: str) -> bytes:
    """Return the text of a `pylock.toml` for requirements (PEP 508) and the version of Python they are for, like 3.11.7.

    Indexes are those that uv or pip are set to use here. Raises RegistryError for a requirement that names an address, since
    that would have to be built, where there is no resolver, and where it finds no solution.
    """
    wanted = [_checked(line) for line in requirements]
    if not wanted:
        raise RegistryError("the version names no packages to lock", hint="see: gitops-registry show NAME@REF --json")
    if not re.fullmatch(r"3\.\d{1,3}(\.\d{1,3})?", python):
        raise RegistryError(f"there is no Python {python[:40]!r} to lock packages for", hint="it is like 3.11.7")
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder:
        place = Path(folder)
        place.joinpath("wanted.txt").write_text("".join(f"{one}\n" for one in wanted), encoding="utf-8")
        # Settings of a project lie in the folder or above it, where anybody might have put some.
        place.joinpath("uv.toml").touch()
        kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
        text = _locked(place, kept, python)
    return _valid(_USER.sub("", text), wanted).encode()


def _checked(line: str) -> Requirement:
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        raise RegistryError(f"{line[:100]!r} names no package", hint="write it like numpy==2.4.6") from error
    if requirement.url is not None:
        raise RegistryError(
            f"{requirement.name} is no package of an index, and to lock it would be to run its code",
            hint="publish it to an index and register the model again, or export requirements",
        )
    return requirement


def _locked(place: Path, environ: Mapping[str, str], python: str) -> str:
    found = shutil.which("uv", path=os.pathsep.join((str(Path(sys.executable).parent), environ.get("PATH", ""))))
    if found is not None:
        settings, options = _settings(place, environ)
        return _run(
            [found, "pip", "compile", "wanted.txt", "--format", "pylock.toml", "--universal", "--python-version", python,
             "--no-build", "--no-header", "--no-annotate", "--quiet", "--no-python-downloads", *options],
            place, {**environ, **settings},
        )  # fmt: skip
    here = ".".join(map(str, sys.version_info[:2]))
    if _pip_can_lock() and f"{python}.".startswith(f"{here}."):
        return _run(
            [sys.executable, "-P", "-m", "pip", "lock", "-r", "wanted.txt", "-o", "pylock.toml", "--only-binary", ":all:", "--quiet"],
            place, environ, written=place / "pylock.toml",
        )  # fmt: skip
    raise RegistryError("nothing here can lock packages", hint="pip install 'gitops-registry[lock]', which brings uv")


def _pip_can_lock() -> bool:
    with suppress(metadata.PackageNotFoundError, InvalidVersion):
        return Version(metadata.version("pip")) >= _PIP_LOCKS_SINCE
    return False


def _run(command: Sequence[str], place: Path, environ: Mapping[str, str], written: Path | None = None) -> str:
    name = "uv" if written is None else "pip"
    try:
        done = subprocess.run(
            command, cwd=place, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
            errors="replace", timeout=_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return done.stdout if written is None else written.read_text(encoding="utf-8")
    except subprocess.TimeoutExpired as error:
        raise RegistryError(
            f"{name} found no solution within {_SECONDS} seconds", hint="is the package index reachable?"
        ) from error
    except OSError as error:
        raise RegistryError(f"{name} could not be run: {error.strerror}", hint=f"try: {name} --version") from error
    raise RegistryError(
        f"{name} found no way to lock these packages: {_complaint(done.stderr)}",
        hint="check the pins, and the package index that pip and uv are set to use",
    )


def _complaint(told: str) -> str:
    """Return the line of a resolver's complaint that says why, without whoever's name and password."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    whys = [line for line in lines if line.lower().startswith(("cause:", "caused by:", "╰─▶", "error:"))]
    text = _USER.sub("", (whys or lines or ["it did not say why"])[-1]).partition(": ")
    told = text[2] if text[0].lower() in {"cause", "caused by", "error"} else "".join(text)
    return "".join(letter if letter.isprintable() else "?" for letter in told[:300])


# ── where packages come from


def _settings(place: Path, environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return uv's variables and options for what pip is set to, but for what uv is told itself."""
    told = _of_pip(place, environ)
    settings = {}
    for name, variables in _AS_UV.items():
        values = [_absolute(value) for value in told.get(name, "").split()]
        if values and not any(environ.get(variable) for variable in variables):
            settings[variables[0]] = ("," if name == "find-links" else " ").join(values)
    if "UV_INDEX" in settings and not environ.get("UV_INDEX_STRATEGY"):
        settings["UV_INDEX_STRATEGY"] = (
            "unsafe-first-match"  # pip looks into all of them; here the added ones come first
        )
    is_cut_off = told.get("no-index", "").lower() in {"1", "true", "yes", "on", "y", "t"}
    return settings, ["--no-index"] if is_cut_off else []


def _absolute(value: str) -> str:
    """Return an address or name as it is, and a path that means a file or folder here as a whole one."""
    path = Path(value).expanduser()
    return str(path.absolute()) if "://" not in value and path.exists() else value


def _of_pip(place: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings by name, as it says itself; of those that it is told twice, the one it obeys."""
    pip = [sys.executable, "-P", "-m", "pip"]
    if not _has_pip():
        found = shutil.which("pip3", path=environ.get("PATH")) or shutil.which("pip", path=environ.get("PATH"))
        if found is None:
            return {}
        pip = [found]
    try:
        done = subprocess.run(
            [*pip, "config", "list"], cwd=place, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True,
            encoding="utf-8", errors="replace", timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    ranked: dict[str, tuple[int, str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        rank = {"global": 0, "install": 1, "lock": 1, ":env:": 2}.get(section)
        with suppress(ValueError, SyntaxError):
            if rank is not None and rank >= ranked.get(name, (0, ""))[0]:
                ranked[name] = (rank, str(literal_eval(value)))
    return {name: value for name, (_, value) in ranked.items()}


def _has_pip() -> bool:
    with suppress(metadata.PackageNotFoundError):
        return bool(metadata.version("pip"))
    return False


# ── what came out


def _valid(text: str, wanted: Sequence[Requirement]) -> str:
    try:
        locked = Pylock.from_dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, PylockValidationError) as error:
        raise RegistryError(
            f"the resolver wrote no lock with hashes: {' '.join(str(error).split())[:200]}",
            hint="use a package index that says the hashes of its files",
        ) from error
    there = {(package.name, package.version) for package in locked.packages}
    for one in wanted:
        versions = [version for name, version in there if name == canonicalize_name(one.name)]
        if not any(version is not None and one.specifier.contains(version, prereleases=True) for version in versions):
            raise RegistryError(f"the resolver left out {one.name}", hint="check its marker, and try another resolver")
    return text
