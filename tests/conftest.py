"""What all tests share: the engine, the language, and real data when it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["BACKMIX_LANG"] = "en"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets named by BACKMIX_DATA; its absence fails in CI, skips elsewhere."""
    folder = os.environ.get("BACKMIX_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("BACKMIX_DATA must name the folder of real data sets in CI")
    pytest.skip("set BACKMIX_DATA to the folder of real data sets")
