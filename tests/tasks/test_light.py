"""What the light runtime says of models of every task: the same as the bundle, or why it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backmix.results.run import Run
from backmix.serving.runtime import Runtime
from backmix.tasks import tasks
from backmix.workflow import fit
from small import small_batches, small_task
from task_laws import check_whole_way


@pytest.fixture(scope="module")
def quality_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    table, plan = small_task("batch_quality")
    return fit(table, plan, folder=tmp_path_factory.mktemp("quality") / "run", quiet=True)


def test_a_running_batch_is_stepped_row_by_row(quality_run: Run) -> None:
    """Course items 17 and 75: what a network says of the rows of a batch so far is its answer at every step."""
    runtime = Runtime.load(quality_run.bundle_path)
    table = small_batches(seed=5)
    said, _ = quality_run.bundle.predict(table)
    assert table.batch is not None
    for batch in (0, 3):
        rows = np.flatnonzero(table.batch == batch)
        given = table.values[rows][:, [table.index(name) for name in runtime.inputs]]
        state, stepped = runtime.start(), []
        for row in given:
            y, state = runtime.step(row, state)
            stepped.append(y[0])
        mine = said[said["batch"] == table.batch_names[batch]].sort_values("origin")
        np.testing.assert_allclose(stepped, mine["prediction"], rtol=1e-4)


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_goes_the_whole_way(name: str, tmp_path: Path) -> None:
    check_whole_way(name, tmp_path / "run")
