"""Pointers are what DVC writes, and nothing but a plain pointer is read."""

from __future__ import annotations

import pytest
from dvc.utils.serialize import dumps_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_registry.errors import ManifestError, RegistryError
from gitops_registry.manifest.facts import Artifact
from gitops_registry.pointer import Pointer, pointer, read_pointer

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
NUMERIC = "12345678901234567890123456789e10"


def artifact(file: str, *, md5: str = MD5, size: int = 7) -> Artifact:
    return Artifact(name="model", file=file, format="x", size=size, md5=md5, sha256="0" * 64)


def as_dvc_writes(item: Artifact) -> bytes:
    return dumps_yaml({"outs": [{"md5": item.md5, "size": item.size, "hash": "md5", "path": item.file}]}).encode()


def test_a_pointer_is_four_lines_that_dvc_reads() -> None:
    assert pointer(artifact("model.skops")) == (
        b"outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 7\n  hash: md5\n  path: model.skops\n"
    )


@pytest.mark.parametrize(
    "file",
    [
        "model.skops", "a b.onnx", "モデル 1.onnx", "no", "true", "1.0", "1e5",
        "12:30:45", "a: b", "a #b", "-x", "~", "'q'", '"', "<<",
        "a" * 200, "x" * 60 + " " + "y" * 60 + " z", "null.x", "model.SKOPS", "😀",
    ],
)  # fmt: skip
@pytest.mark.parametrize("md5", [MD5, NUMERIC, "1" * 32])
def test_every_file_name_is_quoted_as_dvc_quotes_it(file: str, md5: str) -> None:
    item = artifact(file, md5=md5)
    assert pointer(item) == as_dvc_writes(item)
    assert read_pointer(pointer(item), "p.dvc") == Pointer(md5, 7, file)


@settings(max_examples=300, deadline=None)
@given(
    file=st.text(min_size=1, max_size=140),
    md5=st.text("0123456789abcdef", min_size=32, max_size=32),
    size=st.integers(0, 10**15),
)
def test_what_is_written_is_read_back_or_refused(file: str, md5: str, size: int) -> None:
    try:
        item = artifact(file, md5=md5, size=size)
    except ValueError:
        return
    try:
        data = pointer(item)
    except RegistryError:
        return
    assert data == as_dvc_writes(item)
    assert read_pointer(data, "p.dvc") == Pointer(md5, size, file)


def test_a_name_that_dvc_would_read_back_as_another_is_refused() -> None:
    with pytest.raises(RegistryError, match="cannot track"):
        pointer(artifact("a").model_copy(update={"file": "a\x85b"}))


PLAIN = f"outs:\n- md5: {MD5}\n  size: 7\n  hash: md5\n  path: model.skops\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "outs: []\n",
        "outs:\n",
        "outs: 3\n",
        "- a\n",
        PLAIN + PLAIN[6:],
        PLAIN + "md5: 0\n",
        PLAIN + "cmd: rm -rf /\n",
        PLAIN + "deps:\n- path: x\n",
        PLAIN + "frozen: true\n",
        PLAIN + "  remote: other\n",
        PLAIN + "  cache: false\n",
        PLAIN + "  isexec: true\n",
        PLAIN + "  nfiles: 3\n",
        PLAIN + "  size: 8\n",
        PLAIN.replace("model.skops", "/etc/passwd"),
        PLAIN.replace("model.skops", "../model.skops"),
        PLAIN.replace("model.skops", "data/model.skops"),
        PLAIN.replace("model.skops", "s3://bucket/model"),
        PLAIN.replace("model.skops", "version.yaml"),
        PLAIN.replace("model.skops", "1.0"),
        PLAIN.replace("model.skops", "[a]"),
        PLAIN.replace("hash: md5", "hash: sha256"),
        PLAIN.replace("  hash: md5\n", ""),
        PLAIN.replace(MD5, MD5 + ".dir"),
        PLAIN.replace(MD5, MD5.upper()),
        PLAIN.replace(MD5, "1" * 32),
        PLAIN.replace("size: 7", "size: '7'"),
        PLAIN.replace("size: 7", "size: -7"),
        PLAIN.replace("size: 7", "size: 7.0"),
        PLAIN.replace("size: 7", "size: 0x7"),
        PLAIN.replace("- md5", "- &a\n  md5"),
        PLAIN.replace("outs:", "outs: &a"),
        "outs: *a\n",
        "a: [",
        "[" * 15_000,
        "? [a]\n: b\n",
        PLAIN + "---\n" + PLAIN,
        PLAIN + "#" * 20_000,
        "\x00",
    ],
)
def test_anything_but_one_plain_file_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ManifestError, match=r"^models/a/b\.dvc:\d+:\d+: ") as caught:
        read_pointer(text.encode(), "models/a/b.dvc")
    assert caught.value.hint


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ManifestError):
        read_pointer(b"\xff\xfe", "p.dvc")


def test_the_message_names_the_line_of_the_mistake() -> None:
    with pytest.raises(ManifestError) as caught:
        read_pointer((PLAIN + "cmd: x\n").encode(), "p.dvc")
    assert caught.value.line == 6


def test_order_and_comments_do_not_change_what_a_pointer_means() -> None:
    text = f"# ours\nouts:\n  - path: model.skops\n    hash: md5\n    size: 7\n    md5: {MD5}\n"
    assert read_pointer(text.encode(), "p.dvc") == Pointer(MD5, 7, "model.skops")
