"""What a cell of text says.

In: bytes or texts as they stand in a file.
Out: characters, numbers, times on a clock on the wall, and UTC.
A text that may be read in two ways is a question, never a guess.
"""
