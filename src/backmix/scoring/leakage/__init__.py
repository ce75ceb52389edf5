"""Whether a model knows what the plant cannot know.

In: what was prepared from a table, the trained model, and its predictions.
Out: a `LeakageResult`; a run with a finding stops.
`audit` changes the future and the labels and looks whether anything moves, `copies` looks for inputs that are the
target in disguise, `availability` says which labels are known when a prediction is made.
"""
