"""Peers measured in rounds: what the benchmark scripts share.

This module keeps every peer in a process of its own and lets them take turns, so that whatever else
the machine does hits all of them alike; speeds are then compared within a round, never across
rounds. Parent and peer talk in lines of JSON. It imports NumPy and nothing heavier.

    with Peer("torch", [sys.executable, __file__, "--serve", "torch"]) as peer:
        peer.ask("measure", seconds=1.0)
"""

from __future__ import annotations

import json
import os
import platform
import random
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np

SETTLE = 0.15
"""Seconds between two measurements: thread pools of the last one spin for a while before they sleep."""


class PeerFault(RuntimeError):
    """A peer could not do what it was asked; the text is its own last word."""


class Peer:
    """A process that answers one question at a time.

    others: processors that were busy with something else during the last answer, on average
    """

    others = 0.0

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (closed with the peer)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def ask(self, what: str, **given: Any) -> Any:
        """The peer's answer; PeerFault when it failed or died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        begin, busy = time.perf_counter(), _busy()
        try:
            self._process.stdin.write(json.dumps({"what": what, **given}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self._log.seek(0)
            words = self._log.read().strip().splitlines()[-3:]
            raise PeerFault(f"{self.name} ended with code {self._process.wait()}: {' / '.join(words)}")
        answer = json.loads(line)
        if "fault" in answer:
            raise PeerFault(f"{self.name}: {answer['fault']}")
        wall = time.perf_counter() - begin
        self.others = max(0.0, _busy() - busy - answer["cpu"]) / wall
        return answer["answer"]

    def close(self) -> None:
        """End the process: it leaves when its questions end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(answers: Callable[[str, dict[str, Any]], Any]) -> None:
    """Answer questions from the standard input until it ends; whatever else is printed goes to the log."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        given = json.loads(line)
        used = time.process_time()
        try:
            found = answers(given.pop("what"), given)
            reply = {"answer": found, "cpu": time.process_time() - used}
        except Exception as fault:
            traceback.print_exc()
            reply = {"fault": f"{type(fault).__name__}: {' '.join(str(fault).split())[:300]}"}
        out.write(json.dumps(reply) + "\n")
        out.flush()


def take_turns(
    peers: Iterable[str], rounds: int, measure: Callable[[str], Any], *, seed: int = 0, settle: float = SETTLE
) -> dict[str, list[Any]]:
    """One measurement of every peer per round, in an order drawn anew each round."""
    found: dict[str, list[Any]] = {peer: [] for peer in peers}
    draw = random.Random(seed)  # noqa: S311 (an order, not a secret)
    for _ in range(rounds):
        for peer in draw.sample(list(found), len(found)):
            time.sleep(settle)
            found[peer].append(measure(peer))
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over rounds of ours / theirs."""
    return float(np.median(np.asarray(ours) / np.asarray(theirs)))


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios."""
    return float(np.exp(np.mean(np.log(values)))) if values else float("nan")


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_cores(most: int | None) -> None:
    """Keep this process and all its peers on the first ``most`` processors."""
    if most is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:most]))


def installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def versions(*packages: str) -> dict[str, str]:
    """Versions of the packages that are installed here."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def heading(title: str, *, said: str = "", packages: Sequence[str] = ()) -> str:
    """How an entry of the log begins: command, commit, machine, versions, load."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    named = " · ".join(f"{name} {number}" for name, number in versions(*packages).items())
    named = " · ".join([f"Python {platform.python_version()}", *([named] if named else [])])
    lines = [
        f"## {title}, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"Command: `{command}` · commit {_commit()} · {_processor()}, {cores()} cores, load "
        f"{os.getloadavg()[0]:.1f} at the start · {named}.",
    ]
    return "\n".join([*lines, *(["", said] if said else [])]) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def note(text: str) -> None:
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)


def _busy() -> float:
    """Seconds that all processors of the machine have worked so far; 0 where nobody counts them."""
    try:
        line = Path("/proc/stat").read_text().split("\n", 1)[0]
        user, nice, system, _idle, _waiting, *interrupts = (int(count) for count in line.split()[1:8])
    except (OSError, ValueError):
        return 0.0
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _commit() -> str:
    def git(*words: str) -> str:
        told = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True, check=False
        )
        return told.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=all", "--", "../src", "../native")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


def _processor() -> str:
    name = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return name
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    wide = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else ""
    return ", ".join(part for part in (models[0] if models else "", name, wide) if part)
