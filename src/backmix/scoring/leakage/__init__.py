"""The leakage audit: whether a model uses what the plant cannot know yet.

In: what was prepared from a table, the trained model, and its predictions.
Out: a `LeakageResult` per check; a failed check stops the run.
`audit` changes the future and looks whether any prediction changes, `copies` looks for inputs that are the
target in disguise, `availability` says which labels are known when a prediction is made.
"""
