"""A file that comes after training.

This module says what is different about a new file, and refuses it where its values would be taken for others: an input
in another unit, or a row of values for one of the header.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from backmix.data.layout.detect import Detection, differences, look_again
from backmix.data.layout.evidence import toml
from backmix.data.layout.layout import layout_of
from backmix.data.layout.units import plain_unit
from backmix.data.ledger import Difference
from backmix.data.reading.file_profile import FileProfile, differences_of
from backmix.data.reading.reading import Reading, ReadPlan
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.text import say


@dataclass(frozen=True, eq=False)
class NewFile:
    """A file that a model is to read.

    plan: how it is read; kept: how the training file was read; before: what that one looked like, if it is known
    settings: keys of the layout that a person has given for this file
    """

    plan: ReadPlan
    kept: ReadPlan
    before: FileProfile | None
    settings: frozenset[str]

    def check(self, reading: Reading, wanted: Collection[Tag], declared: Mapping[str, str]) -> None:
        """Refuse values that would be taken for others; ``declared``: units that a person has given for this file.

        Raises InputError: bundle.values_in_header, read.other_unit.
        """
        here = reading.profile
        if here is None:
            return
        if here.numbers_above and not (self.before is not None and self.before.numbers_above):
            raise InputError("bundle.values_in_header", where=reading.table.source, header=toml(self.plan.header))
        units = here.units
        if not units and self._detection is not None and self._detection.reading is not None:
            seen = self._detection.reading.profile  # a row of units that the layout of the model does not know
            units = {} if seen is None else seen.units
        for tag in wanted:
            unit = units.get(tag.name, "")
            known = (tag.unit, "" if self.before is None else self.before.units.get(tag.name, ""))
            if not unit or not tag.unit or declared.get(tag.name):
                continue
            if plain_unit(unit) not in map(plain_unit, filter(None, known)):
                fault = InputError(
                    "read.other_unit", where=reading.table.source, column=tag.name, got=unit, unit=tag.unit
                )
                option = toml(({"name": tag.name, "unit": tag.unit},))
                fault.add_note(say("bundle.declare_unit", option=f"--data 'tags={option}'", tag=tag.name))
                raise fault

    def differences(self, reading: Reading | None = None) -> tuple[Difference, ...]:
        """What is different about the file; without a ``reading`` by the model's layout, as far as it can be told."""
        detection = self._detection
        laid_out = () if detection is None else differences(detection, self.plan, self.settings)
        if reading is None and detection is not None:
            reading = detection.reading
        here = None if reading is None else reading.profile
        return laid_out if here is None or self.before is None else (*laid_out, *differences_of(self.before, here))

    @cached_property
    def _detection(self) -> Detection | None:
        """What the file says of its own layout."""
        if not self.plan.files or not layout_of(self.kept).model_dump(exclude_none=True, exclude={"duplicates"}):
            return None
        stated = {"limit_mb", "batch", "sheet"} | self.settings
        section = {key: getattr(self.plan, key) for key in stated & set(ReadPlan.model_fields)}
        try:
            return look_again(ReadPlan.model_validate({**section, "file": self.plan.file, "tags": ()}))
        except InputError:
            return None
