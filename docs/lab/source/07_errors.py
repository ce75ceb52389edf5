# Letters A, B, C, D, E, F, G, H, K and L: what lessons on recurrent networks get wrong, set right.

# %% en
# # Twelve errors set right
#
# Lessons on recurrent networks copy from one another, and from a Keras that no longer exists. Twelve sentences that
# are wrong or out of date, each beside what is true, as something that you can run. (I and J are in lab 06.)

# %% zh_TW
# # 十二個錯誤的更正
#
# 循環網路的教材互相抄錄，也抄自已不存在的 Keras 版本。以下十二個說法是錯的或過時的，各附上可執行的正確版本。（I 與 J 見
# 實驗 06。）

# %% en
# ## A and B: parameters
#
# A: "SimpleRNN(32) on 3 features: 1,120". The formula gives 1,152, and so does Keras. B: "GRU(64): 13,056". That is
# the older form; Keras's default (`reset_after=True`) has a second bias: 13,248.

# %% zh_TW
# ## A 與 B：參數量
#
# A：「3 個特徵的 SimpleRNN(32)：1,120」。公式算出 1,152，Keras 也是。B：「GRU(64)：13,056」。那是較舊的形式；Keras 預設
# （`reset_after=True`）有第二個偏差：13,248。

# %%
import numpy as np

from backmix.layers import GRU, LSTM, SimpleRNN

for name, layer in [
    ("SimpleRNN(32)", SimpleRNN(32)),
    ("GRU(64)", GRU(64)),
    ("GRU(64, reset_after=False)", GRU(64, reset_after=False)),
]:
    layer.build((None, 10, 3))
    print(f"{name:27} {layer.count_params():,}")

# %% en
# ## C: which way the update gate points
#
# "z near 0: update a lot" in the words, "h = (1 − z) h + z candidate" in the equation beside them: the two
# contradict each other. Keras has h = **z h** + (1 − z) candidate: z near 1 keeps. With z forced to 1 the state stays:

# %% zh_TW
# ## C：更新閘的方向
#
# 文字說「z 接近 0：大量更新」，旁邊的方程式卻是「h = (1 − z) h + z 候選值」，兩者矛盾。Keras 是 h = **z h** + (1 − z)
# 候選值：z 接近 1 表示保留。強制 z = 1 時，狀態不變：

# %%
from backmix.models.reference import CellForm, Weights, forward

for name, bias in (("z = 1", 40.0), ("z = 0", -40.0)):
    w = Weights(np.array([[0.0, 0.0, 0.7]]), np.zeros((1, 3)), np.array([[bias, 0, 0], [0.0, 0, 0]]))
    h = forward(CellForm("gru"), w, np.ones((1, 3, 1)), initial={"h": np.array([[0.25]])}).h[0, :, 0]
    print(name, " h before 0.25, then", h.round(4))

# %% en
# ## D: dropout and speed
#
# "dropout takes the layer off the fast path of a GPU." Plain dropout does not; `recurrent_dropout` does. On the
# kernels of backmix neither does: a layer that leaves them says so, and these are silent.

# %% zh_TW
# ## D：dropout 與速度
#
# 「dropout 會使層離開 GPU 的高速路徑。」一般 dropout 不會，`recurrent_dropout` 才會。在 backmix 的核心上兩者都不會：
# 離開核心的層會發出警告，而以下都沒有警告。

# %%
import warnings

from backmix.layers import SlowLoopWarning
from backmix.models.architecture import Architecture
from backmix.models.body.fast_path import leaves_fast_path

x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
for rates in ({"dropout": 0.2}, {"recurrent_dropout": 0.2}):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", SlowLoopWarning)
        LSTM(4, **rates)(x, training=True)
    gpu = leaves_fast_path(Architecture(features=3, cell="lstm", **rates))
    print(f"{rates}: warnings of our layers {len(said)}; leaves the GPU's fast path: {bool(gpu)}")

# %% en
# ## E: the order of callbacks
#
# "First ReduceLROnPlateau, then ModelCheckpoint, then EarlyStopping." They are called in the order of **your list**.

# %% zh_TW
# ## E：callbacks 的順序
#
# 「先 ReduceLROnPlateau，再 ModelCheckpoint，再 EarlyStopping。」實際上是依**您的清單**順序呼叫。

# %%
from backmix.models.engine import use_engine

keras = use_engine()


class Voice(keras.callbacks.Callback):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def on_epoch_end(self, epoch, logs=None):
        print(self.name, end=" ")


