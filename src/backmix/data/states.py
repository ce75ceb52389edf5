"""From the name of a state to numbers.

This module codes the states of an input (OPEN and CLOSED, the name of a grade) as columns of numbers, one per state,
1 where the tag is in it. Of two states one column tells all. Which states there are is learned from training rows and
from nothing else:

- a state of fewer training rows than `StateCoding` was told is not told apart: all rare states share the column "other"
- a state that no training row shows is read as "other" where there is such a column; else every column takes the share
  that its state has in training, which after scaling says nothing for or against any of them. Either way the value is
  uncertain.
- a missing state is missing in every column
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backmix.data.ledger import Note
from backmix.data.quality import Quality
from backmix.data.table import Table, missing_column
from backmix.data.tag import Tag
from backmix.errors import InputError

OTHER = "other"
MOST_STORED = 10_000
"""A stored coding with more states than this is not believed."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StateCoding:
    """How the states of one tag are coded.

    tag: the tag as it stands in a table; its categories are all states of the training rows
    own: the states with a column of their own, in alphabetical order; all others are "other"
    shares: the share of training rows of each of ``own``, then of all others
    """

    tag: Tag
    own: tuple[str, ...]
    shares: tuple[float, ...]

    @property
    def pools(self) -> bool:
        """Whether rare states share a column."""
        return len(self.own) < len(self.tag.categories)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of numbers.

        >>> StateCoding(Tag("XV105", categories=("CLOSED", "OPEN")), ("CLOSED", "OPEN"), (0.4, 0.6, 0.0)).columns
        ('XV105 = OPEN',)
        """
        other = OTHER
        while other in self.own:
            other += "s"
        names = (*self.own, *((other,) if self.pools else ()))
        return tuple(f"{self.tag.name} = {name}" for name in (names[1:] if len(names) == 2 else names))

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The tags of these columns."""
        return tuple(replace(self.tag, name=name, categories=(), low=None, high=None) for name in self.columns)

    def knows(self, state: str) -> bool:
        """Whether a training row shows this state."""
        return state in self._known

    def code(self, states: Sequence[str]) -> Floats:
        """The numbers of states, (S, C)."""
        codes = np.empty((len(states), len(self.columns)))
        first = len(self.own) + self.pools - len(self.columns)  # the first column is left out where there are two
        plain = np.eye(len(self.own) + 1)[:, first : first + len(self.columns)]
        unseen = plain[-1] if self.pools else np.array(self.shares[first : first + len(self.columns)])
        for row, state in enumerate(states):
            codes[row] = plain[self._places.get(state, -1)] if self.knows(state) else unseen
        return codes

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.tag.categories)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {state: place for place, state in enumerate(self.own)}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> StateCoding:
        """The coding of `to_dict`; ValueError, KeyError or TypeError when it is malformed."""
        if set(data) != {"tag", "own", "shares"}:
            raise ValueError("states")
        tag = Tag(**{**data["tag"], "categories": tuple(data["tag"]["categories"])})
        own, shares = tuple(data["own"]), tuple(data["shares"])
        names = (tag.name, *tag.categories, *own)
        fits = set(own) <= set(tag.categories) and len(set(own)) == len(own) and len(shares) == len(own) + 1
        if not fits or not own or len(names) > MOST_STORED or not all(isinstance(name, str) for name in names):
            raise ValueError("states")
        if not all(isinstance(share, int | float) and 0 <= share <= 1 for share in shares):
            raise ValueError("states")
        return cls(tag, own, tuple(map(float, shares)))


class Coded(NamedTuple):
    """A table with its states as numbers, and what there is to say about it."""

    table: Table
    notes: tuple[Note, ...]


