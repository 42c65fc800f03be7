import contextlib
import hashlib
import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from gitops_registry.errors import RegistryError
from gitops_registry.formats import by_file, open_model, torch_export, torchscript
from gitops_registry.formats import describe as describe_file
from gitops_registry.formats import onnx as onnx_format
from gitops_registry.formats.loaded import Trust, Unreviewed
from gitops_registry.formats.torch_archive import pack, read
from gitops_registry.formats.torch_module import (
    TorchModel,
    convert_onnx,
    facts_of,
    is_module,
    save_export,
    save_torchscript,
)

torch.set_num_threads(1)
DIGITS, CLASSES = load_digits(return_X_y=True, as_frame=True)
PIXELS = (DIGITS.to_numpy() / 16).astype("float32")
TABLE = DIGITS / 16


class Dense(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, 24), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(24, 10)
        )

    def forward(self, pixels):
        return self.layers(pixels)


class Block(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)

    def forward(self, images):
        return torch.relu(self.norm(self.conv(images)))


class Images(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = Block(1), Block(4), torch.nn.Linear(4 * 4 * 4, 10)

    def forward(self, images):
        return self.last(torch.max_pool2d(self.second(self.first(images)), 2).flatten(1))


class Branch(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(64, 1)

    def forward(self, pixels):
        if pixels.sum() > 0:
            return self.last(pixels)
        return -self.last(pixels)


class Odd(Branch):
    """Neither script nor trace: a branch on the data, and an attribute that the language has no type for."""

    def __init__(self):
        super().__init__()
        self.by_name = {"same": lambda value: value}

    def forward(self, pixels):
        return self.by_name["same"](self.last(pixels)) if pixels.sum() > 0 else self.last(pixels)


def trained(module, inputs, epochs=8):
    torch.manual_seed(0)
    inputs, classes = torch.from_numpy(inputs), torch.from_numpy(CLASSES.to_numpy())
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(epochs):
        for at in range(0, len(inputs), 256):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(inputs[at : at + 256]), classes[at : at + 256]).backward()
            optimizer.step()
    return module.eval()


@pytest.fixture(scope="module")
def dense():
    return trained(Dense(), PIXELS)


@pytest.fixture(scope="module")
def images():
    return trained(Images(), PIXELS.reshape(-1, 1, 8, 8), epochs=2)


@pytest.fixture(scope="module")
def stored(dense, images, tmp_path_factory):
    """Return a folder in which both modules lie in every format, saved by this package and by torch alone."""
    folder = tmp_path_factory.mktemp("torch")
    for name, module, example in (("dense", dense, PIXELS[:8]), ("images", images, PIXELS[:8].reshape(-1, 1, 8, 8))):
        save_torchscript(module, folder / f"{name}.pt", example=example)
        save_export(module, folder / f"{name}.pt2", example=example)
        convert_onnx(module, folder / f"{name}.onnx", example=example, columns=list(DIGITS.columns))
        inputs = torch.from_numpy(example)
        torch.jit.script(module).save(str(folder / f"{name}-script.pth"))
        torch.jit.trace(module, inputs).save(str(folder / f"{name}-trace.ts"))
        program = torch.export.export(module, (inputs,), dynamic_shapes=({0: torch.export.Dim("rows")},))
        torch.export.save(program, str(folder / f"{name}-alone.pt2"))
    return folder


def scores(module, inputs):
    with torch.inference_mode():
        return module(torch.from_numpy(inputs)).numpy()


# ── formats


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("dense.pt", "torchscript"),
        ("dense-script.pth", "torchscript"),
        ("dense-trace.ts", "torchscript"),
        ("dense.pt2", "torch-export"),
        ("dense-alone.pt2", "torch-export"),
        ("dense.onnx", "onnx"),
    ],
)
def test_a_trained_network_is_recognised_loaded_and_agrees_in_every_format(file, kind, stored, dense):
    path = stored / file
    assert by_file(path) == kind
    model = open_model(kind, path, trust=Trust())
    assert model.format == kind
    assert model.labels is None
    assert model.predict_proba(TABLE) is None
    found = model.predict(TABLE)
    assert found.shape == (len(TABLE), 10)
    assert np.allclose(found, scores(dense, PIXELS), atol=1e-4)
    assert (found.argmax(1) == CLASSES).mean() > 0.9
    assert onnx_format.parity(TorchModel(dense, "torchscript"), model, TABLE).agreement == 1.0


