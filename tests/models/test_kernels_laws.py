"""Laws of the kernels: the same bits again, whatever the company, the machine's set, its threads or processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recurrent
from backmix import native
from backmix.models.kernels import GATES, KernelForm
from recurrent import Case, make_case

SHAPES = [("simple_rnn", True), ("lstm", True), ("gru", True), ("gru", False)]
FORMS = [KernelForm(cell, reset_after=reset_after) for cell, reset_after in SHAPES]
FORMS += [KernelForm("lstm", "relu", "hard_sigmoid", backwards=True), KernelForm("gru", "linear", "relu")]


def case_of(form: KernelForm, sizes: tuple[int, int, int, int] = (13, 8, 5, 21), **settings) -> Case:
    return make_case(form, sizes, seed=6, **settings)


def flat(found) -> list[np.ndarray]:
    return [array for array in (*found[:3], *found[3].values()) if array is not None]


@pytest.fixture
def limit():
    """Threads may be limited in a test; no test leaves a limit behind."""
    yield native.limit_threads
    native.limit_threads(0)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_again_gives_the_same_bits(form: KernelForm) -> None:
    case = case_of(form, (70, 12, 5, 21), mask="holes", counts=(1, GATES[form.cell]))
    first = flat(recurrent.run(case))
    for _ in range(5):
        for a, b in zip(first, flat(recurrent.run(case)), strict=True):
            assert a.tobytes() == b.tobytes()


@settings(max_examples=40, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    batch=st.integers(2, 40),
    rows=st.tuples(st.integers(0, 39), st.integers(1, 9)),
    mask=st.sampled_from(["none", "right", "holes"]),
)
def test_company_changes_nothing(form: KernelForm, batch: int, rows: tuple[int, int], mask: str) -> None:
    """Some rows of a batch alone: their outputs, states and gradients are what they were in company."""
    case = case_of(form, (batch, 6, 3, 9), mask=mask, counts=(1, 1))
    some = slice(rows[0] % batch, rows[0] % batch + rows[1])
    whole, alone = recurrent.run(case), recurrent.run(recurrent.part(case, some))
    for together, apart in zip(
        [*whole[:3], *(whole[3][n] for n in ("x", "h0"))],
        [*alone[:3], *(alone[3][n] for n in ("x", "h0"))],
        strict=True,
    ):
        if together is not None:
            assert np.abs(together[some] - apart).max() <= 1e-6


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_weights_gradients_add_up_over_rows(form: KernelForm) -> None:
    case = case_of(form, mask="right")
    whole = recurrent.run(case)[3]
    parts = [recurrent.run(recurrent.part(case, rows))[3] for rows in (slice(0, 4), slice(4, 5), slice(5, 13))]
    for name in recurrent.WEIGHTS:
        total = sum(p[name] for p in parts)
        assert np.abs(total - whole[name]).max() <= 1e-5 * np.abs(whole[name]).max()


@pytest.mark.parametrize("form", [form for form in FORMS if not form.backwards], ids=str)
@pytest.mark.parametrize("mask", ["none", "right"])
def test_padding_changes_nothing(form: KernelForm, mask: str) -> None:
    """More rows behind the mask, of large numbers: states and gradients are those of the shorter window."""
    case = case_of(form, mask=mask)
    batch, steps, features = case.arrays["x"].shape
    units, more = case.arrays["recurrent"].shape[0], 5
    visible = np.ones((batch, steps), bool) if mask == "none" else case.arrays["seen"]

    def longer(array, value: float):
        tail = np.full((batch, more, *array.shape[2:]), value, array.dtype)
        return np.concatenate([array, tail], axis=1)

    padded = replace(
        case,
        arrays={**case.arrays, "x": longer(case.arrays["x"], 1e3), "seen": longer(visible, False)},
        pulls={**case.pulls, "dh": longer(case.pulls["dh"], 0.0)},
    )
    short, long = recurrent.run(case), recurrent.run(padded)
    assert np.abs(short[0] - long[0][:, :steps]).max() <= 1e-6
    assert (long[0][:, steps:] == long[1][:, None]).all()
    for a, b in zip(short[1:3], long[1:3], strict=True):
        assert a is None or np.abs(a - b).max() <= 1e-6
    assert (long[3]["x"][:, steps:] == 0).all()
    for name, array in short[3].items():
        result = long[3][name][:, :steps] if name == "x" else long[3][name]
        assert np.abs(array - result).max() <= 1e-5 * max(1, np.abs(array).max()), name
    assert units == short[1].shape[1]
    assert features == padded.arrays["x"].shape[2]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_row_without_steps_hands_its_state_on(form: KernelForm) -> None:
    case = case_of(form)
    visible = np.ones((13, 8), bool)
    visible[3] = False
    h, last, c, gradients = recurrent.run(replace(case, arrays={**case.arrays, "seen": visible}))
    np.testing.assert_array_equal(last[3], case.arrays["h0"][3])
    np.testing.assert_array_equal(h[3], np.repeat(case.arrays["h0"][3][None], 8, axis=0))
    assert (gradients["x"][3] == 0).all()
    np.testing.assert_allclose(gradients["h0"][3], case.pulls["dh"][3].sum(0) + case.pulls["dh_last"][3], atol=1e-5)
    if c is not None:
        np.testing.assert_array_equal(c[3], case.arrays["c0"][3])
        np.testing.assert_array_equal(gradients["c0"][3], case.pulls["dc_last"][3])


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_backwards_is_forwards_on_the_mirrored_window(form: KernelForm) -> None:
    case = case_of(form, mask="holes", counts=(1, 1))
    mirrored = {name: np.ascontiguousarray(case.arrays[name][:, ::-1]) for name in ("x", "seen")}
    changed = replace(form, backwards=not form.backwards)
    turned = replace(case, form=changed, arrays={**case.arrays, **mirrored}, numbers=changed.numbers(13))
    here, there = recurrent.run(case), recurrent.run(turned)
    there[3]["x"] = there[3]["x"][:, ::-1]
    for a, b in zip(flat(here), flat(there), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_carried_state_equals_the_whole_window(form: KernelForm) -> None:
    """A window cut in two, states handed over: the same outputs and states."""
    if form.backwards:
        form = replace(form, backwards=False)
    case = case_of(form)
    h, last, c, _ = recurrent.run(case)
    x = case.arrays["x"]
    for cut in (1, 3, 7):
        ends = [np.ascontiguousarray(x[:, :cut]), np.ascontiguousarray(x[:, cut:])]
        one = recurrent.forward(replace(case, arrays={**case.arrays, "x": ends[0]}))
        state = {"h0": one[1], "c0": one[2] if c is not None else None}
        two = recurrent.forward(replace(case, arrays={**case.arrays, "x": ends[1], **state}))
        assert np.abs(np.concatenate([one[0], two[0]], axis=1) - h).max() <= 1e-6
        assert np.abs(two[1] - last).max() <= 1e-6
        assert c is None or np.abs(two[2] - c).max() <= 1e-6


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_threads_change_nothing(form: KernelForm, limit) -> None:
    collected = {}
    for threads in (1, 2, 1, 2):
        limit(threads)
        case = case_of(form, (40, 12, 5, 21), mask="right", counts=(GATES[form.cell], 1))
        new = flat(recurrent.run(case))
        for a, b in zip(collected.setdefault(threads, new), new, strict=True):
            assert a.tobytes() == b.tobytes()
    for a, b in zip(collected[1], collected[2], strict=True):
        assert np.abs(a - b).max() <= 1e-6 * max(1, np.abs(a).max())


def test_a_compiled_cut_keeps_its_bits_on_fewer_threads(limit) -> None:
    """The cut is part of a compiled program: a limit set later changes the time, not the bits."""
    case = case_of(FORMS[1], (40, 12, 5, 21))
    case = replace(case, numbers=[*case.numbers[:5], 10, 2])
    before = flat(recurrent.run(case))
    limit(1)
    for a, b in zip(before, flat(recurrent.run(case)), strict=True):
        assert a.tobytes() == b.tobytes()


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
from backmix import native
from backmix.models.kernels import KernelForm
import recurrent
found = {{}}
for n, form in enumerate({forms!r}):
    case = recurrent.make_case(form, (13, 8, 5, 21), seed=6, mask="holes", counts=(1, 1))
    h, last, c, gradients = recurrent.run(case)
    found.update({{f"{{n}} {{k}}": v for k, v in dict(gradients, h=h, last=last).items()}})
np.savez({out!r}, name=native.instruction_set(), threads=native.threads(), **found)
"""


