"""What a pickled model may call without anybody's word.

Every function here is harmless with each argument its check lets through; the same function with other arguments is
refused. `numpy.dtype`, `_reconstruct` and the like believe what they are told and would read foreign memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gitops_registry.formats import pickle_values as values
from gitops_registry.formats.pickle_reviewed import DATA, DISTANCES, INSTANCES, MAPPINGS, WRAPPER
from gitops_registry.formats.pickle_values import Array, Bytes, Dtype, Items, Made, Named, Refused, Scalar, Text

_Arguments = tuple[Any, ...]

_GENERATORS = {f"numpy.random.{name}" for name in ("_mt19937.MT19937", "_pcg64.PCG64")}
RANDOM_STATE = "numpy.random.mtrand.RandomState"
_SEEDS = "numpy.random.bit_generator.SeedSequence"
_SHORT = 64


def call(function: Any, arguments: Any) -> Any:
    """Return what calling the function would give. Raises Refused for a reviewed name that is called in another way."""
    if not isinstance(function, Named) or not isinstance(arguments, Items) or arguments.kind != "tuple":
        raise Refused("it calls what another call returned")
    tool = TOOLS.get(function.name)
    if tool is not None:
        result = tool(arguments.parts)
        if result is None:
            raise Refused(f"it calls {function.name} with arguments that nobody has reviewed")
        return result
    if is_reviewed(function.name):
        raise Refused(f"it calls {function.name}, which is reviewed as data only")
    return _unreviewed(function, arguments)


def instance(kind: Any, *arguments: Any) -> Any:
    """Return a new instance of the class, as `__new__` would make it. Raises Refused as `call` does."""
    if not isinstance(kind, Named) or not all(isinstance(part, Items) for part in arguments):
        raise Refused("it makes an object of what is no class")
    is_known = kind.name in INSTANCES or kind.name == WRAPPER
    if not is_known and not is_reviewed(kind.name):
        return _unreviewed(kind, *arguments)
    if not is_known or any(part.count for part in arguments):
        raise Refused(f"it makes an object of {kind.name} in a way that nobody has reviewed")
    made = Made(kind.name)
    if kind.name == WRAPPER:  # only the array that it stands for may be kept
        made.holds = WRAPPER
    return made


def is_reviewed(name: str) -> bool:
    """Say whether a name may be used without anybody's word, in the way that its entry says."""
    return name in DATA or name in INSTANCES or name in TOOLS or name == WRAPPER


def _unreviewed(function: Named, *arguments: Any) -> Made:
    made = Made(function.name, is_free=True)
    for part in arguments:
        made.keep(part)
    return made


def _encode(arguments: _Arguments) -> Bytes | None:
    """Bytes before protocol 3. Another encoding's name would import a module."""
    if len(arguments) != 2 or arguments[1] != "latin1":
        return None
    text = arguments[0]
    if isinstance(text, Text):
        return Bytes(text.length)
    try:
        data = text.encode("latin1") if type(text) is str else None
    except UnicodeEncodeError:
        return None
    return Bytes(len(data), data[:_SHORT] if len(data) <= _SHORT else None) if data is not None else None


def _reconstructor(arguments: _Arguments) -> Any:
    """Instances before protocol 2."""
    kind, parent, state = arguments if len(arguments) == 3 else (None, None, None)
    if not isinstance(kind, Named) or not isinstance(parent, Named):
        return None
    if parent.name == "builtins.object" and state is None:
        return instance(kind)
    is_mapping = isinstance(state, Items) and state.kind == "dict" and kind.name in MAPPINGS
    if parent.name != "builtins.dict" or not is_mapping:
        return None
    made = Made(kind.name)
    made.keep(state)
    return made


def _collection(kind: str) -> Callable[[_Arguments], Items | None]:
    def check(arguments: _Arguments) -> Items | None:
        if len(arguments) != 1 or not isinstance(arguments[0], Items) or arguments[0].kind != "list":
            return None
        if not arguments[0].is_flat:
            return None
        made = Items(kind)
        made.keep(arguments[0])
        return made

    return check


