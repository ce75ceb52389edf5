from typing import Any

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float32]

def instruction_set() -> str: ...
def threads() -> int: ...
def limit_threads(most: int) -> None: ...
def tiles(batch: int, threads: int) -> int: ...
def kept_size(cell: int, reset_after: bool, batch: int, steps: int, units: int) -> int: ...
def xla_calls() -> dict[str, Any]: ...
def forward(
    x: _Floats,
    h0: _Floats | None,
    c0: _Floats | None,
    kernel: _Floats,
    recurrent: _Floats,
    bias: _Floats | None,
    x_mask: _Floats | None,
    h_mask: _Floats | None,
    seen: NDArray[np.bool_] | None,
    form: list[int],
    sequences: bool,
    keep: bool,
) -> tuple[_Floats, _Floats, _Floats, _Floats]: ...
def backward(
    x: _Floats,
    h0: _Floats | None,
    c0: _Floats | None,
    kernel: _Floats,
    recurrent: _Floats,
    bias: _Floats | None,
    x_mask: _Floats | None,
    h_mask: _Floats | None,
    seen: NDArray[np.bool_] | None,
    h: _Floats,
    kept: _Floats,
    dh: _Floats | None,
    dh_last: _Floats | None,
    dc_last: _Floats | None,
    form: list[int],
    need_dx: bool,
) -> tuple[_Floats, _Floats, _Floats, _Floats, _Floats, _Floats]: ...

class Network:
    def __init__(self, center: list[float], scale: list[float], low: list[float], high: list[float]) -> None: ...
    def add_layer(
        self,
        cell: int,
        activation: int,
        recurrent_activation: int,
        reset_after: bool,
        kernel: _Floats,
        recurrent: _Floats,
        bias: _Floats,
    ) -> None: ...
    def add_dense(self, kernel: _Floats, bias: _Floats, activation: int, softmax: bool) -> None: ...
    def use_statistics(self, floor: float, centre: float, stretch: float) -> None: ...
    def check(self) -> None: ...
    @property
    def state_size(self) -> int: ...
    def decode(self, center: list[float], scale: list[float], two_classes: bool) -> None: ...
    def step(self, row: NDArray[np.float64], state: _Floats, next: _Floats, out: NDArray[np.float64]) -> int: ...
    def carry(self, rows: NDArray[np.float64], state: _Floats) -> tuple[_Floats, _Floats]: ...
    def predict(self, windows: NDArray[np.float64], lengths: NDArray[np.int64] | None) -> _Floats: ...
    def slide(self, rows: NDArray[np.float64], starts: NDArray[np.int64], steps: int) -> _Floats: ...
