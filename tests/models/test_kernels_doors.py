"""What the kernels' door does with hostile arrays: an error that names the fault, or the right answer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import recurrent
from backmix import native
from backmix.models.kernels import KernelForm
from recurrent import ORDER, PULLS, Case, make_case

B, T, F, H = 5, 6, 3, 4
FORMS = [KernelForm("simple_rnn"), KernelForm("lstm"), KernelForm("gru"), KernelForm("gru", reset_after=False)]
REFUSED = (ValueError, TypeError)


def small(form: KernelForm = FORMS[1], **settings) -> Case:
    return make_case(form, (B, T, F, H), seed=0, **settings)


def with_(case: Case, **arrays) -> Case:
    return replace(case, arrays={**case.arrays, **arrays})


def zeros(*shape: int):
    return np.zeros(shape, np.float32)


def huge(*shape: int):
    """An array that claims to be enormous and owns one number."""
    return np.lib.stride_tricks.as_strided(zeros(1), shape, (0,) * len(shape))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("x", zeros(0, T, F), "batch, steps, features and units must be at least 1, got 0, 6, 3, 4"),
        ("x", zeros(B, 0, F), "batch, steps, features and units must be at least 1, got 5, 0, 3, 4"),
        ("x", zeros(B, T, 0), "batch, steps, features and units must be at least 1, got 5, 6, 0, 4"),
        ("recurrent", zeros(0, 4 * H), "batch, steps, features and units must be at least 1, got 5, 6, 3, 0"),
        ("x", zeros(B, T), r"x must be \(B, T, F\), recurrent \(H, G H\)"),
        ("x", zeros(B, T, F, 1), r"x must be \(B, T, F\)"),
        ("x", zeros(), r"x must be \(B, T, F\)"),
        ("recurrent", zeros(4 * H * H), r"recurrent \(H, G H\)"),
        ("recurrent", zeros(1, H, 4 * H), r"recurrent \(H, G H\)"),
        ("x", zeros(2**40, 0, F), "must be at least 1"),
        ("kernel", zeros(0), "kernel has 0 numbers, 48 are needed"),
        ("kernel", zeros(F, 4 * H + 1), "kernel has 51 numbers, 48 are needed"),
        ("kernel", zeros(F + 1, 4 * H), "kernel has 64 numbers, 48 are needed"),
        ("recurrent", zeros(H, 4 * H - 1), "recurrent has 60 numbers, 64 are needed"),
        ("bias", zeros(1), "bias has 1 numbers, 16 are needed"),
        ("bias", zeros(2, 4 * H), "bias has 32 numbers, 16 are needed"),
        ("h0", zeros(B, H + 1), "h0 has 25 numbers, 20 are needed"),
        ("h0", zeros(1, H), "h0 has 4 numbers, 20 are needed"),
        ("c0", zeros(B - 1, H), "c0 has 16 numbers, 20 are needed"),
        ("seen", np.ones((B, T - 1), bool), "seen has 25 numbers, 30 are needed"),
        ("seen", np.ones(1, bool), "seen has 1 numbers, 30 are needed"),
        ("x_mask", zeros(2, B, F), "x_mask has 30 numbers, 60 are needed"),
        ("h_mask", zeros(3, B, H), "h_mask has 60 numbers, 80 are needed"),
    ],
)
def test_wrong_sizes_are_refused(name: str, array, message: str) -> None:
    case = small()
    h, _, _, activations = recurrent.forward(case)
    wrong = with_(case, **{name: array})
    with pytest.raises(ValueError, match=message):
        recurrent.forward(wrong)
    with pytest.raises(ValueError, match=message):
        recurrent.backward(wrong, h, activations)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("h", zeros(B, T, H - 1), "h has 90 numbers, 120 are needed"),
        ("h", zeros(0, T, H), "h has 0 numbers, 120 are needed"),
        ("kept", zeros(0), "kept has 0 numbers"),
        ("kept", zeros(1), "kept has 1 numbers"),
        ("dh", zeros(B, H), "dh has 20 numbers, 120 are needed"),
        ("dh_last", zeros(1), "dh_last has 1 numbers, 20 are needed"),
        ("dc_last", zeros(B, T, H), "dc_last has 120 numbers, 20 are needed"),
    ],
)
def test_wrong_sizes_on_the_way_back_are_refused(name: str, array, message: str) -> None:
    case = small()
    h, _, _, activations = recurrent.forward(case)
    left = {"h": h, "kept": activations} | ({name: array} if name in ("h", "kept") else {})
    pulls = {**case.pulls, **({name: array} if name in PULLS else {})}
    with pytest.raises(ValueError, match=message):
        recurrent.backward(replace(case, pulls=pulls), left["h"], left["kept"])


@pytest.mark.parametrize("name", ORDER)
def test_other_layouts_and_types_are_refused_or_converted(name: str) -> None:
    """Not contiguous, float64, integers, big-endian: an error, or what NumPy's own conversion gives, never rubbish."""
    case = small(mask="right", counts=(1, 1))
    right = case.arrays[name]
    frozen = right.copy()
    frozen.flags.writeable = False
    same = [
        np.repeat(right, 2, axis=-1)[..., ::2],
        np.asfortranarray(right),
        right.astype(np.float64),
        frozen,
        right[::-1].copy()[::-1],
        np.stack([right, right], axis=-1)[..., 0],
    ]
    changed = [
        right.astype(np.int32),
        right.astype(bool),
        right.astype(np.float16),
        right.astype(">f4"),
        np.lib.stride_tricks.as_strided(right, right.shape, (0,) * right.ndim),
    ]
    for array in same + changed:
        plain = with_(case, **{name: np.ascontiguousarray(array, dtype=right.dtype)})
        try:
            outputs = recurrent.forward(with_(case, **{name: array}))
        except REFUSED:
            continue
        for ours, theirs in zip(outputs, recurrent.forward(plain), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ORDER)
