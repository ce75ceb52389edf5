"""One network, trained.

In: an architecture, windows to train and to stop on, and the settings of the fit.
Out: a fitted network, its history, and checkpoints; a resumed fit ends bit-equal to an uninterrupted one.
"""