@pytest.mark.parametrize("file", ["images.pt", "images.pt2", "images-alone.pt2", "images.onnx"])
def test_a_table_becomes_images_where_the_file_says_their_shape(file, stored, images):
    model = open_model(by_file(stored / file), stored / file, trust=Trust())
    assert np.allclose(model.predict(TABLE), scores(images, PIXELS.reshape(-1, 1, 8, 8)), atol=1e-4)


@pytest.mark.parametrize("file", ["images-script.pth", "images-trace.ts", "images.pt2"])
def test_images_are_taken_as_they_are(file, stored, images):
    model = open_model(by_file(stored / file), stored / file, trust=Trust())
    rows = PIXELS[:5].reshape(-1, 1, 8, 8)
    assert np.allclose(model.predict(rows), scores(images, rows), atol=1e-5)
    assert np.allclose(model.predict(torch.from_numpy(rows)), scores(images, rows), atol=1e-5)


def test_a_description_says_class_version_and_shapes_without_torch(stored):
    exported = describe_file("torch-export", stored / "images-alone.pt2")
    assert (exported.model_type, exported.framework.name, exported.framework.version) == ("Images", "torch", "2.13.0")
    assert [(c.name, c.type, c.shape) for c in exported.inputs] == [("images", "float", (-1, 1, 8, 8))]
    assert [c.shape for c in exported.outputs] == [(-1, 10)]
    scripted = describe_file("torchscript", stored / "images.pt")
    assert (scripted.model_type, scripted.framework.version) == ("Images", "2.13.0")
    assert [c.shape for c in (*scripted.inputs, *scripted.outputs)] == [(-1, 1, 8, 8), (-1, 10)]
    alone = describe_file("torchscript", stored / "dense-trace.ts")
    assert (alone.model_type, alone.inputs, alone.modules) == ("Dense", (), ("torch",))
    assert "does not say the shapes" in alone.notes[0]


