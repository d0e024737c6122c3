"""How work that takes a while shows how far it is, if anybody watches."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class ShowProgress(Protocol):
    """Yield items, and show how many of `count` are done; `what` says what is done."""

    def __call__(self, items: Iterable[Item], what: str, count: int | None) -> Iterator[Item]:
        """Yield the items."""
        ...


def show_nothing(items: Iterable[Item], what: str, count: int | None) -> Iterator[Item]:
    """Yield the items, and show nothing."""
    return iter(items)
