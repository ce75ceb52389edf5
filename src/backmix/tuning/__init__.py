"""Settings found by trying them.

In: a plan, its table, and how many trials or how much time.
Out: a `Search`: every trial with its score, and the best plan.
The test part is cut off before anything else (`setup`). A trial is one plan on all folds of what is left
(`trial`); the first is the plan as it is, so that what is found is never worse on the folds.
"""
