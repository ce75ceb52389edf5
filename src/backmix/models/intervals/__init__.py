"""Intervals around predictions, in NumPy alone.

In: how far results lay from predictions that had not seen them.
Out: the ends of an interval, or the set of classes, for any new prediction.
"""
