"""The state of a table, before anything is done to it.

In: a `Table`, as it was read.
Out: `Audit`: what each tag looks like, and the findings, each with the rows that show it and a line for the plan.
Nothing is changed here: what a finding advises is done by `repairing`, when the plan says so.
"""
