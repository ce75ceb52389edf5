"""Plant faults in the code, one at a time, and see whether the tests notice.

    scripts/mutants                           # all of tests/mutants.toml
    scripts/mutants --only purge              # those with this pattern in their id or file
    scripts/mutants --json found.json --markdown found.md

This script copies the tree into a temporary folder with an environment of its own, changes one line there, and runs
the tests that are chosen for the file. A mutant is killed when a test fails (or hangs). One that survives is a test
that is missing, unless the list gives the reason why nobody could notice.

Exit status: 0 when at least 95 % are killed and every survivor has its reason in the list; 1 otherwise; 2 for a list
that does not fit the code.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "mutants.toml"
ENOUGH = 0.95
"""Share of the mutants that the tests must kill."""
PATIENCE, TIMES = 60.0, 5.0
"""Tests are stopped after so many seconds, or so many times what they take without a mutant: it made them hang."""

Status = Literal["killed", "timeout", "survived"]


@dataclass(frozen=True)
class Mutant:
    """One fault: ``old`` becomes ``new`` in ``file``, and ``tests`` shall notice.

    survives: why no test can notice; empty for a mutant that must be killed
    """

    id: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    survives: str = ""

    @property
    def native(self) -> bool:
        """Whether the kernels must be built again."""
        return self.file.startswith("native/")


@dataclass(frozen=True)
class Trial:
    """What became of a mutant, and which test noticed."""

    id: str
    file: str
    status: Status
    seconds: float
    noticed: str = ""
    survives: str = ""


def read_list(path: Path = LIST) -> list[Mutant]:
    """The mutants of the list; ValueError for one that is not written as it must be."""
    mutants = []
    for group in tomllib.loads(path.read_text("utf-8"))["file"]:
        for entry in group["mutant"]:
            tests = tuple(entry.get("tests", group["tests"]))
            if unknown := entry.keys() - {"id", "old", "new", "tests", "survives"}:
                raise ValueError(f"{entry['id']}: unknown keys {', '.join(sorted(unknown))}")
            mutants.append(
                Mutant(entry["id"], group["path"], entry["old"], entry["new"], tests, entry.get("survives", ""))
            )
    return mutants


def faults(mutants: Sequence[Mutant], root: Path = ROOT) -> list[str]:
    """What is wrong with the list, one line each; [] when every mutant can be planted and has its tests."""
    found = []
    for mutant in mutants:
        file = root / mutant.file
        times = file.read_text("utf-8").count(mutant.old) if file.is_file() else 0
        if times != 1:
            found.append(
                f"{mutant.id} is stale: its old text stands {times} times in {mutant.file}, it must stand there once. "
                f"Mend tests/mutants.toml: {mutant.old!r}"
            )
        elif mutant.old == mutant.new:
            found.append(f"{mutant.id} changes nothing")
        elif file.suffix == ".py" and not _compiles(planted(mutant, root)):
            found.append(f"{mutant.id} is no Python any more, which no test is needed to notice")
        found += [f"{mutant.id}: there is no {test}" for test in mutant.tests if not _is_there(root, test)]
    names = [mutant.id for mutant in mutants]
    return found + [
        f"two mutants are called {name}" for name in sorted({name for name in names if names.count(name) > 1})
    ]


def _is_there(root: Path, test: str) -> bool:
    """Whether a test file, or a test in it, exists."""
    file, _, name = test.partition("::")
    return (root / file).is_file() and (not name or f"def {name}(" in (root / file).read_text("utf-8"))


def planted(mutant: Mutant, root: Path = ROOT) -> str:
    """The text of the file with the mutant in it."""
    return (root / mutant.file).read_text("utf-8").replace(mutant.old, mutant.new)


def _compiles(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


class Copy:
    """A copy of the tree with an environment of its own, in which the copy is what is imported.

    The environment borrows the packages of the one that runs this script by their paths: an editable install of the
    repository, which would win over any path, is not active in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
        for name in sorted(set(listed.decode().split("\0")) - {""}):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
        self.python = folder / ".venv" / "bin" / "python"
        borrowed = [path for path in sys.path if "site-packages" in path]
        (packages,) = (folder / ".venv" / "lib").glob("python*/site-packages")
        (packages / "borrowed.pth").write_text("\n".join([str(folder / "src"), *borrowed]) + "\n")
        kernels = importlib.util.find_spec("backmix.native")
        self.kernels = None if kernels is None or kernels.origin is None else Path(kernels.origin)
        self._lay_kernels(self.kernels)
        self.env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")} | {
            "KERAS_BACKEND": "jax",
            "PATH": f"{self.python.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache")),
        }
        where = subprocess.run(
            [self.python, "-c", "import backmix; print(backmix.__file__)"],
            env=self.env,
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        if not where.startswith(str(folder)):
            raise SystemExit(f"the copy in {folder} is not what is imported there, but {where.strip()}")

    def run(self, tests: Sequence[str], patience: float | None = None) -> tuple[Status, str]:
        """Run some tests of the copy until one fails: what came of it, and the test (or the fault) that noticed."""
        command = [
            self.python,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--hypothesis-profile=mutants",
            *tests,
        ]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=patience
            )
        except subprocess.TimeoutExpired:
            return "timeout", f"nothing for {patience:.0f} s"
        if done.returncode == 0:
            return "survived", ""
        if done.returncode not in (1, 2):  # 1: a test failed; 2: a module that is tested could not be imported
            raise SystemExit(f"pytest could not run {' '.join(tests)}:\n{done.stdout}{done.stderr}")
        noticed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        return "killed", noticed[1] if noticed else done.stdout.strip().splitlines()[-1]

    def plant(self, mutant: Mutant) -> str:
        """Change the one line; returns the text that was there before."""
        before = (self.folder / mutant.file).read_text("utf-8")
        self._write(mutant, planted(mutant, self.folder))
        return before

    def _write(self, mutant: Mutant, text: str) -> None:
        file = self.folder / mutant.file
        file.write_text(text, "utf-8")
        # a mutant of the same length in the same second would be taken for what was compiled before
        Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)

    def build(self) -> None:
        """Build the kernels of the copy; only what has changed is compiled again."""
        build, native = self.folder / "build" / "kernels", self.folder / "native"
        ninja = ["-G", "Ninja"] if shutil.which("ninja", path=self.env["PATH"]) else []
        for command in (
            ["cmake", "-S", native, "-B", build, *ninja, f"-DPython_EXECUTABLE={self.python}"],
            ["cmake", "--build", build, "--parallel", "2"],
        ):
            done = subprocess.run(command, env=self.env, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"the kernels could not be built:\n{done.stdout}{done.stderr}")
        (made,) = (path for path in build.glob("native*") if path.suffix in (".so", ".pyd"))
        self._lay_kernels(made)

    def _lay_kernels(self, kernels: Path | None) -> None:
        """Put built kernels where they are imported."""
        if kernels is not None:
            shutil.copy2(kernels, self.folder / "src" / "backmix")

    def trial(self, mutant: Mutant, usual: float) -> Trial:
        """Plant a mutant, run its tests, which take ``usual`` seconds without it, and take it out again."""
        begin = time.monotonic()
        before = self.plant(mutant)
        try:
            if mutant.native:
                self.build()
            status, noticed = self.run(mutant.tests, max(PATIENCE, TIMES * usual))
        finally:
            self._write(mutant, before)
            if mutant.native:
                self._lay_kernels(self.kernels)
        return Trial(mutant.id, mutant.file, status, round(time.monotonic() - begin, 1), noticed, mutant.survives)


