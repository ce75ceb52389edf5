# Course items 9, 10 and 13: gates as the valves of a buffer tank, a stirred tank as a cell, the effective memory.

# %% en
# # Tanks and gates
#
# A process engineer has known recurrent networks for a long time under another name: hold-up. What is in a vessel
# now is what was in it before, less what left, plus what came. Two vessels make two cells.

# %% zh_TW
# # 槽與閘
#
# 製程工程師早就認識循環網路，只是名稱不同：滯留量。槽中現在的內容，等於先前的內容減去流出、加上流入。兩種槽對應兩種
# 單元。

# %% en
# ## A stirred tank is a cell with one weight
#
# Volume V, flow q, well mixed: dc/dt = (q/V)(feed − c). If the feed stands still within each minute, the exact
# solution from minute to minute is
#
# $$c_t = e^{-q/V}\,c_{t-1} + (1 - e^{-q/V})\,feed_t$$
#
# That is a SimpleRNN with one unit and no tanh: recurrent weight e^(−q/V), input weight one minus that.

# %% zh_TW
# ## 攪拌槽是只有一個權重的單元
#
# 體積 V、流量 q、完全混合：dc/dt = (q/V)(進料 − c)。若每分鐘內進料不變，逐分鐘的精確解為
#
# $$c_t = e^{-q/V}\,c_{t-1} + (1 - e^{-q/V})\,feed_t$$
#
# 這就是一個沒有 tanh、只有一個單元的 SimpleRNN：循環權重為 e^(−q/V)，輸入權重為一減去它。

# %%
import numpy as np
from scipy.integrate import solve_ivp

from backmix.models.reference import CellForm, Weights, backward, forward
from backmix.report.drawing.sketch import sketch

turnover = 0.1  # q/V per minute: a residence time of ten minutes
keep = np.exp(-turnover)
feed = np.where((np.arange(60) >= 5) & (np.arange(60) < 20), 1.0, 0.2)

tank = Weights(np.array([[1 - keep]]), np.array([[keep]]), np.zeros(1))
cell = forward(CellForm("simple_rnn", activation="linear"), tank, feed[None, :, None]).h[0, :, 0]
balance, c = [], 0.0
for inflow in feed:
    c = solve_ivp(lambda t, y, inflow=inflow: turnover * (inflow - y), (0, 1), [c], rtol=1e-9, atol=1e-12).y[0, -1]
    balance.append(c)
print("cell = mass balance:", np.allclose(cell, balance, atol=1e-7))
sketch({"feed": feed, "c": balance}, xlabel="min")

# %% en
# How much of the last value hangs on the feed of k minutes ago? The gradient says it, and it is what the engineer
# calls the residence time distribution:

# %% zh_TW
# 最後的值有多少來自 k 分鐘前的進料？梯度就是答案，也就是工程師所說的滯留時間分布：

# %%
trace = forward(CellForm("simple_rnn", activation="linear"), tank, feed[None, :, None])
share = backward(trace, np.ones((1, 1))).x[0, ::-1, 0]
print("after  0, 10, 20, 30 min:", share[[0, 10, 20, 30]].round(4), " sum:", round(float(share.sum()), 4))

# %% en
# ## A buffer tank with three valves is an LSTM
#
# The stirred tank always leaks. A buffer tank has valves, and somebody who works them:
#
# | valve | gate | what it does |
# | --- | --- | --- |
# | inlet | i | lets some of the candidate g into the memory c |
# | drain, held shut | f | 1 keeps everything, 0 empties the tank |
# | sampling | o | shows the content to the next layer, as h |
#
# Below the valves are worked by three push-buttons of the table: fill, drain, sample.

# %% zh_TW
# ## 有三個閥的緩衝槽就是 LSTM
#
# 攪拌槽一直在流失；緩衝槽則有閥，也有人操作：
#
# | 閥 | 閘 | 作用 |
# | --- | --- | --- |
# | 進料閥 | i | 讓部分候選值 g 進入記憶 c |
# | 排放閥（保持關閉的程度） | f | 1 全部保留，0 排空 |
# | 取樣閥 | o | 將內容以 h 顯示給下一層 |
#
# 以下由資料表中的三個按鈕操作這些閥：進料、排放、取樣。

