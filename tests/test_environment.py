import importlib
import json
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from builder import World
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gitops_registry import environment
from gitops_registry.environment import capture, unpinned


def test_the_packages_of_the_modules_are_pinned_and_sorted_and_not_what_they_require_themselves() -> None:
    found = capture(["skops", "sklearn", "numpy"]).requirements
    wanted = ("numpy", "scikit-learn", "skops")
    assert found == tuple(f"{name}=={metadata.version(name)}" for name in wanted)


def test_a_module_is_found_by_the_files_of_a_package_that_is_called_otherwise() -> None:
    names = [line.partition("==")[0] for line in capture(["yaml", "attr", "git", "dateutil"]).requirements]
    assert names == ["attrs", "gitpython", "python-dateutil", "pyyaml"]


def test_of_packages_that_share_a_module_the_one_of_its_name_is_pinned() -> None:
    assert capture(["mlflow"]).requirements == (f"mlflow=={metadata.version('mlflow')}",)


def test_python_s_own_modules_and_code_of_nobody_s_package_are_left_out_and_the_latter_is_said() -> None:
    named = ["collections", "builtins", "__main__", "credit_features", "numpy", "../numpy", "os\nnumpy"]
    assert capture(named).requirements == (f"numpy=={metadata.version('numpy')}",)
    assert unpinned(named) == ("../numpy", "__main__", "credit_features", "os\nnumpy")


def test_no_module_is_imported_because_an_artifact_names_it(installed: Path) -> None:
    put(installed, "trap", "1.0", {"trap/__init__.py": "raise SystemExit"})
    assert capture(["trap"]).requirements == ("trap==1.0",)
    assert "trap" not in sys.modules


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages of the test's own."""
    monkeypatch.syspath_prepend(tmp_path)
    environment._owners.cache_clear()
    yield tmp_path
    environment._owners.cache_clear()


def put(folder: Path, name: str, version: str, files: dict[str, str], origin: dict[str, object] | None = None) -> None:
    """Install a package as installers do: its files, and the folder that says what they are and where they came from."""
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    about.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if origin is not None:
        about.joinpath("direct_url.json").write_text(json.dumps(origin))
    for path, text in files.items():
        folder.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
        folder.joinpath(path).write_text(text)
    about.joinpath("RECORD").write_text("".join(f"{path},,\n" for path in files))
    importlib.invalidate_caches()


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({"url": "file:///home/alice/secret/mine", "dir_info": {}}, "mine==0.3+local"),
        ({"url": "file:///home/alice/mine-0.3.whl", "archive_info": {}}, "mine==0.3"),
        ({"url": "https://alice:hunter2@example.com/mine-0.3.whl", "archive_info": {}}, "mine==0.3"),
        (
            {
                "url": "https://alice:hunter2@example.com:8443/mine.git",
                "vcs_info": {"vcs": "git", "commit_id": "a" * 40},
            },
            f"mine @ git+https://example.com:8443/mine.git@{'a' * 40}",
        ),
        (
            {
                "url": "ssh://git@example.com/mine.git",
                "vcs_info": {"vcs": "git", "commit_id": "b" * 40},
                "subdirectory": "python",
            },
            f"mine @ git+ssh://git@example.com/mine.git@{'b' * 40}#subdirectory=python",
        ),
        ({"url": "file:///home/alice/mine", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}}, "mine==0.3+local"),
        (
            {"url": "https://example.com/x y\n.git", "vcs_info": {"vcs": "git", "commit_id": "c" * 40}},
            "mine==0.3+local",
        ),
        ({}, "mine==0.3"),
    ],
)
def test_a_package_of_no_index_is_pinned_so_that_no_other_takes_its_place_and_no_path_or_secret_is_told(
    origin: dict[str, object], expected: str, installed: Path
) -> None:
    put(installed, "mine", "0.3", {"mine/__init__.py": ""}, origin)
    assert capture(["mine"]).requirements == (expected,)


