"""The command line: one of the doors to the package.

In: the words that a person types, and the files that they name.
Out: results on stdout (with ``--json`` as JSON), progress and advice on stderr, and an exit code.
`main` reads the words and turns errors into one line; `commands` holds one file per command. A command calls the
rooms below and prints what they return.

To add a command, add one file to `commands` and its name to `main.COMMANDS`.
"""
