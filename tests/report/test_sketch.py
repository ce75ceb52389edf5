"""Lines in a notebook."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from backmix.report.drawing.sketch import COLOURS, sketch


def paths(svg: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("path")]  # noqa: S314  # our own


def test_every_curve_is_a_line_with_its_name() -> None:
    drawing = sketch({"a <b> & c": [0.0, 1.0, 4.0], "d": [1.0, 1.0, 1.0]}, xlabel="min", ylabel="mol/L")
    lines = paths(drawing._repr_svg_())
    assert [line.get("class") for line in lines] == ["l0", "l1"]
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", lines[0].get("d", ""))]
    assert heights == sorted(heights, reverse=True)  # up is less far from the top
    text = "".join(ElementTree.fromstring(drawing.svg).itertext())  # noqa: S314
    assert "a <b> & c" in text
    assert "mol/L" in text
    assert "min" in text
    assert repr(drawing) == "Sketch"


def test_a_logarithm_leaves_out_what_has_none_and_makes_powers_a_straight_line() -> None:
    (line,) = paths(sketch({"k": 10.0 ** -np.arange(40.0)}, log=True).svg)
    points = np.array([[float(v) for v in p] for p in re.findall(r"[ML]([\d.]+) ([\d.]+)", line.get("d", ""))])
    slope = np.diff(points[:, 1]) / np.diff(points[:, 0])
    assert slope == pytest.approx(slope[0], abs=0.02)
    (line,) = paths(sketch({"k": [1.0, 0.0, 10.0, 100.0]}, log=True).svg)
    assert line.get("d", "").count("M") == 2


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="7 curves are too many to tell apart; draw at most 6"):
        sketch({str(n): [0.0, 1.0] for n in range(len(COLOURS) + 1)})
    with pytest.raises(ValueError, match="curves have lengths 2, 3; give all the same"):
        sketch({"a": [0.0, 1.0], "b": [0.0, 1.0, 2.0]})
