"""Processes of their own for the tests that kill, interrupt or start runs.

In: code, and what it finds in ``sys.argv``.
Out: a `Child` with the manners of `subprocess.Popen`.
A server imports Keras, JAX and all else once; each child is a fork of it, which saves three seconds of imports (where
a system has no fork, each child imports for itself).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import mkdtemp

FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_context = multiprocessing.get_context("forkserver" if FORKS else "spawn")
if FORKS:
    _context.set_forkserver_preload(
        [
            *("keras", "jax", "pandas", "pyarrow.parquet", "scipy.optimize", "sklearn.linear_model"),
            *("backmix.workflow", "backmix.app.main", "backmix.training.fitting.fit", "backmix.report.render"),
        ]
    )


@dataclass(frozen=True)
class Child:
    """A process that has been started; out, err: the files that it writes to."""

    process: BaseProcess
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """What it ended with, below 0 for a signal; None while it runs."""
        return self.process.exitcode

    def poll(self) -> int | None:
        """As `returncode`."""
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 200) -> tuple[str, str]:
        """Wait for its end: what it wrote to its two streams; TimeoutError when it does not end in time."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.kill()
            raise TimeoutError(f"still running after {timeout} s: {self.err.read_text('utf-8')}")
        return self.out.read_text("utf-8"), self.err.read_text("utf-8")


def start(code: str, *arguments: str) -> Child:
    """Run ``code`` in a process of its own, in the folder of the moment."""
    folder = Path(mkdtemp(prefix="child-"))
    out, err = folder / "out.txt", folder / "err.txt"
    out.touch()
    err.touch()
    process = _context.Process(target=_run, args=(code, arguments, str(out), str(err)))
    process.start()
    return Child(process, out, err)


def _run(code: str, arguments: Sequence[str], out: str, err: str) -> None:
    for stream, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, stream)
        os.close(file)
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<child>", "exec"), {"__name__": "__main__"})  # noqa: S102
