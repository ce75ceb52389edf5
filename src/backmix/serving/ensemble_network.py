"""An ensemble in the light runtime.

This module does for several networks and the parts beside them what `backmix.native.Network` does for one:
scaling included, raw outputs, a state that the caller holds. The state of an ensemble is that of its networks
one after the other and, where a part looks at a whole window, the scaled rows of the last window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.ensemble import SeenWindows, combined
from backmix.models.heads import Kind
from backmix.models.members.member import Member
from backmix.serving.stepping import Floats, State, Stepper

TOGETHER = 1024
"""Windows that are computed at a time."""


class EnsembleNetwork(Stepper):
    """As `backmix.native.Network`; see there.

    networks: native or portable networks that scale by themselves; weights: (1 + P, O); kind: what outputs are
    center, scale, low, high: (F,) of the features, for the parts; steps: T of the windows, None for any length
    hidden: (T, F) what a window does not show (past targets but for the newest ones); None when it shows all
    """

    def __init__(
        self,
        networks: Sequence[Any],
        parts: Sequence[Member],
        weights: Floats,
        *,
        steps: int | None,
        kind: Kind,
        scaling: tuple[Floats, Floats, Floats, Floats],
        hidden: NDArray[np.bool_] | None = None,
    ) -> None:
        self._networks = tuple(networks) if weights[0].any() else ()
        self._parts, self._weights, self._steps, self._kind = tuple(parts), weights, steps, kind
        self._hidden = hidden
        super().__init__(scaling)
        self._sizes = [network.state_size for network in self._networks]
        self._kept = (steps or 0) * len(self._center) if self._parts else 0
        self.state_size = sum(self._sizes) + self._kept

    def carry(self, rows: Floats, state: State) -> tuple[Floats, State]:
        """Rows (N, F) one after the other: outputs (N, O) and the state behind them."""
        said, after, at = [], [], 0
        for network, size in zip(self._networks, self._sizes, strict=True):
            out, behind = network.carry(rows, np.ascontiguousarray(state[at : at + size]))
            said.append(np.asarray(out))
            after.append(behind)
            at += size
        if not self._parts:
            nothing = SeenWindows(np.empty((len(rows), 0, 0), np.float32))
            return combined(said, (), self._weights, nothing, kind=self._kind), np.concatenate(after)
        assert self._steps is not None
        shown = np.concatenate([state[at:].reshape(self._steps, -1), self._scaled(rows)])
        windows = np.lib.stride_tricks.sliding_window_view(shown[1:], self._steps, axis=0).transpose(0, 2, 1)
        found = np.empty((len(rows), self._weights.shape[1]))
        for low in range(0, len(rows), TOGETHER):
            some = slice(low, low + TOGETHER)
            x = windows[some] if self._hidden is None else np.where(self._hidden, np.float32(0), windows[some])
            found[some] = combined(
                [one[some] for one in said],
                self._parts,
                self._weights,
                SeenWindows(np.ascontiguousarray(x)),
                kind=self._kind,
            )
        return found, np.concatenate([*after, shown[-self._steps :].reshape(-1)]).astype(np.float32)

    def predict(
        self, windows: Floats, lengths: NDArray[np.int64] | None, ended: NDArray[np.bool_] | None = None
    ) -> Floats:
        """Windows (B, T, F), each from rest: outputs (B, O).

        lengths: (B,) real rows of each; ended: (B,) whether a window is a whole batch
        """
        found = np.empty((len(windows), self._weights.shape[1]))
        for low in range(0, len(windows), TOGETHER):
            some = windows[low : low + TOGETHER]
            count = None if lengths is None else lengths[low : low + TOGETHER]
            mask = None if count is None else np.arange(windows.shape[1]) < count[:, None]
            said = [np.asarray(network.predict(some, count)) for network in self._networks]
            x = self._scaled(some)
            if mask is not None:
                x[~mask] = 0.0
            seen = SeenWindows(x, mask, None if ended is None else ended[low : low + TOGETHER])
            found[low : low + TOGETHER] = combined(said, self._parts, self._weights, seen, kind=self._kind)
        return found

    def slide(self, rows: Floats, starts: NDArray[np.int64], steps: int) -> Floats:
        """Windows of T rows that begin at ``starts`` (W,) of one table (N, F): outputs (W, O)."""
        said = [np.asarray(network.slide(rows, starts, steps)) for network in self._networks]
        x = self._scaled(rows)
        found = np.empty((len(starts), self._weights.shape[1]))
        for low in range(0, len(starts), TOGETHER):
            at = starts[low : low + TOGETHER]
            found[low : low + TOGETHER] = combined(
                [one[low : low + TOGETHER] for one in said],
                self._parts,
                self._weights,
                SeenWindows(x[at[:, None] + np.arange(steps)]),
                kind=self._kind,
            )
        return found
