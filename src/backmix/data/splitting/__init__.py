"""Which rows teach, which choose, and which judge.

In: a `Table` and the plan of its split.
Out: `Split`: the part of every row, or one such division after another for cross-validation.
A batch stays whole wherever the plan says so; the part that judges comes last in time.
"""
