"""From a plan and a table to a trained model.

In: a `Plan` (what shall be done, in one file) and a table.
Out: a trained model, one network or several with what stands beside them, and how it came about.
`prepare` splits, repairs, scales and windows the table in the one order in which nothing can leak; `advice` fills
what the plan leaves open and says why; `fit` trains one network, checkpointed so that it can be resumed bit for bit.
"""
