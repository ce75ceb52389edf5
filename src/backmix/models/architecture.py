"""The shape of a network, as plain numbers and names.

This module defines `Architecture`: all that `models.network.build` needs, and what a bundle keeps
instead of a pickled or serialised model. `from_dict` is strict: unknown keys, values outside the
allowed names and sizes outside the bounds are refused before anything is built or allocated.

Feature names are not part of an architecture. A network sees F columns in one fixed order; who
feeds it sorts the columns by name first, so that the order in a file means nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from backmix.errors import PlanError
from backmix.models.shape.forms import beyond_light, check_form
from backmix.models.shape.network_shape import NetworkShape, shortened
from backmix.models.shape.size import parameters

MOST_PARAMETERS = 100_000_000
"""An architecture above this is refused: 100 million numbers are 400 MB, far beyond plant data."""


@dataclass(frozen=True)
class Architecture(NetworkShape):
    """A network that can be built: the fields of its shape go together, and it is not too large.

    >>> Architecture(features=3, units=(32,), bidirectional=True).light
    False

    Raises PlanError (models.bad_architecture) naming the field that is out of its bounds, a sentence of
    the catalogue ``forms`` for fields that do not go together, or models.too_large.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_form(self)
        if parameters(self) > MOST_PARAMETERS:
            raise PlanError("models.too_large", parameters=parameters(self), most=MOST_PARAMETERS)

    @property
    def light(self) -> bool:
        """Whether the light runtime can run it: recurrent layers one way, an answer per window, no more."""
        return not beyond_light(self)

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON; `from_dict` of it gives an equal architecture."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: object) -> Self:
        """An architecture from JSON of unknown origin.

        Raises PlanError (models.bad_architecture, models.architecture_keys, models.too_large,
        models.head_outputs) for anything that `to_dict` could not have written.
        """
        names = [f.name for f in dataclasses.fields(cls)]
        if not isinstance(fields, Mapping):
            raise PlanError("models.architecture_keys", got=type(fields).__name__, names=", ".join(names))
        unknown = [shortened(k) for k in fields if k not in names]
        missing = [n for n in names if n not in fields]
        if unknown or missing:
            raise PlanError("models.architecture_keys", got=", ".join([*unknown, *missing][:5]), names=", ".join(names))
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values)
