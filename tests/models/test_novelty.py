"""Distances from known rows against their definitions, and a threshold against its promise."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.models.members.novelty import Ellipse, Subspace, needed, threshold


def test_a_threshold_keeps_its_rate_on_new_rows_of_the_same_kind() -> None:
    """The chance that a new normal score lies above is at most the rate, whatever the distribution."""
    rng = np.random.default_rng(0)
    for rate in (0.01, 0.05, 0.2):
        shares = [
            np.mean(rng.exponential(size=400) > threshold(rng.exponential(size=needed(rate) + 7), rate))
            for _ in range(600)
        ]
        assert np.mean(shares) <= rate * 1.12
        assert np.mean(shares) >= rate * 0.6
    assert needed(0.01) == 99
    with pytest.raises(ValueError, match=r"98 scores cannot tell a rate of 0.01"):
        threshold(np.arange(98.0), 0.01)


def test_distances_and_shares_against_their_definitions() -> None:
    """Mahalanobis, T² and SPE as in the textbooks; shares are never negative and add up."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) + 3.0
    new = rng.normal(size=(20, 5)) * 4
    from sklearn.covariance import LedoitWolf

    truth = LedoitWolf().fit(rows).mahalanobis(new)
    shares = Ellipse.fit(rows).shares(new)
    np.testing.assert_allclose(shares.sum(axis=1), truth, rtol=1e-8)
    assert (shares >= 0).all()
    from sklearn.decomposition import PCA

    space = Subspace.fit(rows, share=0.8)
    scale = rows.std(axis=0)
    pca = PCA(len(space.variances)).fit((rows - rows.mean(axis=0)) / scale)
    x = (new - rows.mean(axis=0)) / scale
    t2 = (pca.transform(x) ** 2 / pca.explained_variance_).sum(axis=1)
    spe = ((x - pca.inverse_transform(pca.transform(x))) ** 2).sum(axis=1)
    np.testing.assert_allclose(space.along(new).sum(axis=1), t2, rtol=1e-8)
    np.testing.assert_allclose(space.beside(new).sum(axis=1), spe, rtol=1e-8)
    np.testing.assert_allclose(space.distances(new), np.column_stack([t2, spe]), rtol=1e-8)
    assert pca.explained_variance_ratio_.sum() >= 0.8
    for part in (space, Ellipse.fit(rows)):
        again = type(part).from_dict(part.to_dict())
        assert again.to_dict() == part.to_dict()


def test_very_many_tags_leave_an_ellipse_without_covariances() -> None:
    """A bundle must stay small: beyond 500 columns each has its own spread and no more."""
    rows = np.random.default_rng(0).normal(size=(40, 501)) * np.linspace(1, 5, 501)
    ellipse = Ellipse.fit(rows)
    assert ellipse.root.shape == (501,)
    np.testing.assert_allclose(ellipse.shares(rows), ((rows - rows.mean(axis=0)) / rows.std(axis=0)) ** 2)
    assert Ellipse.from_dict(ellipse.to_dict()).to_dict() == ellipse.to_dict()
