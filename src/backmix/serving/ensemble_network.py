"""An ensemble in the light runtime.

This module runs the networks and simple members of an ensemble with the interface of `backmix.native.Network`:
scaling included, raw outputs, a state that the caller holds. The state of an ensemble is the states of its networks
one after the other and, where there are simple members, the scaled rows of the last window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.ensemble import MemberInputs, combined
from backmix.models.heads import Kind
from backmix.models.members.member import Member
from backmix.serving.stepping import Floats, State, Stepper

BLOCK = 1024
"""Windows computed at a time."""


class EnsembleNetwork(Stepper):
    """An ensemble with the interface of `backmix.native.Network`.

    networks: native or portable networks that scale by themselves; weights: (1 + M, O); kind: what outputs are
    scaling: center, scale, low, high, each (F,), for the simple members; steps: T of the windows, None for any length
    seen: the newest rows of a window that networks and most members look at; None for all
    hidden: (T, F) true for what a window does not show (all past targets but the newest); None when it shows all
    """

    def __init__(
        self,
        networks: Sequence[Any],
        simple_members: Sequence[Member],
        weights: Floats,
        *,
        steps: int | None,
        kind: Kind,
        scaling: tuple[Floats, Floats, Floats, Floats],
        hidden: NDArray[np.bool_] | None = None,
        seen: int | None = None,
    ) -> None:
        self._networks = tuple(networks) if weights[0].any() else ()
        self._simple_members, self._weights, self._steps, self._kind = tuple(simple_members), weights, steps, kind
        self._hidden, self._seen = hidden, None if seen == steps else seen
        super().__init__(scaling)
        self._sizes = [network.state_size for network in self._networks]
        self._kept = (steps or 0) * len(self._center) if self._simple_members else 0
        self.state_size = sum(self._sizes) + self._kept

    def carry(self, rows: Floats, state: State) -> tuple[Floats, State]:
        """Rows (N, F) one after the other: outputs (N, O) and the state after the last row."""
        network_outputs, after, offset = [], [], 0
        for network, size in zip(self._networks, self._sizes, strict=True):
            out, new_state = network.carry(rows, np.ascontiguousarray(state[offset : offset + size]))
            network_outputs.append(np.asarray(out))
            after.append(new_state)
            offset += size
        if not self._simple_members:
            nothing = MemberInputs(np.empty((len(rows), 0, 0), np.float32))
            return combined(network_outputs, (), self._weights, nothing, kind=self._kind), np.concatenate(after)
        assert self._steps is not None
        shown = np.concatenate([state[offset:].reshape(self._steps, -1), self._scaled(rows)])
        windows = np.lib.stride_tricks.sliding_window_view(shown[1:], self._steps, axis=0).transpose(0, 2, 1)
        outputs = np.empty((len(rows), self._weights.shape[1]))
        for low in range(0, len(rows), BLOCK):
            block = slice(low, low + BLOCK)
            x = windows[block] if self._hidden is None else np.where(self._hidden, np.float32(0), windows[block])
            outputs[block] = combined(
                [output[block] for output in network_outputs],
                self._simple_members,
                self._weights,
                MemberInputs(np.ascontiguousarray(x)),
                kind=self._kind,
            )
        return outputs, np.concatenate([*after, shown[-self._steps :].reshape(-1)]).astype(np.float32)

    def predict(
        self, windows: Floats, lengths: NDArray[np.int64] | None, ended: NDArray[np.bool_] | None = None
    ) -> Floats:
        """Windows (B, T, F), each from the initial state: outputs (B, O).

        lengths: (B,) real rows of each; ended: (B,) whether a window is a whole batch
        """
        outputs = np.empty((len(windows), self._weights.shape[1]))
        for low in range(0, len(windows), BLOCK):
            block = windows[low : low + BLOCK]
            count = None if lengths is None else lengths[low : low + BLOCK]
            mask = None if count is None else np.arange(windows.shape[1]) < count[:, None]
            shown = block if self._seen is None else np.ascontiguousarray(block[:, -self._seen :])
            network_outputs = [np.asarray(network.predict(shown, count)) for network in self._networks]
            x = self._scaled(block)
            if mask is not None:
                x[~mask] = 0.0
            inputs = MemberInputs(x, mask, None if ended is None else ended[low : low + BLOCK], self._seen)
            outputs[low : low + BLOCK] = combined(
                network_outputs, self._simple_members, self._weights, inputs, kind=self._kind
            )
        return outputs

    def slide(self, rows: Floats, starts: NDArray[np.int64], steps: int) -> Floats:
        """Windows of T rows that begin at ``starts`` (W,) of one table (N, F): outputs (W, O)."""
        seen = self._seen or steps
        network_outputs = [np.asarray(network.slide(rows, starts + (steps - seen), seen)) for network in self._networks]
        x = self._scaled(rows)
        outputs = np.empty((len(starts), self._weights.shape[1]))
        for low in range(0, len(starts), BLOCK):
            first_rows = starts[low : low + BLOCK]
            outputs[low : low + BLOCK] = combined(
                [output[low : low + BLOCK] for output in network_outputs],
                self._simple_members,
                self._weights,
                MemberInputs(x[first_rows[:, None] + np.arange(steps)], seen=self._seen),
                kind=self._kind,
            )
        return outputs
