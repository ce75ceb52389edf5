"""The commands, one file each.

This module is empty: `app.main` names the commands in the order of the help.
"""
