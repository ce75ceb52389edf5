"""Several small perceptrons side by side, in NumPy.

This module trains networks of one hidden layer that differ by their first weights and by how hard weights are
penalised, all on the same rows in the same order: what they share, the product of rows and weights, is computed once
for all of them. (Adam: Kingma & Ba, ICLR 2015.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from backmix.models.members.member import Member

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

RATE, BETAS, TINY = 1e-3, (0.9, 0.999), 1e-8


@dataclass(frozen=True, eq=False)
class Perceptrons:
    """L networks of H rectified units each, P numbers -> O answers.

    kernel: (P, L·H), bias: (L·H,), head: (L, H, O), level: (L, O)
    """

    kernel: Singles
    bias: Singles
    head: Singles
    level: Singles

    @classmethod
    def drawn(cls, width: int, outputs: int, *, count: int, units: int, generator: np.random.Generator) -> Self:
        """Networks with weights drawn as Glorot and Bengio do (AISTATS 2010), and answers near 0."""

        def draw(shape: tuple[int, ...], ends: int) -> Singles:
            bound = np.sqrt(6.0 / ends)
            return generator.uniform(-bound, bound, shape).astype(np.float32)

        return cls(
            draw((width, count * units), width + units),
            draw((count * units,), width + units),
            draw((count, units, outputs), units + outputs),
            np.zeros((count, outputs), np.float32),
        )

    @property
    def arrays(self) -> tuple[Singles, Singles, Singles, Singles]:
        """All weights."""
        return self.kernel, self.bias, self.head, self.level

    def hidden(self, x: Singles) -> Singles:
        """What the hidden units say of rows (B, P): (L, B, H)."""
        count, units, _ = self.head.shape
        active = np.maximum(x @ self.kernel + self.bias, np.float32(0))
        return np.asarray(active.reshape(len(x), count, units).transpose(1, 0, 2))

    def answers(self, x: Singles) -> Singles:
        """(L, B, O) of rows (B, P)."""
        return np.asarray(self.hidden(x) @ self.head + self.level[:, None])

    def copy(self) -> Perceptrons:
        """The same weights, which training leaves alone."""
        return Perceptrons(*(array.copy() for array in self.arrays))

    def only(self, lanes: slice) -> Perceptrons:
        """Some of the networks."""
        count, units, _ = self.head.shape
        columns = np.arange(count * units).reshape(count, units)[lanes].reshape(-1)
        return Perceptrons(self.kernel[:, columns], self.bias[columns], self.head[lanes], self.level[lanes])

    def mean(self, name: str) -> Member:
        """The mean of all networks as one member, for rows of a form."""
        count, units, outputs = self.head.shape
        arrays = {
            "kernel": np.ascontiguousarray(self.kernel),
            "bias": np.ascontiguousarray(self.bias),
            "head": (self.head.astype(np.float64) / count).reshape(count * units, outputs),
            "level": self.level.astype(np.float64).mean(axis=0),
        }
        return Member(name, "", "perceptron", arrays)


@dataclass(frozen=True, eq=False)
class Training:
    """Networks while they are trained; their arrays change in place.

    decays: (L,) the weight penalty of each; means, squares: Adam's moments of each array; steps: taken so far
    """

    networks: Perceptrons
    decays: Singles
    means: tuple[Singles, ...]
    squares: tuple[Singles, ...]
    steps: int = 0

    @classmethod
    def of(cls, networks: Perceptrons, decays: Singles) -> Self:
        """Before the first step."""
        means, squares = (tuple(np.zeros_like(array) for array in networks.arrays) for _ in range(2))
        return cls(networks, decays, means, squares)

    def epoch(self, x: Singles, y: Singles, *, batch: int, generator: np.random.Generator) -> Training:
        """After all rows (N, P) with answers (N, O) once, in a new order."""
        order = generator.permutation(len(x))
        steps = self.steps
        for low in range(0, len(x), batch):
            rows = order[low : low + batch]
            steps += 1
            self._step(x[rows], y[rows], steps)
        return replace(self, steps=steps)

    def _step(self, x: Singles, y: Singles, step: int) -> None:
        nets = self.networks
        count, units, _ = nets.head.shape
        hidden = nets.hidden(x)
        away = (hidden @ nets.head + nets.level[:, None] - y) / np.float32(len(x))
        back = (away @ nets.head.transpose(0, 2, 1)) * (hidden > 0)
        flat = back.transpose(1, 0, 2).reshape(len(x), count * units)
        slopes = (
            x.T @ flat + np.repeat(self.decays, units) * nets.kernel,
            flat.sum(axis=0),
            hidden.transpose(0, 2, 1) @ away + self.decays[:, None, None] * nets.head,
            away.sum(axis=1),
        )
        first, second = BETAS
        rate = np.float32(RATE * np.sqrt(1 - second**step) / (1 - first**step))
        for array, slope, mean, square in zip(nets.arrays, slopes, self.means, self.squares, strict=True):
            mean += np.float32(1 - first) * (slope - mean)
            square += np.float32(1 - second) * (slope * slope - square)
            array -= rate * mean / (np.sqrt(square) + np.float32(TINY))
