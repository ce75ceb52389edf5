"""Numbers that stand for "no value" in a first plan.

This module looks for them before everything else, since limits, target and delays are all wrong while -9999 counts as
a measurement. Those without doubt are switched on and the table is read again; the others are only named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backmix.data.auditing.missing_codes import MissingCode, find_missing_codes
from backmix.data.layout.detect import Detection, detect
from backmix.data.layout.evidence import Evidence
from backmix.data.sources import ReadPlan


@dataclass(frozen=True, eq=False)
class Look:
    """A table without its strong codes.

    settings: as given, with the codes that were taken out; doubtful: codes that only a person can judge
    """

    settings: ReadPlan
    detection: Detection
    doubtful: tuple[MissingCode, ...] = ()


def look(settings: ReadPlan) -> Look:
    """Read a table, take out the numbers that are codes without doubt, and read it again.

    What a person has set as ``missing`` stands: then every further code is doubtful.
    """
    detection = detect(settings)
    if detection.reading is None:
        return Look(settings, detection)
    codes = find_missing_codes(detection.reading.table)
    strong = () if detection.plan.missing is not None else tuple(code for code in codes if code.strong)
    doubtful = tuple(code for code in codes if code not in strong)
    if not strong:
        return Look(settings, detection, doubtful)
    settings_given = {key: getattr(settings, key) for key in settings.model_fields_set}
    settings_given["missing"] = tuple(float(code.text) for code in strong)
    without = ReadPlan.model_validate(settings_given)
    again = detect(without)
    if again.reading is None:
        return Look(settings, detection, codes)
    shown = "; ".join(f"{code.text}: {_shares(code)}" for code in strong)
    why = Evidence("missing", list(settings_given["missing"]), "draft.missing", {"shares": shown})
    return Look(without, replace(again, evidence=(*again.evidence, why)), doubtful)


def _shares(code: MissingCode) -> str:
    shown = [f"{tag} {share:.2%}" for tag, share in zip(code.tags, code.shares, strict=True)]
    return ", ".join(shown[:6]) + (" …" if len(shown) > 6 else "")
