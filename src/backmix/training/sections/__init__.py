"""The sections of a plan that belong to one job alone, and what they mean for a table.

In: what a user wrote under ``[training]``, ``[tune]``, ``[backtest]`` or ``[refit]``.
Out: the same with nothing left open: settings of a fit, what a search may change, folds, rounds.
"""
