"""How a bundle keeps an ensemble.

This module defines `Composition`, which lists the members of an ensemble and is kept in the bundle as
``mixture.json``. It checks the list and the arrays that belong to it before anything is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from backmix.models.architecture import Architecture
from backmix.models.ensemble import Ensemble, check_ensemble
from backmix.models.members.member import Member
from backmix.models.members.paths import Paths
from backmix.models.shape.network_shape import MOST_MEMBERS
from backmix.models.weights import Weights, fits, member_arrays, network_weights
from backmix.serving.archive import Members

MEMBER = "mixture.json"
MOST_SIMPLE_MEMBERS = 50
MOST_LOOKBACK = 100_000


@dataclass(frozen=True)
class Composition:
    """members: how many networks, 0 without weight; simple_members: (name, view, kind, activation) of each.

    lookback: rows of the ensemble's windows where a member looks farther back than the networks; else None
    paths: of a forecast
    """

    members: int
    simple_members: tuple[tuple[str, str, str, str], ...]
    lookback: int | None = None
    paths: Paths | None = None

    @classmethod
    def of(cls, ensemble: Ensemble) -> Composition:
        """The composition of an ensemble."""
        return cls(
            len(ensemble.members),
            tuple((member.name, member.view, member.kind, member.activation) for member in ensemble.simple_members),
            ensemble.lookback,
            ensemble.paths,
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        more: dict[str, Any] = {} if self.lookback is None else {"lookback": self.lookback}
        more |= {} if self.paths is None else {"paths": self.paths.to_dict()}
        return {"members": self.members, "parts": [list(member) for member in self.simple_members], **more}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], features: int) -> Composition:
        """From JSON of unknown origin, for windows of F features.

        ValueError, KeyError or TypeError for what `to_dict` could not have written.
        """
        if set(data) - {"lookback", "paths"} != {"members", "parts"}:
            raise ValueError
        lookback = data.get("lookback")
        if "lookback" in data and (type(lookback) is not int or not 1 <= lookback <= MOST_LOOKBACK):
            raise ValueError
        members, simple_members = data["members"], tuple(tuple(member) for member in data["parts"])
        sound = all(len(member) == 4 and all(isinstance(word, str) for word in member) for member in simple_members)
        if (
            type(members) is not int
            or not 0 <= members <= MOST_MEMBERS
            or len(simple_members) > MOST_SIMPLE_MEMBERS
            or not sound
        ):
            raise ValueError
        paths = Paths.from_dict(data["paths"], features) if "paths" in data else None
        return cls(members, simple_members, lookback, paths)

    def simple_members_from(self, weights: Weights, architecture: Architecture) -> tuple[Member, ...]:
        """The simple members with their arrays, after all arrays of the bundle were checked.

        ValueError or KeyError if any array is missing, too much, or of the wrong shape.
        """
        simple_members = tuple(
            Member(name, view, kind, member_arrays(weights, name), activation)  # type: ignore[arg-type]
            for name, view, kind, activation in self.simple_members
        )
        check_ensemble(
            weights["mixture/weights"], simple_members, self.members, architecture, self.lookback, self.paths
        )
        count = 1 + sum(len(member.arrays) for member in simple_members)
        for number in range(1, self.members + 1):
            network_arrays = network_weights(weights, number)
            if not fits(network_arrays, architecture):
                raise ValueError(number)
            count += len(network_arrays)
        if count != len(weights):
            raise ValueError("arrays")
        return simple_members


def read_network(
    members: Members, architecture: Architecture
) -> tuple[dict[str, NDArray[Any]], Composition | None, tuple[Member, ...]]:
    """The arrays of a bundle, what its ensemble is made of (None for one network alone), and its simple members.

    ValueError, KeyError or TypeError unless they are exactly those of the architecture and the composition.
    """
    import safetensors.numpy

    weights = safetensors.numpy.load(members.read("weights.safetensors"))
    if MEMBER in members:
        composition = Composition.from_dict(members.json(MEMBER), architecture.features)
        members.read("weights.safetensors")  # what is wrong from here on is wrong with the arrays
        return weights, composition, composition.simple_members_from(weights, architecture)
    if not fits(weights, architecture):
        raise ValueError("weights")
    return weights, None, ()
