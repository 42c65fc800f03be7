"""The configuration of DVC: which remote holds the bytes of a registry, and where that is.

With `artifact`, which moves the bytes, the only module that knows DVC. What is told to people holds no secret of the
configuration; what is written is committed, so it never holds one either.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.paths import EMBEDDED_STORE
from gitops_registry.plain_remote import shared_files

_SECRET_OPTION = re.compile(r"password|passphrase|secret|token|key|credential|connection_string|auth|ticket")

_READ: dict[Path, tuple[tuple[tuple[int, int, int] | None, ...], dict[str, Any]]] = {}
"""Configurations that were parsed, by the registry's root, with the marks of the files they came from."""


def embedded_config() -> bytes:
    """Return the `.dvc/config` of a registry that keeps its bytes in the repository."""
    return _config_file("store", posixpath.relpath(EMBEDDED_STORE, ".dvc"))


def remote_config(url: str) -> bytes:
    """Return a `.dvc/config` whose default remote, named `storage`, is at `url`.

    A relative folder is meant from the root of the repository, as for `dvc remote add` there. Raises RegistryError
    for a URL that DVC does not know or that holds a password: this file is committed.
    """
    url = url.removeprefix("file://")
    if not url.strip() or not url.isprintable():
        raise RegistryError(f"{url!r} is no place for a remote", hint="give a URL such as s3://bucket/path or a folder")
    if public(url) != url:
        raise RegistryError(
            "the URL of the remote holds a password, and `.dvc/config` is committed for everybody to read",
            hint="leave it out of the URL and run `dvc remote modify --local storage password <password>`",
        )
    from dvc.config import Config, ConfigError

    if not re.match(r"\w+://", url) and not url.startswith(("/", "~")):
        root = "/r" * (url.count("..") + 1)
        url = posixpath.relpath(posixpath.join(root, url), posixpath.join(root, ".dvc"))
    try:
        Config.validate({"remote": {"storage": {"url": url}}})
    except ConfigError as error:
        raise RegistryError(f"DVC does not know the remote {url}", hint="see `dvc remote add --help`") from error
    return _config_file("storage", url)


def shared_by_others(root: Path) -> str:
    """Say why others cannot reach the default remote; empty when they can (a network URL, the embedded store)."""
    root = Path(os.path.abspath(root))  # noqa: PTH100 - as DVC does: symlinks stay
    try:
        url = str(default_remote(read_config(root)).get("url", ""))
    except RegistryError as error:
        return error.message
    if not url:
        return "there is no default remote, so the models' files are on this computer only"
    if is_embedded(root, url) or re.match(r"(?!file:)\w+://", url):
        return ""
    return f"the default remote is the folder {public(url)}, which others reach only if it is shared"


def is_embedded(root: Path, url: str) -> bool:
    """Say whether the URL of a remote, as DVC resolved it, is the store inside the repository at `root`."""
    return bool(url) and os.path.normpath(url) == str(root / EMBEDDED_STORE)


def detached_config(committed: bytes, *, cache: Path) -> bytes:
    """Return a committed `.dvc/config` for use away from the repository's root, as a bare repository has none.

    Its cache is in the folder `cache`, unless it names an absolute one. Raises RegistryError where its default remote is a
    folder relative to that root: there is nothing to start from.
    """
    from configobj import ConfigObj, ConfigObjError

    try:
        config = ConfigObj(io.BytesIO(committed), encoding="utf-8", interpolation=False)
    except (ConfigObjError, UnicodeDecodeError):
        return committed  # DVC says what is wrong when it reads it
    _refuse_relative(config)
    there = config.setdefault("cache", {})
    if isinstance(there, dict) and not str(there.get("dir", "")).startswith("/"):
        there["dir"] = str(cache)
    file = io.BytesIO()
    config.write(file)
    return file.getvalue()


def _refuse_relative(config: Any) -> None:
    """Raise RegistryError where the default remote is a folder relative to the root of a checkout."""
    core = config.get("core")
    name, seen = core.get("remote", "") if isinstance(core, dict) else "", set()
    while name and name not in seen:
        seen.add(name)
        section = config.get(f'remote "{name}"')
        url = str(section.get("url", "")) if isinstance(section, dict) else ""
        if not url or url == EMBEDDED_STORE.removeprefix(".dvc/"):
            return
        if not re.match(r"\w+://|/|~", url):
            raise RegistryError(
                f"the remote {name!r} is the folder {url}, seen from a checkout, and a bare repository is none",
                hint="in .dvc/config use an absolute path or a network URL (s3://…, ssh://…), or work in a clone",
            )
        name = url.removeprefix("remote://").partition("/")[0] if url.startswith("remote://") else ""


def joined_config(old: bytes, ours: bytes, *, is_wanted: bool) -> bytes:
    """Return a repository's `.dvc/config` with the default remote of ours, where it has none; else as it is.

    Raises Conflict where it has one and somebody asked for ours (`is_wanted`).
    """
    from configobj import ConfigObj, ConfigObjError

    try:
        config, added = (ConfigObj(io.BytesIO(data), encoding="utf-8", interpolation=False) for data in (old, ours))
    except (ConfigObjError, UnicodeDecodeError) as error:
        raise RegistryError(
            f".dvc/config cannot be read: {error}", hint="mend it first; `dvc config --list`"
        ) from error
    core = config.get("core")
    present = core.get("remote", "") if isinstance(core, dict) else ""
    if present and is_wanted:
        raise Conflict(
            f".dvc/config has the default remote {present!r} already",
            hint="leave out --storage, or change it with `dvc remote add -d -f storage URL`",
        )
    if present:
        return old
    config.setdefault("core", {}).update(added["core"])
    config.update({name: section for name, section in added.items() if name != "core"})
    file = io.BytesIO()
    config.write(file)
    return file.getvalue()