def test_recognising_and_describing_import_no_torch(stored):
    code = (
        "import sys; from pathlib import Path; from gitops_registry.formats import by_file, describe\n"
        f"for name in ('dense.pt', 'dense.pt2'): p = Path({str(stored)!r}) / name; describe(by_file(p), p)\n"
        "from gitops_registry.formats.torch_module import is_module\n"
        "assert not is_module(object()) and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# ── storing


@pytest.mark.parametrize("save", [save_torchscript, save_export, convert_onnx])
def test_storing_twice_gives_the_same_bytes_and_tells_nothing_of_this_machine(save, stored, images, tmp_path):
    suffix = {save_torchscript: ".pt", save_export: ".pt2", convert_onnx: ".onnx"}[save]
    more = {"columns": list(DIGITS.columns)} if save is convert_onnx else {}
    save(images, tmp_path / f"again{suffix}", example=PIXELS[:8].reshape(-1, 1, 8, 8), **more)
    once, twice = (stored / f"images{suffix}").read_bytes(), (tmp_path / f"again{suffix}").read_bytes()
    assert hashlib.sha256(once).hexdigest() == hashlib.sha256(twice).hexdigest()
    assert str(Path(__file__).parent).encode() not in once
    assert b"site-packages" not in once


def test_another_process_that_compiled_other_modules_first_stores_the_same_bytes(images, tmp_path, stored):
    torch.save(images.state_dict(), tmp_path / "numbers.pth")
    code = (
        "import torch, sys; sys.path.insert(0, sys.argv[1]); import test_formats_torch as t; from pathlib import Path\n"
        "folder = Path(sys.argv[2]); module = t.Images(); module.load_state_dict(torch.load(folder / 'numbers.pth'))\n"
        "torch.jit.script(t.Dense()); torch.jit.trace(module.eval(), torch.zeros(2, 1, 8, 8))\n"
        "example = t.PIXELS[:8].reshape(-1, 1, 8, 8); t.save_torchscript(module, folder / 'images.pt', example=example)\n"
        "t.save_export(module, folder / 'images.pt2', example=example)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("images.pt", "images.pt2"):
        assert (tmp_path / name).read_bytes() == (stored / name).read_bytes()


def test_a_traced_module_is_stored_as_the_same_bytes_though_torch_numbers_its_classes_anew(dense, tmp_path):
    files = [tmp_path / "first.pt", tmp_path / "second.pt"]
    for file in files:
        save_torchscript(torch.jit.trace(dense, torch.from_numpy(PIXELS[:4])), file, example=PIXELS[:4])
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "mangle_0" in "".join(read(files[0]).records)  # two Linear of different classes, numbered from their own
    assert torchscript.describe(files[0]).model_type == "Dense"
    assert torch.jit.load(str(files[0]))(torch.zeros(1, 64)).shape == (1, 10)


def test_storing_leaves_the_module_as_it_was(tmp_path):
    module = Dense()
    module.layers[2].eval()
    before = [part.training for part in module.modules()]
    save_torchscript(module, tmp_path / "model.pt", example=PIXELS[:4])
    save_export(module, tmp_path / "model.pt2", example=PIXELS[:1])
    assert [part.training for part in module.modules()] == before
    assert torchscript.load(tmp_path / "model.pt").native.training is False


def test_control_flow_on_the_data_is_scripted_and_refused_where_it_cannot_be(tmp_path):
    save_torchscript(Branch(), tmp_path / "branch.pt", example=PIXELS[:4])
    assert torchscript.load(tmp_path / "branch.pt").predict(-PIXELS).shape == (len(PIXELS),)
    with pytest.raises(RegistryError, match=r"Branch cannot be stored as a \.pt2 file: .*data-dependent"):
        save_export(Branch(), tmp_path / "branch.pt2", example=PIXELS[:4])
    with pytest.raises(RegistryError, match=r"Branch cannot be stored as ONNX: .*data-dependent"):
        convert_onnx(Branch(), tmp_path / "branch.onnx", example=PIXELS[:4])
    with pytest.raises(
        RegistryError, match=r"control flow depends on the data \(tracing\); .*by_name.*\(scripting\)"
    ) as error:
        save_torchscript(Odd(), tmp_path / "odd.pt", example=PIXELS[:4])
    assert "\n" not in str(error.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["branch.pt"]


def test_a_module_that_counts_on_the_number_of_rows_is_not_stored(tmp_path):
    class Counting(torch.nn.Module):
        def forward(self, pixels):
            return pixels.reshape(4, 8, 8).sum(1)

    for save in (save_torchscript, save_export):
        with pytest.raises(RegistryError, match="Counting cannot be stored"):
            save(Counting(), tmp_path / "model", example=PIXELS[:4])
    with pytest.raises(RegistryError, match="cannot predict from this data"):
        save_export(Dense(), tmp_path / "model", example=PIXELS[:4, :10])
    with pytest.raises(RegistryError, match="3 columns, and a row of the example has 64"):
        convert_onnx(Dense(), tmp_path / "model", example=PIXELS[:4], columns=["a", "b", "c"])
    assert list(tmp_path.iterdir()) == []


def test_a_converted_network_is_one_file_of_opset_18_for_any_number_of_rows(stored, dense):
    model = onnx.load(stored / "dense.onnx")
    assert next(entry.version for entry in model.opset_import if entry.domain == "") == 18
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    loaded = onnx_format.load(stored / "dense.onnx")
    shuffled = TABLE[TABLE.columns[::-1]].assign(extra=1.0)
    for rows in (1, 3):
        assert np.allclose(loaded.predict(shuffled[:rows]), scores(dense, PIXELS[:rows]), atol=1e-4)


def test_the_facts_of_a_module_are_its_class_and_its_numbers(dense):
    task, name, framework, params = facts_of(dense)
    assert (task, name, framework.name, framework.version) == ("other", "Dense", "torch", "2.13.0")
    assert params == {"parameters": 1810, "trainable_parameters": 1810, "dtype": "float32"}
    assert facts_of(torch.jit.script(dense))[1] == "Dense"
    assert is_module(dense)
    assert not is_module(dense.state_dict())
    with pytest.raises(RegistryError, match="is no module of torch's"):
        facts_of(dense.state_dict())


# ── prediction


def test_data_that_does_not_fit_is_refused_in_one_line(stored):
    exported, scripted = torch_export.load(stored / "images.pt2"), torchscript.load(stored / "dense-script.pth")
    for model, table, words in (
        (exported, TABLE[TABLE.columns[:9]], r"rows of shape \(1, 8, 8\), not \(9,\)"),
        (scripted, PIXELS[:, :9], "cannot predict from this data: .*shapes cannot be multiplied"),
        (scripted, pd.DataFrame({"name": ["a"]}), "column 'name' of type .* cannot go into a torch model"),
        (scripted, np.array(["a"]), "no table of numbers"),
    ):
        with pytest.raises(RegistryError, match=words) as error:
            model.predict(table)
        assert "\n" not in str(error.value)


def test_whole_numbers_go_in_where_the_module_takes_them(tmp_path):
    class Words(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.last = torch.nn.Embedding(9, 4), torch.nn.Linear(4, 1)

        def forward(self, ids):
            return self.last(self.words(ids).mean(1))

    module = Words()
    ids = torch.randint(0, 9, (4, 5))
    for save, path, reader in (
        (save_torchscript, tmp_path / "words.pt", torchscript),
        (save_export, tmp_path / "words.pt2", torch_export),
    ):
        save(module, path, example=ids)
        model = reader.load(path)
        assert [(column.type, column.shape) for column in reader.describe(path).inputs] == [("long", (-1, 5))]
        assert model.predict(pd.DataFrame(ids.numpy().astype(float))).shape == (4,)
        with pytest.raises(RegistryError, match="takes int64, and the data has fractions"):
            model.predict(ids.numpy() + 0.5)
        with pytest.raises(RegistryError, match="cannot predict from this data"):
            model.predict(ids.numpy() + 100)


def test_outputs_that_are_not_one_row_each_are_refused():
    class Two(torch.nn.Module):
        def forward(self, pixels):
            return pixels, pixels

    class Whole(torch.nn.Module):
        def forward(self, pixels):
            return pixels.mean()

    with pytest.raises(RegistryError, match="returns a tuple, not one tensor"):
        TorchModel(Two(), "torchscript").predict(PIXELS)
    with pytest.raises(RegistryError, match=r"returns shape \(\) for 1797 rows"):
        TorchModel(Whole(), "torchscript").predict(PIXELS)


# ── lies


def test_a_file_of_torch_save_is_no_model(dense, tmp_path):
    for name, content in (("state.pt", dense.state_dict()), ("module.pth", dense)):
        torch.save(content, tmp_path / name)
        with pytest.raises(RegistryError, match="its content is not torchscript") as error:
            by_file(tmp_path / name)
        assert "a state dict or a pickled module alone is no program" in error.value.hint
        assert "Registry.register" in error.value.hint
        with pytest.raises(RegistryError, match=r"is a file of torch\.save, which holds no program"):
            torchscript.load(tmp_path / name)


def test_files_under_another_formats_name_are_refused(stored, tmp_path):
    for source, name in (("dense.pt", "a.pt2"), ("dense.pt2", "b.pt"), ("dense.onnx", "c.pt"), ("dense.pt", "d.skops")):
        (tmp_path / name).write_bytes((stored / source).read_bytes())
        with pytest.raises(RegistryError, match="but its content is not"):
            by_file(tmp_path / name)
    (tmp_path / "e.pt").write_bytes(pickle.dumps({"a": 1}))
    assert not torchscript.is_format(tmp_path / "e.pt")


def zipped(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_two_readers_could_read_differently_is_refused(stored, tmp_path, monkeypatch):
    records = [(f"archive/{name}", data) for name, data in read(stored / "dense.pt").records.items()]
    for more, words in (
        ([records[0]], "two records of one name"),
        ([("other/data.pkl", b"")], "more than one folder"),
        ([("archive/../x", b"")], "outside its folder"),
        ([("archive/a\\b", b"")], "outside its folder"),
        ([("archive", b"")], "outside its folder"),
    ):
        with pytest.raises(RegistryError, match=words):
            torchscript.load(zipped(tmp_path / "model.pt", [*records, *more]))
    data = bytearray(zipped(tmp_path / "model.pt", records).read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "model.pt").write_bytes(data)
    with pytest.raises(RegistryError, match="it is encrypted"):
        torchscript.load(tmp_path / "model.pt")
    monkeypatch.setattr("gitops_registry.formats.torch_archive._LARGEST_UNPACKED", 1 << 20)
    with pytest.raises(RegistryError, match="bytes unpack to"):
        torchscript.load(zipped(tmp_path / "model.pt", [*records, ("archive/bomb", bytes(64 << 20))]))


# ── attacks on TorchScript


def changed(path, target, changes):
    """Write the archive with some records changed: bytes, or a function of the bytes that were there."""
    records = dict(read(path).records)
    for name, change in changes.items():
        records[name] = change(records.get(name, b"")) if callable(change) else change
    target.write_bytes(pack(records))
    return target


class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("shift", torch.arange(4.0))
        self.inner = torch.nn.Identity()
        self.word = "word"

    def forward(self, x):
        if self.word == "":
            return x
        return self.inner(x) + self.shift


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain.pt"
    torch.jit.script(Plain()).save(str(path))
    assert torchscript.load(path).predict(np.zeros((2, 4), "float32")).shape == (2, 4)
    return path


def with_code(source, target, line):
    """Write an archive whose forward begins with a line of code."""
    name = next(name for name, data in read(source).records.items() if b"class Plain" in data)

    def insert(code):
        head, mark, rest = code.decode().partition("x: Tensor) -> Tensor:\n")
        assert mark
        return f"{head}{mark}    {line}\n{rest}".encode()

    return changed(source, target, {name: insert})


def test_torch_alone_would_write_files_for_whoever_opens_a_model(plain, tmp_path):
    loot = tmp_path / "loot"
    path = with_code(plain, tmp_path / "evil.pt", f'torch.save(x, "{loot}")')
    torch.jit.load(str(path))(torch.zeros(1, 4))
    assert loot.exists()
    loot.unlink()
    with pytest.raises(Unreviewed, match=r"evil\.pt calls what nobody has reviewed: aten::save") as error:
        torchscript.load(path)
    assert "trusted_types" in error.value.hint
    assert not loot.exists()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ('_9 = torch.from_file("/etc/passwd", False, 9)', "aten::from_file"),
        ('_9 = ("/etc/passwd").from_file(False, 9)', "from_file"),
        ('_9 = getattr("/etc/passwd", "from_file")(False, 9)', "from_file"),
        ('(x).save("loot")', "save"),
        ('_9 = torch.neg(x).save("loot")', "save"),
        ('_9 = self.word.from_file(False, 9)', "from_file"),
        ('_9 = CONSTANTS.c0.save("loot")', "save"),
        ("_9 = torch", "torch as a value"),
        ('_9 = ops.aten.save(x, "loot")', "aten::save"),
        ("_9 = ops.aten", "aten"),
        ("_9 = ops.quantized.linear(x)", "quantized::linear"),
        ('ops.prim.rpc_async("a", x)', "prim::rpc_async"),
        ("_9 = torch.set_(x, x)", "aten::set_"),
        ("_9 = torch.empty([1000])", "aten::empty"),
        ("_9 = torch.as_strided(x, [9], [9])", "aten::as_strided"),
        ('print("to somebody who reads JSON")', "print"),
        ("_9 = fork(x)", "fork"),
        ("_9 = __torch__.torch.classes.some.Thing()", r"__torch__\.torch\.classes\.some\.Thing"),
        ("_9 = unchecked_cast(__torch__.Plain, x)", "unchecked_cast to a class"),
        ("_9 = uninitialized(__torch__.Plain)", "uninitialized to a class"),
        ('_9 = getattr(x, "sa" + "ve")', "getattr with a computed name"),
        ("torch = x", "something named torch"),
    ],
)  # fmt: skip
def test_a_program_reaches_nothing_but_what_was_reviewed(line, names, plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unreviewed, match=f"nobody has reviewed: .*{names}"):
        torchscript.load(with_code(plain, tmp_path / "evil.pt", line))
    assert [file.name for file in tmp_path.iterdir()] == ["evil.pt"]


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "_9 = lambda: x",
        "with x:\n      pass",
        "_9 = [y for y in x]",
        "del x",
        "_9 = f'{x}'",
        "_9 = (" * 150,
    ],
)
def test_a_program_is_of_torchscripts_grammar(line, plain, tmp_path):
    with pytest.raises(RegistryError, match=r"which TorchScript has not|is no code of TorchScript's"):
        torchscript.load(with_code(plain, tmp_path / "evil.pt", line))


def test_a_registry_may_trust_an_operator_by_its_name(plain, tmp_path):
    path = with_code(plain, tmp_path / "model.pt", "x = torch.as_strided(x, [2, 4], [4, 1])")
    with pytest.raises(Unreviewed, match="aten::as_strided"):
        torchscript.load(path)
    assert torchscript.load(path, Trust(types=("aten::as_strided",))).predict(np.zeros((2, 4), "float32")).shape == (
        2,
        4,
    )


def test_what_a_comment_or_a_second_record_hides_never_reaches_torch(plain, tmp_path):
    name = next(name for name, data in read(plain).records.items() if b"class Plain" in data)
    path = changed(
        plain, tmp_path / "model.pt", {name: lambda code: code + b"\n# type: (Tensor) -> str\n", "x.pkl": b"c"}
    )
    assert torchscript.load(path).predict(np.zeros((2, 4), "float32")).tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]


