"""How fast recurrent networks train: our layers beside every engine a Keras user may have.

    python benchmarks/training.py [--rounds 5] [--rows 1 4 ...] [--peers backmix Keras-TF ...] >> benchmarks/LOG.md

Nine rows: LSTM, GRU and SimpleRNN in three shapes. Every peer trains the same windows from the same
weights with Adam 1e-3, clipnorm 1, mean squared error and a dense head, inside Keras's ``fit`` (torch
nn: a bare loop), on all processors. A peer is a process of its own, kept alive; in every round each
is measured once, for about a second, after a warm-up that compiles and chooses between 1 and 16
steps per execution. Then losses are compared, to catch a peer that is fast because it does not
learn. ``--quick`` only shows that everything runs; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from engines import GATES, PACKAGES, SEED, WINDOWS, Row, answers
from rounds import (
    Peer,
    PeerFault,
    geometric_mean,
    heading,
    installed,
    limit_cores,
    note,
    ratio,
    serve,
    table,
    take_turns,
)

SHAPES = (((64,), 32, 30, 10), ((128, 64), 32, 60, 10), ((64,), 256, 60, 52))
ROWS = tuple(Row(cell, *shape) for cell in GATES for shape in SHAPES)
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "backmix": ("jax", ("backmix.native", "keras", "jax")),
    "backmix fit": ("jax", ("backmix.native", "keras", "jax")),
    "Keras-JAX": ("jax", ("keras", "jax")),
    "Keras-TF": ("tensorflow", ("keras", "tensorflow")),
    "Keras-torch": ("torch", ("keras", "torch")),
    "torch nn": ("", ("torch",)),
    "backmix-torch": ("torch", ("backmix.native", "keras", "torch")),
}
"""Name -> engine for Keras and the modules that must be there."""
USUAL = tuple(name for name in PEERS if name != "backmix-torch")
OURS = ("backmix", "backmix fit")


def main() -> None:
    """Measure and print a section for the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="*", default=list(range(1, len(ROWS) + 1)), metavar="1-9")
    parser.add_argument("--peers", nargs="*", default=list(USUAL), choices=list(PEERS))
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement")
    parser.add_argument("--epochs", type=int, default=4, help="of 16 batches, before losses are compared")
    parser.add_argument("--cores", type=int, help="use only the first so many processors")
    parser.add_argument("--quick", action="store_true", help="one round, a tenth of a second: does it run?")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(answers(given.serve))
        return
    if given.quick:
        given.rounds, given.seconds, given.epochs = 1, 0.1, 2
    limit_cores(given.cores)
    there = [name for name in given.peers if all(installed(module) for module in PEERS[name][1])]
    said = (
        f"Windows per second (median of {given.rounds} rounds), {WINDOWS} windows at stride 1, seed {SEED}; ratios "
        "are taken within a round, to the fastest peer of that round, then their median (least … most). Others: "
        "processors that were busy with something else meanwhile; well above 0, torch is slower than it need be."
    )
    if missing := [name for name in given.peers if name not in there]:
        said += f" Not installed here, and left out: {', '.join(missing)}."
    print(heading("Training, our layers beside other engines", said=said, packages=PACKAGES))
    peers = {name: _start(name) for name in there}
    try:
        _report([ROWS[number - 1] for number in given.rows], peers, given)
    finally:
        for peer in peers.values():
            peer.close()


def _start(name: str) -> Peer:
    engine = {"KERAS_BACKEND": PEERS[name][0]} if PEERS[name][0] else {}
    return Peer(
        name,
        [sys.executable, os.path.abspath(__file__), "--serve", name],
        {**engine, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"},
    )


def _report(rows: Sequence[Row], peers: dict[str, Peer], given: argparse.Namespace) -> None:
    columns = list(peers)
    theirs = [name for name in columns if not name.startswith("backmix")]
    ratios: dict[str, list[float]] = {}
    speeds, losses, faults = [], [], []
    for row in rows:
        prepared: dict[str, Any] = {}
        for name, peer in list(peers.items()):
            note(f"{row.title}: {name} warms up")
            try:
                prepared[name] = peer.ask(
                    "prepare", row=asdict(row), seconds=given.seconds, epochs=given.epochs, choose=not given.quick
                )
            except PeerFault as fault:
                faults.append(f"{row.title}: {fault}")
                peer.close()
                peers[name] = _start(name)
        note(f"{row.title}: {given.rounds} rounds")

        answered = take_turns(prepared, given.rounds, lambda name: _measured(peers[name]))
        for each in answered.values():
            faults += dict.fromkeys(f"{row.title}: {told}" for told in each if isinstance(told, str))
        whole = {name: each for name, each in answered.items() if not any(isinstance(told, str) for told in each)}
        found = {name: [speed for speed, _ in each] for name, each in whole.items()}
        strangers = [busy for each in whole.values() for _, busy in each]
        cells = []
        for our in OURS:
            for label, against in (("fastest", theirs), ("Keras-TF", ["Keras-TF"])):
                if our not in columns:
                    continue
                others = [found[name] for name in against if name in found]
                if our not in found or not others:
                    cells.append("–")
                    continue
                best = np.max(others, axis=0)
                each = np.asarray(found[our]) / best
                cells.append(f"{ratio(found[our], best):.2f} ({each.min():.2f} … {each.max():.2f})")
                ratios.setdefault(f"{our} / {label}", []).append(ratio(found[our], best))
        speeds.append(
            [
                row.title,
                *(f"{np.median(found[name]):,.0f}" if name in found else "–" for name in columns),
                *cells,
                f"{np.median(strangers):.1f}" if strangers else "–",
            ]
        )
        losses.append([row.title, *(_told(prepared.get(name), prepared) for name in columns)])
        note(" | ".join(speeds[-1]))
    shown = [f"{our} / {label}" for our in OURS if our in columns for label in ("fastest", "Keras-TF")]
    print(table(["cell units, batch, T, F", *columns, *shown, "others"], speeds))
    for label in shown:
        if ratios.get(label):
            print(f"Geometric mean of {label} over {len(ratios[label])} rows: **{geometric_mean(ratios[label]):.2f}**.")
    print(
        f"\nMean loss of epoch {given.epochs} (of 16 batches, from the same weights, after that of epoch 1), and "
        "the steps per execution (torch nn: threads) that were faster; ⚠ where a loss is more than 10 % from the "
        "median of all peers:\n"
    )
    print(table(["cell units, batch, T, F", *columns], losses))
    for told in faults:
        print(f"- failed: {told}")


def _measured(peer: Peer) -> tuple[float, float] | str:
    """Windows per second and how many processors were busy with something else; or what went wrong."""
    try:
        return float(peer.ask("measure")), peer.others
    except PeerFault as fault:
        return str(fault)


def _told(prepared: Any, all_of_them: dict[str, Any]) -> str:
    if prepared is None:
        return "–"
    last = prepared["losses"][-1]
    middle = float(np.median([other["losses"][-1] for other in all_of_them.values()]))
    mark = " ⚠" if abs(last / middle - 1) > 0.1 else ""
    return f"{prepared['losses'][0]:.4f} → {last:.5f}{mark}; {prepared['choice']}"


if __name__ == "__main__":
    main()
