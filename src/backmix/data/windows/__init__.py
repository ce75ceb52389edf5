"""Windows: what a network reads, and the value it shall predict.

In: a `Table`, its split, and how far back, how far ahead and how late a window looks.
Out: `Windows`, which cross no batch, no gap and no split; none is copied before it is asked for.
Where no window can be made, the account says why.
"""

from typing import Any

from backmix.earlier import moved_name


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
