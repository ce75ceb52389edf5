"""What is chosen when the user has not chosen, and what a course and our measurements say about it.

In: the size of a table and of its windows, and what the plan leaves open.
Out: decisions with their reasons, and the course's rules beside what was measured.
"""
