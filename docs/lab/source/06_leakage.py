# Course items 15, 20, 60 and 64, letters I, J and P: leakage, and what the split has to do with it.

# %% en
# # Leakage: a score that the plant will not repeat
#
# A model is judged on rows it has not seen. If something of those rows reached the training after all, the score is
# too good, and nobody notices before the model runs in the plant. Four ways in which this happens, with numbers, and
# how backmix shuts each.

# %% zh_TW
# # 資料洩漏：工廠不會重現的好成績
#
# 模型應以沒看過的資料列評分。如果這些資料列的內容以某種方式進入了訓練，分數就會過高，而且要等模型上線才會發現。以下以
# 數字說明四種情形，以及 backmix 如何防堵。

# %% en
# ## A plant with nothing to learn
#
# Temperature and quality wander about, each for itself. Nothing in the one tells of the other: an honest R² is zero
# or less.

# %% zh_TW
# ## 沒有可學內容的工廠
#
# 溫度與品質各自漫步，彼此無關：誠實的 R² 應該是零或更低。

# %%
import numpy as np

from backmix.data.splitting.split import SplitPart, SplitPlan, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import WindowSpec, build_windows

rng = np.random.default_rng(4)
ROWS, LOOKBACK = 1500, 20
values = np.cumsum(rng.normal(size=(ROWS, 2)), axis=0)
table = Table(values, (Tag("T101", unit="degC"), Tag("quality", unit="%", role="target")), source="plant")
spec = WindowSpec(inputs=("T101",), targets=("quality",), lookback=LOOKBACK)
windows = build_windows(table, spec)
x, y = windows.gather(windows.all_indices).x[:, :, 0], windows.truth()[:, 0]


def r2(train, test):
    """R² of the nearest training window: the simplest model that learns by heart."""
    near = ((x[test][:, None] - x[train][None]) ** 2).sum(axis=2).argmin(axis=1)
    return 1 - float(((y[train][near] - y[test]) ** 2).mean() / y[test].var())


# %% en
# ## First way: windows dealt out at random
#
# Neighbouring windows share all rows but one. Dealt out at random, every test window has a twin in the training.
# What must be chronological is the **split**:

# %% zh_TW
# ## 第一種：隨機分配視窗
#
# 相鄰的視窗只差一列。若隨機分配，每個測試視窗在訓練集中都有孿生。必須依時間順序的是**分割**：

# %%
order = rng.permutation(len(y))
cut = int(0.7 * len(y))
print(f"dealt at random:   R² = {r2(np.sort(order[:cut]), np.sort(order[cut:])):6.2f}")
print(f"cut in time:       R² = {r2(np.arange(cut), np.arange(cut, len(y))):6.2f}")
print(
    f"cut, training part shuffled: the same model: "
    f"{r2(rng.permutation(cut), np.arange(cut, len(y))) == r2(np.arange(cut), np.arange(cut, len(y)))}"
)

# %% en
# The last line is the other half: **inside** the training part whole windows may be shuffled as you like. "Never
# shuffle a time series" is needed only where a state is carried from batch to batch.
#
# ## Second way: windows first, split afterwards
#
# Even a split in time leaks if windows are cut before it: the first test windows look back into training rows. The
# distance must be lookback and horizon; backmix purges so many rows, and the audit counts shared rows.

# %% zh_TW
# 最後一行是另一半道理：在訓練部分**之內**，完整的視窗可以任意打亂。「時間序列絕不可 shuffle」只在狀態跨批次延續時才
# 需要。
#
# ## 第二種：先切視窗，再分割
#
# 即使依時間分割，若先切視窗也會洩漏：最前面的測試視窗會回看到訓練列。間隔必須等於回看長度加預測範圍；backmix 會清除這些
# 列，稽核則會計算共用的列數。

# %%
from backmix.scoring.leakage.audit import split_overlap


def say(result):
    print("passed:", result.passed)
    print(" ", result.text("en"))
    print(" ", result.text("zh_TW"))


afterwards = {"train": windows.subset(windows.target_rows < cut), "test": windows.subset(windows.target_rows >= cut)}
say(split_overlap(afterwards))

split_first = split(table, SplitPlan(train=0.6, validation=0.2, test=0.2), gap=spec.reach)
parts = {
    name: build_windows(table, spec, split=split_first, part=SplitPart[name.upper()])
    for name in ("train", "validation", "test")
}
say(split_overlap(parts))

# %% en
# ## Third way: a scaler that has seen everything
#
# Mean and spread are learned, too. Learned from all rows they carry the level of the test part into the training.
# This plant drifts, so the difference is not small. The audit fits the scalers again from the training rows and
# compares to the last bit:

# %% zh_TW
# ## 第三種：看過全部資料的縮放
#
# 平均與離散程度也是學來的。若由全部資料列學得，就把測試部分的水準帶進訓練。這座工廠會漂移，差異並不小。稽核會由訓練列
# 重新學習縮放，並逐位元比較：

# %%
from backmix.data.windows.windows import fit_scalers
from backmix.scoring.leakage.audit import scaler_rows

training = split_first.rows(SplitPart.TRAIN)
honest = fit_scalers(table, spec, rows=training)
leaking = fit_scalers(table, spec, rows=np.ones(ROWS, dtype=bool))
print(f"T101, mean ± spread by the training rows: {honest[0].center[0]:6.2f} ± {honest[0].scale[0]:.2f}")
print(f"T101, mean ± spread by all rows:          {leaking[0].center[0]:6.2f} ± {leaking[0].scale[0]:.2f}")
kinds = {"inputs": "standard", "target": "standard"}
say(scaler_rows(parts["train"].scaled(*leaking), rows=training, kinds=kinds))
say(scaler_rows(parts["train"].scaled(*honest), rows=training, kinds=kinds))

# %% en
# ## Fourth way: the answer among the inputs
#
# A column that is computed from the target, or stamped later than the label, gives it away: a laboratory value under
# another name, a controller that already acts on it. The audit looks for inputs that are the target in disguise,
# also bent, also early:

# %% zh_TW
# ## 第四種：答案就在輸入裡
#
# 由目標值算出的欄位，或時間戳記晚於標籤的欄位，都會洩漏答案：換了名稱的化驗值，或已依其動作的控制器。稽核會尋找「喬裝」
# 成輸入的目標，包括經過彎曲的、時間提前的：

# %%
from backmix.scoring.leakage.audit import target_copies

quality = table.column("quality")
wander = np.cumsum(rng.normal(size=ROWS))
for name, column in [("LIMS_42", 3.0 - 2.0 * quality), ("CTRL_OUT", np.roll(quality, -3)), ("T102", wander)]:
    more = Table(np.column_stack([values, column]), (*table.tags, Tag(name)), source="plant")
    seen = WindowSpec(inputs=("T101", name), targets=("quality",), lookback=LOOKBACK)
    say(target_copies(build_windows(more, seen, split=split_first, part=SplitPart.TRAIN))[0])

# %% en
# In a run all of this happens by itself: the split comes first, windows never cross it, scalers see training rows
# only, and a failed audit stops the run (exit code 4) before a report can be written.
#
# ## Exercise
#
# Set `LOOKBACK` to 1 and deal the windows out at random again. The leak is smaller but still there. Why? (Think of
# what neighbouring *rows* of a slow plant have in common.)

# %% zh_TW
# 在一次執行中，這些都是自動的：先分割，視窗不跨越分割，縮放只看訓練列；稽核不通過時，執行會在寫出報告之前停止（結束碼
# 4）。
#
# ## 練習
#
# 將 `LOOKBACK` 設為 1，再隨機分配一次視窗。洩漏變小但仍存在，為什麼？（想想緩慢製程中相鄰的*資料列*有什麼共同點。）
