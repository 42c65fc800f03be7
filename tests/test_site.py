"""The site as files: what changed is made anew and nothing else, each page has a twin in JSON, nothing of anybody's is overwritten."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from xml.etree import ElementTree

import pytest
import yaml
from builder import World
from sites import WAIVER

from gitops_registry.drawing import Picture, Studio
from gitops_registry.errors import RegistryError
from gitops_registry.manifest.facts import ConfusionMatrix
from gitops_registry.site import figures, views
from gitops_registry.site.building import STATE, Built, build
from gitops_registry.site.contents import Contents, contents
from gitops_registry.site.figures import trend
from gitops_registry.site.pages import pages
from gitops_registry.site.serving import serve
from gitops_registry.site.words import words_in

ATOM = "{http://www.w3.org/2005/Atom}"
MATRIX = ConfusionMatrix(labels=(0, 1), counts=((8, 2), (1, 9)))


@pytest.fixture
def filled(world: World) -> World:
    world.model("fraud", title="不正検知", owners=("risk",)).version(confusion_matrix=MATRIX).version(
        metrics={"accuracy": 0.96}
    ).in_stage("production", 1).commit()
    return world.model("churn").version().commit()


def made(world: World, folder: Path, **options: bool | str) -> Built:
    return build(world.registry.place, folder, **options)  # type: ignore[arg-type]


def written(folder: Path) -> dict[str, int]:
    """Return when each file of a folder was written last, also while somebody writes there."""
    found = {}
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found[str(file)] = file.stat().st_mtime_ns
    return found


def seen(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file of the site with its inode and bytes: a file that was not touched keeps both."""
    return {str(file.relative_to(folder)): (file.stat().st_ino, file.read_bytes()) for file in folder.rglob("*") if file.is_file()}  # fmt: skip


def changed(before: dict[str, tuple[int, bytes]], after: dict[str, tuple[int, bytes]]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def data(folder: Path, page: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / f"{page}.json").read_text(encoding="utf-8"))
    return found


def test_every_page_has_a_twin_in_json_and_says_where_it_is(filled: World, tmp_path: Path) -> None:
    built = made(filled, tmp_path / "site")
    pages = {str(file.relative_to(tmp_path / "site").with_suffix("")) for file in (tmp_path / "site").rglob("*.html")}
    twins = {
        str(file.relative_to(tmp_path / "site").with_suffix("")) for file in (tmp_path / "site").rglob("*.json")
    } - {".built"}
    assert pages == twins
    assert len(pages) == built.pages
    assert {
        "index",
        "policies",
        "audit/index",
        "models/fraud/index",
        "models/fraud/compare",
        "models/fraud/v2",
    } <= pages
    text = (tmp_path / "site/models/fraud/v2.html").read_text(encoding="utf-8")
    assert 'href="../../models/fraud/v2.json"' in text


def test_the_index_says_what_serves_its_metric_its_trend_its_owners_and_what_the_policies_say(
    filled: World, tmp_path: Path
) -> None:
    made(filled, tmp_path / "site")
    models = {one["name"]: one for one in data(tmp_path / "site", "index")["models"]}  # type: ignore[attr-defined]
    fraud = models["fraud"]
    assert fraud["serving"] == [{"version": 1, "stage": "production", "value": 0.95}]
    assert (fraud["metric"], fraud["trend"], fraud["owners"], fraud["title"]) == (
        "accuracy",
        [0.95, 0.96],
        ["risk"],
        "不正検知",
    )
    assert (fraud["policies"]["state"], fraud["policies"]["counts"]) == ("passes", {"pass": 2})
    assert models["churn"]["policies"]["state"] == "none"
    page = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "不正検知" in page
    assert '<svg class="spark"' in page


def test_a_version_that_would_not_pass_today_is_shown_as_one(world: World, tmp_path: Path) -> None:
    world.model("fraud").version(metrics={"accuracy": 0.5}).in_stage("production", 1).commit()
    made(world, tmp_path / "site")
    (fraud,) = data(tmp_path / "site", "index")["models"]  # type: ignore[misc]
    assert fraud["policies"]["state"] == "fails"
    assert [one["rule"] for one in fraud["policies"]["rules"]] == ["metrics"]
    assert "0.5 is below 0.9" in (tmp_path / "site/models/fraud/index.html").read_text(encoding="utf-8")


def test_nothing_is_written_where_nothing_changed(filled: World, tmp_path: Path) -> None:
    made(filled, tmp_path / "site")
    before = seen(tmp_path / "site")
    built = made(filled, tmp_path / "site")
    assert built.made == 0
    assert changed(before, seen(tmp_path / "site")) - {STATE} == set()


