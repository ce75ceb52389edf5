"""What predictions are worth.

In: the prediction frame (`scoring.predictions`), one row per model, window and target, and the task.
Out: scores with their intervals, prediction intervals and whether they hold, the verdict.
`metrics` holds one file per metric, `leakage` the audit that fails a run. No HTML is written here.
Anybody's model can be judged: what counts is the frame, not the program that made it.
"""