def replaced(old, new):
    def change(data):
        assert data.count(old) == 1, data
        return data.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("record", "change", "words"),
    [
        ("data.pkl", replaced(b"K\x00(K\x04t", b"K\x00(J\x00\x00\x00\x10t"), "a tensor beyond its numbers"),
        ("data.pkl", replaced(b"K\x00(K\x04t", b"K\x01(K\x04t"), "a tensor beyond its numbers"),
        ("data.pkl", lambda data: data.replace(b"K\x04tQ", b"M\x00\x40tQ"), "numbers that data/0 does not hold"),
        ("data.pkl", replaced(b"torch\nFloatStorage", b"torch\nDoubleStorage"), "numbers that data/0 does not hold"),
        ("data.pkl", replaced(b"torch._utils\n_rebuild_tensor_v2", b"os\nsystem"), r"an object of os\.system"),
        (
            "data.pkl",
            replaced(b"c__torch__.test_formats_torch\n", b"c__torch__.torch.classes\n"),
            "classes.Plain, which nobody",
        ),
        (
            "data.pkl",
            replaced(b"c__torch__.torch.nn.modules.linear\nIdentity", b"c__torch__.test_formats_torch\nPlain"),
            "other attributes",
        ),
        ("data.pkl", replaced(b"X\x04\x00\x00\x00word", b"X\x04\x00\x00\x00warp"), "word|attributes"),
        ("data.pkl", lambda data: data.replace(b"q\x00", b"r\xff\xff\xff\xff", 1), "remembers out of turn"),
        ("data.pkl", lambda data: b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.", "posix.system"),
        ("data.pkl", lambda data: b"\x80\x02]q\x00h\x00a.", "changes what it used before"),
        ("data.pkl", lambda data: b"\x80\x02R.", "takes more than it holds"),
        ("data.pkl", lambda data: b"\x80\x02N.", "no module that has a forward method"),
        ("data.pkl", lambda data: b"\x80\x04\x8c\x01a.", "an instruction SHORT_BINUNICODE"),
        ("data.pkl", lambda data: b"\xff", "is no pickle"),
        ("data/0", lambda data: data[:-4], "numbers that data/0 does not hold"),
        ("constants.pkl", lambda data: b"\x80\x02cos\nsystem\n)R.", r"os\.system"),
        ("constants.pkl", lambda data: b"\x80\x02K\x01\x85.", "constants are more than tensors"),
        ("version", lambda data: b"99999", "does not say its version"),
        ("byteorder", lambda data: b"big", "big-endian"),
    ],
)
def test_the_objects_of_a_program_are_what_its_code_declares(record, change, words, plain, tmp_path):
    with pytest.raises(RegistryError, match=words):
        torchscript.load(changed(plain, tmp_path / "evil.pt", {record: change}))


