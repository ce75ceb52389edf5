"""Batches of a table that has no column for them.

In: a table with a clock, and a file or sheet of intervals (batch, start, end), or a tag whose states say when a batch
    runs.
Out: the table with a batch on each row, the properties of the batch as tags,
    and the list of the batches found.
"""