def test_what_are_no_real_numbers_is_refused(name: str) -> None:
    case = small(mask="right", counts=(1, 1))
    right = case.arrays[name]
    none = [None] if name in ("x", "kernel", "recurrent") else []
    for array in [
        right.astype(np.complex64),
        right.astype(object),
        right.astype(str),
        right.tolist(),
        "text",
        1.0,
        right.astype("datetime64[s]"),
        np.zeros(right.shape, [("a", "f4")]),
        *none,
    ]:
        with pytest.raises(TypeError, match="incompatible function arguments"):
            recurrent.forward(with_(case, **{name: array}))


@pytest.mark.parametrize("shape", [(2**44, T, F), (2**30, 2**30, 1), (2**20, 2**20, 2**20), (2**60, 1, 1)])
def test_views_that_claim_to_be_enormous_are_refused(shape: tuple[int, ...]) -> None:
    """They own one number; the product of their sizes is beyond memory and near the end of int64."""
    for name in ORDER:
        with pytest.raises(REFUSED):
            recurrent.forward(with_(small(mask="right", counts=(1, 1)), **{name: huge(*shape)}))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, 7, r"cell must be 0 \(simple_rnn\), 1 \(lstm\) or 2 \(gru\), got 7"),
        (0, -1, "cell must be 0"),
        (0, 2**32 + 1, "cell must be 0"),
        (1, 5, "an activation must be 0 ... 4"),
        (1, -1, "an activation must be 0 ... 4"),
        (2, 99, "an activation must be 0 ... 4"),
        (5, 0, "tiles must be between batch / .* and batch, got 0"),
        (5, -3, "tiles must be between"),
        (5, B + 1, "tiles must be between"),
        (5, 2**62, "tiles must be between"),
        (6, 0, "tiles must be between"),
        (6, -1, "tiles must be between"),
    ],
)
def test_wrong_forms_are_refused(place: int, value: int, message: str) -> None:
    case = small()
    h, _, _, activations = recurrent.forward(case)
    numbers = [value if at == place else n for at, n in enumerate(case.numbers)]
    with pytest.raises(ValueError, match=message):
        recurrent.forward(replace(case, numbers=numbers))
    with pytest.raises(ValueError, match=message):
        recurrent.backward(replace(case, numbers=numbers), h, activations)


def test_forms_of_other_lengths_are_refused() -> None:
    case = small()
    for numbers in ([], case.numbers[:6], [*case.numbers, 0], [1] * 10_000):
        with pytest.raises(ValueError, match="form must have 7 numbers"):
            recurrent.forward(replace(case, numbers=numbers))
    for strange in (None, 3, "1111111", [None] * 7, [0.5] * 7, [2**70] * 7):
        with pytest.raises(TypeError):
            recurrent.forward(replace(case, numbers=strange))  # type: ignore[arg-type]


def test_more_slots_than_tiles_are_as_many_as_tiles() -> None:
    case = small()
    h, _, _, activations = recurrent.forward(case)
    most, more = (replace(case, numbers=[*case.numbers[:5], 2, slots]) for slots in (2, 2**62))
    h, _, _, activations = recurrent.forward(most)
    for name, array in recurrent.backward(most, h, activations).items():
        np.testing.assert_array_equal(recurrent.backward(more, h, activations)[name], array)


