"""What ``backmix init`` proposes for a new table.

In: a file, read with its layout (`data.layout.detect`), and what the user has said of it.
Out: the parts of a first plan, each line with its reason: the target and its leaks, the laboratory results, the
    repairs that the audit suggests, and sizes that fit so many labels; and a question wherever the file is silent.
"""
