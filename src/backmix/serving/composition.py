"""How a bundle keeps an ensemble.

This module says which networks and parts an ensemble of the bundle is made of (`Composition`, the member
``mixture.json``), and checks it and the arrays that belong to it before anything is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backmix.models.architecture import MOST_MEMBERS, Architecture
from backmix.models.ensemble import Ensemble, check_ensemble
from backmix.models.members.member import Member
from backmix.models.weights import Weights, fits, network_weights, part_arrays

MOST_PARTS = 50


@dataclass(frozen=True)
class Composition:
    """members: how many networks; parts: (name, view, kind, activation) of each."""

    members: int
    parts: tuple[tuple[str, str, str, str], ...]

    @classmethod
    def of(cls, ensemble: Ensemble) -> Composition:
        """What is written down of an ensemble beside its arrays."""
        return cls(
            len(ensemble.members), tuple((part.name, part.view, part.kind, part.activation) for part in ensemble.parts)
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"members": self.members, "parts": [list(part) for part in self.parts]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Composition:
        """From JSON of unknown origin; ValueError, KeyError or TypeError for what `to_dict` could not have written."""
        if set(data) != {"members", "parts"}:
            raise ValueError
        members, parts = data["members"], tuple(tuple(part) for part in data["parts"])
        named = all(len(part) == 4 and all(isinstance(word, str) for word in part) for part in parts)
        if type(members) is not int or not 1 <= members <= MOST_MEMBERS or len(parts) > MOST_PARTS or not named:
            raise ValueError
        return cls(members, parts)

    def made(self, weights: Weights, architecture: Architecture) -> tuple[Member, ...]:
        """The parts with their arrays, all checked, those of the networks too; ValueError or KeyError if not sound."""
        parts = tuple(
            Member(name, view, kind, part_arrays(weights, name), activation)  # type: ignore[arg-type]
            for name, view, kind, activation in self.parts
        )
        check_ensemble(weights["mixture/weights"], parts, self.members, architecture)
        count = 1 + sum(len(part.arrays) for part in parts)
        for number in range(1, self.members + 1):
            mine = network_weights(weights, number)
            if not fits(mine, architecture):
                raise ValueError(number)
            count += len(mine)
        if count != len(weights):
            raise ValueError("arrays")
        return parts
