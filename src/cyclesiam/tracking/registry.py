"""Which target lies in which row of a batch, and what it is called."""

from cyclesiam.errors import TargetError

TargetLabel = tuple[int, str | None]  # id and name of a target


class TargetRegistry:
    """The ids and names of the tracked targets, in the order of their rows in a batch.

    An id is a number from 1 on. It is given once: a new target never has the id of an old one.
    """

    def __init__(self) -> None:
        self._labels: list[TargetLabel] = []
        self._next_id = 1

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids, in the order of the rows."""
        return tuple(id for id, _ in self._labels)

    @property
    def labels(self) -> tuple[TargetLabel, ...]:
        """The ids and names, in the order of the rows."""
        return tuple(self._labels)

    def add(self, name: str | None = None) -> int:
        """Return the id of a new target, which gets the row after the last."""
        self._labels.append((self._next_id, name))
        self._next_id += 1
        return self._labels[-1][0]

    def row(self, id: int) -> int:
        """Return the row of a target.

        Raises:
            TargetError: no target has this id; the message names those there are.
        """
        if id not in self.ids:
            known = ", ".join(map(str, self.ids)) or "none"
            raise TargetError(f"there is no target {id}; there are: {known}")
        return self.ids.index(id)

    def remove(self, id: int) -> int:
        """Remove a target, and return the row that it had; the rows after it move up.

        Raises:
            TargetError: no target has this id; the message names those there are.
        """
        row = self.row(id)
        del self._labels[row]
        return row
