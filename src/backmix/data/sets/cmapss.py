"""C-MAPSS: simulated aircraft engines run to failure.

This module registers the two single-condition parts FD001 and FD003, and FD002, whose flights are of six
conditions. One unit is one batch, one row is one flight. ``RUL`` is computed: in training units the flights left
until the last one, in test units the same plus the published remainder at the last row.

Protocols: ``capped`` limits the label to 125 flights, in training and in the test; ``uncapped`` leaves
it in the test, while the network still learns it capped, as in nearly all published figures. Both are
judged at the last row of each test unit. Say which one a score belongs to. Saxena, Goebel, Simon & Eklund,
Damage propagation modeling for aircraft engine run-to-failure simulation, PHM (2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backmix.data.sets import sets
from backmix.data.sets.dataset import Column, DataFile, DataSet, Paths, numbers, raw, tags
from backmix.data.table import Table

CAP = 125.0  # flights
UNITS = {"FD001": (100, 100), "FD002": (260, 259), "FD003": (100, 100)}  # training, test
VALIDATION = 0.2  # share of the training units, the last of them
WINDOWS = {"FD002": {"lookback": "auto", "stride": 10}}
"""Every tenth window of the 53,759 rows of FD002 teaches as much as all."""
_SENSORS = """
T2 degR, T24 degR, T30 degR, T50 degR, P2 psia, P15 psia, P30 psia, Nf rpm, Nc rpm, epr, Ps30 psia, phi pps/psi,
NRf rpm, NRc rpm, BPR, farB, htBleed, Nf_dmd rpm, PCNfR_dmd rpm, W31 lbm/s, W32 lbm/s
"""
COLUMNS = (
    Column("cycle", "flight", "ignored"),  # the age says nothing of the state; published figures leave it out
    *(Column(f"setting{i}") for i in (1, 2, 3)),
    *(Column(name, unit) for name, _, unit in (sensor.strip().partition(" ") for sensor in _SENSORS.split(","))),
    Column("RUL", "flight", "target"),
)
_FILES = {  # size, sha256 unpacked, sha256 packed
    "train_FD001": (
        3515356,
        "963b5e22825b34d8b21c69e1aeb4af3e647050eb672ee8834ba4b5d91d2de0f8",
        "d0ce25b14e892e2483809dd000ca1f8d7e318d1c9ac6a8055926f08265ace70a",
    ),
    "test_FD001": (
        2228855,
        "3cda7109ce17bafb5443f2ac926cfcf88154b941b8c4cf95eb55d1ddd6f52851",
        "9bc5ed28f8181a62938a025b56baf1f3a83bfa972906301e8220ed6c30b69518",
    ),
    "RUL_FD001": (
        429,
        "a19c8ec94931949d0485bdc35118206e9c81c4547b422efb9cf86f4ceddbceca",
        "831ec48d510ec1c5b542b8a3fcf3388b6c88bf95cc801d37cfd2edb104640017",
    ),
    "train_FD002": (
        9082480,
        "dac6c4dbc4e7c1bdeb5747da3d313d05c395bb99801b44a002b26a2ba13d788f",
        "8fb10cc9412a990ccb336c8bdcb2697f5e8cfd0d30404c40279c5b06d8ce6875",
    ),
    "test_FD002": (
        5734587,
        "de7b5bf7e998a985c378488480528b7c02cff1406a46740def362dda8d9b4e02",
        "b1c22f4c868b7f44dbbd1449a80996d3ba4f2d9c1819b10efb7f734f5d5e6422",
    ),
    "RUL_FD002": (
        1110,
        "c851dd96a6ea6998d3c4a8f834d3c8013aa90e93a6ed950dc826ad0655b2906b",
        "fb307399996a4f7df62f64bb911895bb85b93a494bb358c508a67f64438120d5",
    ),
    "train_FD003": (
        4213862,
        "2abbe9968cc5e8eb091980f51b20f62bb4127336d3482cb52071d53bf23329e2",
        "df3b1948a82eb3e0320116323920ba822206357d516bf3362315740bd079e8ea",
    ),
    "test_FD003": (
        2826651,
        "299babd63c8d987cef079c4a425429f33b3a34797d803bbe2ad48c29dbd0d790",
        "1e48323df040fa87cfaa988c48199bc6343e4a35ffdbaa2abdc5f0ea091c5ede",
    ),
    "RUL_FD003": (
        428,
        "df1e0566306b174a2de41c67a3e7a51877889598b78643fc3e5685259091b7cb",
        "dfc9bfef43e2077e5417a3fce36749213c30ac0c81af8e82e1270f3d203e23b5",
    ),
}


def _file(stem: str) -> DataFile:
    size, digest, carrier = _FILES[stem]
    return DataFile(
        f"cmapss/{stem}.txt",
        (raw("oluies/tedsds", "a5dabc4656bd979070fb64c58d74cabade1384e5", f"data/{stem}.txt.gz"),),
        digest,
        size,
        carrier,
    )


def _units(kind: str, count: int) -> list[str]:
    return [f"{kind}_{i:03d}" for i in range(1, count + 1)]


def _read(name: str, paths: Paths, protocol: str | None) -> Table:
    part = name.removeprefix("cmapss_").upper()
    train = numbers(paths[f"cmapss/train_{part}.txt"], 26)
    test = numbers(paths[f"cmapss/test_{part}.txt"], 26)
    left = numbers(paths[f"cmapss/RUL_{part}.txt"], 1)[:, 0]
    taught, judged = UNITS[part]
    batch = np.concatenate([train[:, 0] - 1, test[:, 0] - 1 + taught]).astype(np.int32)
    rows = np.concatenate([train, test])
    last = np.array([rows[batch == unit, 1].max() for unit in range(taught + judged)])
    rul = (last + np.concatenate([np.zeros(taught), left]))[batch] - rows[:, 1]
    if protocol != "uncapped":
        rul = np.minimum(rul, CAP)
    return Table(
        np.column_stack([rows[:, 1:], rul]),
        tags("cmapss", COLUMNS),
        batch=batch,
        batch_names=(*_units("train", taught), *_units("test", judged)),
        source=name,
    )


def _plan(name: str, part: str, protocol: str) -> dict[str, Any]:
    taught, judged = UNITS[part]
    return {
        "data": {"set": name, "protocol": protocol},
        "task": {
            "kind": "remaining_life",
            "target": "RUL",
            "cap": CAP,
            "judge_capped": protocol == "capped",
            "judged": "last",
        },
        "split": {
            "kind": "named",
            "test_batches": _units("test", judged),
            "validation_batches": _units("train", taught)[-round(VALIDATION * taught) :],
        },
        "windows": WINDOWS.get(part, {"lookback": 30}),
    }


def _set(part: str) -> DataSet:
    name = f"cmapss_{part.lower()}"
    return DataSet(
        name=name,
        files=tuple(_file(f"{kind}_{part}") for kind in ("train", "test", "RUL")),
        columns=COLUMNS,
        clock="none",
        tasks=("remaining_life",),
        licence="NASA open data; carrier repository Apache-2.0",
        citation="Saxena, A., Goebel, K., Simon, D., Eklund, N. (2008). Damage propagation modeling for "
        "aircraft engine run-to-failure simulation. International Conference on Prognostics and "
        "Health Management.",
        plans={protocol: _plan(name, part, protocol) for protocol in ("capped", "uncapped")},
        read=lambda paths, protocol: _read(name, paths, protocol),
        family="cmapss",
    )


for _part in UNITS:
    sets.register(f"cmapss_{_part.lower()}", beside=__file__)(_set(_part))