def test_too_few_tiles_for_the_rows_are_refused() -> None:
    """A tile holds a few rows only: more would be written behind its memory."""
    case = make_case(FORMS[1], (70, 2, 2, 3), seed=0)
    with pytest.raises(ValueError, match="tiles must be between"):
        recurrent.forward(replace(case, numbers=[*case.numbers[:5], 1, 1]))


@pytest.mark.parametrize(
    "call",
    [
        "tiles(8, 0)",
        "tiles(8, -3)",
        "tiles(0, 2)",
        "tiles(-8, 2)",
        "tiles(2**63 - 1, 2)",
        "kept_size(1, True, 2**62, 2**62, 100)",
        "kept_size(7, True, 2, 2, -5)",
        "kept_size(1, True, 2, 3, 2**63 - 1)",
        "limit_threads(-2)",
        "limit_threads(2**31 - 1)",
        "limit_threads(2**40)",
        "tiles(None, 1)",
    ],
)
def test_small_calls_never_crash(call: str) -> None:
    """In a process of its own, because a crash would end the tests."""
    code = (
        "from backmix.native import *\n"
        f"try: print({call})\nexcept (ValueError, TypeError, OverflowError) as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, (done.returncode, done.stderr)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e-42], ids=str)
@pytest.mark.parametrize("name", ["x", "h0"])
def test_strange_numbers_stay_in_their_row(form: KernelForm, name: str, value: float) -> None:
    """NaN in one row of a batch reaches no other row's outputs or gradients, and is not lost in its own."""
    case = small(form)
    plain, row = recurrent.run(case), 2
    array = case.arrays[name].copy()
    array[row, ..., 0] = value
    outputs = recurrent.run(with_(case, **{name: array}))
    others = np.arange(B) != row
    for ours, theirs in zip(outputs[:3], plain[:3], strict=True):
        if ours is not None:
            np.testing.assert_array_equal(ours[others], theirs[others])
    for of in ("x", "h0"):
        np.testing.assert_array_equal(outputs[3][of][others], plain[3][of][others])
    if np.isnan(value):
        assert np.isnan(outputs[0][row]).all()
        assert np.isnan(outputs[1][row]).all()
    else:
        assert not np.isnan(outputs[0][row]).any()


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38], ids=str)
def test_rubbish_in_padding_reaches_no_output(form: KernelForm, value: float) -> None:
    case = small(form, mask="right")
    x = case.arrays["x"].copy()
    x[~case.arrays["seen"]] = value
    for ours, theirs in zip(recurrent.run(with_(case, x=x))[:3], recurrent.run(case)[:3], strict=True):
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["kernel", "recurrent", "bias"])
def test_missing_weights_are_seen_in_every_row(name: str) -> None:
    """A NaN among the weights must not come out as a number."""
    for form in FORMS:
        case = small(form)
        outputs = recurrent.run(with_(case, **{name: np.full_like(case.arrays[name], np.nan)}))
        assert np.isnan(outputs[0]).all()
        assert np.isnan(outputs[3]["x"]).all()


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_denormals_count_as_zero_and_the_callers_mode_comes_back(form: KernelForm) -> None:
    case = small(form)
    tiny = {
        name: np.full_like(array, 1e-41) if isinstance(array, np.ndarray) else array
        for name, array in case.arrays.items()
    }
    outputs = recurrent.run(replace(case, arrays=tiny))
    assert np.abs(outputs[0]).max() <= 1e-38
    for array in outputs[3].values():
        assert np.isfinite(array).all()
    assert np.float32(1e-41) * np.float32(1.0) > 0  # the processor's mode is as it was


@pytest.mark.parametrize("act", ["tanh", "sigmoid", "relu", "hard_sigmoid", "linear"])
@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
def test_large_inputs_saturate(cell: str, act: str) -> None:
    """Arguments of 1e4 to 1e20 give what float64 gives: a bounded gate stays in its bounds."""
    case = small(KernelForm(cell, "tanh" if cell != "simple_rnn" else act, act if cell != "simple_rnn" else "sigmoid"))
    for size in (1e4, 1e20):
        if act in ("relu", "linear"):
            continue
        scaled = with_(case, x=(size * case.arrays["x"]).astype(np.float32))
        expected, *_ = recurrent.by_reference(scaled)
        assert np.abs(recurrent.forward(scaled)[0] - expected).max() <= 1e-5


def test_native_says_what_it_is() -> None:
    assert native.instruction_set() in {"avx512", "avx2", "neon", "portable"}
    assert native.threads() >= 1
    assert native.tiles(1, 1) == 1
