"""What is known of a network before it is built.

In: the fields of an architecture, a `NetworkShape`.
Out: whether they go together, what can run the network, its parameters and its memory.
"""
