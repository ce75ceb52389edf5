"""What went wrong, where, and how to mend it.

This module draws the exception tree and owns the exit codes:

    BackmixError          1    anything below; never raised itself
    ├── PlanError         2    the plan (or the command line) asks for something impossible
    ├── InputError        3    a file, a table or a frame that cannot be used as it is
    ├── LeakageError      4    the model would know at training what it cannot know in the plant
    ├── TrainingError     5    training diverged or cannot start
    ├── BundleError       6    a bundle that is damaged, newer than this release, or hostile
    ├── BusyError         7    another process holds the run folder
    ├── StorageError      8    disk full, no permission, I/O error
    └── Interrupted     130    Ctrl-C; the run can be resumed

An error has a key of the text catalogue and the values for it, so that it can be shown in English and in Traditional
Chinese: ``raise InputError("read.empty_file", where=path)``. Each message says where, what, and how to mend it, on one
line.
"""

from __future__ import annotations

from typing import Any

from backmix.text import say


class BackmixError(Exception):
    """Base of every error that backmix raises on purpose.

    ``key`` names the sentence in the catalogue (``stage.name``), ``values`` fill its blanks.
    """

    exit_code = 1

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(key)
        self.key = key
        self.values = values

    def __str__(self) -> str:
        return say(self.key, **self.values)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.key, self.values)


def _rebuild(kind: type[BackmixError], key: str, values: dict[str, Any]) -> BackmixError:
    """Unpickle an error from another process (joblib) with its values."""
    return kind(key, **values)


class PlanError(BackmixError):
    """The plan or the command line asks for something impossible."""

    exit_code = 2


class InputError(BackmixError):
    """A file, table or frame cannot be used as it is."""

    exit_code = 3


class LeakageError(BackmixError):
    """Training would use what is not known at prediction time."""

    exit_code = 4


class TrainingError(BackmixError):
    """Training diverged or cannot start."""

    exit_code = 5


class BundleError(BackmixError):
    """A bundle is damaged, newer than this release, or hostile."""

    exit_code = 6


class BusyError(BackmixError):
    """Another process holds the run folder."""

    exit_code = 7


class StorageError(BackmixError):
    """A write failed: disk full, no permission, I/O error. What was there is intact."""

    exit_code = 8


class Interrupted(BackmixError):
    """The user pressed Ctrl-C; what was finished is saved and the run can be resumed."""

    exit_code = 130
