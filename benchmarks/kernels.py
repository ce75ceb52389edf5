"""How much of the machine's own matrix product the kernels reach.

    python benchmarks/kernels.py [--rounds 5] [--cells lstm gru simple_rnn] [--threads 1 2] >> benchmarks/LOG.md

Forward and backward of one layer of n units, T = 30, compiled by JAX, in GFLOP/s, beside products
of 2048 × 2048 float32 matrices (NumPy's or torch's, whichever is faster here) in the same process
on the same number of threads, one after the other in every round. With F = 10 inputs the layer
is a first one: only the last state is pulled and no gradient of x is wanted. With F = n it stands
above another: all states are pulled and x has a gradient.

Counted are the products alone. Forward: 2 B T (F + H) G H. Backward: the same for the gradients of
the weights, 2 B T H G H for the way through time, and 2 B T F G H for the gradient of x.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rounds import SETTLE, Peer, PeerFault, geometric_mean, heading, installed, note, serve, table

STEPS = 30
SQUARE = 2048
GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1}
SEED = 0
POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BACKMIX_THREADS")


@dataclass(frozen=True)
class Case:
    """One layer and its batch."""

    cell: str
    units: int
    features: int
    batch: int

    @property
    def inner(self) -> bool:
        """Whether it stands above another layer."""
        return self.features == self.units

    @property
    def products(self) -> tuple[float, float]:
        """GFLOP of forward and backward."""
        rows, width = 2e-9 * self.batch * STEPS, GATES[self.cell] * self.units
        forward = rows * (self.features + self.units) * width
        return forward, forward + rows * (self.units + (self.features if self.inner else 0)) * width


def cases(cells: Sequence[str], sizes: Sequence[int], batches: Sequence[int]) -> list[Case]:
    """All layers, small ones first."""
    return [
        Case(cell, units, features, batch)
        for cell in cells
        for units in sizes
        for features in (10, units)
        for batch in batches
    ]


# What runs inside the process of so many threads


def answers(threads: int) -> Callable[[str, dict[str, Any]], Any]:
    """What such a process can be asked."""
    from backmix import native

    native.limit_threads(threads)
    products = _products(threads)
    kernel: dict[Case, Callable[[], tuple[float, float]]] = {}

    def product(name: str, seconds: float) -> float:
        """GFLOP/s of the machine's own product."""
        run, count, begin = products[name], 0, time.perf_counter()
        while not count or time.perf_counter() - begin < seconds:
            run()
            count += 1
        return 2e-9 * SQUARE**3 * count / (time.perf_counter() - begin)

    def layer(case: Case, seconds: float) -> dict[str, float]:
        """GFLOP/s of a layer, and of each direction."""
        if case not in kernel:
            kernel.clear()
            kernel[case] = _layer(case)
            kernel[case]()
        count, ahead, back, begin = 0, 0.0, 0.0, time.perf_counter()
        while not count or time.perf_counter() - begin < seconds:
            first, second = kernel[case]()
            ahead, back, count = ahead + first, back + second, count + 1
        forward, backward = (count * each for each in case.products)
        return {"both": (forward + backward) / (ahead + back), "forward": forward / ahead, "backward": backward / back}

    def answer(what: str, given: dict[str, Any]) -> Any:
        if what == "hello":
            speeds = {}
            for name in products:
                time.sleep(SETTLE)  # the other library's threads go to sleep first
                product(name, 0.0)
                speeds[name] = max(product(name, 0.1) for _ in range(3))
            return {"set": native.instruction_set(), "threads": native.threads(), "products": speeds}
        time.sleep(SETTLE)
        fast = product(given["product"], given["seconds"])
        time.sleep(SETTLE)
        return {"product": fast, **layer(Case(**given["case"]), given["seconds"])}

    return answer


def _products(threads: int) -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(SEED)
    a, b = (rng.standard_normal((SQUARE, SQUARE), dtype=np.float32) for _ in range(2))
    out = np.empty_like(a)
    found: dict[str, Callable[[], Any]] = {"NumPy": lambda: np.matmul(a, b, out=out)}
    if installed("torch"):
        import torch

        torch.set_num_threads(threads)
        left, right, room = (torch.from_numpy(array) for array in (a, b, out))
        found["torch"] = lambda: torch.matmul(left, right, out=room)
    return found


