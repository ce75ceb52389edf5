"""How a file is laid out: what stands where, and in which notation.

In: the first look at a file, with whatever the plan already says of it.
Out: `Layout`, the keys of ``[data]`` that say how the file is to be read, each with its `Evidence`, and a
    `LayoutQuestion` with every possible reading where the file alone does not decide.
Three steps, in this order: detect (`detect`: file -> layout), propose (``backmix audit`` and ``backmix init`` show it
and write it down), read (`reading`: file and layout -> table). Reading obeys the plan and never guesses twice.
"""
