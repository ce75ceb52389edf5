"""What a job leaves in its folder, and how it is found again.

In: where the data of a job are, and everything that came out of it.
Out: the folder of a run, a refit, a backtest or a search, and the object that reads it (`Run`).
A job claims its folder before it works (`claim`), so that it can be resumed with the same plan and data alone;
its summary is written last, and marks it as finished (`folders`).
"""
