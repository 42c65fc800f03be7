"""The command line as a newcomer meets it: JSON, dry runs, exit codes, and mistakes answered in one line with a hint."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from builder import FINISHED_CARD, World, asked, cli
from story import Lived, Trained, files, from_a_shell

READS = {
    "list": ["list"],
    "list NAME": ["list", "tumour"],
    "list --stage": ["list", "tumour", "--stage", "production"],
    "show NAME": ["show", "tumour"],
    "show NAME@REF": ["show", "tumour@production"],
    "compare": ["compare", "tumour@2", "tumour@3"],
    "compare NAME@REF": ["compare", "tumour@2"],
    "search": ["search", "metrics.accuracy > 0.5", "--order-by", "created desc"],
    "search --models": ["search", "--models"],
    "log": ["log"],
    "log NAME": ["log", "tumour", "--limit", "2"],
    "card": ["card", "tumour@2"],
    "card status": ["card", "status"],
    "card status NAME": ["card", "status", "tumour"],
    "plan": ["plan"],
    "plan BRANCH": ["plan", "main", "--base", "main^"],
    "check": ["check"],
    "check --base --head": ["check", "--base", "main^", "--head", "main"],
    "verify": ["verify", "tumour@2"],
    "doctor": ["doctor"],
    "proposals list": ["proposals", "list"],
    "predict": ["predict", "tumour@production", "{rows}"],
    "pull": ["pull", "tumour@production", "--to", "{folder}"],
}


def one_line_and_a_hint(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The error of a command that could not do it: one line, a hint, nothing else, nothing on standard output."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint: ")
    return done.stderr


@pytest.mark.parametrize("command", READS.values(), ids=READS.keys())
def test_every_read_prints_valid_json(lived: Lived, trained: Trained, tmp_path: Path, command: list[str]) -> None:
    words = [w.format(rows=trained.rows, folder=tmp_path / "out") for w in command]
    done = asked(lived.world, *words, "--json")
    assert done.returncode == 0
    json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_proposals_show_prints_valid_json(world: World) -> None:
    world.model("fraud").version().commit()
    world.cli("promote", "fraud@1", "--to", "staging")
    said = json.loads(world.cli("proposals", "show", "promote/fraud/1/staging", "--json").stdout)
    assert "stage_transition" in json.dumps(said)


@pytest.mark.parametrize("kind", ["Registry", "Model", "ModelVersion", "ModelCard", "Evaluation", "Access"])
def test_schema_prints_a_json_schema_of_every_kind(tmp_path: Path, kind: str) -> None:
    import jsonschema

    schema = json.loads(cli(tmp_path, "schema", kind).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_manifests_of_a_registry_are_valid_under_their_schemas(lived: Lived, tmp_path: Path) -> None:
    import jsonschema
    import yaml

    class Plain(yaml.SafeLoader):
        """Times stay text, as JSON Schema sees them."""

    Plain.yaml_implicit_resolvers = {
        k: [(tag, rule) for tag, rule in v if tag != "tag:yaml.org,2002:timestamp"]
        for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    version = "models/tumour/versions/2"
    for kind, path in {
        "Registry": "registry.yaml",
        "Model": "models/tumour/model.yaml",
        "ModelVersion": f"{version}/version.yaml",
        "ModelCard": f"{version}/card.yaml",
    }.items():
        schema = json.loads(cli(tmp_path, "schema", kind).stdout)
        jsonschema.validate(yaml.load((lived.world.root / path).read_text(), Plain), schema)


# ---- dry runs


@pytest.fixture(scope="module")
def waiting(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two versions in staging, 1 then 2 in production, and a proposal that waits."""
    world = World(tmp_path_factory.mktemp("waiting") / "registry", template=template)
    world.model("fraud").version().version().version().in_stage("staging", 1, 2).commit()
    for number in (1, 2):
        world.registry.promote("fraud", number, to="production", direct=True)
    world.registry.promote("fraud", 3, to="staging")
    return world