model = keras.Sequential([keras.Input((6, 3)), SimpleRNN(2), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, np.zeros(2), epochs=2, verbose=0, callbacks=[Voice("stop"), Voice("save"), Voice("slow")])
print()

# %% en
# ## F: what a batch is to predict
#
# A function "batch_to_sequences" that promises the final quality and returns `batch[seq_length, 0]`: the next value
# of the first sensor. In backmix the target of a whole batch is the last value that was reported of the target:

# %% zh_TW
# ## F：批次要預測什麼
#
# 號稱傳回最終品質的「batch_to_sequences」函式，實際傳回 `batch[seq_length, 0]`：第一支感測器的下一個值。在 backmix 中，
# 整批次的目標是該目標最後一次回報的值：

# %%
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import WindowSpec, build_windows

columns = np.array([[20, np.nan], [60, np.nan], [80, 91.5], [21, np.nan], [55, 40.0], [79, np.nan], [85, 96.1]])
table = Table(
    columns,
    (Tag("T101"), Tag("purity", unit="%", role="target")),
    batch=np.array([0, 0, 0, 1, 1, 1, 1], dtype=np.int32),
    batch_names=("B1", "B2"),
)
whole = build_windows(table, WindowSpec(inputs=("T101",), targets=("purity",), lookback=None))
print("final quality:", whole.truth()[:, 0], " rows per batch:", whole.lengths)

# %% en
# ## G: Keras as it is now
#
# | old | now |
# | --- | --- |
# | `batch_input_shape=(…)` | `Input(batch_shape=(…))` |
# | `model.reset_states()` | `layer.reset_state()` |
# | `model.save("m.h5")` | `model.save("m.keras")`; `backmix export … --to h5` for old programs |

# %% zh_TW
# ## G：現在的 Keras
#
# | 舊 | 新 |
# | --- | --- |
# | `batch_input_shape=(…)` | `Input(batch_shape=(…))` |
# | `model.reset_states()` | `layer.reset_state()` |
# | `model.save("m.h5")` | `model.save("m.keras")`；舊程式需要時用 `backmix export … --to h5` |

# %%
carried = keras.Sequential([keras.Input(batch_shape=(2, 6, 3)), LSTM(4, stateful=True)])
first, second = np.asarray(carried(x)), np.asarray(carried(x))
carried.layers[0].reset_state()
print("carried on:", not np.allclose(first, second), "  after the reset as before:", np.array_equal(first, carried(x)))

# %% en
# ## H: the logarithmic loss
#
# "MSLE for targets of wide range." It takes the logarithm of 1 + target: for a standardised target, of a negative
# number. backmix refuses, and says what to do:

# %% zh_TW
# ## H：對數損失
#
# 「目標範圍大時用 MSLE。」它取 1 + 目標值的對數：若目標已標準化，就會對負數取對數。backmix 會拒絕並說明怎麼做：

# %%
from backmix.errors import PlanError
from backmix.models.losses import check_loss
from backmix.text import speak

target = np.array([[10.0], [200.0], [3000.0], [40.0]])
for lang in ("en", "zh_TW"):
    with speak(lang):
        try:
            check_loss("msle", "regression", targets=(target - target.mean()) / target.std())
        except PlanError as refusal:
            print(refusal)

# %% en
# ## K: an example with nothing in it
#
# `X = np.random.randn(…)`, `y = np.random.randn(…)`: every curve of such an example is noise. The simulated plants
# of backmix have balances behind them. A straight line through the rows of a window, judged on later rows (R²):

# %% zh_TW
# ## K：沒有內容的範例
#
# `X = np.random.randn(…)`、`y = np.random.randn(…)`：這種範例的每條曲線都是雜訊。backmix 的模擬工廠背後有質能平衡。以視
# 窗各列的線性迴歸，用較晚的資料列評分（R²）：

# %%
from backmix.data.plants import simulate

run = simulate("cstr", seed=1, days=2.0, faults=0)
inputs = [tag.name for tag in run.table.tags if tag.name not in ("C_A", "fault")]
numbers = np.column_stack([run.table.column(name) for name in inputs])
rows = np.arange(30, len(numbers))
windows = np.column_stack([numbers[rows - back] for back in (0, 5, 10, 20, 30)])
truth = run.truth["C_A"][rows]
random = np.random.default_rng(0)
for name, x_all, y_all in [
    ("simulated tank", windows, truth),
    ("random numbers", random.normal(size=windows.shape), random.normal(size=len(truth))),
]:
    good = np.isfinite(x_all).all(axis=1)
    x_all, y_all, cut = x_all[good], y_all[good], int(0.6 * good.sum())
    centre, spread = x_all[:cut].mean(axis=0), x_all[:cut].std(axis=0) + 1e-9
    a = np.column_stack([(x_all - centre) / spread, np.ones(len(x_all))])
    weights = np.linalg.solve(a[:cut].T @ a[:cut] + 10 * np.eye(a.shape[1]), a[:cut].T @ y_all[:cut])
    error = ((a[cut:] @ weights - y_all[cut:]) ** 2).mean()
    print(f"{name}: R² = {1 - error / y_all[cut:].var():5.2f}")

# %% en
# ## L: rules of thumb
#
# "A GRU is 25 % faster than an LSTM." It has 25 % fewer parameters; what that gives in time depends on shape and
# machine. Here, one pass forth and back through each, on the machine that wrote this notebook:

# %% zh_TW
# ## L：經驗法則
#
# 「GRU 比 LSTM 快 25%。」它的參數少 25%；時間上差多少要看形狀與機器。以下是在產生本筆記本的機器上，各跑一次前向與反向：

# %% measured
from time import perf_counter

for units in (16, 64):
    data, seconds = np.random.default_rng(0).normal(size=(256, 40, 10)).astype("float32"), {}
    for name, cell in (("LSTM", LSTM), ("GRU", GRU)):
        model = keras.Sequential([keras.Input((40, 10)), cell(units), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(data, np.zeros(256), batch_size=64, verbose=0)
        started = perf_counter()
        model.fit(data, np.zeros(256), batch_size=64, epochs=5, verbose=0)
        seconds[name] = perf_counter() - started
    print(f"{units:3} units: GRU takes {seconds['GRU'] / seconds['LSTM']:.0%} of the LSTM's time")

# %% en
# The advice of backmix marks every rule of thumb as one. `benchmarks/LOG.md` holds measurements, also the
# unfavourable ones.
#
# ## Exercise
#
# Take the lesson that you learned from. Which of these twelve sentences are in it?

# %% zh_TW
# backmix 的建議會標明每一條經驗法則；`benchmarks/LOG.md` 保存量測結果，不利的也在內。
#
# ## 練習
#
# 翻開您當初學習的教材：這十二個說法有哪些在裡面？
