"""The default remote of a registry where it is a plain folder, looked at without DVC.

What knows all that DVC's configuration can say takes longer to import than most commands run. So a configuration that can
mean only one thing is read here, and any other by DVC; what is found is what DVC would find. It writes nothing.
"""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

_HEADING = re.compile(r"""\[(core|'remote "[a-z0-9][a-z0-9_-]*"')\]""", re.ASCII)
_ENTRY = re.compile(r"[ \t]*([a-z]+)[ \t]*=[ \t]*([\w./-]+)", re.ASCII)
_SAYS = {
    ("core", "remote"): re.compile(r"[a-z0-9][a-z0-9_-]*"),
    ("core", "analytics"): re.compile(r"true|false"),
    ("remote", "url"): re.compile(r".+"),
}
"""What may be said in a section, and how: nothing that DVC reads in another way, or that changes what else it reads."""


class Folder:
    """Objects in the folder of a remote, looked at as DVC's object database of it would."""

    protocol = "local"

    def __init__(self, folder: str) -> None:
        self.path = folder

    @property
    def fs(self) -> Folder:
        """What looks into the files: it does so itself."""
        return self

    def oid_to_path(self, name: str) -> str:
        """Return where the object of that name is, or would be."""
        return os.path.join(self.path, "files", "md5", name[:2], name[2:])  # noqa: PTH118 - as DVC does

    @staticmethod
    def info(path: str) -> dict[str, Any]:
        """Return type and size of a file. Raises OSError."""
        found = Path(path).stat()
        return {"type": "file" if stat.S_ISREG(found.st_mode) else "other", "size": found.st_size}

    @staticmethod
    def open(path: str, mode: str) -> IO[Any]:
        """Open a file. Raises OSError."""
        return Path(path).open(mode)


def plain_folder(root: Path) -> str:
    """Return the folder of the default remote of a registry, where DVC's files say that and no more; else empty."""
    folder = root / ".dvc"
    if any(os.path.lexists(file) for file in (folder / "config.local", *shared_files())):
        return ""
    try:
        said = _read((folder / "config").read_bytes().decode("ascii"))
    except (OSError, ValueError):
        return ""
    url = said.get((f"""'remote "{said.get(("core", "remote"), "")}"'""", "url"), "")
    return url if not url or os.path.isabs(url) else os.path.abspath(folder / url)  # noqa: PTH100, PTH117 - as DVC does


def _read(text: str) -> dict[tuple[str, str], str]:
    """Return what a configuration says by section and key. Raises ValueError where that might not be all it says."""
    said: dict[tuple[str, str], str] = {}
    section = ""
    for line in filter(None, text.split("\n")):
        if heading := _HEADING.fullmatch(line):
            section, key, value = heading[1], "", ""
        elif entry := _ENTRY.fullmatch(line):
            key, value = entry[1], entry[2]
            meant = _SAYS.get(("core" if section == "core" else "remote" if section else "", key))
            if meant is None or not meant.fullmatch(value):
                raise ValueError(line)
        else:
            raise ValueError(line)
        if (section, key) in said:
            raise ValueError(line)
        said[section, key] = value
    return said


@lru_cache(maxsize=1)
def shared_files() -> tuple[Path, ...]:
    """The user's and the system's file, where DVC has them; that does not change while a process runs."""
    from platformdirs import site_config_dir, user_config_dir

    folders = (
        os.environ.get("DVC_GLOBAL_CONFIG_DIR") or user_config_dir("dvc", "iterative"),
        os.environ.get("DVC_SYSTEM_CONFIG_DIR") or site_config_dir("dvc", "iterative"),
    )
    return tuple(Path(folder, "config") for folder in folders)
