"""Table in, windows out.

In: a plant table from a file, a data base, a public set or a simulated plant (`sources`, `sets`, `plants`),
    and laboratory results at their own times.
Out: `Windows`, which cross no batch, no gap and no split, and the ledger of every row that was read.
On the way a table is audited, put on a regular clock, split, repaired and scaled (`scaling`). Repair rules and
scalers are learned from training rows alone. Nothing here knows of a network: neither Keras nor JAX is imported.
"""
