"""Tennessee Eastman process: 21 faults of a simulated chemical plant.

This module registers the set and its protocols of diagnosis and detection. One file is one run and becomes one
batch. In a training file of a fault every row is faulty; in a test file the fault starts after row
160 of 960. ``d00.dat``, the training file of normal operation, is stored with variables as rows.

Variables, units and faults: Downs & Vogel, Computers & Chemical Engineering 17 (1993) 245-255;
files: Chiang, Russell & Braatz, Fault Detection and Diagnosis in Industrial Systems (2001).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backmix.data.sets import sets
from backmix.data.sets.dataset import Column, DataFile, DataSet, Paths, clock, numbers, raw, tags
from backmix.data.table import Table

STEP = 180.0  # seconds between rows
ONSET = 160  # rows of a test file before its fault
_TRAIN = (
    "4c3c0b11eefacf93e5d2529e2866d7a625e37aa9153d0f95fae17a6c9e560deb",
    "b0da22ac7561d82b0ba0b48bf87d2b3a8655cb23a3dc37330dd03cdd126c387c",
    "af1a46ba3a5482be3e7b143606f22ae509138544af2a2d0eb7389459257f8179",
    "df39c57bdac7ea476ee236c289e0f59b0cbf868adfbbbaf213f692d8cd96e52a",
    "346702fce33d9707f0b4ec5b8f533ccb08be60313607d5156d7e237b80a87b3f",
    "3a47bfce4010ce0c634ae828409cce657ecd03bf0c4d59f8dd4a3d4f792f493f",
    "ff0882a44bb74f5d2d1a864425ac7e5ae82420391c7060232cefc08ad5bf7331",
    "e3fd272ed53f899ab0c8278c7eede55418b01a2339b5fcff14a87fefaa3d181d",
    "4817735e339449bec909d1cbe77e421acc79c7357b8c6b5bb82c6e5788b72449",
    "cb9146da760cdd52cad575d745413a5cfb4b447af2db9fb6a424cf6881ff0fcd",
    "e08697b5d074aea2345434bc4d26296f5dbdbb7efbf37a1bbee292b2ce765e8f",
    "8294734d6f6e8f6b8643b9dc72f38ce40afd868d30dee9368a0d26b963a0af9f",
    "62fcb3c71c0eda8eaaaf707f35296e60b17baaf9a9aef588687532cf4c560d38",
    "f755d4ab6dc1d30e36c2e4604eeb0baff4b91032f487398b97fb1220eda861dd",
    "29fda7d5cae58cb7240e569e2d2d436371d077d282187d9205c7dc01df8755af",
    "4c82fe0864cce2521e91a2c3e59d8630627c5e633cffe83f5e34ebc9901b5bca",
    "ca1dfc5e31292052e83dcf6b4f60a73da197eb8a47e65d908ed7ac3cbcccb007",
    "596aad6421a64d257bfa098cd5c4664d46dc49d88d1bad86cbc9518e6cd69e42",
    "b4d182c070036104cf150bc33f7aa879805f19943eb298bc05bdc8647dc70291",
    "ee3d2a50285cb3ba5e52ec05ea7cb39dc2b574bec592af9d44c192be132aeea6",
    "acdfe6c256fa6de74a811d6c7df1b710a9f0ed60f48242be92f3fa30db3df6b3",
    "f34a9fefffef04ef1f49b3fb74e3def0010cda27a8577d814dd50604e2f8dc09",
)
_TEST = (
    "57d56da4199e3d73582855d810be1d13d931386fd728bf1694798c7b0a03678c",
    "e7e6992fb39664e739fccbc001a1c5d5f7cb21829544f734ca3f282c26f680e5",
    "a34bd9c3693fa96bd3ee533fb7fbe29a9d226a4e3250b585ef1308e1136dbfb0",
    "b7bf6f2ed7cff0a5577898b009edd252b9bdf6ee9ff7dbeacf9af9aa4c6abace",
    "1ccb488dd5feac11aad54623451168abef066229e685872597897800363916f9",
    "1def7258a2865aeead699d52c8cf926fbf34c1467aaf298121987ab858fd0888",
    "8a3adc7121eaa9b9300c27f9c57a8ab356315401cb964310a4a8244dd34bf79d",
    "e01b7c81daf9fccc4495cbde5658296918276b3c078044893f6e945dd91d3446",
    "c0637f02f23b79890b43cfee9604818ad6d7f81532223d76acf1da0d6e2a2cc1",
    "513df6c3a4fd48e0eaddb0002cd8cdab3a78a5c83c47883bb52d2dc6c2472428",
    "3a278be79d8d111fc60be3cfb4f961c28e2dc632f17eb519886aa0f95864ffc6",
    "6d60a4c932d918e1ab26ae5d16320936a665f3aad3f05482d23f5c4550b9f29a",
    "2180fcecb01d1b110b429ba2969d6b18dcc625599e3640e54f69afa32dccbe50",
    "2e34e0c427d6e41d77d6cae76550b7e95004f9f13bc093278ecf5c282a1c9f03",
    "e8976d056c0769cebbcec3bcba89d2468040ccae7acbea55ebc3b2e56b217396",
    "a7242b956837bec8ca7f224d01805247f2aea6ea868eaa064e068b5c0761b1e5",
    "8381d7371aac49b498e7bf93149b77a0a6bbeffe73520881dcbe8ae96277244d",
    "27d2d72052064e3cbb7a45df8073f15bb83b77403f532616e73c8869b043e7c9",
    "1db5b93a7daa58ed1b641845b58ad818546ced7f3de866c086da18a7ebef5041",
    "c24dd77f787f89347273addc8a453d79f0b99edd64d43be11a5e0907bd515c5f",
    "e54035eda95311f13dd095f87607d97a89b7541afa2a3f68af098f33a5e2e6e5",
    "b6823aa09638cd59cb168bc24f991b6d4d557d8aea62b0b2a87ee67c21ba5a83",
)
_MEASURED = """
kscmh kg/h kg/h kscmh kscmh kscmh kPa % degC kscmh degC % kPa m3/h % kPa m3/h degC kg/h kW degC degC
"""
_UNITS = (*_MEASURED.split(), *("mol%",) * 19, *("%",) * 11)
_NAMES = (*(f"XMEAS{i}" for i in range(1, 42)), *(f"XMV{i}" for i in range(1, 12)))
_FAULTS = {
    "case1": (1, 2, 6, 7, 8),
    "case2": (4, 5, 10, 11, 12),
    "all": tuple(range(1, 22)),
    "with_normal": tuple(range(22)),
    "detection": tuple(range(22)),
}
_DETECTION = "detection"
"""The protocol that trains on ``d00.dat`` alone: nothing of a fault is seen before the test part."""


def _file(stem: str, digest: str, size: int) -> DataFile:
    return DataFile(
        f"tennessee_eastman/{stem}.dat",
        (
            raw("camaramm/tennessee-eastman-profBraatz", "0643318858ce7c87292bd59820b459e12a13d009", f"{stem}.dat"),
            raw("petrobras/BibMon", "cbbc9ca8b02ddb541e19a77129555d745b12b543", f"bibmon/tennessee_eastman/{stem}.dat"),
        ),
        digest,
        size,
    )


_FILES = (
    *(_file(f"d{k:02d}", digest, 399840 if k else 416049) for k, digest in enumerate(_TRAIN)),
    *(_file(f"d{k:02d}_te", digest, 799680) for k, digest in enumerate(_TEST)),
)


def _name(fault: int) -> str:
    return f"fault {fault}" if fault else "normal"


def _read(paths: Paths, protocol: str | None) -> Table:
    faults = _FAULTS[protocol or "case1"]
    with_normal = 0 in faults
    runs, codes = [], []
    taught = faults if protocol != _DETECTION else (0,)
    for test, some in ((False, taught), (True, faults)):
        for fault in some:
            stem = f"d{fault:02d}" + ("_te" if test else "")
            path = paths[f"tennessee_eastman/{stem}.dat"]
            values = numbers(path, 500).T if stem == "d00" else numbers(path, 52)
            code = np.full(len(values), float(faults.index(fault)))
            if test and fault:
                code[:ONSET] = 0.0
                if not with_normal:
                    values, code = values[ONSET:], code[ONSET:]
            runs.append(values)
            codes.append(code)
    stems = [f"d{f:02d}{end}" for end, some in (("", taught), ("_te", faults)) for f in some]
    lengths = [len(run) for run in runs]
    columns = (*COLUMNS[:-1], Column("fault", role="target", categories=tuple(map(_name, faults))))
    values = np.column_stack([np.concatenate(runs), np.concatenate(codes)])
    return Table(
        values,
        tags("tennessee_eastman", columns),
        time=clock(lengths, STEP),
        batch=np.repeat(np.arange(len(runs), dtype=np.int32), lengths),
        batch_names=tuple(stems),
        source="tennessee_eastman",
    )


def _plan(protocol: str) -> dict[str, Any]:
    detection = protocol == _DETECTION
    task: dict[str, Any] = {"kind": "anomaly_detection" if detection else "fault_diagnosis", "target": "fault"}
    # the end of d00 sets the threshold: a rate of 1 % needs a hundred rows of it
    train = 0.7 if detection else 0.8
    if 0 in _FAULTS[protocol]:
        task["normal"] = "normal"
    return {
        "data": {"set": "tennessee_eastman", "protocol": protocol},
        "task": task,
        "split": {
            "kind": "named",
            "test_batches": [f"d{f:02d}_te" for f in _FAULTS[protocol]],
            "train": train,
            "validation": round(1 - train, 1),
            "test": 0.0,
            "within": "batch",
        },
        "windows": {"lookback": 20},
    }


COLUMNS = (
    *(Column(name, unit) for name, unit in zip(_NAMES, _UNITS, strict=True)),
    Column("fault", role="target", categories=tuple(map(_name, range(22)))),
)

sets.register("tennessee_eastman", beside=__file__)(
    DataSet(
        name="tennessee_eastman",
        files=_FILES,
        columns=COLUMNS,
        clock="nominal",
        tasks=("fault_diagnosis", "anomaly_detection"),
        licence="Copyright 1998-2002 Board of Trustees of the University of Illinois; MIT-like, with notice",
        citation="Chiang, L.H., Russell, E.L., Braatz, R.D. (2001). Fault Detection and Diagnosis in Industrial "
        "Systems. Springer. Process: Downs, J.J., Vogel, E.F. (1993). Computers & Chemical Engineering "
        "17(3), 245-255.",
        plans={protocol: _plan(protocol) for protocol in _FAULTS},
        read=_read,
    )
)
