"""Views of a window: each against an independent computation, padding without effect."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.models.body.summaries import STATISTICS, summarise
from backmix.models.members.views import STAGES, named, thinned_starts, views

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(5, 9, 3)).astype(np.float32)
LENGTHS = np.array([9, 4, 7, 1, 9])
MASK = np.arange(9) < LENGTHS[:, None]


@pytest.mark.parametrize("name", views.names())
def test_padding_changes_nothing_and_the_width_is_told(name: str) -> None:
    view = views.get(name)
    assert view.rows(X, None).shape == (5, view.width(9, 3))
    try:
        view.width(None, 3)
    except ValueError:
        return  # windows of one length only, which need no padding
    visible = view.rows(X, MASK)
    changed = np.where(MASK[:, :, None], X, np.float32(77))
    assert visible.shape == (5, view.width(None, 3))
    np.testing.assert_array_equal(visible, view.rows(changed, MASK))


def test_stages_are_means_over_equal_stretches_of_each_batch() -> None:
    visible = views.get("stages").rows(X, MASK)
    for row, count in enumerate(LENGTHS):
        # each row in STAGES slices: all cuts fall between slices
        fine = np.repeat(X[row, :count].astype(float), STAGES, axis=0)
        means = fine.reshape(STAGES, count, 3).mean(axis=1)
        np.testing.assert_allclose(visible[row, :-1].reshape(STAGES, 3), means, rtol=1e-5, atol=1e-6)
        assert visible[row, -1] == pytest.approx(np.log(count))


def test_statistics_are_those_that_networks_see() -> None:
    for mask in (None, MASK):
        np.testing.assert_allclose(
            views.get("statistics").rows(X, mask), np.asarray(summarise(X, mask)), rtol=2e-4, atol=2e-4
        )


def test_products_are_all_pairs_of_levels_and_slopes() -> None:
    plain = views.get("statistics").rows(X, None).reshape(5, len(STATISTICS), 3)[:, [0, 2, 4]].reshape(5, 9)
    pairs = np.stack([plain[:, a] * plain[:, b] for a in range(9) for b in range(a, 9)], axis=1)
    np.testing.assert_allclose(views.get("products").rows(X, None), np.hstack([plain, pairs]), rtol=1e-6)
    np.testing.assert_allclose(views.get("squares").rows(X, None), np.hstack([plain, plain**2]), rtol=1e-6)


def test_views_stand_side_by_side() -> None:
    both = named("lags+statistics")
    expected = np.hstack([X.reshape(5, -1), views.get("statistics").rows(X, None)])
    np.testing.assert_array_equal(both.rows(X, None), expected)
    assert both.width(9, 3) == 27 + 15


def test_windows_of_any_length_have_no_lags() -> None:
    with pytest.raises(ValueError, match="no fixed lags"):
        views.get("lags").width(None, 3)


def test_long_windows_are_thinned_without_a_warning() -> None:
    """The growth that is tried first is far too large, and its powers are infinite."""
    starts = thinned_starts(400, 300)
    assert len(starts) == 300
    assert starts[0] == 0
    assert list(starts) == sorted(set(starts))