def test_a_package_that_is_used_from_its_folder_is_found_by_the_file_its_module_came_from(
    installed: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.joinpath("features").mkdir(parents=True)
    source.joinpath("features/__init__.py").write_text("")
    put(
        installed,
        "credit-lib",
        "1.2",
        {"credit.pth": str(source)},
        {"url": source.as_uri(), "dir_info": {"editable": True}},
    )
    assert unpinned(["features"]) == ("features",)
    sys.path.insert(0, str(source))
    try:
        importlib.import_module("features")
        environment._owners.cache_clear()
        assert capture(["features"]).requirements == ("credit-lib==1.2+local",)
    finally:
        sys.path.remove(str(source))
        sys.modules.pop("features", None)


def test_a_version_with_a_local_label_keeps_it(installed: Path) -> None:
    put(installed, "mine", "0.3+cpu", {"mine/__init__.py": ""}, {"url": "file:///home/alice/mine", "dir_info": {}})
    assert capture(["mine"]).requirements == ("mine==0.3+cpu",)


def test_python_and_platform_are_named_and_nothing_else_of_the_machine() -> None:
    found = capture([])
    assert found.python == platform.python_version()
    assert re.fullmatch(r"[a-z]+-[a-z0-9_]+", found.platform)
    assert found.requirements == ()
    text = found.model_dump_json()
    assert platform.node() not in text
    assert "/" not in found.platform + found.cpu.replace("w/", "")


def test_the_linear_algebra_and_what_onnxruntime_computes_with_are_named() -> None:
    found = capture(["numpy", "onnxruntime"])
    assert re.fullmatch(r"[a-z-]+ [\d.]+", found.blas)
    assert "CPUExecutionProvider" in found.providers


def test_graphics_cards_are_what_the_driver_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_CARDS", tmp_path)
    assert capture([]).gpu is None
    for number, model in enumerate(("NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-40GB", "Tesla T4")):
        tmp_path.joinpath(str(number)).mkdir()
        tmp_path.joinpath(str(number), "information").write_text(f"Model: \t\t {model}\nIRQ:   \t 24\n")
    assert capture([]).gpu == "2 x NVIDIA A100-SXM4-40GB, Tesla T4"


@pytest.mark.parametrize(
    ("columns", "is_needed"),
    [
        (["age"], True), (slice("age", "pay"), True), (make_column_selector(dtype_include=float), True), (np.array(["age"]), True),
        ([0], False), (slice(0, 1), False), ([True, False], False), (None, False),
    ],
)  # fmt: skip
def test_a_model_that_picks_columns_by_name_needs_pandas_and_one_that_takes_any_array_does_not(
    columns: Any, is_needed: bool, template: Path, tmp_path: Path
) -> None:
    table = pd.DataFrame({"age": [20.0, 30, 40, 50], "pay": [1.0, 0, 1, 0]})
    last = LogisticRegression()
    picks = [ColumnTransformer([("scaled", StandardScaler(), columns)])] if columns is not None else []
    model = GridSearchCV(make_pipeline(*picks, last), {}, cv=2).fit(table, [0, 0, 1, 1])
    version = World(tmp_path / "world", template=template).registry.register("toy", model, X=table, y=[0, 0, 1, 1])
    assert version.version.environment is not None
    names = [line.partition("==")[0] for line in version.version.environment.requirements]
    assert ("pandas" in names) == is_needed
    assert {"numpy", "scikit-learn", "skops"} <= set(names)


def test_the_same_environment_is_captured_twice() -> None:
    assert capture(["skops"]) == capture(["skops"])


@pytest.mark.parametrize(
    "module", ["signature", "measure", "environment", "formats", "formats.sklearn", "formats.onnx"]
)
def test_importing_a_module_loads_no_heavy_library(module: str) -> None:
    heavy = ("numpy", "pandas", "sklearn", "skops", "onnx", "onnxruntime", "skl2onnx", "joblib")
    code = f"import sys, gitops_registry.{module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
