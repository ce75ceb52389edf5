# Course items 1, 3 and 4: one step by hand, the equations, and how many parameters there are.

# %% en
# # One step by hand
#
# A recurrent network reads a table row by row and keeps a few numbers in mind: its *state* h. For every row it
# mixes the row x with the state before, and what comes out is the new state. Nothing else happens. Here one such
# step is done with a pocket calculator, then with matrices, then with the layer that backmix trains.

# %% zh_TW
# # 手算一個時間步
#
# 循環網路逐列讀取資料表，並記住少數幾個數字：也就是*隱藏狀態* h。每讀一列，就把這一列的 x 與前一個狀態混合，得到新的
# 狀態，僅此而已。本實驗先用計算機手算一步，再用矩陣，最後用 backmix 實際訓練的層來核對。

# %% en
# ## A reactor seen through one number
#
# Two instruments, already scaled: temperature 1.0 and flow 2.0 in the first minute, 0.0 and 4.0 in the second.
# The weights are 0.5 and −0.25, the state comes back with 0.8, and the bias is 0.1:
#
# $$h_t = \tanh(0.5\,x_{t,1} - 0.25\,x_{t,2} + 0.8\,h_{t-1} + 0.1)$$

# %% zh_TW
# ## 用一個數字看反應器
#
# 兩支儀表，數值已標準化：第一分鐘溫度 1.0、流量 2.0；第二分鐘為 0.0 與 4.0。權重是 0.5 與 −0.25，前一狀態以 0.8
# 倍回饋，偏差為 0.1：
#
# $$h_t = \tanh(0.5\,x_{t,1} - 0.25\,x_{t,2} + 0.8\,h_{t-1} + 0.1)$$

# %%
from math import exp, tanh

h = 0.0
for t, (temperature, flow) in enumerate([(1.0, 2.0), (0.0, 4.0)], 1):
    z = 0.5 * temperature - 0.25 * flow + 0.8 * h + 0.1
    h = tanh(z)
    print(f"t={t}  z = {z:+.4f}   h = tanh(z) = {h:+.4f}")

# %% en
# The second state knows of the first minute only through 0.8 · h₁. The same two steps by the reference
# implementation of backmix (plain NumPy, 64-bit), which keeps everything it computes:

# %% zh_TW
# 第二個狀態只透過 0.8 · h₁ 得知第一分鐘的情形。以 backmix 的參考實作（純 NumPy、64 位元）計算同樣兩步，它會保留所有
# 中間結果：

# %%
import numpy as np

from backmix.models.reference import CellForm, Weights, forward

one_unit = Weights(kernel=np.array([[0.5], [-0.25]]), recurrent=np.array([[0.8]]), bias=np.array([0.1]))
trace = forward(CellForm("simple_rnn"), one_unit, np.array([[[1.0, 2.0], [0.0, 4.0]]]))
print("z:", trace.pre["candidate"][0, :, 0].round(4))
print("h:", trace.h[0, :, 0].round(4))

# %% en
# ## Raw plant values, and why they are scaled
#
# Three instruments (120 °C, 2.5 bar, 10 L/min), five units, weights of ordinary size. Without scaling the sums are
# so large that tanh stands at its stop, −1 or 1, whatever the plant does: the layer is blind. After subtracting a
# mean and dividing by a spread it sees.

# %% zh_TW
# ## 原始數值為什麼要標準化
#
# 三支儀表（120 °C、2.5 bar、10 L/min）、五個單元、一般大小的權重。若不標準化，加總後的值太大，tanh 停在 −1 或 1 的
# 極限，無論工廠怎麼變化都一樣：這個層形同失明。減去平均、除以離散程度之後，才看得見變化。

# %%
rng = np.random.default_rng(0)
five = Weights(rng.normal(size=(3, 5)) * 0.5, rng.normal(size=(5, 5)) * 0.4, np.zeros(5))
rows = np.array([[120, 2.5, 10.0], [122, 2.4, 9.8], [125, 2.3, 9.5]])
centre, spread = np.array([122, 2.4, 9.8]), np.array([2.5, 0.1, 0.25])
print("raw:\n", forward(CellForm("simple_rnn"), five, rows[None]).h[0].round(3) + 0.0)
print("scaled:\n", forward(CellForm("simple_rnn"), five, ((rows - centre) / spread)[None]).h[0].round(3))

# %% en
# ## An LSTM's step
#
# An LSTM has two states: the memory c and the output h. Three gates between 0 and 1 decide: the forget gate f how
# much of c is kept, the input gate i how much of the candidate g goes in, the output gate o how much is shown.
#
# $$c_t = f\,c_{t-1} + i\,g \qquad h_t = o\,\tanh(c_t)$$

# %% zh_TW
# ## LSTM 的一步
#
# LSTM 有兩個狀態：記憶 c 與輸出 h。三個介於 0 與 1 的閘各有任務：遺忘閘 f 決定保留多少 c，輸入閘 i 決定加入多少候選值
# g，輸出閘 o 決定輸出多少。
#
# $$c_t = f\,c_{t-1} + i\,g \qquad h_t = o\,\tanh(c_t)$$


