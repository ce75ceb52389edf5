"""Seeds for the layers of a network.

This module derives a seed for every layer from the seed of the network. The layers of the plain form draw from one
stream and optional additions from another, so that adding noise or a second direction does not change the initial
weights of the other layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Seeds:
    """Two endless streams of seeds: for the layers of the plain form, and for optional additions."""

    plain: Iterator[int]
    added: Iterator[int]

    @classmethod
    def of(cls, seed: int) -> Self:
        """The streams of one network.

        >>> next(Seeds.of(1).plain) == next(Seeds.of(1).plain), next(Seeds.of(1).plain) == next(Seeds.of(1).added)
        (True, False)
        """
        return cls(_stream(np.random.SeedSequence(seed)), _stream(np.random.SeedSequence([seed, 1])))


def _stream(entropy: np.random.SeedSequence) -> Iterator[int]:
    """Seeds that are at least four apart: a layer uses up to three."""
    rng = np.random.default_rng(entropy)
    while True:
        yield int(rng.integers(2**29)) * 4
