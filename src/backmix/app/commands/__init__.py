"""The commands, one file each.

In: arguments and options, as Typer has read them.
Out: a call of the rooms below, and what it returned on the screen or as JSON.
Each file has one function ``add(app)`` and imports what it needs inside the command, so that ``--help`` is quick.
`app.main` names the commands in the order of the help.
"""
