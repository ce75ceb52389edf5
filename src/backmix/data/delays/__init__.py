"""How long it takes until an input is seen in the target.

In: two series of a table, or all its inputs and its targets.
Out: the delay of each input with its evidence, from cross-correlation and from information.
Only training rows are looked at.
"""
