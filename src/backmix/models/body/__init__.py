"""What a network is built of between its inputs and its head.

In: windows (B, T, F) as Keras tensors.
Out: states (B, H), rows of states (B, T, H), or a path of K steps (B, K, H).
"""
