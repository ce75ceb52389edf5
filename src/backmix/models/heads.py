"""The last layer of a network.

This module defines `Head` and registers the four heads: a number, several numbers, one of two classes, one of many.
Only here is said which activation the outputs have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backmix.errors import PlanError
from backmix.registry import Registry

Kind = Literal["regression", "binary", "classes"]
"""What the outputs are: numbers, the probability of class 1, or a probability per class."""


@dataclass(frozen=True)
class Head:
    """The last dense layer of a network.

    kind: which losses fit it
    activation: of the last layer, so that the outputs are what ``kind`` says
    least, most: bounds of the number of outputs
    """

    name: str
    kind: Kind
    activation: Literal["linear", "sigmoid", "softmax"]
    least: int
    most: int

    def check(self, outputs: int) -> None:
        """PlanError (models.head_outputs) unless this head can have so many outputs."""
        if not self.least <= outputs <= self.most:
            raise PlanError("models.head_outputs", head=self.name, outputs=outputs, least=self.least, most=self.most)


MOST_OUTPUTS = 4096

heads: Registry[Head] = Registry("heads", package="backmix.models.heads")

heads.register("number")(Head("number", "regression", "linear", 1, 1))
heads.register("numbers")(Head("numbers", "regression", "linear", 1, MOST_OUTPUTS))
heads.register("binary")(Head("binary", "binary", "sigmoid", 1, 1))
CLASSES = heads.register("classes")(Head("classes", "classes", "softmax", 2, MOST_OUTPUTS))
