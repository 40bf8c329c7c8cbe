"""How much is kept of what each voter says: one that invents places or names leaves room for the others."""

from __future__ import annotations

from collections import Counter

MAX_PLACES = 64  # all that prove nothing, or share one ID, may stand in many
MAX_CELLS = 20_000  # of one of its places
MAX_CELLS_OF_VOTER = 200_000


class Bounds:
    """Places and cells of voters, counted. A name stays while it has any: over time they are many."""

    def __init__(self) -> None:
        self._places: Counter[str] = Counter()
        self._cells: Counter[str] = Counter()

    def add_place(self, voter: str) -> bool:
        """Count one more of this voter; False where it has as many as it may."""
        return _more(self._places, voter, MAX_PLACES)

    def add_cell(self, voter: str, here: int) -> bool:
        """Count one more of this voter, that has so many at that place; False where it may not."""
        return here < MAX_CELLS and _more(self._cells, voter, MAX_CELLS_OF_VOTER)

    def drop_cells(self, voter: str, count: int = 1) -> None:
        """So many of them are forgotten."""
        _less(self._cells, voter, count)

    def drop_place(self, voter: str, cells: int) -> None:
        """One of them is forgotten, with its cells."""
        _less(self._places, voter, 1)
        _less(self._cells, voter, cells)


def _more(counts: Counter[str], voter: str, most: int) -> bool:
    if counts[voter] >= most:
        return False
    counts[voter] += 1
    return True


def _less(counts: Counter[str], voter: str, by: int) -> None:
    counts[voter] -= by
    if counts[voter] <= 0:
        del counts[voter]