# %%
fill, drain, sample = np.zeros(30), np.zeros(30), np.zeros(30)
fill[[2, 3, 4, 18]] = 1
drain[14] = 1
sample[[8, 12, 16, 24]] = 1
x = np.stack([fill, drain, sample], axis=1)[None]

open_wide = 20.0  # before the sigmoid: +20 is a valve that is open, -20 one that is shut
kernel = np.zeros((3, 4))  # columns i, f, g, o
kernel[0, 0], kernel[1, 1], kernel[2, 3] = 2 * open_wide, -2 * open_wide, 2 * open_wide
buffer = Weights(kernel, np.zeros((1, 4)), np.array([-open_wide, open_wide, 0.3, -open_wide]))
run = forward(CellForm("lstm"), buffer, x)
c, h, gate = run.states["c"][0, :, 0], run.h[0, :, 0], {name: run.gates[name][0, :, 0] for name in run.gates}
print(
    "c = f c + i g at every step:",
    np.allclose(c, gate["f"] * np.concatenate([[0], c[:-1]]) + gate["i"] * gate["candidate"]),
)
sketch({"c": c, "h": h}, xlabel="min")

# %%
sketch({name: gate[name] for name in ("i", "f", "o")}, xlabel="min")

# %% en
# The content of minute 4 stands unchanged in minute 13, whatever is shown or not in between, and one minute of f = 0
# removes it. The gates above are values **after** the sigmoid, between 0 and 1: a curve of what goes into the
# sigmoid would run from −20 to 20 and say nothing about a valve.
#
# ## How long a memory lasts
#
# Along the memory the slope is the forget gate and nothing else, ∂c_t/∂c_{t−1} = f_t. Over many minutes the slopes
# are multiplied. A gate of f keeps a share of 1/e for −1/ln f rows: an *effective memory* that can be said in
# minutes.

# %% zh_TW
# 第 4 分鐘的內容到第 13 分鐘都沒有改變，無論其間是否取樣；只要一分鐘 f = 0 就清空。以上的閘值都是 sigmoid **之後**的
# 值，介於 0 與 1；若畫的是 sigmoid 之前的值，曲線會在 −20 與 20 之間跑，完全看不出閥的開度。
#
# ## 記憶能維持多久
#
# 沿著記憶，斜率就是遺忘閘，∂c_t/∂c_{t−1} = f_t，別無其他；經過許多分鐘就是連乘。閘值 f 使剩餘比例降到 1/e 需要
# −1/ln f 列，這就是可以用分鐘表示的*有效記憶*。

# %%
for f in (0.5, 0.731, 0.9, 0.95, 0.99, 0.999):
    w = Weights(np.zeros((1, 4)), np.zeros((1, 4)), np.array([0, np.log(f / (1 - f)), 0, 0]))
    long = forward(CellForm("lstm"), w, np.zeros((1, 100, 1)))
    slope = backward(long, np.zeros((1, 1)), dc=np.ones((1, 1))).initial["c"][0, 0]
    print(
        f"f = {f:5}: after 100 rows {slope:.1e} of the memory (f^100 = {f**100:.1e});  "
        f"effective memory {-1 / np.log(f):7.1f} rows"
    )

# %% en
# 0.731 is where Keras's LSTM begins: a memory of three rows. With one row a minute and a residence time of ten
# minutes the gate must be *learned* to 0.9, or set there.
#
# ## Exercise
#
# Make the drain valve leak: let f be 0.95 all the time. When must the sample be taken so that at least half of what
# was filled in minutes 2 to 4 is seen?

# %% zh_TW
# 0.731 是 Keras LSTM 的起始值：記憶只有三列。若每分鐘一列、滯留時間十分鐘，閘必須*學到* 0.9，或一開始就設在那裡。
#
# ## 練習
#
# 讓排放閥微漏：f 一直是 0.95。要在什麼時候取樣，才能看到第 2 至 4 分鐘進料的一半以上？
