"""Attacks on what is promised: each was tried against a real registry and got through, or nearly did."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
from pathlib import Path

import pytest
from builder import FINISHED_CARD, World, cli, errors

from gitops_registry import edits, paths
from gitops_registry.difference import is_unmanaged
from gitops_registry.errors import RegistryError
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference
from gitops_registry.snapshot import LARGEST_STORED, Content, Stored


@pytest.fixture(scope="module")
def made(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("made") / "world", template=template)
    fraud = world.model("fraud").version().version(metrics={"accuracy": 0.5}).version()
    return fraud.in_stage("staging", 1, 2).commit()


@pytest.fixture
def fraud(made: World, tmp_path: Path) -> World:
    """Two versions in staging, of which 2 is too weak to serve, and a new third one."""
    return World(tmp_path / "world", template=made.root)


def weak(world: World, *, branch: str = "promote/fraud/2/production", base: str = "main", rules: bytes = b"") -> str:
    """Propose to serve the weak version, with lines added to registry.yaml, and return the branch."""
    before = world.registry.place.snapshot(base)
    files = dict(edits.promote(before, before.resolve("fraud@2"), "production"))
    if rules:
        files[paths.CONSTITUTION] = world.read(paths.CONSTITUTION, revision=base) + rules
    world.git("branch", branch, base)
    world.commit(files, branch=branch)
    return branch


# ── who says what the rules are


def test_a_tag_named_like_the_branch_of_decisions_does_not_judge(fraud: World) -> None:
    rules = paths.policy_path("floors")
    easy = fraud.branch({rules: fraud.read(rules).replace(b"accuracy: 0.9", b"accuracy: 0.1")})
    branch = weak(fraud, base=easy)
    fraud.git("tag", "main", easy)
    for command in (("check", "--head", branch), ("check", "--base", "main", "--head", branch)):
        assert "accuracy 0.5 is below 0.9" in fraud.cli(*command, check=1).stdout
    assert f"{rules} changed" in fraud.cli("plan", branch).stdout


def test_a_tag_named_like_a_proposal_is_not_judged_in_its_place(fraud: World) -> None:
    branch = weak(fraud)
    fraud.git("tag", branch, "main")
    fraud.cli("check", "--head", branch, check=1)


def test_a_proposal_that_is_checked_out_cannot_name_itself_the_branch_of_decisions(
    fraud: World, tmp_path: Path
) -> None:
    branch = weak(fraud, rules=b"branch: promote/fraud/2/production\n")
    clone = fraud.clone(tmp_path / "clone")
    for place in (fraud, clone):
        place.git("switch", "--quiet", branch)
        assert "accuracy 0.5 is below 0.9" in place.cli("check", "--head", branch, check=1).stdout
        place.cli("merge", branch, check=1)


def test_a_proposal_cannot_say_itself_which_types_may_be_built_from_its_bytes(world: World, tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.tree import DecisionTreeClassifier

    from gitops_registry.formats.sklearn import untrusted

    model = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
    model.extra = FunctionTransformer(func=os.system)
    file = tmp_path / "model.skops"
    skops.io.dump(model, file)
    refused = untrusted(file)
    assert refused
    held = world.model("fraud").version(payload=file.read_bytes())
    held.commit()
    facts = world.read("models/fraud/versions/1/version.yaml").replace(b"format: bytes", b"format: skops")
    rules = world.read(paths.CONSTITUTION) + f"trusted_types: {refused}\n".encode()
    branch = world.branch({"models/fraud/versions/1/version.yaml": facts, paths.CONSTITUTION: rules})
    (tmp_path / "rows.csv").write_text("x\n1\n")
    done = world.cli("--revision", branch, "predict", "fraud@1", str(tmp_path / "rows.csv"), check=2)
    assert "types that nobody has reviewed" in done.stderr
    world.git("switch", "--quiet", branch)
    with pytest.raises(RegistryError, match="nobody has reviewed"):
        world.registry.load("fraud@1")


def test_the_stage_of_new_versions_cannot_be_one_that_serves(fraud: World) -> None:
    rules = fraud.read(paths.CONSTITUTION).replace(
        b"- name: development\n", b"- name: development\n    serving: true\n"
    )
    report = fraud.judged({paths.CONSTITUTION: rules})
    assert "cannot serve" in report.findings[0].message


# ── what nobody would see


def test_files_that_the_registry_leaves_to_others_are_told_before_they_land(fraud: World) -> None:
    rules = fraud.read(paths.CONSTITUTION) + b"unmanaged: [src/**]\n"
    fraud.commit({paths.CONSTITUTION: rules, "src/serve.py": b"good"})
    fraud.cli("promote", "fraud", "3", "--to", "staging")
    branch = "promote/fraud/3/staging"
    fraud.commit({"src/serve.py": b"bad"}, branch=branch)
    for command in (("check", "--head", branch), ("proposals", "show", branch), ("merge", branch)):
        assert "unjudged: src/serve.py" in fraud.cli(*command).stdout
    alone = fraud.branch({"src/serve.py": b"worse"})
    said = fraud.cli("merge", alone).stdout
    assert "unjudged: src/serve.py" in said
    assert "nothing changes" not in said


def test_a_submodule_is_seen_though_gitmodules_asks_to_ignore_it(fraud: World) -> None:
    fraud.commit({".gitmodules": b'[submodule "x"]\n\tpath = models/x\n\turl = ../x\n\tignore = all\n'})
    commit = Stored(fraud.git("rev-parse", "main").strip(), "160000")
    fraud.git("checkout", "--quiet", "-f", "main")
    assert "modes" in errors(fraud.judged({"models/x": commit}))


@pytest.mark.parametrize(
    "path",
    ["Policies/access.yaml", "policie\u017f/access.yaml", "models./fraud/model.yaml", "mode\u200dls/a", "policies /a",
     "\uff4dodels/a", "models\\a", "registry.yaml.", "models", "policies", ".github", "Cards"],
)  # fmt: skip
def test_no_spelling_that_a_disk_takes_for_one_of_our_folders_is_left_to_others(path: str) -> None:
    assert not is_unmanaged(path, ["*"]), path


@pytest.mark.parametrize(
    "name", ["a\x1b]0;x\x07.bin", "a\0b", "a\u202enib.b", "a.bin ", "a.bin.", "Card.YAML", "a.DVC"]
)
def test_an_artifact_cannot_have_a_name_that_moves_the_cursor_or_is_another_file_elsewhere(
    fraud: World, name: str
) -> None:
    facts = fraud.read("models/fraud/versions/3/version.yaml").decode()
    facts = facts.replace("file: model.bin", f"file: {json.dumps(name)}")
    report = fraud.judged({"models/fraud/versions/4/version.yaml": facts.encode()})
    assert errors(report) == {"schema"}


def test_a_path_is_no_command_to_a_shell_that_it_is_pasted_into_nor_to_a_ci_service(fraud: World) -> None:
    branch = fraud.branch(
        {"models/$(touch pwned);x": b"1", "::error file=a::all is well": b"1", "a##[add-mask]b": b"1"}
    )
    said = fraud.cli("check", "--base", "main", "--head", branch, check=1).stdout
    assert "git rm --cached 'models/$(touch pwned);x';" in said
    assert not [line for line in said.splitlines() if line.lstrip().startswith("::") or "##[" in line]


def test_a_password_in_the_address_of_a_registry_is_not_repeated(tmp_path: Path) -> None:
    done = cli(tmp_path, "-C", "https://bob:hunter2@example.com/registry", "list")
    assert done.returncode == 2
    assert "hunter2" not in done.stderr


def test_bytes_that_are_there_do_not_speak_for_the_same_bytes_under_another_md5(fraud: World) -> None:
    place = fraud.registry.place
    before = place.snapshot("main")
    facts = before.known_version(Reference("fraud", 3))
    twin = facts.artifacts[0].model_copy(update={"name": "other", "file": "other.bin", "md5": "0" * 32})
    facts = facts.model_copy(update={"artifacts": (*facts.artifacts, twin)})
    pointers = {f"{artifact.file}.dvc": pointer(artifact) for artifact in facts.artifacts}
    written = dict(edits.register(before, "fraud", facts, card=FINISHED_CARD, files=pointers))
    card = place.card(before.with_edits(written), Reference("fraud", 4))
    assert errors(fraud.judged({**written, paths.rendered_card_path("fraud", 4): card})) == {"presence"}


# ── what must not stop a judge


def test_one_proposal_that_cannot_be_judged_hides_no_other(fraud: World) -> None:
    fraud.cli("promote", "fraud", "3", "--to", "staging")
    stranger = fraud.git("commit-tree", "-m", "no parents", "main^{tree}").strip()
    fraud.git("update-ref", "refs/heads/promote/fraud/1/archived", stranger)
    blob = fraud.git("hash-object", "-w", "/dev/null").strip()
    fraud.git("update-ref", "refs/remotes/origin/promote/fraud/2/archived", blob)
    said = fraud.cli("proposals", "list").stdout
    assert "lands as it is" in said
    assert "no history in common" in said


def test_a_path_that_is_not_utf8_has_a_place_in_the_plan_and_its_digest(fraud: World) -> None:
    digests = set()
    for path in ("docs/x\udcff", "docs/x\udcfe", "docs/x\ufffd"):
        done = fraud.cli("check", "--base", "main", "--head", fraud.branch({path: b"1"}), "--json")
        digests.add(json.loads(done.stdout)["plan"]["digest"])
    assert len(digests) == 3


def test_a_commit_with_an_impossible_date_does_not_stop_the_log(fraud: World) -> None:
    parent = fraud.git("rev-parse", "main").strip()
    fraud.commit({"docs/a": b"1"})
    tree = fraud.git("rev-parse", "main^{tree}").strip()
    who = "A <a@example.com> 99999999999999999 +0000"
    raw = f"tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\nx\n"
    made = subprocess.run(
        ["git", "-C", str(fraud.root), "hash-object", "-w", "-t", "commit", "--literally", "--stdin"],
        input=raw, text=True, capture_output=True, check=True,
    )  # fmt: skip
    fraud.git("update-ref", "refs/heads/main", made.stdout.strip())
    fraud.commit({"docs/b": b"1"})
    assert json.loads(fraud.cli("log", "--json").stdout)[1]["time"].startswith("9999-")


def test_numbers_beyond_a_float_are_compared_without_a_crash(fraud: World) -> None:
    facts = fraud.read("models/fraud/versions/3/version.yaml")
    huge = facts + b"params: {a: 1" + b"0" * 400 + b", b: 1.5e308}\n"
    fraud.commit({"models/fraud/versions/4/version.yaml": huge})
    fraud.commit({"models/fraud/versions/5/version.yaml": facts + b"params: {a: 2.5, b: -1.5e308}\n"})
    json.loads(fraud.cli("compare", "fraud", "4", "5", "--json").stdout, parse_constant=pytest.fail)


def test_thousands_of_folders_in_one_proposal_are_judged(fraud: World) -> None:
    many: dict[str, Content | None] = {}
    many |= {f"models/fraud/versions/{n}/card.yaml": b"kind: ModelCard\n" for n in range(9, 1009)}
    many |= {f"models/m{n}/model.yaml": f"kind: Model\nname: m{n}\n".encode() for n in range(1000)}
    branch = fraud.branch(many)
    report = fraud.registry.check(base="main", head=branch)
    assert "names" in errors(report)


def test_an_object_of_the_store_too_large_to_hold_is_refused_unread(fraud: World) -> None:
    data = b"\0" * (LARGEST_STORED + 1)
    object_path = paths.store_path(hashlib.md5(data).hexdigest())
    branch = fraud.branch({object_path: fraud.stored(data, "100644")})
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    done = fraud.cli("check", "--base", "main", "--head", branch, check=2)
    assert "at most" in done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 200_000)
