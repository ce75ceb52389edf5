"""A new table in the form of the one a model was trained on.

This module finds the columns of a model in any table, by name: their order does not matter, more
columns than needed are noted, and what is missing, renamed or in another unit is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.units import plain_unit
from backmix.data.ledger import Ledger, Note
from backmix.data.quality import Quality
from backmix.data.reading.reading import Reading
from backmix.data.table import Table, missing_column
from backmix.data.tag import Tag
from backmix.errors import InputError


def align(table: Table, tags: Sequence[Tag]) -> Reading:
    """The columns of ``table`` that ``tags`` name, in their order and with their units and classes.

    Raises InputError: data.missing_column with the nearest name, read.other_unit, read.not_numbers,
    read.not_classes, read.all_missing for an input without a single value.

    >>> table = Table(np.zeros((1, 2)), (Tag("P"), Tag("T")))
    >>> align(table, [Tag("T", unit="degC")]).table.tags
    (Tag(name='T', unit='degC', role='input', low=None, high=None, description='', categories=()),)
    """
    wanted = [tag.name for tag in tags]
    spare = [name for name in table.names if name not in wanted]
    for name in wanted:
        if name not in table.names:
            near = missing_column(name, spare or table.names, table.source).values["near"]
            raise InputError(
                "data.missing_column",
                where=table.source,
                column=name,
                near=near,
                names=", ".join(table.names[:12]) + (" …" if len(table.names) > 12 else ""),
            )
    for tag in tags:
        _check(table, tag)
    notes = [Note("converted", "read.reason_extra_column", len(table), tag=name) for name in spare]
    there = [name for name in table.names if name in wanted]
    if there != wanted:
        notes.append(Note("converted", "read.reason_reordered", len(wanted) * len(table)))
    chosen = table.select(wanted)
    for column, tag in enumerate(tags):
        if tag.categories and chosen.tags[column].categories != tag.categories:
            chosen, unknown = _recode(chosen, column, tag)
            notes += unknown
    return Reading(replace(chosen, tags=tuple(tags)), Ledger(read=len(table)).add(*notes))


def _check(table: Table, tag: Tag) -> None:
    """Refuse a column that has the right name but other contents."""
    given, values = table.tag(tag.name), table.column(tag.name)
    if given.unit and tag.unit and plain_unit(given.unit) != plain_unit(tag.unit):
        raise InputError("read.other_unit", where=table.source, column=tag.name, got=given.unit, unit=tag.unit)
    empty = not len(values) or bool(np.isnan(values).all())
    if tag.role == "input" and len(values) and empty:
        raise InputError("read.all_missing", where=table.source, column=tag.name)
    if given.categories and not tag.categories:
        raise InputError("read.not_numbers", where=table.source, column=tag.name, text=given.categories[0])
    if tag.categories and not given.categories and not empty:
        raise InputError("read.not_classes", where=table.source, column=tag.name, classes=", ".join(tag.categories[:6]))


def _recode(table: Table, column: int, tag: Tag) -> tuple[Table, list[Note]]:
    """The codes of one column in the order of ``tag``'s classes; an unknown class is a bad value."""
    given = table.tags[column].categories
    place = np.array([tag.categories.index(name) if name in tag.categories else np.nan for name in given] + [np.nan])
    codes = np.asarray(table.values[:, column])
    there = ~np.isnan(codes)
    recoded = place[np.where(there, codes, len(given)).astype(np.intp)]
    values = np.array(table.values)
    values[:, column] = recoded
    notes = [
        Note(
            "marked",
            "read.reason_unknown_class",
            int(np.count_nonzero(there & (codes == code))),
            tag=tag.name,
            example=name,
        )
        for code, name in enumerate(given)
        if name not in tag.categories
    ]
    lost: NDArray[np.bool_] = there & np.isnan(recoded)
    quality = table.quality
    if lost.any() and quality is not None:
        quality = quality.copy()
        quality[lost, column] = Quality.BAD
    return replace(table, values=values, quality=quality), notes
