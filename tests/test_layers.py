"""The shape of the package: imports point down, heavy libraries wait until they are needed, pieces stay small."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from builder import World

import gitops_registry

ROOT = Path(__file__).parents[1]
PACKAGE = Path(gitops_registry.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

HEAVY = ("dvc", "dvc_data", "dvc_objects", "sklearn", "onnxruntime", "onnx", "skl2onnx", "skops", "pandas", "numpy", "git", "mlflow", "sqlalchemy", "rich.progress", "cryptography")  # fmt: skip
LONGEST_MODULE = 350
LONGEST_FUNCTION = 50


def test_imports_point_down_and_each_outside_system_has_one_adapter() -> None:
    # The tool keeps a cache in the folder it is run in; tests leave nothing behind.
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def loaded_by(code: str, folder: Path) -> set[str]:
    """Return the modules that a fresh process has imported after it ran some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('MODULES', *sys.modules)"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


def command(*arguments: str) -> str:
    """Return code that runs a command line in its own process and insists that it went well."""
    return f"from gitops_registry.cli.main import run\nassert run({list(arguments)!r}) == 0"


LOOKING = [
    "import gitops_registry",
    "import gitops_registry.cli.main",
    "from gitops_registry import Registry",
    command("--version"),
    command("--help"),
    command("list"),
    command("list", "fraud"),
    command("list", "--json"),
    command("show", "fraud"),
    command("show", "fraud@production"),
    command("show", "fraud@production", "--json"),
    command("plan"),
    command("proposals", "list"),
    command("log", "fraud"),
    command("compare", "fraud", "1", "2"),
    command("search", "metrics.accuracy > 0.5"),
    command("search", "--models", "--json"),
]


def test_looking_at_a_registry_imports_no_heavy_library(world: World) -> None:
    """One process looks in every way, and after each one nothing heavy may be there."""
    world.model("fraud").version().version().in_stage("production", 2).commit()
    look = f"found = set({HEAVY!r}) & set(sys.modules)\nassert not found, (code, found)"
    loaded_by(f"import sys\nfor code in {LOOKING!r}:\n    exec(code)\n    exec({look!r})", world.root)


def test_the_version_is_told_without_reading_a_manifest_or_running_git(world: World) -> None:
    loaded = loaded_by(command("--version"), world.root)
    assert sorted(loaded & {"pydantic", "yaml", "jinja2", "subprocess", "gitops_registry.registry"}) == []


def test_importing_the_package_imports_none_of_its_modules(tmp_path: Path) -> None:
    loaded = loaded_by("import gitops_registry", tmp_path)
    assert sorted(name for name in loaded if name.startswith("gitops_registry.")) == []


def test_each_module_can_be_read_in_one_sitting() -> None:
    large, long = {}, {}
    for module in MODULES:
        text, name = module.read_text(encoding="utf-8"), str(module.relative_to(PACKAGE))
        if (lines := len(text.splitlines())) > LONGEST_MODULE:
            large[name] = lines
        long |= {f"{name}:{one}": length for one, length in functions(ast.parse(text)) if length > LONGEST_FUNCTION}
    assert large == {}, "split them by what they hide"
    assert long == {}, "say what the parts do with functions of their own"


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every function's name and its length from `def` to its last line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_modules_are_named_for_what_they_hold() -> None:
    vague = {"utils", "util", "helpers", "helper", "base", "types", "constants", "common", "misc"}
    assert [str(module) for module in MODULES if module.stem in vague] == []
