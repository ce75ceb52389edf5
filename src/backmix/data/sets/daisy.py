"""DaISy: three sets for the identification of systems, from KU Leuven.

This module registers a stirred tank reactor, a steam-heated exchanger and a four-stage evaporator.
The first two thirds of the rows are for training and validation, the last third is the test.

De Moor (ed.), DaISy: Database for the Identification of Systems, ESAT, KU Leuven.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backmix.data.sets import sets
from backmix.data.sets.dataset import Column, DataFile, DataSet, Paths, Reader, clock, numbers, raw, tags, with_roles
from backmix.data.table import Table
from backmix.data.tag import Role

_COMMIT = "9cfb82f2b42a53a604dba66d0eab23243a9a21ae"
_LICENCE = "DaISy asks to be cited; carrier repository MIT"
_CITATION = (
    "De Moor, B.L.R. (ed.). DaISy: Database for the Identification of Systems. Department of "
    "Electrical Engineering, ESAT, KU Leuven, Belgium; {}"
)


def _plan(name: str, protocol: str, target: str | list[str], rows: int) -> dict[str, Any]:
    third = rows // 3
    return {
        "data": {"set": name, "protocol": protocol},
        "task": {"kind": "soft_sensor", "target": target},
        "split": {
            "kind": "chronological",
            "train_rows": 2 * third - third // 2,
            "validation_rows": 2 * third,
            "test_rows": rows,
        },
    }


CSTR = (Column("coolant_flow", "L/min"), Column("concentration", "mol/L", "target"), Column("temperature", "K"))
EXCHANGER = (Column("liquid_flow"), Column("outlet_temperature", "degC", "target"))
EVAPORATOR = (
    Column("feed_flow"),
    Column("vapour_flow"),
    Column("cooling_water_flow"),
    Column("dry_matter", role="target"),
    Column("product_flow", role="ignored"),
    Column("product_temperature", role="ignored"),
)
_CSTR_ROLES: Mapping[str, Mapping[str, Role]] = {"coolant_flow": {"temperature": "ignored"}, "with_temperature": {}}


def _cstr(paths: Paths, protocol: str | None) -> Table:
    values = numbers(paths["daisy/cstr.dat"], 4)
    table = Table(values[:, 1:], tags("daisy_cstr", CSTR), time=clock([len(values)], 6.0), source="daisy_cstr")
    return with_roles(table, _CSTR_ROLES[protocol or "coolant_flow"])


def _exchanger(paths: Paths, protocol: str | None) -> Table:
    values = numbers(paths["daisy/exchanger.dat"], 3)
    return Table(
        values[:, 1:], tags("daisy_exchanger", EXCHANGER), time=clock([len(values)], 1.0), source="daisy_exchanger"
    )


def _evaporator(paths: Paths, protocol: str | None) -> Table:
    table = Table(
        np.ascontiguousarray(numbers(paths["daisy/evaporator.dat"], 6)),
        tags("daisy_evaporator", EVAPORATOR),
        source="daisy_evaporator",
    )
    if protocol == "all_outputs":
        return with_roles(table, {"product_flow": "target", "product_temperature": "target"})
    return table


def _register(name: str, columns: tuple[Column, ...], read: Reader, published: tuple[str, int], **others: Any) -> None:
    """Register ``daisy_NAME``; published: sha256 and size of its file."""
    url = raw("robotsorcerer/FARNN", _COMMIT, f"data/{name}.dat")
    entry = DataSet(
        name=f"daisy_{name}",
        columns=columns,
        tasks=("soft_sensor",),
        licence=_LICENCE,
        files=(DataFile(f"daisy/{name}.dat", (url,), *published),),
        read=read,
        **others,
    )
    sets.register(entry.name, beside=__file__)(entry)


_register(
    "cstr",
    CSTR,
    _cstr,
    ("0ffdda8a1b962d377dc34371be105bd9dcaef7fcca40554e666841efeec6b84d", 787500),
    clock="nominal",
    citation=_CITATION.format("set 98-002"),
    plans={protocol: _plan("daisy_cstr", protocol, "concentration", 7500) for protocol in _CSTR_ROLES},
)
_register(
    "exchanger",
    EXCHANGER,
    _exchanger,
    ("cfb5a447fb573f87de33760e156cbf5da1f9802ae8a03a1b3c39ce8eb656fa6c", 208000),
    clock="nominal",
    citation=_CITATION.format(
        "set 97-002. Bittanti, S., Piroddi, L. (1997). Nonlinear identification and control of a heat exchanger: "
        "a neural network approach. Journal of the Franklin Institute 334."
    ),
    plans={"liquid_flow": _plan("daisy_exchanger", "liquid_flow", "outlet_temperature", 4000)},
)
_register(
    "evaporator",
    EVAPORATOR,
    _evaporator,
    ("3a74c747140602e44b9d099c73170656ac56d43d9241cf85ff84822f2d230f13", 649415),
    clock="none",
    citation=_CITATION.format(
        "set 96-010. Zhu, Y., Van Overschee, P., De Moor, B., Ljung, L. (1994). Comparison of three classes of "
        "identification methods. IFAC SYSID."
    ),
    plans={
        "dry_matter": _plan("daisy_evaporator", "dry_matter", "dry_matter", 6305),
        "all_outputs": _plan(
            "daisy_evaporator", "all_outputs", ["dry_matter", "product_flow", "product_temperature"], 6305
        ),
    },
)
