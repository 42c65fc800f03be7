"""Where a model was made: Python, platform, processor, and the packages that open it, pinned.

Only what helps to make the same environment again is captured. Host names, users, paths and environment variables stay
out, because version.yaml is committed and never changes. No process is started, and nothing is imported because an
artifact names it: names of modules are looked up in what installed packages say of themselves.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gitops_registry.manifest.facts import Environment

_CPU_FILE = Path("/proc/cpuinfo")
_CARDS = Path("/proc/driver/nvidia/gpus")
_OFTEN = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "PyYAML", "cv2": "opencv-python"}
"""Where to look first: packages whose name is not that of their module. Only a guess, which their list of files confirms."""


def capture(modules: Sequence[str]) -> Environment:
    """Return this process's environment, with the packages pinned that provide `modules`, top-level names of imports.

    `requirements` are the direct ones, sorted, names normalised as PEP 503 says: `name==version`, and for a package that
    was installed from git its address and commit. One that was installed from a folder gets the version `…+local`: no
    index serves that, so nobody is given another package of the same name. Modules of Python itself and those that no
    installed package provides (`unpinned`) are left out. `blas` and `providers` are empty where the model does not need
    NumPy or onnxruntime and nothing has imported them.
    """
    needed = frozenset(modules)
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}".lower(),
        cpu=_cpu(),
        gpu=_gpu(),
        blas=_blas() if {"numpy", "sklearn"} & needed or "numpy" in sys.modules else "",
        providers=_providers() if "onnxruntime" in needed or "onnxruntime" in sys.modules else (),
        requirements=tuple(sorted({_pin(owner) for module in needed for owner in _owners(module)})),
    )


def unpinned(modules: Iterable[str]) -> tuple[str, ...]:
    """Return the modules that neither Python nor an installed package provides, sorted: code of somebody's own."""
    return tuple(sorted({m for m in modules if m not in sys.stdlib_module_names and not _owners(m)}))


def is_here(recorded: Environment) -> bool:
    """Say whether this process computes as a recorded environment did: same Python, system, processor, BLAS and packages."""
    now = (platform.python_version(), f"{platform.system()}-{platform.machine()}".lower(), _cpu(), _blas())
    if now != (recorded.python, recorded.platform, recorded.cpu, recorded.blas) or not recorded.requirements:
        return False
    try:
        pins = [line.partition("==") for line in recorded.requirements]
        return all(metadata.version(name.strip()) == version for name, _, version in pins)
    except metadata.PackageNotFoundError:
        return False


# ── packages


@lru_cache(maxsize=256)
def _owners(module: str) -> tuple[metadata.Distribution, ...]:
    """Return the installed packages that provide a top-level module; several only for a namespace they share."""
    if not module.isidentifier() or module in sys.stdlib_module_names:
        return ()
    for guess in (_OFTEN.get(module, module), module):
        with suppress(metadata.PackageNotFoundError):
            found = metadata.distribution(guess)
            if _provides(found, module):
                return (found,)
    owners = {canonicalize_name(_name(one)): one for one in metadata.distributions() if _provides(one, module)}
    whole = [one for one in owners.values() if f"\n{module}/__init__.py," in _record(one)]
    return tuple(whole[:1] or owners.values())


def _provides(distribution: metadata.Distribution, module: str) -> bool:
    record = _record(distribution)
    if f"\n{module}/" in record or re.search(rf"\n{module}\.[\w.-]*(py|so|pyd),", record):
        return True
    if module in (distribution.read_text("top_level.txt") or "").split():
        return True
    folder = _folder(_origin(distribution))
    file = getattr(sys.modules.get(module), "__file__", None)
    return folder is not None and file is not None and Path(file).is_relative_to(folder)


def _record(distribution: metadata.Distribution) -> str:
    return "\n" + (distribution.read_text("RECORD") or "").replace("\r\n", "\n")


def _name(distribution: metadata.Distribution) -> str:
    return str(distribution.metadata["Name"] or "")