def _layer(case: Case) -> Callable[[], tuple[float, float]]:
    """A call that goes forward and backward once and says how many seconds each took.

    Both are compiled programs of JAX: value and gradient, and the value alone; backward is what the
    first takes longer.
    """
    import jax
    import jax.numpy as jnp

    from backmix.models.kernels import KernelForm, Operands
    from backmix.models.kernels.xla import run as layer

    rng = np.random.default_rng(SEED)

    def draw(*shape: int, scale: float = 1.0) -> Any:
        return jnp.asarray((scale * rng.standard_normal(shape)).astype(np.float32))

    units, width = case.units, GATES[case.cell] * case.units
    state = jnp.zeros((case.batch, units), jnp.float32)
    x = draw(case.batch, STEPS, case.features)
    weights = (
        draw(case.features, width, scale=case.features**-0.5),
        draw(units, width, scale=units**-0.5),
        draw(*((2, width) if case.cell == "gru" else (width,)), scale=0.1),
    )
    pull = draw(case.batch, STEPS, units) if case.inner else draw(case.batch, units)

    def loss(weights: Any, x: Any) -> Any:
        kernel, recurrent, bias = weights
        h, last, _ = layer(
            KernelForm(case.cell),
            Operands(x, state, state if case.cell == "lstm" else None, kernel, recurrent, bias),
            sequences=case.inner,
        )
        return jnp.vdot(h if case.inner else last, pull)

    ahead = jax.jit(loss)
    around = jax.jit(jax.value_and_grad(loss, argnums=(0, 1) if case.inner else 0))

    def run() -> tuple[float, float]:
        begin = time.perf_counter()
        jax.block_until_ready(ahead(weights, x))
        middle = time.perf_counter()
        jax.block_until_ready(around(weights, x))
        end = time.perf_counter()
        return middle - begin, max(1e-9, (end - middle) - (middle - begin))

    return run


# What runs beside it


def main() -> None:
    """Measure and print a section for the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cells", nargs="*", default=list(GATES), choices=list(GATES))
    parser.add_argument("--units", nargs="*", type=int, default=[64, 128, 256])
    parser.add_argument("--batches", nargs="*", type=int, default=[32, 256])
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=0.15, help="of one measurement")
    parser.add_argument("--quick", action="store_true", help="LSTM, one round, a hundredth of a second: does it run?")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(answers(given.serve))
        return
    if not installed("backmix.native"):
        raise SystemExit("the kernels are not built here: no module backmix.native")
    if given.quick:
        given.rounds, given.seconds, given.cells = 1, 0.01, ["lstm"]
    peers = {threads: _start(threads) for threads in given.threads}
    try:
        _report(cases(given.cells, given.units, given.batches), peers, given)
    finally:
        for peer in peers.values():
            peer.close()


def _start(threads: int) -> Peer:
    return Peer(
        f"{threads} threads",
        [sys.executable, os.path.abspath(__file__), "--serve", str(threads)],
        dict.fromkeys(POOLS, str(threads)),
    )


def _report(layers: Sequence[Case], peers: dict[int, Peer], given: argparse.Namespace) -> None:
    hello = {threads: peer.ask("hello") for threads, peer in peers.items()}
    fastest = {threads: max(told["products"], key=told["products"].get) for threads, told in hello.items()}
    said = [
        f"GFLOP/s forward + backward (median of {given.rounds} rounds), T = {STEPS}, seed {SEED}, instruction set "
        f"{next(iter(hello.values()))['set']}; in brackets the ratio to the {SQUARE} × {SQUARE} product of the "
        "same round and threads, median. F = n: with the gradient of x. Others: processors busy with something "
        "else."
    ]
    for threads, told in hello.items():
        speeds = ", ".join(f"{name} {speed:.0f}" for name, speed in told["products"].items())
        said.append(
            f"Product on {threads} thread(s) at the start, GFLOP/s: {speeds}; compared with {fastest[threads]}."
        )
        if told["threads"] != threads:
            said.append(f"The kernels were allowed {told['threads']} threads here, not {threads}.")
    print(heading("Kernels beside the matrix product", said="\n".join(said), packages=("backmix", "numpy", "torch")))
    found: dict[tuple[Case, int], list[dict[str, float]]] = {}
    others: dict[Case, list[float]] = {}
    for case in layers:
        note(f"{case}")
        for _ in range(given.rounds):
            for threads, peer in peers.items():
                try:
                    told = peer.ask("measure", case=asdict(case), product=fastest[threads], seconds=given.seconds)
                except PeerFault as fault:
                    raise SystemExit(f"{case}: {fault}") from None
                found.setdefault((case, threads), []).append(told)
                others.setdefault(case, []).append(peer.others)
    columns = ["cell, n, F, batch"]
    for threads in peers:
        columns += [f"{threads} thread(s)", "forward", "backward", "product"]
    rows = []
    for case in layers:
        row = [f"{case.cell} {case.units}, {case.features}, {case.batch}"]
        for threads in peers:
            rounds = found[case, threads]
            row += [
                f"{_median(rounds, 'both'):.0f} ({_share(rounds):.2f})",
                *(f"{_median(rounds, name):.0f}" for name in ("forward", "backward", "product")),
            ]
        rows.append([*row, f"{np.median(others[case]):.1f}"])
    print(table([*columns, "others"], rows))
    for threads in peers:
        shares = [_share(found[case, threads]) for case in layers]
        print(
            f"Geometric mean of the ratio on {threads} thread(s): **{geometric_mean(shares):.2f}**; least "
            f"{min(shares):.2f}."
        )


def _median(rounds: Sequence[dict[str, float]], name: str) -> float:
    return float(np.median([told[name] for told in rounds]))


def _share(rounds: Sequence[dict[str, float]]) -> float:
    return float(np.median([told["both"] / told["product"] for told in rounds]))


if __name__ == "__main__":
    main()
