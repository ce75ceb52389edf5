"""How good predictions are.

In: the prediction frame (`scoring.predictions`), one row per model, window and target, and the task.
Out: scores with their intervals, prediction intervals and whether they hold, the verdict.
`metrics` holds one file per metric, `leakage` the audit that fails a run. No HTML is written here.
Any model can be judged: scores are computed from the frame, whatever program made it.
"""
