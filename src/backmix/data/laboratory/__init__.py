"""Laboratory results on the rows of a table.

In: a `Table`, and results with the time at which they were sampled (and reported).
Out: the table with one more tag for each result column, known only from its report time on.
The rule in the plan decides between two results for one row; a result without a row is in the ledger.
"""
