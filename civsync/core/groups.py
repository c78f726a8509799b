"""Which groups of entries a run is about, as values. No lock is looked at here."""

from collections.abc import Iterable
from typing import NamedTuple


class Selection(NamedTuple):
    """The groups that are selected; `groups` None stands for all, except `without`.

    Both are sorted. `ungrouped` says whether entries of no group are selected as well.
    """

    groups: tuple[str, ...] | None = ()
    without: tuple[str, ...] = ()
    ungrouped: bool = True

    def takes(self, groups: Iterable[str]) -> bool:
        """Tell whether an entry of these groups is selected: one of them is enough."""
        groups = tuple(groups)
        if not groups:
            return self.ungrouped
        if self.groups is None:
            return any(group not in self.without for group in groups)
        return any(group in self.groups for group in groups)

    def __str__(self) -> str:
        """Return a text that two selections share only if they are the same."""
        if self.groups is None:
            return " ".join(["*", *(f"-{group}" for group in self.without)])
        sign = "+" if self.ungrouped else "="
        return " ".join(f"{sign}{group}" for group in self.groups) or sign


class GroupWishes(NamedTuple):
    """What the flags of a run said of groups: `-g`, `--only-group`, `--no-group`, `--all-groups`.

    `only` and the two that add groups exclude each other.
    """

    also: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    every: bool = False

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return bool(self.also or self.only or self.without or self.every)

    @property
    def names(self) -> tuple[str, ...]:
        """Every group that was named, each once."""
        return tuple(dict.fromkeys((*self.also, *self.only, *self.without)))

    def over(self, default_groups: Iterable[str] | None) -> Selection:
        """Return what is selected; `default_groups` as a manifest has them, None for all."""
        without = set(self.without)
        if self.only:
            return Selection(groups=_sorted(set(self.only) - without), ungrouped=False)
        if self.every or default_groups is None:
            return Selection(groups=None, without=_sorted(without))
        return Selection(groups=_sorted({*default_groups, *self.also} - without))


class Unselected(NamedTuple):
    """How many files a selection leaves out, and of which groups, sorted.

    `ungrouped` says whether files without a group are among them.
    """

    files: int = 0
    groups: tuple[str, ...] = ()
    ungrouped: bool = False


def _sorted(groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(groups))
