"""Ensembles for forecasts.

In: what members said of the paths of held-out windows, and a trained ensemble.
Out: stacking weights by how far ahead a row lies (`weights`), and whether the ensemble runs away (`stability`).
"""
