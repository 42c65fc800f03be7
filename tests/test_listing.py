"""What a folder is: DVC's list of its files, our SHA-256 of them, and the names that no folder may hold."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_registry.errors import Damaged
from gitops_registry.listing import Member, dvc_listing, listing_name, listing_sha256, names_problem, read_listing

ONE, TWO = "1" * 32, "a" * 32


def tree_of_dvc(md5s: dict[str, str]) -> tuple[bytes, str]:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    for path, md5 in md5s.items():
        tree.add(tuple(path.split("/")), None, HashInfo("md5", md5))
    tree.digest()
    return tree.as_bytes(), tree.oid


PATHS = st.lists(st.text('ab-._é"モ😀\U00010000\uffdc', min_size=1, max_size=4), min_size=1, max_size=3).map("/".join)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(PATHS, st.text("0123456789abcdef", min_size=32, max_size=32), min_size=1, max_size=6))
def test_a_folder_is_listed_byte_for_byte_as_dvc_lists_it_and_read_back(md5s: dict[str, str]) -> None:
    data = dvc_listing(md5s)
    assert (data, listing_name(data)) == tree_of_dvc(md5s)
    if not names_problem(list(md5s)):
        assert read_listing(data, listing_name(data), "x") == md5s


def test_the_sha256_is_that_of_a_line_for_each_file_in_byte_order_of_path() -> None:
    members = [Member("b/é", ONE, "e" * 64, 3), Member("b-c", TWO, "f" * 64, 0), Member("B", ONE, "0" * 64, 12)]
    text = f"{'0' * 64} 12 B\n{'f' * 64} 0 b-c\n{'e' * 64} 3 b/é\n"
    assert listing_sha256(members) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "names",
    [
        [], [""], ["/etc/passwd"], ["../up"], ["a/../../b"], ["a//b"], ["./a"], ["a/"], ["a\\b"], ["a\nb"], ["a\0b"],
        ["\udcff"], ["x" * 256], ["/".join(["d" * 200] * 6)], ["A", "a"], ["D/x", "d/y"], ["é", "e\u0301"], ["ß", "SS"],
        ["a", "a/b"], [".git/config"], ["sub/.GIT"], [".dvc/config"], ["x.dvc"], ["dvc.yaml"], [".gitignore"], [".hg/x"],
        [f"{n}" for n in range(100_001)],
    ],
    ids=lambda names: repr(names[:2])[:40],
)  # fmt: skip
def test_names_that_leave_the_folder_or_that_not_every_system_writes_are_no_folder(names: list[str]) -> None:
    assert names_problem(names)
    if len(names) < 5 and names != ["\udcff"]:
        data = dvc_listing(dict.fromkeys(names, ONE))
        with pytest.raises(Damaged):
            read_listing(data, listing_name(data), "fraud@1 model")


@pytest.mark.parametrize(
    "names", [["a"], ["a b", "a"], ["データ/モデル.bin"], [".hidden/x"], ["MLmodel", "data/model.pkl"]]
)
def test_ordinary_names_are(names: list[str]) -> None:
    assert names_problem(names) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"{}", b"[]", b"[1]", b"[" * 100_000, b"\xff", b'"x"',
        json.dumps([{"md5": ONE}]).encode(),
        json.dumps([{"md5": ONE, "relpath": 7}]).encode(),
        json.dumps([{"md5": 7, "relpath": "a"}]).encode(),
        json.dumps([{"md5": ONE + "\n", "relpath": "a"}]).encode(),
        json.dumps([{"md5": ONE, "relpath": "b"}, {"md5": ONE, "relpath": "a"}]).encode(),
        json.dumps([{"md5": ONE, "relpath": "a"}, {"md5": TWO, "relpath": "a"}]).encode(),
        json.dumps([{"md5": ONE, "relpath": "a", "size": 3}]).encode(),
        json.dumps([{"md5": ONE + ".dir", "relpath": "a"}]).encode(),
    ],
)  # fmt: skip
def test_a_list_that_dvc_would_not_write_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(Damaged) as caught:
        read_listing(data, listing_name(data), "fraud@1 model")
    assert caught.value.message.startswith("fraud@1 model: ")
    assert "\n" not in caught.value.message


def test_a_list_under_another_name_is_damaged() -> None:
    with pytest.raises(Damaged, match="damaged"):
        read_listing(dvc_listing({"a": ONE}), ONE + ".dir", "fraud@1 model")