def _config_file(name: str, url: str) -> bytes:
    from configobj import ConfigObj

    document = {"core": {"remote": name, "analytics": "false"}, f'remote "{name}"': {"url": url}}
    file = io.BytesIO()
    ConfigObj(document, encoding="utf-8").write(file)
    return file.getvalue()


def read_config(root: Path) -> dict[str, Any]:
    """Return DVC's merged configuration: system, user, `.dvc/config`, `.dvc/config.local`.

    It is parsed again only when one of the files changed; nobody may change what is returned.
    """
    folder = root / ".dvc"
    if not folder.is_dir():
        hint = "bring it back: git checkout HEAD -- .dvc (or: git sparse-checkout add .dvc); `gitops-registry init` makes one"
        raise RegistryError(f"{root} has no .dvc folder", hint=hint)
    from dvc.config import Config, ConfigError

    marks = tuple(_mark(file) for file in (folder / "config", folder / "config.local", *shared_files()))
    if root in _READ and _READ[root][0] == marks:
        return _READ[root][1]
    try:
        config: dict[str, Any] = Config(str(folder))
    except (ConfigError, OSError) as error:
        problem = re.sub(r"\(['\"].*['\"]\)|\n.*", "", str(error))  # a line that is quoted may hold a secret
        raise RegistryError(f"DVC's configuration cannot be read: {problem}", hint="see .dvc/config") from error
    _READ[root] = (marks, config)
    return config


def _mark(file: Path) -> tuple[int, int, int] | None:
    """What tells a file from an edited one; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def default_remote(config: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the default remote with `remote://` resolved; empty when there is none."""
    name = config["core"].get("remote")
    if not name:
        return {}
    section = config["remote"].get(name.lower())
    if section and not re.match(r"\w+://", str(section.get("url", "x://"))):
        return dict(section)  # a folder; what knows of all other places takes long to import
    from dvc.config import RemoteNotFoundError
    from dvc.fs import get_fs_config

    try:
        return dict(get_fs_config(config, name=name))
    except RemoteNotFoundError as error:
        raise RegistryError(f"the default remote {name!r} is not configured", hint="see `dvc remote list`") from error


def cache_objects(config: dict[str, Any], root: Path) -> Any:
    """Return DVC's object database of the cache; it knows paths and modes, and has no index and no state."""
    options = dict(config["cache"])
    if options.get("local"):
        folder = config["remote"][options["local"].lower()]["url"]
    else:
        folder = options.get("dir") or str(root / ".dvc" / "cache")
    return _local_objects(f"{folder}/files/md5", options.get("shared"))


@lru_cache(maxsize=8)
def _local_objects(folder: str, shared: str | None) -> Any:
    from dvc_data.hashfile.db import get_odb
    from dvc_objects.fs import localfs

    return get_odb(localfs, folder, hash_name="md5", shared=shared)


def remote_objects(config: dict[str, Any]) -> Any:
    """Return DVC's object database of the default remote. Raises RegistryError where it keeps no hashes."""
    from dvc.data_cloud import Remote
    from dvc.fs import get_cloud_fs

    name = config["core"]["remote"]
    cls, options, path = get_cloud_fs(config, name=name)
    if options.get("worktree") or options.get("version_aware"):
        raise RegistryError(
            f"the remote {name!r} keeps files under their own names (cloud versioning), not under their hashes",
            hint="use a remote without `worktree` and `version_aware`",
        )
    return Remote(name, path, cls(**options), **options).odb


def public(url: str) -> str:
    """Return a URL without what opens it: password, user (kept for ssh) and query."""
    if not re.match(r"\w+://", url):
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if at and parts.scheme in {"ssh", "hdfs"}:
        host = user.partition(":")[0] + at + host
    return parts._replace(netloc=host, query="", fragment="").geturl()


def reason(error: BaseException, config: dict[str, Any]) -> str:
    """Return one line about a failure without any secret of the configuration in it."""
    if isinstance(error, OSError) and (error.strerror or isinstance(error, NotADirectoryError)):
        return error.strerror or str(error)
    text = next(iter(str(error).splitlines()), "")
    for options in config["remote"].values():
        for option, value in options.items():
            if _SECRET_OPTION.search(option) and str(value):
                text = text.replace(str(value), "***")
    text = re.sub(r"(\w+://)[^/\s@]*@", r"\1", text)
    text = re.sub(r"(\w+://[^\s?]*)\?\S*", r"\1", text)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_refused(why: str) -> bool:
    """Say whether the reason of a failure is that a key or password does not open a remote."""
    return bool(
        re.search(
            r"(?i)permission denied|access ?denied|unauthori|not authori|forbidden|\b40[13]\b|credential|Invalid ?Access ?Key|SignatureDoesNotMatch",
            why,
        )
    )


def is_absent(error: FileNotFoundError) -> bool:
    """Tell a file that is not there from a server that does not answer, which HTTP reports in the same way."""
    cause = error.__cause__
    refused = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
    return not refused and getattr(cause, "status", 404) == 404
