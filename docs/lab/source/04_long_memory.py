# Course items 8, 11 and 12: long-term dependency, SimpleRNN against GRU against LSTM, feed-forward against recurrent.

# %% en
# # What was charged an hour ago
#
# A batch plant: in its first minute catalyst is charged; after T minutes the quality of the product is what that
# charge made it. Everything between is noise. A model that is to predict the quality from the rows must carry one
# number over T rows. Which networks can?

# %% zh_TW
# # 一小時前投入的量
#
# 一座批次工廠：第一分鐘投入觸媒，T 分鐘後的產品品質取決於當時的投入量，中間全是雜訊。要從這些資料列預測品質，模型必須把
# 一個數字帶過 T 列。哪些網路做得到？

# %%
import numpy as np

from backmix.layers import GRU, LSTM, SimpleRNN
from backmix.models.engine import use_engine

keras = use_engine()
UNITS = 12


def batches(rows, count, seed):
    """x (B, T, 3): the charge stands in the first row of the first tag; the other two tags are noise. y (B,)"""
    rng = np.random.default_rng(seed)
    x, charge = 0.5 * rng.normal(size=(count, rows, 3)), rng.uniform(-1, 1, count)
    x[:, :, 0] = 0
    x[:, 0, 0] = 2 * charge
    return x.astype("float32"), charge.astype("float32")


def network(rows, *layers):
    """Layers and a head of one number, compiled as backmix would: Adam, norm of the gradient clipped at 1."""
    model = keras.Sequential([keras.Input((rows, 3)), *layers, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), "mse")
    return model


def score(model, rows, seed, *, gate=None):
    """Train from the start that ``seed`` gives and return R² on new batches: 1 is perfect, 0 is the mean.

    gate: the first and last place of a gate's bias, and the value it starts from
    """
    keras.utils.set_random_seed(seed)
    fresh = keras.models.clone_model(model)
    for old, new in zip(model.variables, fresh.variables, strict=True):
        old.assign(new.value)
    for variable in model.optimizer.variables:  # Adam begins anew: its count of steps and its moments
        if variable.name != "learning_rate":
            variable.assign(np.zeros(variable.shape))
    if gate is not None:
        first, last, value = gate
        bias = np.array(model.layers[0].cell.bias.value)
        bias[..., first:last] = value
        model.layers[0].cell.bias.assign(bias)
    x, y = batches(rows, 768, seed=0)
    model.fit(x, y, epochs=25, batch_size=64, verbose=0)
    x, y = batches(rows, 256, seed=1)
    return 1 - float(np.mean((np.asarray(model(x))[:, 0] - y) ** 2) / y.var())


# %% en
# ## Without memory
#
# A feed-forward net that sees the last row alone cannot know the charge. One that sees all rows, laid side by side,
# can: but it has weights of its own for every row of every tag, and it accepts windows of this one length only.

# %% zh_TW
# ## 沒有記憶
#
# 只看最後一列的前饋網路不可能知道投入量。把所有列攤平並排就可以知道；但它對每個標籤的每一列都需要自己的權重，而且只接受
# 這一種長度的視窗。

# %%
dense = keras.layers.Dense
last_row = network(60, keras.layers.Cropping1D((59, 0)), keras.layers.Flatten(), dense(UNITS, activation="tanh"))
all_rows = network(60, keras.layers.Flatten(), dense(UNITS, activation="tanh"))
found = {"last row": score(last_row, 60, 0), "all rows": score(all_rows, 60, 0)}
for name, model in (("last row", last_row), ("all rows", all_rows)):
    print(f"{name}: {model.count_params():5,} parameters, finds the charge: {found[name] > 0.9}")
for name, cell in (("SimpleRNN", SimpleRNN), ("GRU", GRU), ("LSTM", LSTM)):
    counts = [network(rows, cell(UNITS)).count_params() for rows in (10, 60)]
    print(f"{name:9}: {counts[0]:5,} parameters for 10 rows, {counts[1]:,} for 60")

# %% en
# ## Three cells, as Keras starts them
#
# R² on new batches, for windows of 10 and of 60 rows, from two or three random starts. (Trained numbers depend a
# little on the machine; these are of the one that wrote this notebook.)

# %% zh_TW
# ## 三種單元，以 Keras 的預設起始
#
# 以新批次計算的 R²，視窗為 10 列與 60 列，各由兩三個隨機起點訓練。（訓練結果會因機器略有不同；這是產生本筆記本的機器
# 所得。）

# %% measured
from time import perf_counter