def judged(trial: Trial) -> str:
    """The word for the table: a survivor with a reason is none that worries."""
    if trial.status != "survived":
        return trial.status if not trial.survives else f"{trial.status}, against the list"
    return "survived as the list says" if trial.survives else "SURVIVED"


def summary(trials: Sequence[Trial]) -> str:
    """How many were killed."""
    killed = sum(trial.status != "survived" for trial in trials)
    return f"{killed} of {len(trials)} mutants killed ({100 * killed / max(1, len(trials)):.1f} %)"


def markdown(trials: Sequence[Trial]) -> str:
    """The trials as a table of a page."""
    lines = [summary(trials), "", "| mutant | file | outcome | noticed by, or why nobody can |", "|---|---|---|---|"]
    lines += [f"| {t.id} | {t.file} | {judged(t)} | {t.noticed or t.survives} |" for t in trials]
    return "\n".join(lines) + "\n"


def sound(copy: Copy, mutants: Sequence[Mutant]) -> dict[tuple[str, ...], float]:
    """How long the chosen tests take as long as nothing is planted.

    Exits when one of them fails: every mutant would seem killed.
    """
    if any(mutant.native for mutant in mutants):
        copy.build()
    seconds = {}
    chosen = sorted({mutant.tests for mutant in mutants})
    for number, tests in enumerate(chosen, 1):
        print(f"tests without a mutant: {number} of {len(chosen)}", file=sys.stderr)
        begin = time.monotonic()
        status, noticed = copy.run(tests)
        if status != "survived":
            raise SystemExit(f"{noticed} fails before anything is planted")
        seconds[tests] = time.monotonic() - begin
    return seconds


def tried(mutants: Sequence[Mutant], jobs: int) -> Iterator[Trial]:
    """The trials in the order in which they end, on ``jobs`` copies of the tree."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        free: SimpleQueue[Copy] = SimpleQueue()
        usual: dict[tuple[str, ...], float] = {}
        for number in range(jobs):
            copy = Copy(Path(scratch).resolve() / str(number))
            usual = sound(copy, mutants) if number == 0 else usual
            free.put(copy)

        def one(mutant: Mutant) -> Trial:
            copy = free.get()
            try:
                return copy.trial(mutant, usual[mutant.tests])
            finally:
                free.put(copy)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(one, mutants)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", metavar="PATTERN", default="", help="mutants whose id or file holds this")
    parser.add_argument("--jobs", type=int, default=1, help="copies of the tree that are tried side by side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what became of each mutant")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the same as a page")
    asked = parser.parse_args()
    listed = read_list()
    if wrong := faults(listed):
        print("\n".join(wrong), file=sys.stderr)
        return 2
    mutants = [m for m in listed if asked.only in m.id or asked.only in m.file]
    if not mutants:
        print(f"no mutant holds {asked.only!r}", file=sys.stderr)
        return 2
    trials = []
    for trial in tried(mutants, max(1, asked.jobs)):
        trials.append(trial)
        print(
            f"{judged(trial):<26} {trial.seconds:6.1f} s  {trial.id:<38} {trial.noticed or trial.survives}", flush=True
        )
    print(summary(trials))
    if asked.json:
        asked.json.write_text(json.dumps([asdict(trial) for trial in trials], indent=1) + "\n", "utf-8")
    if asked.markdown:
        asked.markdown.write_text(markdown(trials), "utf-8")
    unexplained = [t.id for t in trials if (t.status == "survived") != bool(t.survives)]
    for name in unexplained:
        print(f"{name}: write the test that notices, or the reason into tests/mutants.toml", file=sys.stderr)
    killed = sum(trial.status != "survived" for trial in trials)
    return 0 if not unexplained and killed >= ENOUGH * len(trials) else 1


if __name__ == "__main__":
    sys.exit(main())
