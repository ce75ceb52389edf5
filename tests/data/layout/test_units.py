"""A unit is taken only where it is a unit."""

from __future__ import annotations

import pytest

from backmix.data.layout.units import bare_unit, is_unit, no_unit, plain_unit, unit_in_name

UNITS = """degC|°C|℃|DEG C|Degrees C|度C|m3/h|m³/h|M3/H|Nm3/hr|Nm³/h|barg|bar(g)|bar a|kPa(g)|mbar(a)|kg/cm2g|kgf/cm²(g)
%|%wt|wt%|Vol.-%|mol/l|kg/h|KG/HR|t/h|T/H|lb/h|kmol/h|rpm|mg/Nm3|µg/m³|ppm|ppmv|µS/cm|cP|A|kW|kWh|kVA|Hz|pH|mm/s|m/s2
W/m2.K|W/(m K)|kJ/(kg K)|kcal/h|MMBtu/h|1/min|min-1|s^-1|ft3/min|g/100ml|kg/m^3|GPM|公斤/小時|噸/時|立方公尺/小時|轉/分|psi"""
NAMES = """GT|sensor|CO|NOx|FI101|PV|SP|S1|A1|T1|P2|L3|K2|S-1|A-1|A100|B07|XV105|Feed flow|Reactor temp|Analyser|status
quality|value|Recipe|Mode|Tag|Time||1/|/|a/b/c/d/e|m3//h"""


@pytest.mark.parametrize("text", UNITS.replace("\n", "|").split("|"))
def test_what_plants_write_is_a_unit(text: str) -> None:
    assert is_unit(text)
    assert is_unit(f"  {text} ")


@pytest.mark.parametrize("text", NAMES.replace("\n", "|").split("|"))
def test_names_and_words_are_no_units(text: str) -> None:
    assert not is_unit(text)


def test_a_user_adds_units() -> None:
    assert not is_unit("mg KOH/100")
    assert is_unit("mg KOH/100", ("mg KOH/100",))
    assert unit_in_name("TAN (mg KOH/100)", ("mg KOH/100",)) == "mg KOH/100"


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("T101 [°C]", "°C"),
        ("P (kPa(g))", "kPa(g)"),
        ("流量（公斤/小時）", "公斤/小時"),
        ("NO2(GT)", ""),
        ("CO(sensor)", ""),
        ("PT08.S1(CO)", ""),
        ("C6H6(GT)", ""),
        ("FIC101 (MV)", ""),
        ("FIC101 (SP)", ""),
        ("(degC)", ""),
        ("T101", ""),
    ],
)
def test_a_name_has_a_unit_only_in_brackets_at_its_end(name: str, unit: str) -> None:
    assert unit_in_name(name) == unit


def test_ways_of_writing_one_unit_are_equal() -> None:
    for one, other in [("DEG C", "°C"), ("m³/hr", "m3/h"), ("℃", "degC"), ("[bar]", "bar"), ("公斤/小時", "kg/h")]:
        assert plain_unit(one) == plain_unit(other)
    assert plain_unit("mW") != plain_unit("MW")
    assert plain_unit("barg") != plain_unit("bara")


def test_a_cell_may_say_that_there_is_no_unit() -> None:
    assert all(no_unit(text) for text in ("", "-", "n/a", "Units", "Eng. Units", "單位", "UOM", " "))
    assert not no_unit("bar")
    assert bare_unit("(g/l)") == "g/l"
