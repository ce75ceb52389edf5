"""backmix."""