def start(out: Path, **environment: str) -> subprocess.Popen[str]:
    """The same work in a process of its own."""
    program = PROGRAM.format(tests=str(Path(recurrent.__file__).parent), forms=FORMS, out=str(out))
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        text=True,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def finish(process: subprocess.Popen[str], out: Path) -> dict[str, np.ndarray]:
    try:
        _, printed = process.communicate(timeout=200)
    finally:
        process.kill()
    assert process.returncode == 0, printed
    with np.load(out) as file:
        return dict(file)


def test_instruction_sets_change_nothing(tmp_path: Path) -> None:
    """Every set that this machine runs gives the same to 1e-6 of what may be 1; unknown names choose the best."""
    names = ["avx512", "avx2", "portable", "neon", "no such set"]
    runs = [(tmp_path / f"{name}.npz", start(tmp_path / f"{name}.npz", BACKMIX_ISA=name)) for name in names]
    result = {str(r["name"]): r for r in (finish(process, out) for out, process in runs)}
    assert native.instruction_set() in result or os.environ.get("BACKMIX_ISA")
    first = result.pop(next(iter(result)))
    for name, changed in result.items():
        for key in first.keys() - {"name", "threads"}:
            scale = max(1, np.abs(first[key]).max())
            assert np.abs(first[key] - changed[key]).max() <= 1e-6 * scale, (name, key)


