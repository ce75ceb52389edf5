"""The rules of thumb: what they answer, and that they say what they are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.models import Architecture, ModelPlan
from backmix.text import sentences
from backmix.training.advice.choose import (
    LARGE_BATCH,
    Situation,
    advise,
    choose_batch_size,
    choose_cell,
    choose_dropout,
    choose_head_dropout,
    choose_units,
)


@pytest.mark.parametrize(
    ("rows", "samples", "budget", "cell", "reason"),
    [
        (10, 5_000, "ample", "gru", "advice.cell_short"),
        (30, 5_000, "tight", "gru", "advice.cell_middle"),
        (100, 5_000, "ample", "gru", "advice.cell_middle"),
        (101, 5_000, "ample", "lstm", "advice.cell_long"),
        (101, 5_000, "tight", "gru", "advice.cell_tight"),
        (400, 999, "ample", "gru", "advice.cell_few"),
    ],
)
def test_decision_tree(rows: int, samples: int, budget: str, cell: str, reason: str) -> None:
    """Course item 81: length, amount of data and budget give the cell."""
    found = choose_cell(rows, samples, budget)  # type: ignore[arg-type]
    assert (found.value, found.reason_key) == (cell, reason)


@pytest.mark.parametrize("rows", [1, 19, 20, 49, 50, 100, 101, 5000])
def test_size_follows_length_and_is_held_to_the_samples(rows: int) -> None:
    """Course item 82: longer windows get more units; few windows never do."""
    rich = [choose_units(n, 10**6).value for n in (rows, rows + 50)]
    assert sum(rich[0]) <= sum(rich[1])
    previous = 0
    for samples in (50, 500, 5_000, 50_000, 500_000):
        units = choose_units(rows, samples).value
        assert sum(units) >= previous
        assert max(units) <= (32 if samples < 2000 else 128)
        assert len(units) == 1 or samples >= 20_000
        previous = sum(units)


@settings(max_examples=100, deadline=None)
@given(samples=st.integers(1, 10**7), parameters=st.integers(1, 10**7))
def test_dropout_never_grows_with_data(samples: int, parameters: int) -> None:
    """Course item 84: between none and 0.3; more windows, less dropout."""
    rate = choose_dropout(samples, parameters).value
    assert 0 <= rate <= 0.3
    assert choose_dropout(2 * samples, parameters).value <= rate
    assert choose_dropout(samples, 2 * parameters).value >= rate


@pytest.mark.parametrize(("rows", "size"), [(20, 64), (50, 64), (51, 32), (100, 32), (101, 16)])
def test_batch_size_by_length(rows: int, size: int) -> None:
    """Course item 50."""
    assert choose_batch_size(rows).value == size
    assert choose_batch_size(rows, samples=50_000).value == size
    assert choose_batch_size(rows, samples=10**6).value == LARGE_BATCH
    assert choose_batch_size(rows, samples=30).value == 8


def test_what_the_plan_says_is_kept() -> None:
    plan = ModelPlan(
        cell="lstm",
        units=(3, 2),
        dropout=0.4,
        head_dropout=0.1,
        dense=(5,),
        summaries=True,
        recurrent_dropout=0.2,
        activation="relu",
        initializer="he_normal",
        reset_after=False,
        noise=0.0,
    )
    found = advise(plan, Situation(features=4, lookback=None, samples=100, masked=True, rows=60))
    assert found.architecture == Architecture(
        features=4,
        lookback=None,
        cell="lstm",
        units=(3, 2),
        dropout=0.4,
        head_dropout=0.1,
        dense=(5,),
        summaries=True,
        recurrent_dropout=0.2,
        activation="relu",
        initializer="he_normal",
        reset_after=False,
        masked=True,
    )
    assert [c.setting for c in found.decisions] == ["model.recurrent_dropout", "model.activation"]


def test_few_windows_get_a_small_gru_held_back() -> None:
    """Course item 81: fewer than a thousand windows, so a GRU, small, with stronger regularisation."""
    found = advise(ModelPlan(), Situation(features=50, lookback=120, samples=400)).architecture
    assert found.cell == "gru"
    assert found.units == (32,)
    classes = Situation(features=50, lookback=120, samples=400, head="classes", outputs=5)
    assert advise(ModelPlan(), classes).architecture.dropout == 0.3


@settings(max_examples=60, deadline=None)
@given(
    features=st.integers(1, 200),
    rows=st.integers(1, 2000),
    samples=st.integers(1, 10**6),
    classes=st.integers(0, 30),
    budget=st.sampled_from(["tight", "ample"]),
)
def test_advice_answers_any_situation(features: int, rows: int, samples: int, classes: int, budget: str) -> None:
    """Every reason can be said in both languages and is marked as a rule of thumb: letter L."""
    head, outputs = ("number", 1) if classes < 2 else ("classes", classes)
    situation = Situation(features=features, lookback=rows, samples=samples, head=head, outputs=outputs, budget=budget)  # type: ignore[arg-type]
    found = advise(ModelPlan(), situation)
    assert {c.setting for c in found.decisions} == {
        "model.cell",
        "model.units",
        "model.summaries",
        "model.head_dropout",
        "model.dropout",
        "model.noise",
    }
    for decision in (*found.decisions, choose_batch_size(rows, samples=samples)):
        assert "rule of thumb" in decision.reason("en")
        assert "經驗法則" in decision.reason("zh_TW")
        assert "None" not in decision.reason("en")


def test_every_sentence_of_the_advice_says_what_it_is() -> None:
    """Letter L: "GRU is 25 % faster", "LSTM above 100 steps" are rules of thumb, and no speed is promised."""
    for name, texts in sentences("advice").items():
        assert "(rule of thumb" in texts["en"], name
        assert "（經驗法則" in texts["zh_TW"], name
        assert "25" not in texts["en"], name


def test_dropout_spares_numbers() -> None:
    assert choose_dropout(100, 10_000, kind="regression").value == 0.0
    assert choose_head_dropout("regression", summaries=True).value == 0.0
    assert choose_head_dropout("binary", summaries=False).value == 0.0


def test_wishes_of_a_task_stand_where_the_plan_says_auto() -> None:
    """Course items 28, 29: a task asks for decoder, noise and teaching; what the plan names is kept."""
    wishes = {"decoder": "states", "noise": 0.1, "teacher_forcing": 0.5}
    situation = Situation(
        features=3,
        lookback=20,
        samples=500,
        head="numbers",
        outputs=2,
        answer="path",
        horizon=6,
        future=1,
        shape=wishes,
    )
    found = advise(ModelPlan(), situation)
    a = found.architecture
    assert (a.answer, a.horizon, a.future, a.decoder, a.noise, a.teacher_forcing) == ("path", 6, 1, "states", 0.1, 0.5)
    said = {decision.setting: decision for decision in reversed(found.decisions)}  # the choice, then what it costs
    assert {"model.decoder", "model.noise", "model.teacher_forcing"} <= set(said)
    for setting in ("model.decoder", "model.noise", "model.teacher_forcing", "model.summaries"):
        assert "rule of thumb" in said[setting].reason("en")
        assert "經驗法則" in said[setting].reason("zh_TW")
    own = advise(ModelPlan(decoder="none", noise=0.0), situation)  # and then there is nothing to teach
    assert (own.architecture.decoder, own.architecture.noise, own.architecture.teacher_forcing) == ("none", 0.0, 0.0)
    assert not {"model.noise", "model.teacher_forcing"} & {decision.setting for decision in own.decisions}


@pytest.mark.parametrize("answer", ["row", "path", "every", "window"])
@pytest.mark.parametrize("wish", ["none", "repeat", "states", "attention"])
@pytest.mark.parametrize("body", ["recurrent", "transformer"])
def test_advice_goes_together_whatever_is_open(answer: str, wish: str, body: str) -> None:
    """Where the plan leaves all open, no answer, wish or body makes an architecture that is refused."""
    for head, outputs in (("numbers", 3), ("classes", 3)):
        for samples in (100, 500_000):
            found = advise(
                ModelPlan(body=body),
                Situation(  # type: ignore[arg-type]
                    features=3,
                    lookback=60,
                    samples=samples,
                    head=head,
                    outputs=outputs,
                    answer=answer,
                    horizon=4 if answer == "path" else 1,
                    shape={"decoder": wish, "noise": 0.1, "teacher_forcing": 0.3},
                ),
            )
            assert found.architecture.answer == answer
            assert (found.architecture.decoder == "none") == (answer in ("row", "every") or wish == "none")
            for decision in found.decisions:
                assert decision.reason("en")
                assert decision.reason("zh_TW")


def test_a_form_of_the_plan_reaches_the_architecture() -> None:
    plan = ModelPlan(bidirectional=True, layer_norm=True, residual=True, attention=True, attention_heads=2)
    a = advise(plan, Situation(features=3, lookback=20, samples=500)).architecture
    assert (a.bidirectional, a.layer_norm, a.residual, a.attention, a.attention_heads) == (True, True, True, True, 2)
    wide = advise(ModelPlan(body="transformer", attention_heads=3), Situation(features=3, lookback=20, samples=500))
    assert (wide.architecture.body, wide.architecture.units) == ("transformer", (30,))
    assert "model.cell" not in {decision.setting for decision in wide.decisions}