def _empty(make: Callable[[], Any]) -> Callable[[_Arguments], Any]:
    return lambda arguments: None if arguments else make()


def _bytearray(arguments: _Arguments) -> Bytes | None:
    """A bytearray of bytes; of a number it would take as much memory as the number says."""
    is_plain = len(arguments) == 1 and isinstance(arguments[0], Bytes)
    return Bytes(arguments[0].length) if is_plain else None


def _plain(name: str, low: int, high: int, kinds: tuple[type, ...]) -> Callable[[_Arguments], Made | None]:
    """Check a call whose arguments are plain values of some kinds."""

    def check(arguments: _Arguments) -> Made | None:
        is_plain = low <= len(arguments) <= high and all(type(part) in kinds for part in arguments)
        return Made(name) if is_plain else None

    return check


def _dtype(arguments: _Arguments) -> Dtype | None:
    """A dtype of its own: without the copy, its state would change NumPy's one for the whole process."""
    is_plain = len(arguments) == 3 and type(arguments[0]) is str
    return Dtype(arguments[0]) if is_plain and arguments[1] in (0,) and arguments[2] in (1,) else None


def _is_empty_start(kind: Any, shape: Any, code: Any) -> bool:
    """Say whether an array starts as every pickled one does: empty, of single bytes."""
    is_code = code == "b" or (isinstance(code, Bytes) and code.short == b"b")
    return isinstance(kind, Named) and kind.name == "numpy.ndarray" and values.shape_of(shape) == (0,) and is_code


def _reconstruct(arguments: _Arguments) -> Array | None:
    return Array() if len(arguments) == 3 and _is_empty_start(*arguments) else None


def _masked(arguments: _Arguments) -> Array | None:
    is_known = len(arguments) == 4 and isinstance(arguments[0], Named) and arguments[0].name.endswith(".MaskedArray")
    return Array(is_masked=True) if is_known and _is_empty_start(*arguments[1:]) else None


def _frombuffer(arguments: _Arguments) -> Array | None:
    if len(arguments) not in (4, 5):
        return None
    content, dtype, shape, order = arguments[:4]
    if not isinstance(content, Bytes) or not isinstance(dtype, Dtype) or not dtype.is_ready or dtype.is_object:
        return None
    sizes = values.shape_of(shape)
    if order not in {"C", "F", "K"} or content.length != values.count(sizes) * dtype.size:
        return None
    if len(arguments) == 5 and len(values.shape_of(arguments[4])) != len(sizes):
        return None
    return Array(sizes, dtype)


def _scalar(arguments: _Arguments) -> Scalar | None:
    dtype, content = arguments if len(arguments) == 2 else (None, None)
    if not isinstance(dtype, Dtype) or not dtype.is_ready or dtype.is_object or dtype.is_struct:
        return None
    return Scalar() if isinstance(content, Bytes) and content.length == dtype.size else None


def _generator(arguments: _Arguments) -> Made | None:
    kind = arguments[0] if len(arguments) == 1 else None
    if isinstance(kind, str):
        kind = Named(f"numpy.random._{kind.lower()}.{kind}", is_tool=False)
    return Made(kind.name) if isinstance(kind, Named) and kind.name in _GENERATORS else None


def _random(name: str) -> Callable[[_Arguments], Made | None]:
    """Check a call that makes a source of random numbers of a generator, which older files name by a function."""

    def check(arguments: _Arguments) -> Made | None:
        is_made = isinstance(arguments[0], Made) and arguments[0].name in _GENERATORS if arguments else False
        by_name = len(arguments) == 2 and isinstance(arguments[1], Named) and _generator(arguments[:1]) is not None
        is_known = by_name and arguments[1].name == "numpy.random._pickle.__bit_generator_ctor"
        return Made(name) if (is_made and len(arguments) == 1) or is_known else None

    return check


