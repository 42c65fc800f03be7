import platform
import re
import subprocess
import sys
from importlib import metadata

import pytest

from gitops_registry.environment import capture
from gitops_registry.errors import RegistryError


def test_the_named_frameworks_and_what_they_require_are_pinned_and_sorted():
    found = capture(["scikit-learn"]).requirements
    names = [line.partition("==")[0] for line in found]
    assert names == sorted(names)
    assert {"scikit-learn", "numpy", "scipy", "joblib", "threadpoolctl"} <= set(names)
    assert f"scikit-learn=={metadata.version('scikit-learn')}" in found
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==\S+", line) for line in found)


def test_extras_and_unrelated_packages_are_not_pinned():
    names = {line.partition("==")[0] for line in capture(["numpy"]).requirements}
    assert names == {"numpy"}
    assert "pytest" not in {line.partition("==")[0] for line in capture(["scikit-learn", "skops"]).requirements}


def test_a_name_is_found_however_it_is_spelt_and_counted_once():
    found = capture(["scikit_learn", "Scikit-Learn"]).requirements
    assert sum(line.startswith("scikit-learn==") for line in found) == 1


def test_a_framework_that_is_not_installed_is_an_error_with_the_command():
    with pytest.raises(RegistryError, match="not-a-package") as caught:
        capture(["not-a-package"])
    assert caught.value.hint == "pip install not-a-package"


def test_python_and_platform_are_named_and_nothing_else_of_the_machine():
    found = capture([])
    assert found.python == platform.python_version()
    assert re.fullmatch(r"[a-z]+-[a-z0-9_]+", found.platform)
    assert found.gpu is None
    assert found.requirements == ()
    text = found.model_dump_json()
    assert platform.node() not in text
    assert "/" not in found.platform + found.cpu.replace("w/", "")


def test_the_same_environment_is_captured_twice():
    assert capture(["skops"]) == capture(["skops"])


@pytest.mark.parametrize(
    "module", ["signature", "measure", "environment", "formats", "formats.sklearn", "formats.onnx"]
)
def test_importing_a_module_loads_no_heavy_library(module):
    heavy = ("numpy", "pandas", "sklearn", "skops", "onnx", "onnxruntime", "skl2onnx", "joblib")
    code = f"import sys, gitops_registry.{module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
