"""`dataclass` as the standard library has it, made in a third of the time.

That one writes six methods of each class as text and compiles them. A sync with work loads 150
such classes, and spent a third of the time before its first request on that. Only `__init__`
needs a text of its own, which the first call compiles: half of the classes are never called in
one run. The other methods are the same for all classes, or differ in which attributes they get.
Type checkers see `dataclasses.dataclass`; so does whoever reads the fields.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - what others import from here
else:

    def dataclass(
        *, frozen: bool = False, eq: bool = True, slots: bool = False, kw_only: bool = False
    ) -> Callable[[type], type]:
        """Return a decorator that makes a class a dataclass, as that of the same name does."""

        def make(cls: type) -> type:
            bare = dataclasses.dataclass(
                init=False, repr=False, eq=False, slots=slots, kw_only=kw_only
            )
            made = bare(cls)
            own = set(vars(made))
            for name, method in _methods(made, frozen=frozen, eq=eq).items():
                # An `__eq__` of its own leaves a class with a hash of None.
                if name not in own or (name == "__hash__" and vars(made)[name] is None):
                    setattr(made, name, method)
            return made

        return make


_BUILT_IN: Final = "_civsync"
"""Begins names in the text of an `__init__` that no field has."""


def _methods(cls: type, *, frozen: bool, eq: bool) -> dict[str, Callable[..., object] | None]:
    fields = dataclasses.fields(cls)
    _check(cls, fields)
    methods: dict[str, Callable[..., object] | None] = {
        "__init__": _init_at_first_call(cls, fields, frozen=frozen),
        "__repr__": _show,
    }
    if eq:
        get = _getter([field.name for field in fields if field.compare])
        methods["__eq__"] = _equal_by(get)
        methods["__hash__"] = _hash_by(get) if frozen else None
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
        methods |= {"__getstate__": _state_of, "__setstate__": _set_state}
    return methods


def _check(cls: type, fields: Sequence[Field[Any]]) -> None:
    """Raise TypeError for fields of which no `__init__` can be made."""
    optional = False
    for field in fields:
        if not field.init or field.hash is not None:
            raise TypeError(f"{cls.__qualname__}.{field.name}: init and hash are not known here")
        if field.kw_only:
            continue
        if field.default is not MISSING or field.default_factory is not MISSING:
            optional = True
        elif optional:
            raise TypeError(f"non-default argument {field.name!r} follows default argument")


def _init_at_first_call(
    cls: type, fields: Sequence[Field[Any]], *, frozen: bool
) -> Callable[..., None]:
    def __init__(self: object, /, *args: object, **named: object) -> None:  # noqa: N807
        # Two threads may both make it, which is as good.
        init = _init_of(cls, fields, frozen=frozen)
        cls.__init__ = init  # type: ignore[misc]
        init(self, *args, **named)

    return __init__


def _init_of(cls: type, fields: Sequence[Field[Any]], *, frozen: bool) -> Callable[..., None]:
    scope: dict[str, Any] = {f"{_BUILT_IN}_set": object.__setattr__, f"{_BUILT_IN}_no": MISSING}
    by_place: list[str] = []
    by_name: list[str] = []
    body: list[str] = []
    for field in fields:
        name, value, default = field.name, field.name, f"{_BUILT_IN}_{field.name}"
        parameter = name
        if field.default_factory is not MISSING:
            scope[default] = field.default_factory
            parameter = f"{name}={_BUILT_IN}_no"
            value = f"{default}() if {name} is {_BUILT_IN}_no else {name}"
        elif field.default is not MISSING:
            scope[default] = field.default
            parameter = f"{name}={default}"
        (by_name if field.kw_only else by_place).append(parameter)
        body.append(
            f"{_BUILT_IN}_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}"
        )
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join(["self", *by_place, *(["*", *by_name] if by_name else [])])
    lines = "".join(f"\n    {line}" for line in body or ["pass"])
    # The text is made of names of fields alone, as in the standard library.
    exec(f"def __init__({parameters}):{lines}", scope)  # noqa: S102
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    return init


@recursive_repr()
def _show(self: Any) -> str:  # noqa: ANN401 - any of our classes
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _getter(names: Sequence[str]) -> Callable[[object], object]:
    """Return what gets a tuple of these attributes."""
    if len(names) < 2:
        return lambda value: tuple(getattr(value, name) for name in names)
    return attrgetter(*names)


def _equal_by(get: Callable[[object], object]) -> Callable[[object, object], bool]:
    def __eq__(self: object, other: object) -> bool:  # noqa: N807 - it becomes that method
        return get(self) == get(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash_by(get: Callable[[object], object]) -> Callable[[object], int]:
    def __hash__(self: object) -> int:  # noqa: N807 - it becomes that method
        return hash(get(self))

    return __hash__


def _state_of(self: Any) -> list[object]:  # noqa: ANN401 - any of our classes
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[object]) -> None:  # noqa: ANN401 - any of our classes
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


def _refuse_to_set(_self: object, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
