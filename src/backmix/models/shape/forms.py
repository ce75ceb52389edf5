"""Which fields of an architecture go together.

This module refuses combinations that make no sense and says how to mend them. It also lists the settings of an
architecture that the light runtime or plain Keras cannot run.
"""

from __future__ import annotations

from backmix.errors import PlanError
from backmix.models.cells import cells
from backmix.models.shape.network_shape import STEPPED, NetworkShape


def check_form(a: NetworkShape) -> None:
    """Raise PlanError (forms.*) unless the fields of the architecture go together."""
    _check_answer(a)
    _check_decoder(a)
    if a.skip and (a.lookback is None or a.by_row or a.decoder != "none" or a.dense):
        raise PlanError("ensemble.skip_rows")
    if a.body == "transformer":
        _check_transformer(a)


def beyond_light(a: NetworkShape) -> tuple[str, ...]:
    """The settings of an architecture that only Keras can run, as a plan writes them; () for none.

    >>> beyond_light(NetworkShape(features=2, bidirectional=True, residual=True))
    ('bidirectional = true', 'residual = true')
    """
    recurrent = a.body == "recurrent" and not cells.get(a.cell).light
    switches = ([f'cell = "{a.cell}"'] if recurrent else []) + [
        f"{name} = true"
        for name in ("bidirectional", "layer_norm", "residual", "attention", "skip")
        if getattr(a, name)
    ]
    # an answer on every row is, row by row, the answer of a window that ends there
    named = [
        f'{name} = "{getattr(a, name)}"'
        for name, plain in (("body", ("recurrent",)), ("answer", ("row", "every")), ("decoder", ("none",)))
        if getattr(a, name) not in plain
    ]
    return (*switches, *named, *([f"future = {a.future}"] if a.future else []))


def beyond_keras(a: NetworkShape) -> tuple[str, ...]:
    """The settings of an architecture that need layers of ours, which plain Keras cannot open; () for none.

    >>> beyond_keras(NetworkShape(features=2, bidirectional=True, attention=True))
    ('attention = true',)
    """
    return tuple(
        setting
        for setting, own in (
            ("attention = true", a.attention),
            ('body = "transformer"', a.body == "transformer"),
            (f'decoder = "{a.decoder}"', a.feedback),
        )
        if own
    )


def check_carries(a: NetworkShape) -> None:
    """PlanError (carried.form) unless the last state at a row is all that its answer needs."""
    beyond = [form for form in beyond_light(a) if not form.startswith(("layer_norm", "residual"))]
    beyond += [f"{name} = true" for name in ("summaries", "masked") if getattr(a, name)]
    if beyond:
        raise PlanError("carried.form", form=", ".join(beyond))


def describe(a: NetworkShape) -> str:
    """A network in a line: body, sizes, and what its form adds.

    >>> describe(NetworkShape(features=2, units=(64, 32), bidirectional=True))
    'gru 64 → 32, bidirectional'
    >>> describe(NetworkShape(features=2, units=(16,), answer="path", horizon=6, decoder="states"))
    'gru 16, decoder states'
    """
    more = [name for name in ("bidirectional", "layer_norm", "residual", "attention") if getattr(a, name)]
    if a.decoder != "none":
        more.append(f"decoder {a.decoder}")
    return ", ".join([f"{a.called} {' → '.join(map(str, a.units))}", *more])


def _check_answer(a: NetworkShape) -> None:
    if a.answer != "path" and a.horizon != 1:
        raise PlanError("forms.horizon_needs_path", horizon=a.horizon, answer=a.answer)
    if a.answer != "path" and a.future:
        raise PlanError("forms.future_needs_path", future=a.future, answer=a.answer)
    if a.answer == "every" and a.bidirectional:
        raise PlanError("forms.every_both_ways")
    if a.by_row:
        for field in ("attention", "summaries"):
            if getattr(a, field):
                raise PlanError("forms.rows_without", field=field, answer=a.answer)


def _check_decoder(a: NetworkShape) -> None:

    if a.decoder != "none" and a.answer not in STEPPED:
        raise PlanError("forms.decoder_needs_steps", decoder=a.decoder, answer=a.answer)
    if a.teacher_forcing and not a.feedback:
        raise PlanError("forms.teacher_needs_feedback", decoder=a.decoder)
    if a.feedback:
        for field in ("attention", "summaries"):
            if getattr(a, field):
                raise PlanError("forms.decoder_without", field=field, decoder=a.decoder)


def _check_transformer(a: NetworkShape) -> None:
    if len(set(a.units)) > 1:
        raise PlanError("forms.transformer_units", units=", ".join(map(str, a.units)), width=max(a.units))
    if a.units[0] % a.attention_heads:
        raise PlanError("forms.transformer_heads", heads=a.attention_heads, width=a.units[0])
    for field in ("bidirectional", "layer_norm", "residual", "recurrent_dropout"):
        if getattr(a, field):
            raise PlanError("forms.transformer_without", field=field)
    if a.decoder == "states":
        raise PlanError("forms.transformer_states")