def test_a_decision_renews_the_pages_it_is_about_and_no_other(filled: World, tmp_path: Path) -> None:
    made(filled, tmp_path / "site")
    before = seen(tmp_path / "site")
    filled.registry.set_alias("fraud", "challenger", 2)
    built = made(filled, tmp_path / "site")
    renewed = changed(before, seen(tmp_path / "site"))
    decision = f"decisions/{built.commit}"
    expected = {"index", "audit/index", "models/fraud/index", "models/fraud/v2", "models/fraud/compare", decision}
    assert {name.rpartition(".")[0] for name in renewed if name.endswith(".html")} <= expected
    assert {"models/fraud/v2.html", "models/fraud/index.html", f"{decision}.html", "feed.xml"} <= renewed
    assert "models/fraud/v1.html" not in renewed
    assert built.made <= len(expected)


def test_a_model_that_is_gone_takes_its_pages_with_it_and_its_decisions_stay(filled: World, tmp_path: Path) -> None:
    made(filled, tmp_path / "site")
    filled.registry.delete("churn", reason="unused")
    built = made(filled, tmp_path / "site")
    assert built.removed == 3
    assert not (tmp_path / "site/models/churn").exists()
    assert any(
        change["model"] == "churn" for one in data(tmp_path / "site", "audit/index")["decisions"] for change in one["changes"]  # type: ignore[attr-defined]
    )  # fmt: skip


def test_a_page_that_somebody_removed_is_made_again_and_fresh_makes_all(filled: World, tmp_path: Path) -> None:
    total = made(filled, tmp_path / "site").pages
    (tmp_path / "site/models/fraud/v1.html").unlink()
    assert made(filled, tmp_path / "site").made == 1
    assert made(filled, tmp_path / "site", is_anew=True).made == total


