"""The release.

This module is the one home of the version number, free of imports so that every stage may read it.
"""

__version__ = "0.1.0"
