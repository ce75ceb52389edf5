"""From the cells of a source to a table.

In: the cells as `sources` deliver them, and what the plan says of them.
Out: `Reading`: the `Table`, and the ledger of every row that was read.
Nothing is guessed twice: a new table is read by the same settings as the one a model was trained on (`align`).
"""

from typing import Any

from backmix.earlier import moved_name


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
