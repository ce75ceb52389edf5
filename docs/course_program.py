"""A program as the course writes it, on today's Keras: one import line decides whose layers it runs on.

Build, compile, fit with callbacks, evaluate, predict, plot, save, load; then classes, labels per step,
several steps ahead, denoising, both directions, carried states. The numbers come from a stirred tank
with a second one behind it, so that there is something to learn. It writes its files where it is started.
"""

from pathlib import Path

import keras
import numpy as np
from keras import Model, Sequential
from keras.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from keras.layers import Dense, Dropout, Input, RepeatVector, TimeDistributed
from keras.losses import Huber
from keras.models import load_model
from keras.optimizers import SGD, Adam, RMSprop

# the one line: on our kernels it reads  from backmix.layers import GRU, LSTM, Bidirectional, SimpleRNN
from keras.layers import GRU, LSTM, Bidirectional, SimpleRNN  # isort: skip

STEPS, AHEAD, SEED = 12, 4, 7
found = {}  # what the program learned, for whoever compares two runs of it


def plant(rows):
    """Feed rate, feed concentration, coolant; the concentration behind two tanks is to be predicted."""
    rng = np.random.default_rng(SEED)
    moves = np.cumsum(rng.normal(size=(rows, 3)) * (rng.random((rows, 3)) < 0.2), axis=0)
    inputs = moves / (1 + np.abs(moves)) + 0.05 * rng.normal(size=(rows, 3))
    first = second = 0.0
    level = []
    for feed, strength, coolant in inputs:
        first += 0.3 * (strength + 0.5 * feed - first)
        second += 0.3 * (first - 0.4 * coolant - second)
        level.append(second)
    return inputs, np.array(level)


def windows(inputs, level):
    """Windows (samples, time steps, features) and what follows each: the next values of the level."""
    ends = np.arange(STEPS, len(level) - AHEAD + 1)
    x = np.stack([inputs[end - STEPS : end] for end in ends])
    return x, np.stack([level[end : end + AHEAD] for end in ends]), np.stack([level[end - STEPS : end] for end in ends])


# ----- data: split by time with a gap first, then scale with what the training rows say
inputs, level = plant(410)
gap = STEPS + AHEAD
parts = {"train": slice(0, 239), "validation": slice(239 + gap, 302), "test": slice(302 + gap, 381)}
centre, spread = inputs[parts["train"]].mean(axis=0), inputs[parts["train"]].std(axis=0)
low, high = np.quantile(level[parts["train"]], [0.33, 0.67])
data = {name: windows((inputs[rows] - centre) / spread, level[rows]) for name, rows in parts.items()}
(X, Y, along), (X_val, Y_val, along_val), (X_test, Y_test, along_test) = (
    tuple(array.astype("float32") for array in data[name]) for name in parts
)
y, y_val, y_test = Y[:, 0], Y_val[:, 0], Y_test[:, 0]


def start():
    """Every network of this program begins from the same random numbers."""
    keras.utils.set_random_seed(SEED)


# ----- many to one, stacked, with everything around it
def build(cell, units, dropout=0.0):
    """One builder for all cells: every recurrent layer but the last hands on its whole sequence."""
    model = Sequential([Input((STEPS, 3))])
    for number, size in enumerate(units, 1):
        model.add(cell(size, return_sequences=number < len(units), dropout=dropout, recurrent_dropout=dropout / 2))
    for layer in (Dense(4, activation="relu"), Dropout(dropout), Dense(1)):
        model.add(layer)
    return model


start()
model = build(LSTM, [6, 4], dropout=0.1)
model.compile(Adam(0.01, clipnorm=1.0), loss="mse", metrics=["mae", "root_mean_squared_error"])
callbacks = [
    EarlyStopping(monitor="val_loss", patience=3, min_delta=1e-4, restore_best_weights=True),
    ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True),
    ModelCheckpoint("epoch{epoch:02d}.weights.h5", save_weights_only=True),
    ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_lr=1e-7),
    CSVLogger("history.csv"),
]
history = model.fit(X, y, epochs=3, batch_size=32, validation_data=(X_val, y_val), callbacks=callbacks, verbose=0)
found["regression"] = {name: list(map(float, values)) for name, values in history.history.items()}
found["test scores"] = [float(value) for value in model.evaluate(X_test, y_test, batch_size=16, verbose=0)]
found["predictions"] = model.predict(X_test, batch_size=16, verbose=0)
found["parameters"] = model.count_params()