def test_an_object_of_another_class_cannot_take_a_modules_place(plain, tmp_path):
    """Torch finds attributes by their number, unchecked: a class with fewer of them would lead it out of the object."""
    small = b"class Small(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
    name = next(name for name, data in read(plain).records.items() if b"class Plain" in data)
    data = read(plain).records["data.pkl"]
    start = data.index(b"c__torch__.torch.nn.modules.linear\nIdentity\nq\x0e")
    other = b"c__torch__.test_formats_torch\nSmall\nq\x0e)\x81}(h\n\x88ub"
    pickled = data[:start] + other + data[data.index(b"q\x0f", start) :]
    path = changed(plain, tmp_path / "evil.pt", {name: lambda text: text + small, "data.pkl": pickled})
    with pytest.raises(RegistryError, match=r"gives __torch__\.test_formats_torch\.Plain a inner that is no __torch__"):
        torchscript.load(path)


def test_a_class_that_rebuilds_itself_is_refused(plain, tmp_path):
    name = next(name for name, data in read(plain).records.items() if b"class Plain" in data)
    method = b"\n  def __setstate__(self: __torch__.Plain, state: int) -> NoneType:\n    return None\n"
    with pytest.raises(Unreviewed, match=r"Plain\.__setstate__"):
        torchscript.load(changed(plain, tmp_path / "evil.pt", {name: lambda text: text.rstrip() + method}))


