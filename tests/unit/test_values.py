"""A dataclass of civsync's is one of the standard library's in all that is seen of it in use."""

import ast
import copy
import dataclasses
import inspect
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import civsync
from civsync.core import values
from civsync.core.problems import Place

FLAGS = (
    {"frozen": True, "slots": True, "kw_only": True},
    {"frozen": True, "kw_only": True},
    {"frozen": True, "slots": True},
    {"slots": True, "kw_only": True},
    {"slots": True, "kw_only": True, "eq": False},
    {"frozen": True, "eq": False},
    {"slots": True},
)


def nothing() -> type:
    class Value:
        """Nothing."""

    return Value


def one() -> type:
    class Value:
        """One thing."""

        a: int

    return Value


def several() -> type:
    class Value:
        """Several, with all kinds of defaults."""

        a: int
        b: str = "b"
        c: list[int] = field(default_factory=list)
        d: float = field(default=1.5, repr=False)
        e: object = field(default=None, compare=False)

    return Value


def mixed() -> type:
    class Value:
        """By place and by name."""

        a: int
        b: int = field(default=2, kw_only=True)
        c: int = 3

    return Value


def checked() -> type:
    class Value:
        """Looks at what it was given."""

        a: int

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError("less than nothing")

    return Value


def own() -> type:
    class Value:  # noqa: PLW1641 - what its hash is is what is asked
        """Has methods of its own."""

        a: int

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, int) or other is self

    return Value


def hashed() -> type:
    class Value:
        """Has a hash of its own."""

        a: int

        def __hash__(self) -> int:
            return 7

    return Value


def undocumented() -> type:
    class Value:
        a: int = 1

    return Value


BODIES = (nothing, one, several, mixed, checked, own, hashed, undocumented)
CALLS: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    ((), {}),
    ((1,), {}),
    ((1, 2), {}),
    ((), {"a": 1}),
    ((), {"a": -1}),
    ((), {"a": 1, "b": 2}),
    ((1,), {"a": 1}),
    ((), {"z": 1}),
    ((), {"a": [], "e": 1}),
)


def outcome(work: Callable[[], object]) -> object:
    """Return what came of it: the value, or the kind of failure and its text."""
    try:
        return work()
    except (TypeError, ValueError, AttributeError, FrozenInstanceError) as error:
        return type(error), str(error)


def made(cls: type) -> Iterator[Any]:
    """Yield what calls of the class make."""
    for args, named in CALLS:
        value = outcome(partial(cls, *args, **named))
        if isinstance(value, cls):
            yield value


def seen(cls: Any) -> dict[str, object]:  # noqa: ANN401 - a class of which nothing is known
    """Return what can be seen of a class and of its instances."""
    named = {each.name for each in dataclasses.fields(cls)}
    by_identity = cls.__hash__ is object.__hash__
    return {
        "calls": [outcome(partial(shown, cls, *call)) for call in CALLS],
        "parameters": [(p.name, p.kind) for p in inspect.signature(cls).parameters.values()],
        "equal": [one == other for one in made(cls) for other in made(cls)],
        "other": [one == 5 for one in made(cls)],
        "hash": by_identity or [outcome(partial(hash, one)) for one in made(cls)],
        "fields": [(f.name, f.type, f.kw_only) for f in dataclasses.fields(cls)],
        "places": cls.__match_args__,
        "set": [outcome(partial(setattr, one, "a", 9)) for one in made(cls) if "a" in named],
        "drop": [outcome(partial(delattr, one, "a")) for one in made(cls) if "a" in named],
        "new": [outcome(partial(setattr, one, "zz", 9)) is None for one in made(cls)],
        "slots": getattr(cls, "__slots__", None),
    }


