"""Intervals around predictions, in NumPy alone.

In: errors of predictions on rows that were not used in training.
Out: the ends of an interval, or a set of classes, for any new prediction.
"""