DRY = {
    "register": ["register", "tumour", "{model}", "--no-onnx"],
    "promote": ["promote", "fraud@1", "--to", "staging"],
    "promote --direct": ["promote", "fraud@1", "--to", "staging", "--direct"],
    "archive": ["archive", "fraud@3"],
    "rollback": ["rollback", "fraud"],
    "merge": ["merge", "promote/fraud/3/staging"],
    "card --update": ["card", "fraud@1", "--update", "--from", "{card}"],
    "card --all": ["card", "--all"],
    "proposals close": ["proposals", "close", "promote/fraud/3/staging"],
    "init in a folder": ["init", "{folder}"],
}


@pytest.mark.parametrize("command", DRY.values(), ids=DRY.keys())
def test_a_dry_run_prints_the_plan_and_changes_nothing(
    waiting: World, trained: Trained, tmp_path: Path, command: list[str]
) -> None:
    words = [w.format(model=trained.model(1), card=trained.card, folder=tmp_path / "new") for w in command]
    before = (
        waiting.git("for-each-ref"),
        waiting.git("rev-parse", "HEAD"),
        waiting.git("status", "--porcelain", "--ignored"),
        files(waiting.root / ".dvc"),
        files(waiting.root / "models"),
        files(waiting.root / ".git/objects"),
    )
    done = asked(waiting, *words, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "committed" not in done.stdout
    assert before[:3] == (
        waiting.git("for-each-ref"),
        waiting.git("rev-parse", "HEAD"),
        waiting.git("status", "--porcelain", "--ignored"),
    )
    assert files(waiting.root / ".dvc") == before[3]
    assert files(waiting.root / "models") == before[4]
    assert not (tmp_path / "new").exists()


def test_a_dry_run_of_init_in_a_repository_changes_nothing(tmp_path: Path) -> None:
    world = World.__new__(World)
    world.root = tmp_path
    (tmp_path / "a.py").write_text("1\n")
    world.git("init", "--quiet")
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message", "first")
    world.cli("init", "--dry-run")
    assert world.git("rev-list", "--count", "HEAD").strip() == "1"
    assert world.git("status", "--porcelain", "--ignored") == ""


def test_a_dry_run_of_a_refused_promotion_ends_with_1(world: World) -> None:
    world.model("fraud").version(metrics={"accuracy": 0.5}).in_stage("staging").commit()
    world.cli("promote", "fraud@1", "--to", "production", "--dry-run", check=1)


# ---- exit codes


def test_exit_codes_are_0_clean_1_findings_2_could_not(world: World) -> None:
    world.model("fraud").version(metrics={"accuracy": 0.5}).in_stage("staging").commit()
    world.cli("check", check=0)
    world.cli("promote", "fraud@1", "--to", "production", check=1)
    world.cli("promote", "fraud@9", "--to", "production", check=2)
    world.cli("promote", "fraud@1", check=2)
    world.cli("no-such-command", check=2)


def test_an_interrupted_read_exits_130_without_a_traceback(lived: Lived) -> None:
    """At any moment: while Python starts, while it reads, and when it is done and only ends."""
    codes = set()
    for delay in (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.2):
        process = from_a_shell(lived.world.root, "verify")
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        if delay > 0.2 or process.returncode not in (
            1,
            -signal.SIGINT,
        ):  # before ours, the interpreter's own handler is there
            assert process.returncode in (0, 130), out + err
            assert "Traceback" not in out + err
        codes.add(process.returncode)
    assert 130 in codes


def test_an_interrupt_that_a_library_makes_an_error_of_is_still_an_interrupt(lived: Lived, trained: Trained) -> None:
    """NumPy answers an interrupt that arrives while it reads a buffer's format with a ValueError of its own."""
    script = """
import os, signal, sys
from gitops_registry.__main__ import main

def interrupt(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "_dtype_from_pep3118":
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGINT)
sys.setprofile(interrupt)
sys.argv = ["gitops-registry", "register", "tumour", sys.argv[1], "--data", sys.argv[2], "--target", "diagnosis", "--dry-run"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(trained.model(1)), str(trained.data)],
        cwd=lived.world.root, capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_closed_pipe_is_no_error(lived: Lived) -> None:
    done = subprocess.run(
        f"{sys.executable} -m gitops_registry log | head -1", shell=True, cwd=lived.world.root, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""


def test_version_is_printed(tmp_path: Path) -> None:
    import gitops_registry

    assert gitops_registry.__version__ in cli(tmp_path, "--version").stdout


# ---- manifests that cannot be accepted


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "kind: Model\nschema_version: 2\nname: fraud\n" + "\n".join(lines) + "\n"


MODEL = "models/fraud/model.yaml"
VERSION = "models/fraud/versions/1/version.yaml"
BAD: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "an unknown key": (MODEL, lambda p: p.write_text(p.read_text() + "stagez: {}\n"), "stagez"),
    "a duplicate key": (MODEL, lambda p: p.write_text(p.read_text() + "name: fraud\n"), "name"),
    "an alias bomb": (MODEL, lambda p: p.write_text(bomb()), ""),
    "a wrong type": (MODEL, lambda p: p.write_text(p.read_text() + "owners: 7\n"), "owners"),
    "a NaN metric": (VERSION, lambda p: p.write_text(p.read_text().replace("0.95", ".nan")), ".nan"),
    "a name outside the grammar": (MODEL, lambda p: p.write_text(p.read_text().replace("name: fraud", "name: fra ud")), "fra ud"),
    "an alias outside the grammar": (MODEL, lambda p: p.write_text(p.read_text() + "aliases: {'la test': 1}\n"), "la test"),
    "a path that leaves the folder": (VERSION, lambda p: p.write_text(p.read_text().replace("file: model.bin", "file: ../../x.bin")), "../../x.bin"),
    "an absolute path": (VERSION, lambda p: p.write_text(p.read_text().replace("file: model.bin", "file: /etc/passwd")), "/etc/passwd"),
    "a file over 1 MiB": (MODEL, lambda p: p.write_text(p.read_text() + "# " + "x" * (1 << 20) + "\n"), "1,048,576"),
    "bytes that are not UTF-8": (MODEL, lambda p: p.write_bytes(p.read_bytes() + b"title: \xff\xfe\n"), "UTF-8"),
    "text that is no YAML": (MODEL, lambda p: p.write_text("kind: [Model\n"), ""),
    "an empty file": (MODEL, lambda p: p.write_text(""), ""),
    "another schema version": (MODEL, lambda p: p.write_text(p.read_text().replace("schema_version: 2", "schema_version: 99")), "99"),
    "a stage that does not exist": (MODEL, lambda p: p.write_text(p.read_text() + "stages: {produktion: [1]}\n"), "produktion"),
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("plain") / "registry", template=template)
    return world.model("fraud").version().version().commit()


@pytest.mark.parametrize(("path", "spoil", "named"), BAD.values(), ids=BAD.keys())
def test_a_bad_manifest_is_one_line_with_file_line_column_and_a_hint(
    plain: World, tmp_path: Path, path: str, spoil: Callable[[Path], None], named: str
) -> None:
    world = World(tmp_path / "registry", template=plain.root)
    spoil(world.root / path)
    draft = asked(world, "check")
    world.git("commit", "--quiet", "--all", "--message", "edit by hand")
    committed = asked(world, "check")
    assert (draft.returncode, committed.returncode) == (1, 1)
    for done in (draft, committed):
        both = done.stdout + done.stderr
        assert "Traceback" not in both
        assert re.search(re.escape(path) + r":\d+:\d+", both), both
        assert named in both
        assert max(map(len, both.splitlines())) < 400
    if path == MODEL and "produktion" not in named:
        said = one_line_and_a_hint(asked(world, "promote", "fraud@1", "--to", "staging"))
        assert re.match(r"error: " + re.escape(path) + r":\d+:\d+: ", said)


def test_the_line_and_the_column_are_those_of_the_mistake(plain: World, tmp_path: Path) -> None:
    world = World(tmp_path / "registry", template=plain.root)
    path = world.root / MODEL
    text = path.read_text() + "tags:\n  domain: credit\n  domain: fraud\n"
    path.write_text(text)
    assert f"{MODEL}:{len(text.splitlines())}:3" in world.cli("check", check=1).stdout


@pytest.mark.parametrize("path", [MODEL, VERSION, "registry.yaml"])
def test_a_directory_where_a_manifest_is_expected_is_said(plain: World, tmp_path: Path, path: str) -> None:
    world = World(tmp_path / "registry", template=plain.root)
    (world.root / path).unlink()
    (world.root / path).mkdir()
    (world.root / path / "inside.txt").write_text("x")
    for step in ("in the work tree", "committed"):
        if step == "committed":
            world.git("add", "--all", "--force")
            world.git("commit", "--quiet", "--message", "oops")
        done = asked(world, "check")
        both = done.stdout + done.stderr
        assert done.returncode in (1, 2), (step, both)
        assert "Traceback" not in both
        assert path in both


def test_a_broken_registry_yaml_is_one_line_for_every_verb(plain: World, tmp_path: Path) -> None:
    world = World(tmp_path / "registry", template=plain.root)
    path = world.root / "registry.yaml"
    path.write_text(path.read_text() + "stagess: []\n")
    world.git("commit", "--quiet", "--all", "--message", "edit")
    for verb in (
        ["promote", "fraud@1", "--to", "staging"],
        ["merge", "promote/fraud/1/staging"],
        ["rollback", "fraud"],
    ):
        assert "registry.yaml:" in one_line_and_a_hint(asked(world, *verb))


def test_a_bad_card_file_is_refused_at_its_line_and_nothing_is_registered(world: World, trained: Trained) -> None:
    words = world.root.parent / "words.yaml"
    words.write_text("kind: ModelCard\nschema_version: 1\nintended-use: x\n")
    before = world.git("for-each-ref")
    done = world.cli("register", "tumour", str(trained.model(1)), "--card", str(words), check=None)
    assert "words.yaml:3:1" in one_line_and_a_hint(done)
    assert "intended_use" in done.stderr
    assert world.git("for-each-ref") == before


# ---- mistakes in what was typed


MISTYPED = {
    "a model": (["show", "tumor"], "did you mean tumour"),
    "a model in another case": (["show", "TUMOUR"], "tumour"),
    "a version": (["show", "tumour@9"], "1, 2, 3, 4"),
    "a stage": (["promote", "tumour@1", "--to", "prodution"], "did you mean production"),
    "a stage in a reference": (["show", "tumour@prodution"], "did you mean production"),
    "a stage of list": (["list", "tumour", "--stage", "prodution"], "did you mean production"),
    "a stage of rollback": (["rollback", "tumour", "--stage", "prodution"], "did you mean production"),
    "a command": (["promte", "tumour@1"], "did you mean 'promote'"),
    "a model of a verb": (["promote", "tumor@1", "--to", "staging"], "did you mean tumour"),
    "a model of log": (["log", "tumor"], "did you mean tumour"),
    "a model of list": (["list", "tumor"], "did you mean tumour"),
    "a kind": (["schema", "ModelCrad"], "ModelCard"),
    "a revision": (["--revision", "no-such-revision", "list"], "no-such-revision"),
    "a revision like an option": (["check", "--head", "--output=x"], "--output"),
    "a proposal": (["merge", "promote/tumour/1/nothing"], "proposals list"),
    "a reference without a model": (["show", "@3"], "hint: "),
    "an empty name": (["show", ""], "hint: "),
    "version nought": (["show", "tumour@0"], "1, 2, 3, 4"),
    "a negative version": (["show", "tumour@-1"], "hint: "),
    "no table": (["predict", "tumour@2", "nowhere.csv"], "nowhere.csv"),
    "a registry elsewhere": (["-C", "/nowhere", "list"], "/nowhere"),
}


@pytest.mark.parametrize(("command", "told"), MISTYPED.values(), ids=MISTYPED.keys())
def test_a_mistyped_word_is_answered_in_one_line_with_what_was_meant(lived: Lived, command: list[str], told: str) -> None:  # fmt: skip
    assert told in one_line_and_a_hint(asked(lived.world, *command))


@pytest.mark.parametrize(
    "name",
    [
        "my model",
        "信用リスク",
        "../escape",
        "-x",
        ".hidden",
        "",
        "templates",
        "a" * 129,
        "a\nb",
        "a@b",
    ],
)
def test_a_name_outside_the_grammar_is_refused_and_nothing_is_written(world: World, trained: Trained, name: str) -> None:  # fmt: skip
    before = world.git("for-each-ref"), world.git("status", "--porcelain")
    done = asked(world, "register", "--no-onnx", "--", name, str(trained.model(1)))
    one_line_and_a_hint(done)
    assert (world.git("for-each-ref"), world.git("status", "--porcelain")) == before


def test_a_name_that_differs_by_case_only_is_refused(world: World, trained: Trained) -> None:
    world.model("fraud").version().commit()
    done = world.cli("register", "Fraud", str(trained.model(1)), "--no-onnx", check=None)
    assert "fraud" in one_line_and_a_hint(done)


def test_a_stage_that_the_graph_does_not_reach_is_refused_by_a_finding(world: World) -> None:
    world.model("fraud").version().commit()
    done = world.cli("promote", "fraud@1", "--to", "production", check=1)
    assert "staging" in done.stdout + done.stderr


def test_a_promotion_to_the_stage_it_is_in_is_said(lived: Lived) -> None:
    done = lived.world.cli("promote", "tumour@production", "--to", "production", check=None)
    both = done.stdout + done.stderr
    assert "already" in both
    assert done.returncode in (0, 2)


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        ("models:/tumour/3", 3), ("models:/tumour/Production", 2), ("models:/tumour/production", 2),
        ("tumour@latest", 4), ("tumour@3", 3), ("tumour@production", 2), ("models:/tumour/latest", 4),
    ],
)  # fmt: skip
def test_a_version_is_found_by_every_way_to_name_it(lived: Lived, reference: str, number: int) -> None:
    assert json.loads(asked(lived.world, "show", reference, "--json").stdout)["number"] == number


def test_a_version_is_found_by_its_alias_here_and_as_mlflow_writes_it(world: World) -> None:
    world.model("fraud", aliases={"champion": 2}).version().version().commit()
    for reference in ("fraud@champion", "models:/fraud@champion"):
        assert json.loads(world.cli("show", reference, "--json").stdout)["number"] == 2
    assert json.loads(world.cli("show", "fraud", "champion", "--json").stdout)["number"] == 2


def test_name_and_reference_may_be_two_words(lived: Lived) -> None:
    assert lived.world.cli("show", "tumour", "3").stdout == lived.world.cli("show", "tumour@3").stdout


# ---- register, as files and data come


def test_a_pickle_is_not_opened_without_being_asked(world: World, tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    for name in ("model.pkl", "model.joblib"):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
        done = world.cli("register", "evil", str(tmp_path / name), check=None)
        assert "--allow-pickle" in one_line_and_a_hint(done)
    assert not (tmp_path / "ran").exists()


def test_a_skops_file_with_a_type_nobody_trusts_is_refused_and_the_type_is_named(world: World, tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(os.system), tmp_path / "m.skops")
    before = world.git("for-each-ref")
    done = asked(world, "register", "evil", str(tmp_path / "m.skops"))
    assert "system" in one_line_and_a_hint(done)
    assert world.git("for-each-ref") == before


def test_a_file_that_is_no_model_is_refused_by_name(world: World, tmp_path: Path) -> None:
    (tmp_path / "m.skops").write_bytes(b"not a zip at all")
    assert "m.skops" in one_line_and_a_hint(asked(world, "register", "evil", str(tmp_path / "m.skops")))


WRONG_DATA = {
    "no target": (["--data", "{data}"], "--target"),
    "an unknown target": (["--data", "{data}", "--target", "diagnoses"], "diagnosis"),
    "no such file": (["--data", "nowhere.csv", "--target", "diagnosis"], "nowhere.csv"),
    "other columns": (["--data", "{other}", "--target", "diagnosis"], "mean area"),
    "a metric that is no number": (["--metric", "cost=dear"], "cost"),
    "a metric that is NaN": (["--metric", "cost=nan"], "cost"),
    "a parameter without a value": (["--param", "depth"], "depth"),
    "a tag without a value": (["--tag", "team"], "team"),
}


@pytest.mark.parametrize(("options", "told"), WRONG_DATA.values(), ids=WRONG_DATA.keys())
def test_wrong_options_of_register_are_one_line_and_write_nothing(
    world: World, trained: Trained, tmp_path: Path, options: list[str], told: str
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("mean radius,diagnosis\n1.5,0\n2.5,1\n")
    words = [w.format(data=trained.data, other=other) for w in options]
    before = world.git("for-each-ref"), world.git("status", "--porcelain", "--ignored")
    done = asked(world, "register", "tumour", str(trained.model(1)), "--no-onnx", *words)
    assert told in one_line_and_a_hint(done)
    assert (world.git("for-each-ref"), world.git("status", "--porcelain", "--ignored")) == before


def test_predict_names_the_column_that_is_missing(lived: Lived, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("mean radius,mean texture\n1,2\n")
    done = lived.world.cli("predict", "tumour@2", str(tmp_path / "rows.csv"), check=None)
    assert "mean perimeter" in one_line_and_a_hint(done)


def test_both_stored_formats_predict_the_same(lived: Lived, trained: Trained) -> None:
    said = [
        asked(lived.world, "predict", "tumour@3", str(trained.rows), "--format", name).stdout
        for name in ("skops", "onnx")
    ]  # fmt: skip
    assert said[0] == said[1]


def test_predict_writes_to_a_file(lived: Lived, trained: Trained, tmp_path: Path) -> None:
    done = lived.world.cli("predict", "tumour@2", str(trained.rows), "--output", str(tmp_path / "out.csv"))
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 5
    assert not re.search(r"^\d$", done.stdout, re.MULTILINE)


# ---- what is printed


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["as text", "as JSON"])
def test_terminal_escapes_in_what_people_wrote_are_not_printed_raw(world: World, form: list[str]) -> None:
    evil = "red \x1b[31m and a title \x1b]0;owned\x07 \x9b2J"
    world.model("fraud", title=evil, description=evil, tags={"note": evil}, owners=(evil,)).version(
        card=FINISHED_CARD.model_copy(update={"description": evil, "limitations": evil}),
        params={"note": evil},
    ).commit()
    world.git("commit", "--quiet", "--allow-empty", "--message", f"subject {evil}")
    for command in (["list"], ["list", "fraud"], ["show", "fraud"], ["show", "fraud@1"], ["card", "fraud@1"], ["log"]):
        said = asked(world, *command, *form).stdout
        assert not set(said) & {"\x1b", "\x07", "\x9b"}, command


def test_an_escape_typed_as_a_name_is_not_echoed_raw(world: World) -> None:
    done = world.cli("show", "a\x1b[31mb", check=2)
    assert "\x1b" not in done.stdout + done.stderr


def test_nothing_but_the_answer_is_printed_into_a_pipe(lived: Lived, trained: Trained) -> None:
    for said in lived.story.values():
        assert "\x1b" not in said.out + said.err
        assert "\r" not in said.out + said.err


def test_long_work_shows_progress_on_a_terminal(world: World, tmp_path: Path) -> None:
    import pty

    world.model("big").version(payload=bytes(96 << 20)).commit()
    shutil.rmtree(world.root / ".dvc/cache")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gitops_registry", "pull", "big@1", "--to", str(tmp_path / "out")],
        cwd=world.root, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:
        pass
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"model.bin" in shown or b"%" in shown


def test_help_of_every_command_fits_and_says_what_it_does(tmp_path: Path) -> None:
    listed = cli(tmp_path, "--help").stdout
    for command in (
        "init", "register", "list", "show", "compare", "promote", "merge", "rollback", "archive", "plan", "check",
        "card", "log", "pull", "verify", "predict", "doctor", "schema", "proposals",
    ):  # fmt: skip
        assert re.search(rf"^  {command} ", listed, re.MULTILINE)


def test_proposals_are_listed_shown_and_closed(world: World) -> None:
    world.model("fraud").version().commit()
    world.cli("promote", "fraud@1", "--to", "staging", "--reason", "ready for trial")
    branch = "promote/fraud/1/staging"
    assert branch in world.cli("proposals", "list").stdout
    shown = world.cli("proposals", "show", branch).stdout
    assert "version 1 development → staging" in shown
    assert "ready for trial" in shown
    closed = world.cli("proposals", "close", branch).stdout
    assert branch not in world.cli("proposals", "list").stdout
    assert branch not in world.git("for-each-ref")
    back = re.search(r"git (branch \S+ [0-9a-f]+)", closed)
    assert back
    world.git(*back[1].split())
    world.cli("merge", branch)


def test_proposing_the_same_promotion_twice_is_said_and_leaves_one_proposal(world: World) -> None:
    world.model("fraud").version().commit()
    world.cli("promote", "fraud@1", "--to", "staging")
    before = world.git("for-each-ref")
    done = world.cli("promote", "fraud@1", "--to", "staging", check=None)
    assert "promote/fraud/1/staging" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert world.git("for-each-ref").count("promote/fraud/1/staging") == 1
    assert done.returncode == 0 or world.git("for-each-ref") == before


# ---- terminals that cannot show everything, and outputs that go away


def test_a_terminal_of_another_encoding_shows_escapes_and_the_deed_is_done(world: World) -> None:
    world.model("fraud", title="信用").version().commit()
    latin = {"PYTHONIOENCODING": "latin-1"}
    said = world.cli("promote", "fraud@1", "--to", "staging", "-m", "理由", environment=latin).stdout
    assert "development \\u2192 staging" in said
    assert json.loads(world.cli("list", "--json", environment=latin).stdout)[0]["title"] == "信用"
    world.cli("merge", "promote/fraud/1/staging")
    assert "理由" in world.git("log", "-1", "--format=%B")


def test_words_are_kept_whatever_the_locale_takes_them_for(world: World) -> None:
    world.model("fraud").version().commit()
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    world.cli("promote", "fraud@1", "--to", "staging", "--direct", "-m", "理由", environment=plain)
    assert "理由" in world.git("log", "-1", "--format=%B")


@pytest.mark.parametrize("verb", [("list",), ("show", "fraud"), ("log",), ("check",), ("list", "--json")])
def test_a_full_disk_behind_the_output_is_said(world: World, verb: tuple[str, ...]) -> None:
    world.model("fraud").version().commit()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gitops_registry", *verb], cwd=world.root, stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: No space left on device\nhint: ")


def test_a_closed_output_is_no_error(world: World) -> None:
    done = subprocess.run(
        f"{sys.executable} -m gitops_registry list >&-",
        shell=True,
        cwd=world.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_cannot_be_written_is_the_users_to_mend(lived: Lived, trained: Trained, tmp_path: Path) -> None:
    for target in (tmp_path / "no/such/folder.csv", tmp_path):
        done = lived.world.cli("predict", "tumour@production", str(trained.rows), "--output", str(target), check=2)
        assert "error: " in done.stderr
        assert "hint: check the path" in done.stderr
