"""What an architecture refuses, whoever wrote it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.errors import BackmixError, PlanError
from backmix.models import Architecture

FINE = Architecture(
    features=7,
    lookback=30,
    cell="lstm",
    units=(8, 4),
    dense=(5,),
    head="classes",
    outputs=3,
    masked=True,
    summaries=True,
    dropout=0.2,
)


def test_round_trip_through_json() -> None:
    assert Architecture.from_dict(json.loads(json.dumps(FINE.to_dict()))) == FINE


REFUSED = [
    ("units", [5000], "architecture — units is [5000]. Allowed: 1 ... 16 layers of 1 ... 4096"),
    ("units", [], "architecture — units is []. Allowed: 1 ... 16 layers of 1 ... 4096"),
    ("units", "64", "architecture — units is '64'. Allowed: 1 ... 16 layers of 1 ... 4096"),
    ("units", [True], "architecture — units is [True]. Allowed: 1 ... 16 layers of 1 ... 4096"),
    ("units", [[[1]]], "architecture — units is [[...]]. Allowed: 1 ... 16 layers of 1 ... 4096"),
    ("dense", [1] * 17, "architecture — dense is [1, 1, 1, 1, 1, 1]. Allowed: 0 ... 16 layers of 1 ... 4096"),
    ("features", 0, "architecture — features is 0. Allowed: 1 ... 65536"),
    ("features", 7.0, "architecture — features is 7.0. Allowed: 1 ... 65536"),
    ("features", 10**4000, "architecture — features is a huge number. Allowed: 1 ... 65536"),
    ("lookback", -1, "architecture — lookback is -1. Allowed: 1 ... 1000000"),
    ("outputs", None, "architecture — outputs is None. Allowed: 1 ... 4096"),
    ("dropout", 1, "architecture — dropout is 1. Allowed: 0 ... 0.9"),
    ("dropout", float("nan"), "architecture — dropout is nan. Allowed: 0 ... 0.9"),
    ("dropout", "0.1", "architecture — dropout is '0.1'. Allowed: 0 ... 0.9"),
    ("masked", 1, "architecture — masked is 1. Allowed: true, false"),
    ("cell", "Lambda", "architecture — cell is 'Lambda'. Allowed: gru, lstm, simple_rnn"),
    ("cell", {"class_name": "Lambda"}, "architecture — cell is {...}. Allowed: gru, lstm, simple_rnn"),
    ("head", "os.system", "architecture — head is 'os.system'. Allowed: binary, classes, number, numbers"),
    (
        "activation",
        "x" * 10**6,
        f"architecture — activation is '{'x' * 56}.... Allowed: tanh, relu, sigmoid, hard_sigmoid, linear",
    ),
    ("outputs", 1, "head 'classes' cannot have 1 outputs. It takes 2 to 4096"),
]


@pytest.mark.parametrize(("field", "value", "message"), REFUSED, ids=range(len(REFUSED)))
def test_row_36_out_of_bounds(field: str, value: object, message: str) -> None:
    """Row 36: a value that `to_dict` could not have written is refused by name, before anything is built."""
    with pytest.raises(PlanError) as caught:
        Architecture.from_dict({**FINE.to_dict(), field: value})
    assert str(caught.value) == message
    assert "\n" not in str(caught.value)


def test_row_36_unknown_and_missing_keys() -> None:
    names = ", ".join(FINE.to_dict())
    for wrong, got in [
        ({**FINE.to_dict(), "config": {}}, "'config'"),
        ([], "list"),
        (None, "NoneType"),
        ({k: v for k, v in FINE.to_dict().items() if k != "cell"}, "cell"),
    ]:
        with pytest.raises(PlanError) as caught:
            Architecture.from_dict(wrong)
        assert str(caught.value) == f"architecture — unknown or missing: {got}. It must have exactly: {names}"


def test_row_36_too_many_parameters() -> None:
    with pytest.raises(PlanError) as caught:
        Architecture(features=4096, cell="lstm", units=(4096,) * 16)
    assert str(caught.value) == (
        "the network would have 2147749889 parameters, more than 100000000. Use fewer or smaller layers: [model] units"
    )


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    PLAIN, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2))
)


@settings(max_examples=200, deadline=None)
@given(field=st.sampled_from(sorted(FINE.to_dict())), value=JSON)
def test_any_json_is_either_an_architecture_or_refused(field: str, value: object) -> None:
    """Whatever stands in a field, nothing but our own one-line error comes out."""
    result, said = None, ""
    try:
        result = Architecture.from_dict({**FINE.to_dict(), field: value})
    except BackmixError as fault:
        said = str(fault)
    assert "\n" not in said
    assert len(said) < 600
    if result is not None:
        assert Architecture.from_dict(json.loads(json.dumps(result.to_dict()))) == result