# ── attacks on .pt2


class Writes:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def exported(stored):
    return stored / "dense-alone.pt2"


def with_graph(source, target, change):
    def edit(text):
        program = json.loads(text)
        change(program)
        return json.dumps(program).encode()

    return changed(source, target, {"models/model.json": edit})


def poisoned(loot):
    buffer = io.BytesIO()
    torch.save(Writes(loot), buffer)
    return buffer.getvalue()


def size_of_input(program, text):
    program["graph_module"]["graph"]["tensor_values"]["pixels"]["sizes"][0]["as_expr"]["expr_str"] = text


def test_torch_alone_would_run_what_a_pt2_file_says(exported, tmp_path):
    loot = tmp_path / "loot"
    text = f"__import__('pathlib').Path('{loot}').touch()"
    sizes = with_graph(exported, tmp_path / "sizes.pt2", lambda program: size_of_input(program, text))
    examples = changed(exported, tmp_path / "examples.pt2", {"data/sample_inputs/model.pt": poisoned(loot)})
    for path in (sizes, examples):
        with contextlib.suppress(Exception):  # it stumbles over the result, too late
            torch.export.load(path)
        assert loot.exists(), path.name
        loot.unlink()
    with pytest.raises(RegistryError, match="its graph has a size"):
        torch_export.load(sizes)
    assert torch_export.load(examples).predict(PIXELS[:2]).shape == (2, 10)  # the examples are left out
    assert not loot.exists()


