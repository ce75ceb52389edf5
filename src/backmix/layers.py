"""Keras's recurrent layers, fast on a processor.

This module is the import line that makes a Keras program fast: `from backmix.layers import LSTM`
instead of `from keras.layers import LSTM`. See `backmix.models.layers`.
"""

from backmix.models.layers import GRU, LSTM, Bidirectional, SimpleRNN, SlowLoopWarning, accelerate

__all__ = ["GRU", "LSTM", "Bidirectional", "SimpleRNN", "SlowLoopWarning", "accelerate"]
