"""What several tasks share: numbers, classes, batches, past targets, the rejection of what was never taught.

In: the contracts of `tasks.contract`.
Out: parts that a task takes as they are, or derives from. Nothing here is a task.
"""