def _of_class(*names: str) -> Callable[[_Arguments], Made | None]:
    """Check a call that makes an empty object of the class it is given."""

    def check(arguments: _Arguments) -> Made | None:
        is_known = len(arguments) == 1 and isinstance(arguments[0], Named) and arguments[0].name in names
        return Made(arguments[0].name) if is_known else None

    return check


def _unpickled(name: str) -> Callable[[_Arguments], Made | None]:
    """Check a call of Cython's: a class, the checksum of its layout, which it compares, and no state yet."""

    def check(arguments: _Arguments) -> Made | None:
        kind, checksum, state = arguments if len(arguments) == 3 else (None, None, 0)
        is_empty = state is None or (isinstance(state, Items) and state.kind == "tuple" and not state.count)
        is_known = isinstance(kind, Named) and kind.name == name and type(checksum) is int
        return Made(name) if is_known and is_empty else None

    return check


def _tree(arguments: _Arguments) -> Made | None:
    """A tree: scikit-learn reads as many numbers of classes as there are outputs, however long the array is."""
    features, classes, outputs = arguments if len(arguments) == 3 else (0, None, 0)
    if type(features) is not int or type(outputs) is not int or not isinstance(classes, Array) or classes.is_masked:
        return None
    is_sound = classes.dtype is not None and classes.dtype.code == "i8" and classes.shape == (outputs,) and outputs > 0
    return Made("sklearn.tree._tree.Tree") if is_sound and features > 0 else None


_LOSSES = "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfPoissonLoss HalfSquaredError HuberLoss PinballLoss HalfTweedieLoss HalfTweedieLossIdentity"
_HINGES = "EpsilonInsensitive Hinge ModifiedHuber SquaredEpsilonInsensitive SquaredHinge"
_MULTINOMIAL = "sklearn._loss._loss.CyHalfMultinomialLoss"

TOOLS: dict[str, Callable[[_Arguments], Any]] = {
    "_codecs.encode": _encode,
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _empty(lambda: Bytes(0, b"")),
    "builtins.frozenset": _collection("frozenset"),
    "builtins.range": _plain("builtins.range", 1, 3, (int,)),
    "builtins.set": _collection("set"),
    "builtins.slice": _plain("builtins.slice", 3, 3, (int, str, type(None))),
    "collections.OrderedDict": _empty(lambda: Items("dict")),
    "copyreg._reconstructor": _reconstructor,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _frombuffer,
    "numpy.dtype": _dtype,
    "numpy.ma.core._mareconstruct": _masked,
    "numpy.random._pickle.__bit_generator_ctor": _generator,
    "numpy.random._pickle.__generator_ctor": _random("numpy.random._generator.Generator"),
    "numpy.random._pickle.__randomstate_ctor": _random(RANDOM_STATE),
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence": _unpickled(_SEEDS),
    "sklearn._loss._loss.__pyx_unpickle_CyHalfMultinomialLoss": _unpickled(_MULTINOMIAL),
    "sklearn.metrics._dist_metrics.newObj": _of_class(*DISTANCES),
    "sklearn.neighbors._ball_tree.newObj": _of_class("sklearn.neighbors._ball_tree.BallTree"),
    "sklearn.neighbors._kd_tree.newObj": _of_class("sklearn.neighbors._kd_tree.KDTree"),
    "sklearn.tree._tree.Tree": _tree,
}
"""What may be called, with a check that returns what the call would give, or None where nobody has reviewed it."""
for _name in _LOSSES.split():
    TOOLS[f"sklearn._loss._loss.Cy{_name}"] = _plain(f"sklearn._loss._loss.Cy{_name}", 0, 1, (int, float))
for _name in _HINGES.split():
    TOOLS[f"sklearn.linear_model._sgd_fast.{_name}"] = _plain(f"sklearn.linear_model._sgd_fast.{_name}", 0, 1, (int, float))  # fmt: skip
