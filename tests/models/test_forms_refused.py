"""Which settings do not go together, and how that is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from backmix.errors import PlanError
from backmix.models import Architecture, ModelPlan
from backmix.models.body.fast_path import leaves_fast_path
from backmix.text import LANGUAGES, say
from backmix.training.plan import Plan, PlanFaults

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"decoder": "states"},
        '[model] decoder = "states" gives a path or a window, but the answer is "row". Set decoder = "none", or choose '
        "a task that forecasts several steps or rebuilds the window",
    ),
    ({"horizon": 3}, 'horizon = 3 needs steps ahead, but the answer is "row". Use answer = "path", or horizon = 1'),
    (
        {"answer": "window", "future": 2},
        'future = 2 inputs known ahead need steps ahead, but the answer is "window". Use answer = "path", or no inputs '
        "known ahead",
    ),
    (
        {"answer": "every", "bidirectional": True},
        "[model] bidirectional = true does not go with an answer at every row: the backward layer would show each row "
        "what comes after it. Set bidirectional = false",
    ),
    (
        {"answer": "every", "attention": True},
        '[model] attention = true does not go with the answer "every": it looks at the whole window at once, and would '
        "show each row what comes after it. Set attention = false",
    ),
    (
        {"answer": "every", "summaries": True},
        '[model] summaries = true does not go with the answer "every": it looks at the whole window at once, and would '
        "show each row what comes after it. Set summaries = false",
    ),
    (
        {"answer": "path", "decoder": "repeat", "teacher_forcing": 0.5},
        '[model] teacher_forcing needs a decoder that sees what it said before, but decoder is "repeat". Use decoder = '
        '"states" or "attention", or teacher_forcing = 0',
    ),
    (
        {"answer": "path", "decoder": "attention", "summaries": True},
        '[model] summaries = true does not go with decoder = "attention", which starts from the encoder\'s states. Set '
        'summaries = false, or use decoder = "repeat" (for attention at every step: decoder = "attention")',
    ),
    (
        {"body": "transformer", "units": (32, 16)},
        "[model] units of a Transformer must be equal, one per block, but are 32, 16. Use for instance [32, 32]",
    ),
    (
        {"body": "transformer", "units": (30,)},
        "[model] attention_heads = 4 does not divide the width 30 of the Transformer. Choose units that are a multiple "
        "of 4, or other attention_heads",
    ),
    (
        {"body": "transformer", "residual": True},
        "[model] residual is for recurrent layers; a Transformer is causal, normalised and residual by itself. Leave "
        'residual out, or use body = "recurrent"',
    ),
    (
        {"body": "transformer", "answer": "path", "decoder": "states"},
        '[model] decoder = "states" takes over recurrent states, which a Transformer has not. Use decoder = "attention" '
        'or "repeat", or body = "recurrent"',
    ),
    ({"noise": -1}, "architecture — noise is -1. Allowed: 0 ... 10.0"),
    ({"teacher_forcing": 1.5}, "architecture — teacher_forcing is 1.5. Allowed: 0 ... 1"),
    ({"attention_heads": 0}, "architecture — attention_heads is 0. Allowed: 1 ... 64"),
    ({"horizon": 0}, "architecture — horizon is 0. Allowed: 1 ... 10000"),
    ({"body": "cnn"}, "architecture — body is 'cnn'. Allowed: recurrent, transformer"),
    ({"answer": "all"}, "architecture — answer is 'all'. Allowed: row, path, every, window"),
    ({"decoder": "beam"}, "architecture — decoder is 'beam'. Allowed: none, repeat, states, attention"),
    ({"residual": 1}, "architecture — residual is 1. Allowed: true, false"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_does_not_go_together(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        Architecture(features=2, **fields)
    assert str(caught.value) == message
    for lang in LANGUAGES:
        assert "\n" not in say(caught.value.key, lang, **caught.value.values)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"noise": 11.0}, "noise lies between 0 and 10.0 standard deviations of an input"),
        ({"teacher_forcing": -0.1}, "teacher_forcing is a share between 0 and 1"),
        ({"attention_heads": 65}, "attention_heads lies between 1 and 64"),
        ({"decoder": "beam"}, "Input should be 'auto', 'none', 'repeat', 'states' or 'attention'"),
        ({"body": "cnn"}, "Input should be 'recurrent' or 'transformer'"),
    ],
)
def test_a_plan_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelPlan.model_validate(fields)
    assert message in str(caught.value)


def test_both_ways_cannot_run_live() -> None:
    """Course item 87: a live model carries its state from row to row, and a backward layer has none to carry."""
    with pytest.raises(PlanFaults) as caught:
        Plan.parse("[model]\nbidirectional = true\n")
    assert (
        "[model] bidirectional = true cannot be stepped: every new row changes the whole backward pass, so that no "
        "state can be carried from row to row in a live model. Set bidirectional = false, or online = false"
    ) in str(caught.value)
    assert Plan.parse("online = false\n[model]\nbidirectional = true\n").model.bidirectional
    assert Plan.parse('[model]\nlayer_norm = true\nattention = true\nbody = "transformer"\n').online


def test_a_plan_of_any_form_comes_back_from_toml() -> None:
    text = (
        "online = false\n[model]\nbidirectional = true\nlayer_norm = true\nresidual = true\nattention = true\n"
        'attention_heads = 2\nnoise = 0.1\ndecoder = "repeat"\nteacher_forcing = 0.25\n'
    )
    plan = Plan.parse(text)
    assert Plan.parse(plan.to_toml()) == plan
    assert plan.model.noise == 0.1


def test_what_leaves_the_kernels() -> None:
    """Course item 41: a decoder that sees what it said runs in Keras's loop, and that is said."""
    a = Architecture(features=2, answer="path", horizon=2, decoder="states")
    (decision,) = leaves_fast_path(a)
    assert (decision.setting, decision.value) == ("model.decoder", "states")
    assert decision.reason("en") == "a decoder that sees what it said before runs step by step in Keras's own loop"
    assert (
        leaves_fast_path(Architecture(features=2, answer="path", horizon=2, decoder="repeat", bidirectional=True)) == ()
    )
    assert leaves_fast_path(Architecture(features=2, body="transformer", cell="simple_rnn")) == ()