# %%
def sigmoid(z):
    return 1 / (1 + exp(-z))


x, h, c = 1.0, 0.2, 0.6
i, f, g, o = sigmoid(0.4 * x + 0.1 * h), sigmoid(0.3 * x - 0.2 * h + 1), tanh(0.9 * x + 0.5 * h), sigmoid(-0.2 * x + h)
c = f * c + i * g
print(f"i={i:.4f}  f={f:.4f}  g={g:.4f}  o={o:.4f}")
print(f"c = f c + i g = {c:.4f}    h = o tanh(c) = {o * tanh(c):.4f}")

lstm = Weights(np.array([[0.4, 0.3, 0.9, -0.2]]), np.array([[0.1, -0.2, 0.5, 1.0]]), np.array([0.0, 1.0, 0.0, 0.0]))
start = {"h": np.array([[0.2]]), "c": np.array([[0.6]])}
after = forward(CellForm("lstm"), lstm, np.array([[[1.0]]]), initial=start).last
print(f"reference: c = {after['c'][0, 0]:.4f}    h = {after['h'][0, 0]:.4f}")

# %% en
# ## A GRU's step
#
# A GRU has one state and two gates. In Keras, and here, the update gate z says how much of the **old** state stays:
# h = z h + (1 − z) candidate. Many texts write it the other way round, so a drawing of z means nothing until it
# says which way. The reset gate r acts before or after the recurrent product; Keras's default is after.

# %% zh_TW
# ## GRU 的一步
#
# GRU 只有一個狀態與兩個閘。在 Keras 與本套件中，更新閘 z 表示**舊**狀態保留多少：h = z h + (1 − z) 候選值。許多教材的
# 寫法相反，因此 z 的圖若未註明慣例就沒有意義。重置閘 r 可作用在循環乘積之前或之後；Keras 預設為之後。

# %%
kernel, recurrent, state = rng.normal(size=(1, 6)), rng.normal(size=(2, 6)), np.array([[0.5, -0.3]])
for reset_after in (True, False):
    gru = Weights(kernel, recurrent, bias=np.zeros((2, 6)) if reset_after else np.zeros(6))
    step = forward(CellForm("gru", reset_after=reset_after), gru, np.array([[[1.0]]]), initial={"h": state})
    z, r, g = (step.gates[name][0, 0] for name in ("z", "r", "candidate"))
    print(f"reset_after={reset_after!s:5}  z={z.round(4)}  r={r.round(4)}  candidate={g.round(4)}")
    print(f"    z h + (1-z) candidate = {(z * state[0] + (1 - z) * g).round(4)}    h = {step.h[0, 0].round(4)}")

# %% en
# ## The layers that are trained
#
# `backmix.layers` holds Keras's layers on kernels of our own. Given the same weights they give the same states:

# %% zh_TW
# ## 實際訓練的層
#
# `backmix.layers` 是 Keras 的層，但在自有的核心上執行。給定相同權重，就得到相同狀態：

# %%
from backmix.layers import GRU, LSTM, SimpleRNN

scaled = ((rows - centre) / spread)[None].astype("float32")
layer = SimpleRNN(5, return_sequences=True)
layer.build(scaled.shape)
layer.set_weights([five.kernel, five.recurrent, five.bias])
difference = np.abs(np.asarray(layer(scaled)) - forward(CellForm("simple_rnn"), five, scaled).h).max()
print("the same to 1e-6:", bool(difference < 1e-6))

# %% en
# ## How many parameters
#
# One block of weights takes F inputs, H states and a bias to H units: H (H + F + 1) numbers. A SimpleRNN has one
# block, a GRU three, an LSTM four; Keras's default GRU has a second bias, H more per block.

# %% zh_TW
# ## 參數量
#
# 一組權重把 F 個輸入、H 個狀態與偏差對應到 H 個單元，共 H (H + F + 1) 個數字。SimpleRNN 有一組，GRU 三組，LSTM 四組；
# Keras 預設的 GRU 另有第二個偏差，每組多 H 個。

# %%
F = 3
for name, made, count in [
    ("SimpleRNN(32)", SimpleRNN(32), 32 * (32 + F + 1)),
    ("LSTM(64)", LSTM(64), 4 * 64 * (64 + F + 1)),
    ("GRU(64)", GRU(64), 3 * 64 * (64 + F + 2)),
    ("GRU(64, reset_after=False)", GRU(64, reset_after=False), 3 * 64 * (64 + F + 1)),
]:
    made.build((None, 10, F))
    print(f"{name:27} {made.count_params():6,}   by the formula {count:6,}")

# %% en
# ## Exercise
#
# Set the forget gate's bias of the LSTM above to −5 and do the step again. How much of the old memory 0.6 is left,
# and which minute does the state then speak of?

# %% zh_TW
# ## 練習
#
# 將上面 LSTM 的遺忘閘偏差改為 −5，再算一次。舊記憶 0.6 還剩多少？此時狀態反映的是哪一分鐘？