# ----- the learning curve, drawn with matplotlib where it is installed
def plot(curves, path):
    """Lines over epochs; without matplotlib an SVG of the lines alone."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        top = max(max(values) for values in curves.values())
        lines = "".join(
            '<polyline fill="none" stroke="black" points="{}"/>'.format(
                " ".join(f"{60 * epoch},{100 - 100 * value / top:.1f}" for epoch, value in enumerate(values))
            )
            for values in curves.values()
        )
        Path(path).with_suffix(".svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{lines}</svg>')
        return
    for name, values in curves.items():
        plt.plot(values, label=name)
    plt.xlabel("epoch")
    plt.legend()
    plt.savefig(path)
    plt.close()


plot({name: history.history[name] for name in ("loss", "val_loss")}, "training_history.png")

# ----- save and load: the whole model, the weights alone
model.save("model.keras")
model.save_weights("model.weights.h5")
whole = load_model("model.keras")
found["loaded"] = whole.predict(X_test, batch_size=16, verbose=0)
again = build(LSTM, [6, 4], dropout=0.1)
again.load_weights("model.weights.h5")
found["weights loaded"] = again.predict(X_test, batch_size=16, verbose=0)
found["best"] = load_model("best.keras").predict(X_test, batch_size=16, verbose=0)


def train(name, network, target, x=X, **settings):
    """Compile and fit briefly, keep the losses and what the weights became."""
    fit = {key: settings.pop(key) for key in ("class_weight",) if key in settings}
    network.compile(**{"optimizer": Adam(0.01, clipnorm=1.0)} | settings)
    shown = network.fit(x, target, epochs=2, batch_size=32, verbose=0, **fit)
    found[name] = {key: list(map(float, values)) for key, values in shown.history.items()}
    found[f"{name}: weights"] = np.concatenate([np.ravel(variable.value) for variable in network.trainable_variables])


# ----- other cells, optimisers and losses
start()
train("plain", build(SimpleRNN, [5]), y, optimizer=RMSprop(0.005, rho=0.9, clipvalue=1.0), loss=Huber(delta=1.0))
start()
train("gru", build(GRU, [5]), y, optimizer=SGD(0.01, momentum=0.9, clipnorm=1.0), loss="mae")

# ----- two classes, unevenly frequent; three classes
alarm = (y > high).astype("float32")
start()
train(
    "two classes",
    Sequential([Input((STEPS, 3)), GRU(5), Dense(1, activation="sigmoid")]),
    alarm,
    loss="binary_crossentropy",
    metrics=["accuracy", "precision", "recall", "auc"],
    class_weight={0: 1.0, 1: float((1 - alarm).sum() / alarm.sum())},
)
start()
train(
    "three classes",
    Sequential([Input((STEPS, 3)), LSTM(5), Dense(3, activation="softmax")]),
    (y > low).astype("int32") + (y > high),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)

# ----- a label for every time step
start()
train(
    "every step",
    Sequential([Input((STEPS, 3)), GRU(5, return_sequences=True), TimeDistributed(Dense(1, activation="sigmoid"))]),
    (along[:, :, None] > high).astype("float32"),
    loss="binary_crossentropy",
)

# ----- several steps ahead: at once, through a repeated vector, and with the encoder's states handed over
start()
train("direct", Sequential([Input((STEPS, 3)), LSTM(5), Dense(AHEAD)]), Y, loss="mse")
start()
train(
    "repeated",
    Sequential([Input((STEPS, 3)), LSTM(5), RepeatVector(AHEAD), LSTM(5, return_sequences=True), Dense(1)]),
    Y[:, :, None],
    loss="mse",
)
start()
past, before = Input((STEPS, 3)), Input((AHEAD, 1))
_, h, c = LSTM(5, return_state=True)(past)
ahead = Dense(1)(LSTM(5, return_sequences=True)(before, initial_state=[h, c]))
taught = np.concatenate([along[:, -1:], Y[:, :-1]], axis=1)[:, :, None]  # what was true one step before
train("handed over", Model([past, before], ahead), Y[:, :, None], x=[X, taught], loss="mse")

# ----- denoising: the clean sequence from a noisy one
start()
noisy = X + np.random.default_rng(SEED).normal(size=X.shape).astype("float32")
train(
    "denoising",
    Sequential(
        [Input((STEPS, 3)), GRU(5), RepeatVector(STEPS), GRU(5, return_sequences=True), TimeDistributed(Dense(3))]
    ),
    X,
    x=noisy,
    loss="mse",
)

# ----- both directions
start()
train(
    "both ways",
    Sequential([Input((STEPS, 3)), Bidirectional(LSTM(4, return_sequences=True)), Bidirectional(GRU(3)), Dense(1)]),
    y,
    loss="mse",
)

# ----- states carried from batch to batch, and put back by hand
start()
size = 8
long = X[: 6 * size].reshape(6, size, STEPS, 3).swapaxes(0, 1).reshape(-1, STEPS, 3)[: 4 * size]
wanted = y[: 6 * size].reshape(6, size).swapaxes(0, 1).reshape(-1)[: 4 * size]
carried = Sequential([Input(batch_shape=(size, STEPS, 3)), LSTM(4, stateful=True), Dense(1)])
carried.compile("adam", loss="mse")
losses = []
for _ in range(2):
    losses += carried.fit(long, wanted, batch_size=size, epochs=1, shuffle=False, verbose=0).history["loss"]
    carried.layers[0].reset_state()
first, second = np.asarray(carried(long[:size])), np.asarray(carried(long[:size]))
carried.layers[0].reset_state()
found["carried"] = {"loss": [float(value) for value in losses]}
found["carried: predictions"] = np.stack([first, second, np.asarray(carried(long[:size]))])
