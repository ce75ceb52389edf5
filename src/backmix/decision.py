"""A decision that the program made for the user, and why.

This module defines `Decision`: what an "auto" became, with its reason in both languages, so that
the report can print it and nobody has to guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backmix.text import Language, say


@dataclass(frozen=True)
class Decision:
    """A value, the catalogue key of the reason for it, and the values in that sentence.

    ``setting`` names the place in a plan that was decided (``model.cell``), where there is one.

    >>> Decision("mse", "models.loss_mse", setting="training.loss").reason()
    'the usual loss for a number; large errors weigh most'
    """

    value: Any
    reason_key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    setting: str = ""

    def reason(self, lang: Language | None = None) -> str:
        """The reason as a sentence, in the language of the moment unless one is named."""
        return say(self.reason_key, lang, **self.values)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; tuples become lists."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"setting": self.setting, "value": value, "reason_key": self.reason_key, "values": dict(self.values)}