def shown(cls: type, args: tuple[Any, ...], named: dict[str, Any]) -> str:
    """Return the text of a value that is made."""
    return repr(cls(*args, **named))


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: " ".join(sorted(flags)))
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_a_value_is_as_the_standard_library_makes_it(
    body: Callable[[], type], flags: dict[str, bool]
) -> None:
    make_ours: Any = values.dataclass
    make_theirs: Any = dataclasses.dataclass
    assert seen(make_ours(**flags)(body())) == seen(make_theirs(**flags)(body()))


def test_a_value_can_be_replaced_and_inherited_from() -> None:
    @values.dataclass(frozen=True, slots=True, kw_only=True)
    class Base:
        """A base."""

        a: int
        b: tuple[int, ...] = ()

    @values.dataclass(frozen=True, slots=True, kw_only=True)
    class More(Base):
        """More of it."""

        c: str = "c"

    value = dataclasses.replace(More(a=1), b=(2,))
    assert (value.a, value.b, value.c) == (1, (2,), "c")
    assert value != Base(a=1, b=(2,))
    assert dataclasses.asdict(value) == {"a": 1, "b": (2,), "c": "c"}
    assert len({value, More(a=1, b=(2,)), Base(a=1)}) == 2


def test_a_value_can_be_copied_and_pickled() -> None:
    value = Place(document="civsync.yaml", line=3)
    assert copy.deepcopy(value) == copy.copy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value


def test_a_class_is_made_whole_by_whichever_call_comes_first() -> None:
    @values.dataclass(frozen=True, slots=True)
    class Base:
        """A base."""

        a: int

    class Plain(Base):
        """Has the base's own way to be made."""

    class Doubled(Base):
        """Calls it."""

        def __init__(self, a: int) -> None:
            super().__init__(a=2 * a)

    assert Plain(1).a == 1
    assert Doubled(2).a == 4
    assert Base(a=3).a == 3
    assert outcome(lambda: Plain(b=1)) == outcome(lambda: Base(b=1))  # type: ignore[call-arg]


def test_threads_may_all_make_the_first_value_of_a_class() -> None:
    for _ in range(50):

        @values.dataclass(frozen=True, slots=True)
        class Value:
            """A value."""

            a: int
            b: list[int] = field(default_factory=list)

        together = threading.Barrier(8)

        def make(number: int, together: threading.Barrier = together) -> object:
            together.wait()
            return Value(number)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(make, range(8))) == [Value(number) for number in range(8)]


@pytest.mark.parametrize(
    "optional", [lambda: 1, partial(field, default=1), partial(field, default_factory=list)]
)
def test_what_must_be_given_stands_before_what_need_not(optional: Callable[[], Any]) -> None:
    def body() -> type:
        class Value:
            """A value."""

            a: Any = optional()
            b: int

        return Value

    make: Any = values.dataclass
    with pytest.raises(TypeError, match="'b' follows default argument"):
        make()(body())
    assert make(kw_only=True)(body())(b=2).b == 2


def test_a_value_that_holds_itself_can_be_shown() -> None:
    @values.dataclass(slots=True)
    class Knot:
        """Holds things."""

        held: list[object]

    knot = Knot([])
    knot.held.append(knot)
    assert repr(knot).endswith("Knot(held=[...])")


@pytest.mark.parametrize("odd", [field(init=False, default=1), field(hash=False)])
def test_what_is_not_known_here_is_refused(odd: Any) -> None:  # noqa: ANN401 - a field
    class Value:
        """A value."""

        a: int = odd

    with pytest.raises(TypeError, match="not known here"):
        values.dataclass(frozen=True)(Value)


def test_every_value_of_civsync_is_made_so() -> None:
    found = []
    for file in Path(civsync.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.ImportFrom(module="dataclasses", names=names):
                    found += [str(file) for each in names if each.name == "dataclass"]
                case ast.Attribute(value=ast.Name(id="dataclasses"), attr="dataclass"):
                    found.append(str(file))
                case _:
                    pass
    assert {Path(each).name for each in found} == {"values.py"}