def node(program, number=0):
    return program["graph_module"]["graph"]["nodes"][number]


def calling(program):
    return program["graph_module"]["module_call_graph"][0]["signature"]


def inputs(program):
    return program["graph_module"]["signature"]["input_specs"]


EVIL = "__import__('os').system('touch loot')"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: node(p).update(target="torch.os.system"), r"reviewed: torch\.os\.system"),
        (lambda p: node(p).update(target="torch.ops.aten.from_file.default"), "aten::from_file"),
        (lambda p: node(p).update(target="torch.ops.higher_order.triton_kernel_wrapper_mutation.x"), "higher_order::"),
        (lambda p: node(p).update(target="_operator.methodcaller"), r"_operator\.methodcaller"),
        (lambda p: node(p).update(target="#namespace:op"), "#namespace:op"),
        (lambda p: node(p).update(target="math.__loader__.load_module"), r"math\.__loader__"),
        (lambda p: node(p).update(name=f"x = {EVIL}"), "a name"),
        (lambda p: node(p).update(name="__class__"), "a name"),
        (lambda p: node(p).update(name="torch"), "a name 'torch'"),
        (lambda p: node(p)["outputs"][0]["as_tensor"].update(name=f"x\n{EVIL}"), "a name"),
        (lambda p: node(p)["inputs"].append({"name": "a", "arg": {"as_custom_obj": {"name": "a", "class_fqn": "b"}}, "kind": 1}), "objects"),
        (lambda p: node(p)["inputs"].append({"name": "a", "arg": {"as_operator": "torch.os.system"}, "kind": 1}), r"torch\.os"),
        (lambda p: node(p)["inputs"].append({"name": "a", "arg": {"as_device": {"type": "cuda", "index": 0}}, "kind": 1}), "exported for cuda"),
        (lambda p: node(p)["inputs"].append({"name": "a", "arg": {"strange": 1}, "kind": 1}), "key 'strange'"),
        (lambda p: node(p)["inputs"].append({"name": "a", "arg": {"as_int": "text"}, "kind": 1}), "a text where as_int has none"),
        (lambda p: size_of_input(p, EVIL), "its graph has a size"),
        (lambda p: size_of_input(p, "Symbol('s77').__class__"), "its graph has a size"),
        (lambda p: size_of_input(p, "9**9**9**9"), "its graph has a size"),
        (lambda p: size_of_input(p, "Pow(Integer(9), Integer(999999999))"), "its graph has a size"),
        (lambda p: size_of_input(p, "Symbol('a b')"), "its graph has a size"),
        (lambda p: inputs(p)[0]["parameter"].update(parameter_name='a") or exec("1'), "a name"),
        (lambda p: inputs(p)[0]["parameter"].update(parameter_name="__class__.__init__"), "a name"),
        (lambda p: calling(p).update(forward_arg_names=[f"x={EVIL}"]), "a name"),
        (lambda p: calling(p).update(in_spec='[1, {"type": "os.system", "context": "id", "children_spec": []}]'), "a os.system"),
        (lambda p: calling(p).update(out_spec='[1, {"type": "builtins.dict", "context": "[\\"a b\\"]", "children_spec": []}]'), "a name"),
        (lambda p: calling(p).update(in_spec="[2, {}]"), "way of calling"),
        (lambda p: p["range_constraints"].update(u99999999999999={"min_val": 0, "max_val": 1}), "a symbol"),
        (lambda p: p["graph_module"]["graph"]["custom_obj_values"].update(a={"name": "a", "class_fqn": "b"}), "objects"),
        (lambda p: p["graph_module"].pop("graph"), "lacks a part"),
    ],
)  # fmt: skip
def test_a_graph_says_nothing_that_torch_would_run(change, words, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegistryError, match=words):
        torch_export.load(with_graph(exported, tmp_path / "evil.pt2", change))
    assert [file.name for file in tmp_path.iterdir()] == ["evil.pt2"]