def test_a_build_that_was_killed_is_finished_by_the_next(filled: World, tmp_path: Path) -> None:
    """What was being written counts as not there: a page may hold the future, and its key must not say that it is the past."""
    folder = tmp_path / "site"
    made(filled, folder)
    whole = seen(folder)
    filled.registry.set_alias("fraud", "challenger", 2)
    command = [sys.executable, "-m", "gitops_registry", "site", "build", "--out", str(folder)]
    ends = []
    for number in (1, 2, 4, 8):  # files that are written until the kill
        filled.registry.set_alias("fraud", f"try-{number}", 1)
        before = written(folder)
        process = subprocess.Popen(command, cwd=filled.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(written(folder).items() - before.items()) < number:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        ends.append(process.wait())
    assert ends.count(-signal.SIGKILL) >= 2, "not all of them had ended before"
    for number in (1, 2, 4, 8):
        filled.registry.remove_alias("fraud", f"try-{number}")
    filled.registry.remove_alias("fraud", "challenger")
    made(filled, folder)
    made(filled, tmp_path / "other")
    now, other = seen(folder), seen(tmp_path / "other")
    drafts = {name for name in now if Path(name).name.startswith(".") and Path(name).name not in {STATE, ".gitignore"}}
    assert {name: content for name, (_, content) in now.items() if name not in drafts} == {
        name: content for name, (_, content) in other.items()
    }
    assert whole.keys() <= now.keys()


def test_a_folder_of_somebody_else_is_not_touched(filled: World, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/thesis.txt").write_text("mine")
    with pytest.raises(RegistryError, match="holds files that are no site"):
        made(filled, tmp_path / "site")
    assert os.listdir(tmp_path / "site") == ["thesis.txt"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RegistryError, match="is a file"):
        made(filled, tmp_path / "file")


def test_git_does_not_see_a_site_in_the_work_tree(filled: World) -> None:
    assert filled.cli("site", "build").stdout.startswith("site/index.html  ")
    assert filled.git("status", "--porcelain") == ""
    assert filled.registry.check().refusals(frozenset()) == ()


def test_what_was_built_says_what_a_lying_list_of_pages_cannot_make_it_remove(filled: World, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    made(filled, folder)
    (tmp_path / "mine.html").write_text("mine")
    told = json.loads((folder / STATE).read_text())
    told["pages"] |= {"../mine": "x", str(tmp_path / "mine"): "x"}
    (folder / STATE).write_text(json.dumps(told))
    made(filled, folder)
    assert (tmp_path / "mine.html").read_text() == "mine"


@pytest.mark.parametrize("lie", ["mine", "models/../../mine", "models/fraud/mine", "models/fraud/\0", "\ud800"])
def test_a_list_of_pages_names_what_a_build_makes_and_nothing_else(filled: World, tmp_path: Path, lie: str) -> None:
    folder = tmp_path / "site"
    made(filled, folder)
    for file in (folder / "mine.html", folder / "models/fraud/mine.html"):
        file.write_text("mine")
    told = json.loads((folder / STATE).read_text())
    told["pages"][lie] = "x"
    (folder / STATE).write_text(json.dumps(told))
    assert made(filled, folder).removed == 0
    assert (folder / "mine.html").read_text() == (folder / "models/fraud/mine.html").read_text() == "mine"


@pytest.mark.parametrize("linked", ["", "models", "models/fraud", "assets", "decisions"])
def test_nothing_is_written_or_removed_behind_a_symbolic_link(filled: World, tmp_path: Path, linked: str) -> None:
    folder, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    made(filled, folder)
    (folder / linked).rename(elsewhere)
    (folder / linked).symlink_to(elsewhere)
    before = seen(elsewhere)
    filled.registry.delete("churn", reason="unused")
    filled.registry.set_alias("fraud", "challenger", 2)
    with pytest.raises(RegistryError, match="is a symbolic link") as refused:
        made(filled, folder)
    assert "name another folder" in refused.value.hint
    assert changed(before, seen(elsewhere)) - {STATE} == set()


def test_a_page_that_is_a_symbolic_link_is_made_anew_in_its_place(filled: World, tmp_path: Path) -> None:
    folder, secret = tmp_path / "site", tmp_path / "secret"
    made(filled, folder)
    secret.write_text("secret")
    for path in ("index.html", "models/fraud/v1.json", "assets/site.js", "feed.xml"):
        (folder / path).unlink()
        (folder / path).symlink_to(secret)
    made(filled, folder)
    assert secret.read_text() == "secret"
    assert [file for file in folder.rglob("*") if file.is_symlink()] == []


def test_the_feed_is_atom_with_the_newest_decision_first(filled: World, tmp_path: Path) -> None:
    filled.registry.set_alias("fraud", "challenger", 2)
    made(filled, tmp_path / "site", url="https://models.example.com/")
    root = ElementTree.parse(tmp_path / "site/feed.xml").getroot()
    first = root.find(f"{ATOM}entry")
    assert first is not None
    assert [first.findtext(f"{ATOM}{name}") for name in ("title", "summary")] == ["fraud: alias challenger → 2"] * 2
    link = first.find(f"{ATOM}link")
    assert link is not None
    assert link.attrib["href"].startswith("https://models.example.com/decisions/")
    ids = [one.findtext(f"{ATOM}id") for one in root.iter(f"{ATOM}entry")]
    assert len(set(ids)) == len(ids) == len(filled.git("rev-list", "--first-parent", "main").split())
    assert all(str(one).startswith("urn:uuid:") for one in ids)


def test_older_decisions_are_on_pages_that_stay_as_they_are(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops_registry.site.pages.EACH", 3)
    world.model("fraud").version().commit()
    for number in range(7):
        world.registry.describe("fraud", tags={"n": str(number)})
    folder = tmp_path / "site"
    made(world, folder)
    told = [data(folder, page) for page in ("audit/index", "audit/page-3", "audit/page-2", "audit/page-1")]
    commits = [one["commit"] for page in reversed(told[1:]) for one in reversed(page["decisions"])]  # type: ignore[arg-type]
    assert commits == world.git("rev-list", "--first-parent", "--reverse", "main").split()
    assert [(page["newer"], page["older"]) for page in told] == [
        (None, "page-3"),
        ("index", "page-2"),
        ("page-3", "page-1"),
        ("page-2", None),
    ]
    before = seen(folder)
    world.registry.describe("fraud", tags={"n": "last"})
    made(world, folder)
    assert not {
        name
        for name in changed(before, seen(folder))
        if name.startswith("audit/page-") and name.endswith(("-1.html", "-2.html", "-3.html"))
    }


def test_the_site_speaks_the_language_of_the_cards(filled: World, tmp_path: Path) -> None:
    text = filled.read("registry.yaml").decode()
    filled.commit({"registry.yaml": f"{text}card: {{language: ja}}\n".encode()})
    made(filled, tmp_path / "site")
    page = (tmp_path / "site/models/fraud/v1.html").read_text(encoding="utf-8")
    assert '<html lang="ja">' in page
    assert "混同行列" in page
    assert "監査ログ" in page


def test_both_languages_have_every_word_and_fill_in_the_same() -> None:
    english, japanese = words_in("en"), words_in("ja")
    own = {name: text for name, text in japanese.items() if text != english[name]}
    assert {name for name in english if name not in own and not english[name].isupper()} <= {"rows"} | {
        n for n in english if english[n] == japanese[n]
    }
    assert [name for name, text in own.items() if text.count("{") != english[name].count("{")] == []
    assert all(text.format(1.0, 2.0, 3.0, 4.0, 5.0) for text in (*english.values(), *japanese.values()))


def test_a_registry_without_a_model_has_a_site(world: World, tmp_path: Path) -> None:
    built = made(world, tmp_path / "site")
    assert "No model is registered yet." in (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert built.pages == 4


HUGE = b"x" * 10_000_000


@pytest.mark.parametrize(
    ("path", "kind", "page"),
    [
        ("models/fraud/versions/1/card.yaml", "ModelCard", "models/fraud/v1"),
        ("models/fraud/versions/1/evaluations/a.yaml", "Evaluation", "models/fraud/v1"),
        ("models/fraud/versions/2/version.yaml", "ModelVersion", "index"),
        ("models/fraud/model.yaml", "Model", "index"),
        ("policies/huge.yaml", "Policy", "policies"),
    ],
)
def test_a_field_of_ten_megabytes_is_told_where_it_should_be_and_the_rest_is_built(
    filled: World, tmp_path: Path, path: str, kind: str, page: str
) -> None:
    filled.commit({path: b"kind: " + kind.encode() + b"\nschema_version: 1\ndescription: " + HUGE + b"\n"})
    folder = tmp_path / "site"
    made(filled, folder)
    text = (folder / f"{page}.html").read_text(encoding="utf-8")
    assert f"{path}:1:1: 10,000,0" in text or f"{path}: 10,000,0" in text
    assert "at most 1,048,576 are read" in text
    assert (folder / "models/churn/v1.html").is_file()
    biggest = max(file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != "vega.js")
    assert biggest < 100_000


def test_long_words_are_shortened_on_the_page_and_whole_in_the_twin(filled: World, tmp_path: Path) -> None:
    words = "word " * 19_000
    filled.commit(
        {"models/fraud/versions/1/card.yaml": f"kind: ModelCard\nschema_version: 1\nlimitations: {words}\n".encode()}
    )
    made(filled, tmp_path / "site")
    assert (tmp_path / "site/models/fraud/v1.html").stat().st_size < 60_000
    assert str(data(tmp_path / "site", "models/fraud/v1")["limitations"]).count("word") == 19_000


def test_a_commit_with_a_book_for_a_message_is_shown_with_the_beginning_of_it(filled: World, tmp_path: Path) -> None:
    told = "s" * 3_000_000
    filled.commit({"models/fraud/versions/2/card.yaml": None}, f"{told}\n\n{told}")
    made(filled, tmp_path / "site")
    decision = data(tmp_path / "site", "audit/index")["decisions"][0]  # type: ignore[index]
    assert decision["changes"][0]["text"] == "fraud: card of version 2 removed"
    page = tmp_path / f"site/decisions/{decision['commit']}.html"
    assert page.stat().st_size < 60_000
    assert page.with_suffix(".json").stat().st_size < 60_000


def test_a_trend_stays_in_its_box_whatever_the_values() -> None:
    for values in ([0.1, 0.1], [1.7e308, -1.7e308, 0.0], [float(n % 7) for n in range(400)]):
        points = [tuple(map(float, point.split(","))) for point in trend(values).split()]
        assert len(points) == min(len(values), 50)
        assert all(0 <= x <= 100 and 0 <= y <= 24 for x, y in points)
    assert trend([1.0]) == ""


def test_the_command_line_builds_says_how_much_and_refuses_in_one_line(filled: World, tmp_path: Path) -> None:
    told = json.loads(filled.cli("site", "build", "-o", str(tmp_path / "site"), "--json").stdout)
    assert (told["made"], told["commit"]) == (told["pages"], filled.git("rev-parse", "main").strip())
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("")
    refused = filled.cli("site", "build", "-o", str(tmp_path / "full"), check=2)
    assert len(refused.stderr.splitlines()) == 2
    assert "hint: name an empty folder" in refused.stderr


def test_the_site_is_shown_to_this_machine_alone_and_follows_the_registry(filled: World, tmp_path: Path) -> None:
    told: list[str] = []
    is_up = threading.Event()

    def says(line: str) -> None:
        told.append(line)
        is_up.set()

    threading.Thread(
        target=serve, args=(filled.registry.place, tmp_path / "site"), kwargs={"port": 0, "says": says}, daemon=True
    ).start()
    assert is_up.wait(60)
    address = told[0].split()[0]
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{address}models/fraud/index.html") as answer:
        assert "不正検知" in answer.read().decode()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "site/link.txt").symlink_to(tmp_path / "secret")
    (tmp_path / "site/up").symlink_to(tmp_path)
    refusals = (("", "models.example.com"), (STATE, "localhost"), ("models/", "localhost"), ("link.txt", "localhost"))
    for path, host in (*refusals, ("up/secret", "localhost"), ("up/site/index.html", "127.0.0.1.example.com")):
        request = urllib.request.Request(f"{address}{path}", headers={"Host": host})
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code in {404, 421}
    is_up.clear()
    filled.registry.set_alias("fraud", "challenger", 2)
    assert is_up.wait(60)
    with urllib.request.urlopen(f"{address}models/fraud/v2.html") as answer:
        assert "challenger" in answer.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whatever_ends_the_server_of_pages_its_temporary_folder_is_gone(
    filled: World, tmp_path: Path, number: signal.Signals
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    command = [sys.executable, "-m", "gitops_registry", "-C", str(filled.root), "site", "serve", "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(place), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # whoever runs the tests may ignore it
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("http://127.0.0.1:")
            assert [entry.name.startswith("gitops-registry-site-") for entry in place.iterdir()] == [True]
            process.send_signal(number)
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert [*place.iterdir()] == []


def test_a_manifest_that_cannot_be_read_is_named_and_a_finding_of_the_build(filled: World, tmp_path: Path) -> None:
    filled.commit({"models/fraud/versions/2/version.yaml": b"kind: ModelVersion\nno: 1\n"})
    done = filled.cli("site", "build", "-o", str(tmp_path / "site"), check=1)
    assert done.stderr.startswith("not shown: models/fraud/versions/2/version.yaml:")
    told = json.loads(filled.cli("site", "build", "-o", str(tmp_path / "site"), "--json", check=1).stdout)
    assert [one.split(":")[0] for one in told["unread"]] == ["models/fraud/versions/2/version.yaml"]


def test_a_port_that_is_taken_is_said_in_one_line(filled: World, tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RegistryError, match="cannot be used"):
            serve(filled.registry.place, tmp_path / "site", port=taken.getsockname()[1], says=print)


# ── what a page is made of


def keys(world: World, site: Contents) -> dict[str, str]:
    return {page.path: page.key for page in pages(world.registry.place, site, "", words_in("en"))}


def test_a_waiver_that_ended_since_renews_the_pages_that_show_what_it_lifted(filled: World) -> None:
    """It ends at a moment, and not with a day or a commit."""
    site = contents(filled.registry.place)
    fraud = next(model for model in site.models if model.name == "fraud")
    lifted = tuple(replace(verdict, result="waived") for verdict in fraud.verdicts)
    others = tuple(model for model in site.models if model.name != "fraud")
    before = keys(filled, replace(site, models=(*others, replace(fraud, verdicts=lifted))))
    after = keys(filled, replace(site, models=(*others, fraud)))
    assert {path for path in after if before[path] != after[path]} == {"index", "models/fraud/index"}


def test_a_waiver_that_is_called_otherwise_renews_the_page_of_policies(filled: World, tmp_path: Path) -> None:
    oid = filled.git("rev-parse", "HEAD:models/fraud/versions/1/version.yaml").strip()
    told = WAIVER.format(oid=oid, start="2020-01-01T00:00:00Z", end="2020-01-20T00:00:00Z").replace(
        "credit-risk", "fraud"
    )
    filled.commit({"policies/waivers/once.yaml": told.encode()})
    made(filled, tmp_path / "site")
    filled.commit({"policies/waivers/once.yaml": None, "policies/waivers/then.yaml": told.encode()})
    made(filled, tmp_path / "site")
    waivers = data(tmp_path / "site", "policies")["waivers"]
    assert [(one["name"], one["state"]) for one in waivers] == [("then", "expired")]  # type: ignore[attr-defined]


def test_a_new_release_makes_pages_anew_whatever_of_it_changed(filled: World, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    total = made(filled, folder).pages
    release = tmp_path / "release/gitops_registry"
    shutil.copytree(Path(views.__file__).parents[1], release, ignore=shutil.ignore_patterns("__pycache__"))
    labels = release / "templates/labels/en.yaml"
    labels.write_text(labels.read_text(encoding="utf-8").replace("Intended use", "What it is for"), encoding="utf-8")
    command = [sys.executable, "-m", "gitops_registry", "site", "build", "--out", str(folder), "--json"]
    environ = {**os.environ, "PYTHONPATH": str(release.parent)}
    done = subprocess.run(command, cwd=filled.root, env=environ, capture_output=True, check=True)
    assert json.loads(done.stdout)["made"] == total
    assert "What it is for" in (folder / "models/fraud/v1.html").read_text(encoding="utf-8")


def test_the_history_of_a_version_is_its_own_and_no_other_ones(world: World, tmp_path: Path) -> None:
    """One decision may be about many versions, and of several models."""
    base = world.git("rev-parse", "main").strip()
    world.model("fraud").version().version().in_stage("staging", 1).commit()
    world.model("churn").version().version().in_stage("staging", 2).commit()
    world.git(
        "update-ref", "refs/heads/main", world.git("commit-tree", "main^{tree}", "-p", base, "-m", "begin").strip()
    )
    world.cli("rename", "fraud", "scams")
    made(world, tmp_path / "site")
    for version, own in (
        ("scams/v1", ["fraud: version 1 development → staging", "fraud: version 1 registered"]),
        ("scams/v2", ["fraud: version 2 registered"]),
        ("churn/v2", ["churn: version 2 development → staging", "churn: version 2 registered"]),
    ):
        history = data(tmp_path / "site", f"models/{version}")["history"]
        told = [text for one in history for text in one["changes"] if "renamed" not in text]  # type: ignore[attr-defined]
        assert sorted(told) == own, version


def test_a_forge_whose_address_has_braces_in_it_is_an_address_and_no_format(filled: World, tmp_path: Path) -> None:
    filled.commit({"registry.yaml": filled.read("registry.yaml") + b"forge: {kind: gitea}\n"})
    filled.git("remote", "add", "origin", "https://g{}{0.x}{.example.com/acme/models.git")
    built = made(filled, tmp_path / "site")
    url = f"https://g{{}}{{0.x}}{{.example.com/acme/models/commit/{built.commit}"
    assert data(tmp_path / "site", f"decisions/{built.commit}")["url"] == url
    assert f'href="{url}"' in (tmp_path / f"site/decisions/{built.commit}.html").read_text(encoding="utf-8")


def test_the_page_of_a_version_that_is_the_champion_by_now_is_made_anew(filled: World) -> None:
    site = contents(filled.registry.place)
    fraud = next(model for model in site.models if model.name == "fraud")
    others = tuple(model for model in site.models if model.name != "fraud")
    assert fraud.champion == 1
    before = keys(filled, replace(site, models=(*others, replace(fraud, champion=None))))
    after = keys(filled, site)
    assert {path for path in after if before[path] != after[path]} == {
        "models/fraud/v1", "models/fraud/v2", "models/fraud/compare"
    }  # fmt: skip


def test_the_page_of_policies_tells_a_rule_in_words_first_and_its_expression_behind_them(
    filled: World, tmp_path: Path
) -> None:
    policy = {
        "kind": "Policy", "schema_version": 1, "name": "worded", "match": {"to": ["production"]}, "params": {"least": 0.85},
        "validations": [
            {"id": "told", "description": "it is <b>good</b>", "expression": "candidate.task != 'x'", "message": "it is bad"},
            {"id": "shaped", "expression": "candidate.measured.accuracy >= params.least", "message_expression": "'only ' + string(1)"},
            {"id": "strange", "expression": "candidate.task.matches('b.*')"},
        ],
    }  # fmt: skip
    filled.commit({"policies/worded.yaml": yaml.safe_dump(policy).encode()})
    made(filled, tmp_path / "site")
    page = (tmp_path / "site/policies.html").read_text(encoding="utf-8")
    cells = re.findall(r'<tr id="rule-worded-[a-z]+">.*?</tr>', page, re.DOTALL)
    told, shaped, strange = (re.sub(r"\s+", " ", cell) for cell in cells)
    behind = '<details><summary class="small">as an expression</summary><code dir="ltr">'
    assert f'<td><span dir="auto">it is &lt;b&gt;good&lt;/b&gt;</span>{behind}candidate.task != ' in told
    assert '<td><span dir="auto">it is bad</span>' in told
    assert f"measured accuracy of the candidate is at least 0.85 (least)</span>{behind}candidate.measured" in shaped
    assert f'<td><span dir="auto">only …</span>{behind}&#39;only ' in shaped
    assert '<td><code dir="ltr">candidate.task.matches(' in strange
    assert "<details>" not in strange


def test_a_policy_that_cannot_be_read_is_told_once(filled: World, tmp_path: Path) -> None:
    filled.commit({"policies/broken.yaml": b"kind: Policy\nschema_version: 1\nname: broken\nmatch: 7\n"})
    made(filled, tmp_path / "site")
    (problem,) = data(tmp_path / "site", "policies")["problems"]  # type: ignore[misc]
    assert problem["path"] == "policies/broken.yaml"
    page = (tmp_path / "site/policies.html").read_text(encoding="utf-8")
    assert page.count("policies/broken.yaml") == 1


# ── what the numbers and texts of anybody do


HUGE_NUMBER = 10**400


@pytest.mark.parametrize(
    "part",
    [
        {"confusion_matrix": {"labels": [0, 1], "counts": [[HUGE_NUMBER, 1 - HUGE_NUMBER], [0, 1]]}},
        {"confusion_matrix": {"labels": [0, 1], "counts": [[10**20, 3], [0, 1]]}},
        {"params": {"n": HUGE_NUMBER, "some": [1, HUGE_NUMBER]}},
        {"metrics": {"accuracy": -1.7e308, "roc_auc": 1.7e308}},
        {"metrics": {"accuracy": 5e-324, "__proto__": 0.5, "constructor": 0.5}},
        {"slices": [{"column": "c", "groups": [{"value": HUGE_NUMBER, "rows": HUGE_NUMBER, "metrics": {"accuracy": 0.5}}]}]},
    ],
)  # fmt: skip
def test_a_number_of_any_size_stops_no_page_and_the_twin_is_json(
    filled: World, tmp_path: Path, part: dict[str, object]
) -> None:
    path = "models/fraud/versions/2/version.yaml"
    told = {**yaml.safe_load(filled.read(path)), **part}
    filled.commit({path: yaml.safe_dump(told, width=10_000).encode()})
    made(filled, tmp_path / "site")
    assert data(tmp_path / "site", "index")["problems"] == []

    def refuse(word: str) -> None:
        raise AssertionError(word)

    for file in (tmp_path / "site").rglob("*.json"):
        json.loads(file.read_bytes(), parse_constant=refuse)


def test_what_is_drawn_apart_is_labelled_apart() -> None:
    """A chart adds up what has one label."""
    labels = ["1", 1, "a" * 70 + "b", "a" * 70 + "c", None]
    matrix = {"labels": labels, "counts": [[1] * 5 for _ in labels]}
    drawn = figures.confusion(matrix, words_in("en"))
    assert drawn is not None
    assert len({row["true"] for row in drawn.rows}) == len({row["predicted"] for row in drawn.rows}) == 5
    groups = [{"value": value, "rows": 1, "metrics": {"f1": 0.5}} for value in (None, "(none)", True, "true")]
    cut = figures.slices({"column": "c", "groups": groups}, words_in("en"))
    assert cut is not None
    assert [row["group"] for row in cut.rows] == ["(none)", "(none) (2)", "true", "true (2)"]


def test_of_two_hundred_names_and_changes_a_page_lists_the_first_and_its_twin_all(world: World, tmp_path: Path) -> None:
    world.model("fraud").version().commit()
    told = {**yaml.safe_load(world.read("models/fraud/model.yaml")), "aliases": {f"name-{n}": 1 for n in range(200)}}
    world.commit({"models/fraud/model.yaml": yaml.safe_dump(told).encode()})
    made(world, tmp_path / "site")
    text = (tmp_path / "site/models/fraud/index.html").read_text(encoding="utf-8")
    assert text.count('<span class="alias">') == 2 * 12
    assert "and 188 more" in text
    assert text.count("fraud: alias ") == 20
    assert "and 180 more" in text
    assert len(data(tmp_path / "site", "models/fraud/index")["table"][0]["aliases"]) == 200  # type: ignore[index]


def test_wide_spaces_and_joiners_of_a_language_stay_and_marks_that_turn_text_do_not(
    world: World, tmp_path: Path
) -> None:
    title = "信用\u3000リスク می\u200cخواهم 50\u00a0%"
    world.model("fraud", title=f"{title}\u202e").version().commit()
    made(world, tmp_path / "site")
    for page in ("index", "models/fraud/index", "models/fraud/v1"):
        text = (tmp_path / f"site/{page}.html").read_text(encoding="utf-8")
        assert title in text
        assert "\u202e" not in text


def test_the_names_of_classes_stand_whole_beside_and_below_the_confusion_matrix() -> None:
    labels = ("iris-setosa", "iris-versicolor", "iris virginica")
    rows = [{"true": one, "predicted": two, "count": 7, "share": 0.3} for one in labels for two in labels]
    (drawn,) = Studio(words_in("en")).draw([Picture("confusion", rows, "told")])
    texts = re.findall(r"<(?:text|tspan)[^>]*>([^<]+)<", drawn)
    assert [text for text in texts if text.startswith("iris") and len(text) > 6] == list(labels), "beside the rows"
    assert {"setosa", "versicolor", "virginica"} <= set(texts), "below the columns, in lines"
    assert not [text for text in texts if "…" in text]


# ── a template of the registry's own that fails


BODY = "cards/templates/card_body.html.j2"
FAILING = b"<p>{{ name }} {{ 1 // (version - 1) }}</p>"


def test_a_template_that_fails_at_one_version_costs_that_page_its_card_and_no_other_page_anything(
    filled: World, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    filled.commit({BODY: FAILING})
    done = filled.cli("site", "build", "-o", str(folder), check=1)
    assert done.stderr.splitlines() == [
        "models/churn/v1.html has no card: card_body.html.j2:1: integer division or modulo by zero",
        "models/fraud/v1.html has no card: card_body.html.j2:1: integer division or modulo by zero",
        "hint: correct it in cards/templates, or remove it there: the packaged one takes its place",
    ]
    assert "<p>fraud 1</p>" in (folder / "models/fraud/v2.html").read_text(encoding="utf-8")
    said = "The card cannot be shown: card_body.html.j2:1: integer division or modulo by zero"
    assert said in (folder / "models/fraud/v1.html").read_text(encoding="utf-8")
    assert data(folder, "models/fraud/v1")["problems"] == [said]
    assert data(folder, "models/fraud/v1")["metrics"] == {"accuracy": 0.95}
    assert (folder / "feed.xml").is_file()


def test_a_card_that_failed_is_tried_and_named_by_each_build_until_it_is_mended(filled: World, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    filled.commit({BODY: FAILING})
    total = made(filled, folder).pages
    again = made(filled, folder)
    assert (again.pages, again.made) == (total, 2)
    assert [*again.problems] == ["models/churn/v1", "models/fraud/v1"]
    told = json.loads(filled.cli("site", "build", "-o", str(folder), "--json", check=1).stdout)
    assert [one["page"] for one in told["problems"]] == [*again.problems]
    filled.registry.delete("churn", reason="unused")
    filled.commit({BODY: b"<p>mended {{ version }}</p>"})
    assert made(filled, folder).problems == {}
    assert not (folder / "models/churn").exists()
    assert "<p>mended 1</p>" in (folder / "models/fraud/v1.html").read_text(encoding="utf-8")
    assert made(filled, folder).made == 0


def test_labels_that_cannot_be_read_cost_versions_their_cards_and_no_other_page_anything(
    filled: World, tmp_path: Path
) -> None:
    filled.commit({"cards/templates/labels/en.yaml": b"metrics: [1]\n"})
    built = made(filled, tmp_path / "site")
    assert [*built.problems] == ["models/churn/v1", "models/fraud/v1", "models/fraud/v2"]
    page = (tmp_path / "site/models/fraud/v1.html").read_text(encoding="utf-8")
    assert "cards/templates/labels/en.yaml:1:1: the label &#39;metrics&#39; is no text" in page
    assert "不正検知" in (tmp_path / "site/models/fraud/index.html").read_text(encoding="utf-8")


def test_what_draws_is_made_once_for_all_registries_of_a_user(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    world.model("fraud").version().commit()
    world.cli("site", "build", "--out", str(tmp_path / "first"))
    kept = {file.name.partition("-")[0]: file for file in (tmp_path / "cache/gitops-registry/drawings").iterdir()}
    assert kept.keys() == {"charts", "script"}
    drawn = (tmp_path / "first/assets/vega.js").read_text(encoding="utf-8")
    kept["script"].write_text(json.dumps("window.vegaEmbed = null;"))
    world.cli("site", "build", "--out", str(tmp_path / "second"))
    assert (tmp_path / "second/assets/vega.js").read_text() == "window.vegaEmbed = null;"
    kept["script"].write_text("half of it")
    kept["charts"].write_bytes(b"\xff")
    world.cli("site", "build", "--out", str(tmp_path / "third"))
    assert (tmp_path / "third/assets/vega.js").read_text(encoding="utf-8") == drawn