def _pin(distribution: metadata.Distribution) -> str:
    name, version = canonicalize_name(_name(distribution)), distribution.version
    origin = _origin(distribution)
    if address := _git_address(origin):
        line = f"{name} @ {address}"
        with suppress(InvalidRequirement):
            Requirement(line)
            return line
    if origin and "archive_info" not in origin and "+" not in version:
        version += "+local"
    return f"{name}=={version}"


def _origin(distribution: metadata.Distribution) -> dict[str, Any]:
    """Return where a package was installed from, as PEP 610 writes it down; empty for one that came from an index."""
    with suppress(ValueError, OSError):
        found = json.loads(distribution.read_text("direct_url.json") or "{}")
        if isinstance(found, dict) and isinstance(found.get("url"), str):
            return found
    return {}


def _folder(origin: dict[str, Any]) -> Path | None:
    """Return the folder that a package is used from without a copy."""
    info = origin.get("dir_info")
    if not isinstance(info, dict) or info.get("editable") is not True:
        return None
    return Path(url2pathname(urlsplit(origin["url"]).path))


def _git_address(origin: dict[str, Any]) -> str:
    """Return the address and commit of a package from git, without whoever's name and password; empty for another one."""
    info = origin.get("vcs_info")
    if not isinstance(info, dict) or info.get("vcs") != "git":
        return ""
    commit = str(info.get("commit_id", ""))
    with suppress(ValueError):
        url = urlsplit(origin["url"])
        if url.scheme in {"https", "ssh"} and url.hostname and re.fullmatch(r"[0-9a-f]{40,64}", commit):
            host = f"{url.hostname}:{url.port}" if url.port else url.hostname
            user = "git@" if url.scheme == "ssh" else ""
            inner = f"#subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
            return f"git+{url.scheme}://{user}{host}{url.path}@{commit}{inner}"
    return ""


# ── machine


def _cpu() -> str:
    """Return the processor's model name; empty where the system does not tell."""
    return next(_values(_CPU_FILE, "model name"), "")


def _gpu() -> str | None:
    """Return the names of the graphics cards that models can compute on; None where there is none that anybody asked for.

    The driver's own files say it at no cost. torch is asked only where it is imported already.
    """
    names = [name for card in sorted(_CARDS.glob("*/information")) for name in _values(card, "Model")]
    torch = sys.modules.get("torch")
    if not names and torch is not None:
        with suppress(Exception):  # a driver that does not fit fails with whatever it likes
            if torch.cuda.is_available():
                names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    counted = {name: names.count(name) for name in names}
    return ", ".join(f"{count} x {name}" if count > 1 else name for name, count in counted.items()) or None


def _values(file: Path, wanted: str) -> Iterator[str]:
    """Yield what a file of `key : value` lines says to a key."""
    with suppress(OSError):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == wanted and value.strip():
                yield " ".join(value.split())


def _blas() -> str:
    """Return name and version of the linear algebra that NumPy computes with, as loaded, else as it was built."""
    try:
        import numpy
    except ImportError:
        return ""
    loaded = []
    with suppress(Exception):  # it looks into the process's libraries; not every system lets it
        from threadpoolctl import threadpool_info

        loaded = [library for library in threadpool_info() if library.get("user_api") == "blas"]
    for library in sorted(loaded, key=lambda library: "numpy" not in str(library.get("filepath"))):
        return f"{library['internal_api']} {library['version'] or ''}".strip()
    built = numpy.show_config(mode="dicts")
    about = built.get("Build Dependencies", {}).get("blas", {}) if isinstance(built, dict) else {}
    return " ".join(str(about[key]) for key in ("name", "version") if about.get(key))


def _providers() -> tuple[str, ...]:
    """Return what onnxruntime can compute with here, in its own order of preference."""
    try:
        import onnxruntime
    except ImportError:
        return ()
    return tuple(onnxruntime.get_available_providers())
