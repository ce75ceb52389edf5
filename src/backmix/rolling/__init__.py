"""Training again as time goes on.

In: a plan with its table, and for a refit the bundle in charge.
Out: a `Backtest` or a `Refit`: a folder with every fold or round, scores, and a verdict.
A backtest learns everything anew in every fold (`backtest`, `backtest_fold`). A refit plays champion and challengers
forward round by round (`refit`): who takes over was judged on rows that neither had learned from.
"""