def test_two_processes_at_once_finish(tmp_path: Path) -> None:
    runs = [(tmp_path / f"{n}.npz", start(tmp_path / f"{n}.npz")) for n in range(2)]
    first, second = (finish(process, out) for out, process in runs)
    for key, array in first.items():
        np.testing.assert_array_equal(array, second[key])


def test_a_limit_on_threads_comes_from_the_environment(tmp_path: Path) -> None:
    out = tmp_path / "one.npz"
    assert int(finish(start(out, BACKMIX_THREADS="1"), out)["threads"]) == 1


def test_forks_compute(tmp_path: Path) -> None:
    """A child made after the kernels and their threads were used computes what its parent did."""
    program = PROGRAM.format(tests=str(Path(recurrent.__file__).parent), forms=FORMS, out=str(tmp_path / "mine.npz"))
    program += """
import os
case = recurrent.make_case(KernelForm("lstm"), (70, 8, 5, 21), seed=6)
before = recurrent.run(case)[0]
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(before, recurrent.run(case)[0]) else 3)
    children.append(child)
after = recurrent.run(case)[0]
assert np.array_equal(before, after)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert codes == [0, 0, 0], codes
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr


def test_python_threads_at_once_get_their_own_results() -> None:
    cases = [make_case(form, (20, 8, 4, 10 + n), seed=n, mask="right") for n, form in enumerate(FORMS)]
    expected, wrong = [flat(recurrent.run(case)) for case in cases], []

    def work(n: int) -> None:
        for _ in range(20):
            outputs = flat(recurrent.run(cases[n]))
            if any(a.tobytes() != b.tobytes() for a, b in zip(outputs, expected[n], strict=True)):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=200)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong
