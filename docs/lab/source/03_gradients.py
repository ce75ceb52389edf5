# Course items 6, 7 and 44: vanishing and exploding gradients, and clipping.

# %% en
# # Gradients that vanish, gradients that explode
#
# On its way back through time a gradient is multiplied once per row. A number a little below one, multiplied a
# hundred times, is nothing; a number a little above one is enormous. This is why a network can be deaf to the
# beginning of a batch, and why a training can end in NaN.

# %% zh_TW
# # 梯度消失與梯度爆炸
#
# 梯度沿時間往回走，每一列都要乘一次。略小於一的數乘上一百次就幾乎是零；略大於一的數則變得極大。這就是網路聽不到批次開頭
# 的原因，也是訓練以 NaN 收場的原因。

# %% en
# ## λ to the power of k
#
# One unit without tanh, recurrent weight λ, 100 rows: the gradient that reaches row t from the last row is
# λ^(100−t).

# %% zh_TW
# ## λ 的 k 次方
#
# 一個沒有 tanh 的單元，循環權重為 λ，共 100 列：由最後一列傳到第 t 列的梯度為 λ^(100−t)。

# %%
import numpy as np

from backmix.models.reference import CellForm, Weights, backward, forward
from backmix.report.drawing.sketch import sketch


def flow(recurrent, x, activation="linear"):
    """|dL/dh_t| for every row t when the loss is the last state."""
    w = Weights(np.ones((1, 1)), np.array([[recurrent]]), np.zeros(1))
    return np.abs(backward(forward(CellForm("simple_rnn", activation=activation), w, x), np.ones((1, 1))).h[0, :, 0])


x = np.zeros((1, 100, 1))
for size in (0.5, 0.9, 0.99, 1.0, 1.1):
    print(f"λ = {size:4}:  first row {flow(size, x)[0]:.2e}   λ^99 = {size**99:.2e}")

# %%
sketch({f"λ = {size}": flow(size, x) for size in (0.9, 0.99, 1.1)}, ylabel="|dL/dh|", log=True)

# %% en
# 0.9^99 = 0.00003: of what the last minute says about its cause in the first, three parts in a hundred thousand
# arrive. In a pipe with a hundred valves that each let nine tenths through, little comes out.
#
# ## tanh makes it worse
#
# The slope of tanh is 1 only at zero and less everywhere else. With real inputs even λ = 1 fades:

# %% zh_TW
# 0.9^99 = 0.00003：關於第一分鐘的原因，最後一分鐘所傳回的訊息只剩十萬分之三。就像一條裝了一百個閥的管線，每個閥只讓
# 十分之九通過，最後所剩無幾。
#
# ## tanh 使情況更糟
#
# tanh 的斜率只有在零點等於 1，其他地方都小於 1。有了真實的輸入，即使 λ = 1 也會衰減：

# %%
driven = np.random.default_rng(0).normal(size=(1, 100, 1))
sketch({"linear, λ = 1": flow(1.0, driven), "tanh, λ = 1": flow(1.0, driven, "tanh")}, ylabel="|dL/dh|", log=True)

# %% en
# With many units λ becomes the largest |eigenvalue| of the recurrent matrix. Keras starts with an orthogonal matrix:
# all |λ| = 1, the best that a plain cell can hope for.

# %% zh_TW
# 若有許多單元，λ 就是循環矩陣最大的 |特徵值|。Keras 以正交矩陣起始：所有 |λ| = 1，這是基本 RNN 所能期望的最好情況。

# %%
matrix = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0]
for scale in (0.9, 1.0, 1.1):
    w = Weights(np.zeros((1, 16)), scale * matrix, np.zeros(16))
    back = backward(forward(CellForm("simple_rnn"), w, x), np.ones((1, 16))).h
    print(
        f"|λ| = {np.abs(np.linalg.eigvals(scale * matrix)).max():.2f}:  "
        f"first row {np.linalg.norm(back[0, 0]) / np.linalg.norm(back[0, -1]):.2e}   {scale}^99 = {scale**99:.2e}"
    )

# %% en
# ## Explosion, and NaN
#
# 32-bit numbers end at 3.4·10³⁸. λ = 1.5 passes that after some two hundred rows; infinity minus infinity is NaN, and
# one NaN in a weight makes every later prediction NaN.

# %% zh_TW
# ## 爆炸與 NaN
#
# 32 位元浮點數的上限是 3.4·10³⁸。λ = 1.5 大約兩百多列後就會超過；無限大減無限大是 NaN，而權重中只要有一個 NaN，之後所有
# 的預測都是 NaN。

# %%
with np.errstate(over="ignore", invalid="ignore"):
    gradient = np.float32(1)
    for rows in range(1, 400):
        gradient = np.float32(gradient * np.float32(1.5))
        if np.isinf(gradient):
            print(f"infinite after {rows} rows;  inf - inf = {gradient - gradient}")
            break

# %% en
# ## Clipping
#
# Two ways to bound a step. `clipnorm` shortens the gradient **as an arrow**: the direction stays. `clipvalue` cuts
# every number for itself: the arrow turns. backmix takes `clipnorm = 1.0` unless told otherwise.

# %% zh_TW
# ## 梯度裁剪
#
# 限制步幅的兩種方式。`clipnorm` 把梯度**當作箭頭**縮短，方向不變；`clipvalue` 逐一截斷每個數值，箭頭會轉向。除非另有指
# 定，backmix 使用 `clipnorm = 1.0`。

# %%
gradient = np.array([3.0, 400.0])
by_norm = gradient * min(1.0, 1.0 / np.linalg.norm(gradient))
by_value = np.clip(gradient, -1.0, 1.0)
for name, g in [("as it is", gradient), ("clipnorm=1", by_norm), ("clipvalue=1", by_value)]:
    print(f"{name:12} {g.round(4)}   length {np.linalg.norm(g):8.3f}   angle {np.degrees(np.arctan2(*g)):5.2f}°")

# %% en
# The same by Keras's optimiser, the one that backmix trains with: a step of plain gradient descent at rate 1.

# %% zh_TW
# 以 Keras 的最佳化器（backmix 訓練時所用）驗證：學習率為 1 的一步梯度下降。

# %%
from backmix.models.engine import use_engine

keras = use_engine()
for setting in ({"clipnorm": 1.0}, {"clipvalue": 1.0}):
    weight = keras.Variable(np.zeros(2, "float32"))
    optimizer = keras.optimizers.SGD(learning_rate=1.0, **setting)
    optimizer.build([weight])
    optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [weight])
    print(setting, "step:", -np.asarray(weight.value).round(4))

# %% en
# Clipping cures explosion. It cures nothing that has vanished: there is nothing left to shorten. For that another
# cell is needed; see the next lab.
#
# ## Exercise
#
# Clip at 0.1 and at 100 and look at the lengths. What goes wrong in a training with the one, what with the other?

# %% zh_TW
# 裁剪能治爆炸，但治不了消失：已經沒有東西可以縮短。這需要另一種單元，請看下一個實驗。
#
# ## 練習
#
# 改以 0.1 與 100 裁剪，觀察長度。訓練時，前者與後者各會出什麼問題？