def learn_states(table: Table, *, rows: NDArray[np.bool_], most: int, rare: int) -> tuple[StateCoding, ...]:
    """How the states of the inputs of a table are coded, learned from these ``rows`` (N,) alone.

    most: columns that a tag may become; rare: a state of fewer rows than this shares the column "other"
    Raises InputError (prepare.too_many_states) for a tag of more states.

    >>> table = Table(np.array([[0.0], [1.0], [1.0]]), (Tag("XV105", categories=("CLOSED", "OPEN")),))
    >>> (coding,) = learn_states(table, rows=np.ones(3, bool), most=12, rare=1)
    >>> code_states(table, (coding,)).table.values.ravel().tolist()
    [0.0, 1.0, 1.0]
    """
    codings = []
    for column, tag in enumerate(table.tags):
        if tag.role != "input" or not tag.categories:
            continue
        codes = np.asarray(table.values[:, column])[rows]
        counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(tag.categories))
        if not counts.any():
            raise InputError(
                "repair.empty_input", where=table.source, names=tag.name, first=tag.name, rows=int(rows.sum())
            )
        seen = sorted((name, int(count)) for name, count in zip(tag.categories, counts, strict=True) if count)
        own = tuple(name for name, count in seen if count >= rare) or (max(seen, key=lambda entry: entry[1])[0],)
        counted, total = [count for name, count in seen if name in own], int(counts.sum())
        shares = tuple(count / total for count in (*counted, total - sum(counted)))
        coding = StateCoding(replace(tag, categories=tuple(name for name, _ in seen)), own, shares)
        if len(coding.columns) > most:
            raise InputError(
                "prepare.too_many_states",
                where=table.source,
                tag=tag.name,
                count=len(coding.columns),
                most=most,
                examples=", ".join(own[:4]),
                rare=rare,
            )
        for name in coding.columns:
            if name in table.names:
                raise InputError("prepare.state_name_taken", where=table.source, tag=tag.name, column=name)
        codings.append(coding)
    return tuple(codings)


def code_states(table: Table, codings: Collection[StateCoding]) -> Coded:
    """The table with columns of numbers in the place of its states; the other columns stay as they are.

    Raises InputError: data.missing_column, read.not_classes for a column that holds no states.
    """
    if not codings:
        return Coded(table, ())
    notes: list[Note] = []
    known = {coding.tag.name: coding for coding in codings}
    for name in known:
        if name not in table.names:
            raise missing_column(name, table.names, table.source)
    plain = (
        np.where(np.isnan(table.values), Quality.BAD, Quality.GOOD).astype(np.uint8)
        if table.quality is None
        else table.quality
    )
    values, qualities, tags = [], [], []
    for column, tag in enumerate(table.tags):
        x, quality = np.asarray(table.values[:, column]), plain[:, column]
        if (coding := known.get(tag.name)) is None:
            values.append(x[:, None])
            qualities.append(quality[:, None])
            tags.append(tag)
            continue
        if not tag.categories and not np.isnan(x).all():
            raise InputError(
                "read.not_classes", where=table.source, column=tag.name, classes=", ".join(coding.tag.categories[:6])
            )
        missing = np.isnan(x)
        codes = np.where(missing, len(tag.categories), x).astype(np.intp)
        numbers = np.vstack([coding.code(tag.categories), np.full((1, len(coding.columns)), np.nan)])
        strange = np.array([not coding.knows(name) for name in tag.categories] + [False])
        notes += [
            Note("marked", "read.reason_unseen_state", int(np.count_nonzero(codes == code)), tag=tag.name, example=name)
            for code, name in enumerate(tag.categories)
            if strange[code]
        ]
        values.append(numbers[codes])
        doubt = np.where(strange[codes], np.maximum(quality, Quality.UNCERTAIN), quality).astype(np.uint8)
        qualities.append(np.repeat(doubt[:, None], len(coding.columns), axis=1))
        tags += coding.tags
    whole = np.hstack(qualities)
    made = np.hstack(values)
    sound = table.quality is None and bool((whole == np.where(np.isnan(made), Quality.BAD, Quality.GOOD)).all())
    return Coded(
        replace(table, values=made, tags=tuple(tags), quality=None if sound else whole),
        tuple(note for note in notes if note.count),
    )