def test_what_is_not_needed_to_predict_never_reaches_torch(exported, dense, tmp_path, monkeypatch):
    def change(program):
        program["guards_code"] = [EVIL]
        program["graph_module"]["metadata"] = {"custom": EVIL}
        program["verifiers"] = [EVIL]
        node(program)["metadata"]["source_fn_stack"] = "a,torch.os"
        program["graph_module"]["module_call_graph"].append({"fqn": EVIL, "signature": None})

    monkeypatch.chdir(tmp_path)
    path = with_graph(exported, tmp_path / "model.pt2", change)
    assert np.allclose(torch_export.load(path).predict(PIXELS), scores(dense, PIXELS), atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt2"]


WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


def weight(**changes):
    def edit(text):
        config = json.loads(text)
        meta = config["config"]["layers.0.weight"]
        for key, value in changes.items():
            (meta if key in meta else meta["tensor_meta"])[key] = value
        return json.dumps(config).encode()

    return edit


def test_nothing_in_a_pt2_file_is_unpickled(exported, tmp_path):
    loot = tmp_path / "loot"
    constant = {
        "config": {"c": {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}}
    }
    bound = {
        "config": {"c": {"path_name": "custom_obj_0", "is_param": False, "use_pickle": False, "tensor_meta": None}}
    }
    for changes, words in (
        (
            {WEIGHTS: weight(use_pickle=True), "data/weights/weight_0": poisoned(loot)},
            "would unpickle, which runs code",
        ),
        (
            {CONSTANTS: json.dumps(constant).encode(), "data/constants/opaque_obj_0": pickle.dumps(Writes(loot))},
            "would unpickle",
        ),
        ({CONSTANTS: json.dumps(bound).encode(), "data/constants/custom_obj_0": poisoned(loot)}, "would unpickle"),
        ({"data/weights/model.pt": poisoned(loot)}, "written by an old torch"),
        ({"data/constants/model.pt": poisoned(loot)}, "written by an old torch"),
        ({"data/aotinductor/model/model.so": b"\x7fELF"}, r"machine code \(data/aotinductor"),
        ({"models/other.json": b"{}"}, "2 programs"),
    ):
        with pytest.raises(RegistryError, match=words):
            torch_export.load(changed(exported, tmp_path / "evil.pt2", changes))
        assert not loot.exists()


@pytest.mark.parametrize(
    "change",
    [
        weight(sizes=[{"as_int": 1 << 40}, {"as_int": 64}]),
        weight(strides=[{"as_int": 1 << 40}, {"as_int": 1}]),
        weight(strides=[{"as_int": -64}, {"as_int": 1}]),
        weight(storage_offset={"as_int": 1}),
        weight(dtype=8),
        weight(layout=1),
        weight(path_name="weight_9"),
        weight(path_name="../../x"),
        lambda _: b'{"config": {"a": {}}}',
        lambda _: b'{"config": {}, "config": {}}',
        lambda _: b"[" * 100_000,
    ],
)
def test_weights_lie_within_their_bytes(change, exported, tmp_path):
    with pytest.raises(RegistryError):
        torch_export.load(changed(exported, tmp_path / "evil.pt2", {WEIGHTS: change}))


def test_machine_code_is_said_in_the_description(exported, tmp_path):
    path = changed(exported, tmp_path / "model.pt2", {"data/aotinductor/model/model.so": b"\x7fELF"})
    assert "it holds machine code, which is never loaded" in torch_export.describe(path).notes


# ── damage

HUNT = """
import random, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from gitops_registry.errors import RegistryError
from gitops_registry.formats import torch_export, torchscript
from gitops_registry.formats.torch_archive import pack, read
folder, chance = Path(sys.argv[1]), random.Random(7)
opened = refused = 0
for name, reader, tries in (("dense-script.pth", torchscript, 60), ("dense-trace.ts", torchscript, 40), ("dense-alone.pt2", torch_export, 25)):
    whole, records = (folder / name).read_bytes(), dict(read(folder / name).records)
    inner = [key for key in records if records[key] and not key.startswith(".data/") and "debug" not in key]
    for number in range(tries):
        if number % 5 == 0:
            data = bytearray(whole)
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            data = bytes(data[: chance.randrange(len(data))] if number % 10 == 0 else data)
        else:
            key = chance.choice(inner)
            part = bytearray(records[key])
            for _ in range(chance.choice((1, 1, 3))):
                part[chance.randrange(len(part))] = chance.randrange(256)
            data = pack({**records, key: bytes(part)})
        target = folder / f"damaged{Path(name).suffix}"
        target.write_bytes(data)
        for act in (reader.is_format, reader.describe, lambda path: reader.load(path).predict([[0.5] * 64])):
            try:
                act(target)
                opened += 1
            except RegistryError as error:
                assert "\\n" not in str(error), str(error)
                refused += 1
print(opened, refused)
"""


def test_damaged_files_are_refused_or_read_and_never_end_the_process(stored):
    done = subprocess.run([sys.executable, "-c", HUNT, str(stored)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    opened, refused = map(int, done.stdout.split())
    assert opened > 40
    assert refused > 40
