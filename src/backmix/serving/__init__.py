"""One file that holds a model, and what runs it.

In: a trained model with its preprocessing, plan, scores and intervals; later, rows of the plant.
Out: a bundle (`bundle`, packed by `archive`) that opens without executing anything, and predictions from it.
`runtime` runs a bundle with NumPy and the kernels alone, one row at a time or years of history (`history`);
`exporters` writes the network for other programs. A file from outside is believed in nothing: names, sizes and
digests are checked first.
"""
