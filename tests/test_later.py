"""A package that is put off is there as soon as somebody uses it, for everybody, and once."""

from __future__ import annotations

from pathlib import Path

import pytest
from builder import World
from test_layers import command, loaded_by

START = "from gitops_registry.later import put_off\nput_off('importlib.metadata', 'entry_points')\nimport sys\n"
NAME = "importlib.metadata"


@pytest.mark.parametrize(
    ("code", "is_loaded"),
    [
        ("from importlib.metadata import entry_points", False),
        ("import importlib.metadata as metadata", False),
        ("from importlib import metadata", False),
        ("from importlib.metadata import entry_points\nassert entry_points(group='console_scripts')", True),
        ("from importlib.metadata import version\nassert version('click')", True),
        ("import importlib.metadata\nassert importlib.metadata.version('click')", True),
        ("from importlib import metadata\nassert issubclass(metadata.PackageNotFoundError, ImportError)", True),
        ("import importlib.metadata._meta", False),
        ("from importlib.metadata import no_such_name", None),
        ("import importlib.metadata\nimportlib.metadata.no_such_name", None),
    ],
)
def test_it_is_imported_when_it_is_used(code: str, is_loaded: bool | None, tmp_path: Path) -> None:
    if is_loaded is None:
        code = f"try:\n    exec({code!r})\nexcept (ImportError, AttributeError) as error:\n    assert 'no_such_name' in str(error), error\nelse:\n    raise AssertionError"
    loaded = loaded_by(START + code, tmp_path)
    assert ("importlib.metadata._adapters" in loaded) is (is_loaded is not False)


def test_any_number_of_threads_may_use_it_first(tmp_path: Path) -> None:
    code = (
        "import importlib.metadata as metadata\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(16) as pool:\n"
        "    assert len(set(pool.map(lambda _: metadata.version('click'), range(64)))) == 1\n"
        f"import importlib\nassert sys.modules[{NAME!r}].version is metadata.version is importlib.metadata.version\n"
        f"assert importlib.metadata is sys.modules[{NAME!r}]\n"
    )
    assert NAME in loaded_by(START + code, tmp_path)


def test_what_was_imported_stays_as_it_is(tmp_path: Path) -> None:
    code = "import importlib.metadata as before\n" + START + f"assert sys.modules[{NAME!r}] is before\n"
    assert "importlib.metadata._adapters" in loaded_by(code, tmp_path)


def test_no_command_that_reads_manifests_looks_for_plug_ins(world: World) -> None:
    world.model("fraud").version().commit()
    for words in (["list"], ["promote", "fraud@1", "--to", "staging", "--dry-run"]):
        loaded = loaded_by(command(*words), world.root)
        assert "pydantic.plugin._loader" in loaded
        assert "importlib.metadata._adapters" not in loaded
