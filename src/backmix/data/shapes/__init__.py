"""Tables that are not yet one clock and a column a tag.

In: the raw columns of a source, in long form, as pairs of clock and value, with status columns, or as several tables.
Out: one raw table in wide form; each cell has the quality that the source gives it.
Every form goes the same way: it is taken apart into `series`, one a tag with its own times, and these are put on one
clock again, either on all their times or on the `grid` of the plan.
"""
