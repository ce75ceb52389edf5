"""The law of reading: a table written in any layout comes back equal, or a question is asked; never a third thing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backmix.data.layout.detect import detect
from backmix.data.sources import ReadPlan, read
from layouts import Form, answers, compare, forms, plants, write

DRAWS = int(os.environ.get("BACKMIX_LAYOUTS", "200"))
"""So many layouts are drawn; the nightly form draws 2,000."""


@settings(max_examples=DRAWS, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(form=forms(), data=st.data())
def test_any_layout_comes_back_equal_or_is_asked_about(form: Form, data: st.DataObject) -> None:
    plant = data.draw(plants(form))
    with tempfile.TemporaryDirectory() as folder:
        path = write(plant, form, Path(folder))
        plan = ReadPlan(file=str(path))
        found = detect(plan)
        assert found.fault is None, found.fault
        known = answers(form)
        for question in found.questions:
            assert question.key in known, question
            given_answer = known[question.key]
            assert given_answer in [_plain(reading.value) for reading in question.readings], question
            plan = plan.model_copy(update={question.key: given_answer})
        table = read(plan).table if found.questions else found.reading.table  # type: ignore[union-attr]
        compare(table, plant, form)
        # whoever reads by what was found has nothing left to ask, and gets the same table
        again = detect(found.plan if not found.questions else plan)
        assert again.questions == ()
        assert again.reading is not None
        assert np.array_equal(again.reading.table.values, table.values, equal_nan=True)


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
