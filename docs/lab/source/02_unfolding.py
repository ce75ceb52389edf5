# Course items 2 and 5: unfolding in time, backpropagation through time, and what it costs.

# %% en
# # Unfolding, and training through time
#
# A recurrent layer is a small net that is used again and again. Written out over T rows it is a deep net of T
# layers, all of them with **the same** weights. Training is ordinary backpropagation through that deep net; that is
# all that "backpropagation through time" means.

# %% zh_TW
# # 沿時間展開與訓練
#
# 循環層是一個反覆使用的小網路。沿 T 列展開，就是 T 層的深度網路，而各層使用**同一組**權重。訓練就是對這個深度網路做一般
# 的反向傳播；「時間反向傳播」（BPTT）的意思不過如此。

# %% en
# ## A deep net with shared weights

# %% zh_TW
# ## 共用權重的深度網路

# %%
import numpy as np

from backmix.models.reference import CellForm, Weights, backward, forward

rng = np.random.default_rng(1)
T, F, H = 6, 2, 3
W, U, b = rng.normal(size=(F, H)) * 0.6, rng.normal(size=(H, H)) * 0.5, np.zeros(H)
x = rng.normal(size=(1, T, F))

copies = [{"W": W, "U": U, "b": b} for _ in range(T)]  # T dense layers: one set of weights, T times
states = [np.zeros((1, H))]
for t, layer in enumerate(copies):
    states.append(np.tanh(x[:, t] @ layer["W"] + states[-1] @ layer["U"] + layer["b"]))

trace = forward(CellForm("simple_rnn"), Weights(W, U, b), x)
print("deep net = recurrent layer:", np.allclose(trace.h[0], np.concatenate(states[1:])))

# %% en
# ## The way back
#
# Say the loss is half the squared distance of the last state from a target. Its slope is handed from each step to
# the one before: through tanh (times 1 − h²) and through U. Every copy gets a gradient of its own, and since the
# copies share one set of weights, their gradients are **added**.

# %% zh_TW
# ## 反向傳播
#
# 設損失為最後狀態與目標之間距離平方的一半。其斜率由每一步傳給前一步：先經過 tanh（乘以 1 − h²），再經過 U。每一份複本
# 都有自己的梯度；因為它們共用一組權重，所以梯度要**相加**。

# %%
target = np.array([[0.5, -0.5, 0.0]])


def loss(W, U, b):
    h = forward(CellForm("simple_rnn"), Weights(W, U, b), x).last["h"]
    return 0.5 * ((h - target) ** 2).sum()


shares = []
dh = states[-1] - target
for t in reversed(range(T)):
    dz = dh * (1 - states[t + 1] ** 2)
    shares.insert(0, states[t].T @ dz)  # what this copy would like to change in U
    dh = dz @ U.T
by_hand = sum(shares)

by_reference = backward(trace, trace.last["h"] - target).recurrent
step = 1e-6
by_difference = np.zeros_like(U)
for at in np.ndindex(U.shape):
    up, down = U.copy(), U.copy()
    up[at] += step
    down[at] -= step
    by_difference[at] = (loss(W, up, b) - loss(W, down, b)) / (2 * step)
print(by_hand.round(5))
print("reference agrees:", np.allclose(by_hand, by_reference))
print("finite differences agree:", np.allclose(by_hand, by_difference, atol=1e-8))

# %% en
# Which of the copies speaks loudest? The newest rows, mostly; the share of the oldest is small. The third lab is
# about that.

# %% zh_TW
# 哪一份複本的聲音最大？大多是最新的幾列，最舊的份額很小。第三個實驗就談這件事。

# %%
from backmix.report.drawing.sketch import sketch

sketch({"|dL/dU|": [np.abs(share).sum() for share in shares]}, x=list(range(1, T + 1)))

# %% en
# ## What it costs
#
# The way back needs every state and every gate of the way forth, so memory grows with the number of rows T, and so
# does the time. backmix estimates the memory of a training step before it allocates anything: here for a batch of
# 32 windows, an LSTM of 64 units and 10 tags.

# %% zh_TW
# ## 成本
#
# 反向傳播需要前向時的每個狀態與每個閘值，所以記憶體隨列數 T 增加，時間也是。backmix 在配置記憶體之前就先估算一個訓練步
# 所需的量：以下為每批 32 個視窗、64 單元的 LSTM、10 個標籤。

# %%
from backmix.models.architecture import Architecture
from backmix.models.shape.size import memory

for rows in (10, 50, 100, 500, 1000):
    shape = Architecture(features=10, lookback=rows, cell="lstm", units=(64,))
    kept = forward(
        CellForm("lstm"), Weights(np.zeros((10, 256)), np.zeros((64, 256)), np.zeros(256)), np.zeros((32, rows, 10))
    )
    numbers = sum(a.size for a in (*kept.states.values(), *kept.gates.values()))
    print(f"T = {rows:5}: {memory(shape, 32) / 1e6:7.1f} MB for a step;  states and gates kept: {numbers:11,}")

# %% en
# Time, measured on the machine that wrote this notebook (seconds for one way forth and back of the reference, which
# is slow on purpose; the ratio is what counts):

# %% zh_TW
# 時間是在產生本筆記本的機器上量測的（參考實作一次前向加反向的秒數；它本來就不求快，重要的是比例）：

# %% measured
from time import perf_counter

shape = Weights(rng.normal(size=(4, 64)), rng.normal(size=(16, 64)) * 0.1, np.zeros(64))
for rows in (100, 200, 400):
    started = perf_counter()
    backward(forward(CellForm("lstm"), shape, np.zeros((8, rows, 4))), np.ones((8, 16)))
    print(f"T = {rows}: {perf_counter() - started:.3f} s")

# %% en
# ## Exercise
#
# Stop the way back after the two newest steps ("truncated" backpropagation: add only the last two of `shares`). How
# far is the result from the whole gradient, and for which kind of plant would you mind?

# %% zh_TW
# ## 練習
#
# 只反向傳播最新的兩步（「截斷式」BPTT：只加總 `shares` 的最後兩項）。結果與完整梯度差多少？對哪一類製程會有影響？
