"""Repair rules and the regular clock.

In: a `Table`, the rows that teach, and the rules of the plan.
Out: the table with its values masked, held or interpolated, each with its quality, and the ledger of it.
What a rule has to learn, it learns from training rows; then it is the same for every table.
"""
