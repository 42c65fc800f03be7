"""Where things lie in a registry: the one place that turns names into paths and paths back into meaning.

Paths are relative to the repository, with `/` on every system. `place_of` never fails: a path that has no
meaning in a registry is `unknown`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

CONSTITUTION = "registry.yaml"
POLICIES = "policies"
ACCESS = "policies/access.yaml"
CODEOWNERS = "docs/CODEOWNERS"
WAIVERS = "policies/waivers"
MODELS = "models"
DVC_CONFIG = ".dvc/config"
DVC_YAML = "dvc.yaml"
"""What DVC reads at the root: ours with `interop: gto` in registry.yaml, else anybody's."""
EMBEDDED_STORE = ".dvc/store"
"""The store that `init` makes inside the repository: committed with git, so a fresh clone can pull from it."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_STORE_OBJECT = re.compile(re.escape(EMBEDDED_STORE) + r"/files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
_GOVERNANCE = (".dvc/", ".github/", ".gitlab/", ".gitea/", ".forgejo/", "cards/templates/", ".schemas/")
_GOVERNANCE_FILES = frozenset(
    {CONSTITUTION, ".gitattributes", ".gitignore", ".gitlab-ci.yml", ".dvcignore", "CODEOWNERS", CODEOWNERS}
)

Role = Literal[
    "constitution", "model", "version", "card", "pointer", "evaluation", "rendered_card",
    "evaluation_data", "access", "policy", "waiver", "governance", "store_object", "interop", "unknown",
]  # fmt: skip


class Place(NamedTuple):
    """What a path means: its role, and the model, version and file (or name of a stored object) it belongs to."""

    role: Role
    model: str = ""
    version: int = 0
    file: str = ""


def name_problem(name: str) -> str:
    """Say why `name` cannot name a model, a stage or an alias; empty when it can.

    The grammar of the design, less what git refuses in a branch name (`..`, a final `.` or `.lock`).
    """
    if not NAME.fullmatch(name):
        return "must be 1 to 128 ASCII letters, digits, '.', '_' or '-', starting with a letter or digit"
    if ".." in name or name.endswith((".", ".lock")):
        return "must not contain '..' nor end in '.' or '.lock' (git branches could not be named after it)"
    if name.lower() == "templates":
        return "is reserved"
    return ""


def model_path(name: str) -> str:
    return f"{MODELS}/{name}/model.yaml"


def version_folder(name: str, number: int) -> str:
    return f"{MODELS}/{name}/versions/{number}"


def version_path(name: str, number: int) -> str:
    return f"{version_folder(name, number)}/version.yaml"


def card_path(name: str, number: int) -> str:
    return f"{version_folder(name, number)}/card.yaml"


def pointer_path(name: str, number: int, file: str) -> str:
    return f"{version_folder(name, number)}/{file}.dvc"


def evaluation_path(name: str, number: int, identity: str) -> str:
    return f"{version_folder(name, number)}/evaluations/{identity}.yaml"


def data_folder(name: str) -> str:
    """Return the folder of a model's evaluation data."""
    return f"{MODELS}/{name}/evaluation"


def data_path(name: str, file: str) -> str:
    """Return the pointer of a model's evaluation data."""
    return f"{data_folder(name)}/{file}.dvc"


def policy_path(name: str) -> str:
    return f"{POLICIES}/{name}.yaml"


def waiver_path(name: str) -> str:
    return f"{WAIVERS}/{name}.yaml"


def rendered_card_path(name: str, number: int) -> str:
    return f"cards/{name}/v{number}.md"


def store_path(md5: str) -> str:
    """Return where DVC keeps the object of that md5 inside the embedded store."""
    return f"{EMBEDDED_STORE}/files/md5/{md5[:2]}/{md5[2:]}"


@lru_cache(maxsize=1 << 17)
def place_of(path: str) -> Place:
    """Return what `path` means in a registry."""
    if path == CONSTITUTION:
        return Place("constitution")
    if path == ACCESS:
        return Place("access")
    if path == DVC_YAML:
        return Place("interop")
    if match := _STORE_OBJECT.fullmatch(path):
        return Place("store_object", file=match[1] + match[2])
    if path in _GOVERNANCE_FILES or path.startswith(_GOVERNANCE):
        return Place("governance")
    parts = path.split("/")
    if parts[0] == POLICIES and parts[-1].endswith(".yaml") and not name_problem(name := parts[-1][:-5]):
        if len(parts) == 2:
            return Place("policy", file=name)
        if parts[:-1] == WAIVERS.split("/"):
            return Place("waiver", file=name)
    if parts[0] == MODELS and len(parts) > 2 and not name_problem(parts[1]):
        return _place_in_model(parts)
    if parts[0] == "cards" and len(parts) == 3 and not name_problem(parts[1]):
        match = re.fullmatch(r"v([1-9][0-9]{0,8})\.md", parts[2])
        if match:
            return Place("rendered_card", parts[1], int(match[1]))
    return Place("unknown")


def _place_in_model(parts: list[str]) -> Place:
    name = parts[1]
    if parts[2:] == ["model.yaml"]:
        return Place("model", name)
    if parts[2] == "evaluation" and len(parts) == 4 and parts[3].endswith(".dvc") and len(parts[3]) > 4:
        return Place("evaluation_data", name, 0, parts[3][:-4])
    if parts[2] != "versions" or len(parts) < 5 or not _NUMBER.fullmatch(parts[3]):
        return Place("unknown", name)
    number = int(parts[3])
    if len(parts) == 5:
        file = parts[4]
        if file == "version.yaml":
            return Place("version", name, number)
        if file == "card.yaml":
            return Place("card", name, number)
        if file.endswith(".dvc") and len(file) > 4:
            return Place("pointer", name, number, file[:-4])
    if len(parts) == 6 and parts[4] == "evaluations" and parts[5].endswith(".yaml"):
        return Place("evaluation", name, number, parts[5])
    return Place("unknown", name, number)