models = {
    (name, rows): network(rows, cell(UNITS))
    for name, cell in (("SimpleRNN", SimpleRNN), ("GRU", GRU), ("LSTM", LSTM))
    for rows in (10, 60)
}
for (name, rows), model in models.items():
    scores = [score(model, rows, seed) for seed in range(2 if rows == 10 else 3)]
    started = perf_counter()
    model.fit(*batches(rows, 768, seed=0), batch_size=64, verbose=0)
    print(
        f"{name:9} T = {rows}: R² "
        + "  ".join(f"{value:5.2f}" for value in scores)
        + f"   {1e3 * (perf_counter() - started):4.0f} ms an epoch"
    )

# %% en
# Over 10 rows every cell finds it. Over 60 rows none can be relied on, and it is not the plain cell that does worst.
# The reason is not the cell but **how its gates begin**. What reaches the first row from the last, before any
# training:

# %% zh_TW
# 10 列時每種單元都找得到；60 列時沒有一種可靠，而且最差的並不是基本 RNN。原因不在單元本身，而在**閘的起始值**。訓練
# 之前，由最後一列傳到第一列的梯度為：

# %%
from backmix.models.reference import CellForm, Weights, backward, forward
from backmix.report.drawing.sketch import sketch


def reach(kind, cell, gate=None):
    """Size of dL/dh_t for every row of 60, from a random start."""
    layer = kind(
        UNITS,
        kernel_initializer=keras.initializers.GlorotUniform(1),
        recurrent_initializer=keras.initializers.Orthogonal(seed=1),
    )
    layer.build((None, 60, 3))
    w = Weights(*(np.array(v.value, dtype="float64") for v in layer.trainable_variables))
    if gate is not None:
        first, last, value = gate
        w.bias[..., first:last] = value
    back = backward(forward(CellForm(cell), w, batches(60, 32, seed=0)[0]), np.ones((32, UNITS)))
    return np.sqrt((back.h**2).mean(axis=(0, 2)))


KEEP = {"GRU": (0, UNITS, 3.0), "LSTM": (UNITS, 2 * UNITS, 3.0)}  # update gate z, forget gate f: sigmoid(3) = 0.95
sketch(
    {
        "SimpleRNN": reach(SimpleRNN, "simple_rnn"),
        "GRU": reach(GRU, "gru"),
        "LSTM": reach(LSTM, "lstm"),
        "GRU, z = 0.95": reach(GRU, "gru", KEEP["GRU"]),
        "LSTM, f = 0.95": reach(LSTM, "lstm", KEEP["LSTM"]),
    },
    ylabel="|dL/dh|",
    log=True,
)

# %% en
# A GRU starts with z near 0.5, an LSTM of Keras with f near 0.73: multiplied sixty times, nothing. A gate can be
# *learned* open, but only from a gradient that arrives. So start it open: a bias of 3 makes both gates 0.95. (The
# idea is in Gers, Schmidhuber & Cummins, Neural Computation 12, 2000, and in Tallec & Ollivier, ICLR 2018.)

# %% zh_TW
# GRU 起始時 z 約為 0.5，Keras 的 LSTM 起始時 f 約為 0.73：連乘六十次便所剩無幾。閘可以*學會*打開，但前提是梯度傳得到。
# 那麼就讓它一開始就打開：偏差設為 3，兩種閘都是 0.95。（此想法見 Gers、Schmidhuber 與 Cummins, Neural Computation
# 12, 2000，以及 Tallec 與 Ollivier, ICLR 2018。）

# %%
for name in ("GRU", "LSTM"):
    scores = [score(models[name, 60], 60, seed, gate=KEEP[name]) for seed in range(2)]
    print(f"{name:4} with an open gate finds the charge over 60 rows: {[value > 0.9 for value in scores]}")

# %% en
# ## What to take home
#
# A gated cell *can* carry a number over sixty rows, a plain one fights its own tanh. Whether a gated cell does
# depends on its start and on the data. "LSTM above 100 steps" is a rule of thumb, not a law: measure, and look at
# how far the gradient reaches. And where the charge is known to be in the first row, a feed-forward net, or a column
# "charge" in the table, is simpler and as good.
#
# ## Exercise
#
# Give the SimpleRNN the activation "linear". It now has no tanh that takes gradient away. Does it find the charge
# over 60 rows? What would it do with a real reactor?

# %% zh_TW
# ## 重點
#
# 有閘的單元*能夠*把一個數字帶過六十列，基本 RNN 則受制於自己的 tanh。有閘的單元是否真的做到，取決於起始值與資料。「超過
# 100 步用 LSTM」是經驗法則而非定律：請實際量測，並觀察梯度能傳多遠。若已知投入量就在第一列，那麼前饋網路，或在資料表中
# 加一個「投入量」欄位，更簡單而且一樣好。
#
# ## 練習
#
# 將 SimpleRNN 的激活函數改為 "linear"，它就不再有削弱梯度的 tanh。它能跨 60 列找到投入量嗎？用在真實反應器上會如何？
