"""Members of an ensemble that have no memory, as plain arrays: NumPy alone runs them.

In: scaled windows (B, T, F) and which of their rows are real.
Out: outputs (B, O) of a linear model or a forest on a view of the window.
"""
