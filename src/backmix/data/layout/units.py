"""Which texts are engineering units.

This module knows the units that plants write, with their prefixes, powers and products, and parses a text by a small
grammar: a text that is no such unit is none, so that ``NO2(GT)`` has no unit and ``T (degC)`` has one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache

_PREFIXED = {  # base -> prefixes that plants use with it
    "m": "kcmuµμnd",
    "g": "kmuµμnM",
    "s": "muµμn",
    "A": "kmuµμ",
    "K": "m",
    "mol": "kmuµμ",
    "Hz": "kMG",
    "N": "kMm",
    "Pa": "khMmG",
    "J": "kMGT",
    "W": "kMGmTuµμ",
    "Wh": "kMGT",
    "V": "kmuµμ",
    "VA": "kM",
    "var": "kM",
    "VAr": "kM",
    "Var": "kM",
    "ohm": "kMm",
    "Ω": "kMm",
    "S": "muµμ",
    "l": "kmcduµμhM",
    "L": "kmcduµμhM",
    "bar": "mkuµμ",
    "cal": "kMG",
    "Btu": "kM",
    "t": "k",
    "P": "cm",
    "St": "c",
    "F": "uµμnp",
    "lx": "k",
    "Bq": "kM",
    "Gy": "muµμ",
    "Sv": "muµμ",
    "rad": "muµμ",
    "eV": "kM",
}
_WORDS = """
min h hr HR Hr hrs HRS hour hours sec secs second seconds day days d wk week yr year ms minute minutes month months
degC °C ºC ˚C ℃ oC C deg.C deg_C deg-C degF °F ºF ˚F ℉ F deg.F deg_F degK °K degR °R deg ° º celsius fahrenheit kelvin
psi psig psia psid ksi barg bara bard barA barG mbarg mbara atm atma atmg at ata atg torr mTorr mmHg cmHg inHg
mmH2O mmH20 cmH2O inH2O inWC inwc mmWC mmwc mH2O mwc kgf gf kPag kPaa kPaA kPaG MPag MPaa Pag Paa hPag lbf tf
kg/cm2g kg/cm2a kgf/cm2g kgf/cm2a kg/cm2G kg/cm2A ksc kscg
lb lbs lbm klb klbs oz ton tons tonne tonnes mton kt Mt MT
ft in inch inches yd mi mile miles mil micron microns
gal USgal bbl Mbbl MMbbl kbbl bpd BPD bph BPH gpm GPM gph gpd lpm LPM slpm SLPM slm nlpm sccm SCCM m3n cc ccm
scf SCF Mscf MMscf scfh SCFH scfm SCFM scfd mscfd Mscfd MMscfd MMSCFD MSCFD mmscfd acfm ACFM cfm CFM acf cf cft MLD
Nm3 NM3 Sm3 Am3 Nm kNm3 kSm3 kNm3h Nl NL Ncm3 Nml cum CMH CMD cmh cmd
tph TPH tpd TPD tpy kta ktpa mtpd MTPD kgh pph
cP cp cPs cps cSt cst poise mPas SUS SSU
pH PH rH NTU FNU FTU JTU API °API Brix °Brix °Bx Bx SG sg HU Hazen APHA Pt-Co TCU ORP SAK EBC mEq meq val mval
ppm ppmv ppmw ppmvd ppb ppbv ppbw ppt pptv ppmvol vppm wppm ppmwt ppmW ppmV
% ‰ pct percent %wt wt% %vol vol% %mol mol% mole% %mole %w %v %w/w %v/v %w/v %wt/wt w% v% wt.% vol.% mol.% wt.-%
vol.-% mol.-% mass% %mass m% Vol% Wt% Mol% wt-% vol-% mol-% v/v w/w %RH %rh RH% rh% %LEL %lel LEL% %sat %FS %span
%open %O2 %TS %DS %H2O RH
rpm RPM rev r/min cpm CPM spm bpm Hz hz
BTU btu MBtu MMBtu MMBTU mmbtu kBtu MBTU therm therms hp HP BHP bhp PS RT TR
kgmol kmole kmoles kg-mol kgmole lbmol lb-mol lbmole mole moles gmol
dB dBA dB(A) dBm lm lux cd
pcs ea counts count ct cnt steps items units
mm/s gE g's KWH KWh kwh KW Kw kw MW Kg KG kgs Kgs KPa Kpa kpa Mpa BAR Bar mBar MBAR hpa Amp Amps amp amps ampere volt
volts watt watts VDC VAC ohms Ohm mho mhos mmho umho µmho
M mM µM uM nM N Da kDa cfu CFU OD AU mAU IU U kU FAU
knot knots kn kph km/h mph degree degrees revs
TWD NTD USD EUR
攝氏度 攝氏 華氏度 度C 度c 度F ℃ 度 度電 公斤 千克 公克 克 毫克 公噸 噸 公升 升 毫升 公秉 小時 時 分鐘 分 秒 天 日 月 年
公尺 米 公分 毫米 公厘 公里 立方米 立方公尺 標準立方米 標準立方公尺 平方公分 平方米 平方公尺
轉 轉速 百分比 百分率 千瓦 瓩 瓦 千瓦時 千瓦小時 瓦時 安培 安 毫安 伏特 伏 千伏 赫茲 赫 巴 帕 千帕 百帕 兆帕
大氣壓 卡 千卡 大卡 莫耳 千莫耳 桶 次 個 支 包 批 馬力 歐姆 西門子 分貝 每分鐘轉數
"""
_FOLDED = """
deg c|deg f|deg k|degc|degf|degk|degrees c|degrees f|degree c|degree celsius|deg. c|deg. f|degrees celsius|mg/nm3
"""
_NEVER = frozenset({"pv", "sp", "op", "cv", "mv", "dv", "gt", "in", "at", "day", "days", "units", "unit", "u", "month"})
"""In a name these say something else: process value, set point, a flow that goes in …"""
_POWER = r"(?:(?:\^|\*\*)?(?:[2-6]|[-−][1-6])|[²³⁴]|⁻[¹²³])?"
_POWERED = """m mm cm dm km um µm μm s ft in inch yd M MM CM FT IN NM SM AM Nm Sm Am kNm kSm sm nm"""
_SUFFIX = re.compile(r"\s*[(\[ ]?(?:g|a|abs|gauge|ga|gage|d|diff|std|N|S|n|dry|wet|vn|norm)[)\]]$|\s(?:abs|gauge|a|g)$")
_PARTS = re.compile(r"\s*(?:[*·⋅×‧]|\.(?=\D)|(?<=\w)-(?=[A-Za-z])| )\s*")
_NOTHING = frozenset(
    {"", "-", "--", "---", "–", "—", "n/a", "na", "none", "null", "1", "[-]", "(-)", "無", "無單位", "unitless"}
    | {"dimensionless", "text", "string", "bool", "boolean", "digital", "state", "datetime", "date", "time", "status"}
)
_LABELS = re.compile(r"(?i)^\W*(eng(ineering|\.)?\s*)?(units?|uom|u\.?o\.?m\.?|e\.?u\.?|(工程)?單位)\W*$")
_IN_NAME = re.compile(r"[\[(（]\s*([^\[(（]*?(?:[(（][^()（）]*[)）])?)\s*[\])）]\s*$")


@cache
def _known() -> frozenset[str]:
    words = set(_WORDS.split())
    for base, prefixes in _PREFIXED.items():
        words.add(base)
        words.update(prefix + base for prefix in prefixes)
    return frozenset(words)


@cache
def _known_folded() -> frozenset[str]:
    return frozenset(word.casefold() for word in _known() if len(word) > 2) | {
        word.strip() for word in _FOLDED.split("|")
    }


def is_unit(text: str, more: Collection[str] = ()) -> bool:
    """Whether a text is an engineering unit, or one of ``more``.

    >>> [unit for unit in ("m3/h", "DEG C", "kPa(g)", "mg/Nm3", "度C", "GT", "sensor", "FI101") if is_unit(unit)]
    ['m3/h', 'DEG C', 'kPa(g)', 'mg/Nm3', '度C']
    """
    text = " ".join(text.split())
    if not text or len(text) > 40:
        return False
    if text in more or _one(text):
        return True
    if text.casefold() in _known_folded():
        return True
    bare = _SUFFIX.sub("", text)
    if bare and bare != text and _product(bare):
        return True
    return _product(text)


def _product(text: str) -> bool:
    """Units multiplied and divided: ``kJ/(kg K)``, ``W/m2.K``, ``1/min``."""
    pieces = text.replace("每", "/").split("/")
    if len(pieces) > 4 or not pieces[-1].strip():
        return False
    for index, piece in enumerate(pieces):
        piece = piece.strip()
        if index > 0 and piece.startswith("(") and piece.endswith(")"):
            piece = piece[1:-1]
        if index == 0 and piece in ("", "1", "#", "No", "no", "pcs") and len(pieces) > 1:
            continue
        if index > 0 and (timed := re.fullmatch(r"(?:100|10|24)\s?(ml|mL|g|kg|h|m)", piece)):
            piece = timed[1]
        if len(pieces) > 1 and piece in ("H", "T", "D", "S", "MIN", "Min", "DAY", "Day"):  # written in capitals
            continue
        parts = [part for part in _PARTS.split(piece) if part]
        if not _one(piece) and not (parts and len(parts) <= 4 and all(map(_one, parts))):
            return False
    return True


def _one(text: str) -> bool:
    """One unit with its power."""
    if text in _known():
        return True
    if len(text) > 3 and text.casefold() in _known_folded():
        return True
    base = re.fullmatch(rf"(.*?[^\d²³⁴⁻^*−-])({_POWER})", text)
    if base is None or not base[2]:
        return False
    if "-" in base[2] or "−" in base[2] or "⁻" in base[2]:
        return base[1] in _known() and (base[1][0].islower() or "^" in base[2])
    return base[1] in _POWERED.split()


def no_unit(text: str) -> bool:
    """Whether a cell of a row of units says that there is none, or only what the row is about."""
    return " ".join(text.split()).casefold() in _NOTHING or _LABELS.match(text) is not None


def bare_unit(text: str) -> str:
    """The unit of a cell without the brackets around it.

    >>> bare_unit("[m3/h]"), bare_unit("kPa(g)")
    ('m3/h', 'kPa(g)')
    """
    text = " ".join(text.split())
    if len(text) > 2 and text[0] in "([{（" and text[-1] in ")]}）":
        inside = text[1:-1].strip()
        if inside.count("(") == inside.count(")"):
            return inside
    return text


def unit_in_name(name: str, more: Collection[str] = ()) -> str:
    """The unit in brackets at the end of a column's name; "" where there is none.

    >>> unit_in_name("T101 [°C]"), unit_in_name("P (kPa(g))"), unit_in_name("NO2(GT)"), unit_in_name("PT08.S1(CO)")
    ('°C', 'kPa(g)', '', '')
    """
    match = _IN_NAME.search(name)
    if match is None or not name[: match.start()].strip():
        return ""
    unit = match[1].strip()
    known = unit in more or (unit.casefold() not in _NEVER and is_unit(unit, more))
    return unit if known else ""


_PLAIN = (
    ("degrees", "deg"), ("degree", "deg"), ("deg.", "deg"), ("℃", "degC"), ("℉", "degF"), ("攝氏度", "degC"),
    ("攝氏", "degC"), ("度C", "degC"), ("度c", "degC"), ("度F", "degF"), ("華氏度", "degF"), ("°", "deg"), ("º", "deg"),
    ("˚", "deg"), ("²", "2"), ("³", "3"), ("μ", "u"), ("µ", "u"), (" ", ""), ("**", ""), ("^", ""), ("小時", "h"),
    ("分鐘", "min"), ("公斤", "kg"), ("公噸", "t"), ("噸", "t"), ("立方公尺", "m3"), ("立方米", "m3"), ("秒", "s"),
)  # fmt: skip


def plain_unit(unit: str) -> str:
    """A unit less the ways of writing it, for comparisons; upper case is kept where it counts: mW is not MW.

    >>> plain_unit("DEG C"), plain_unit("°C"), plain_unit("m³/hr"), plain_unit("mW") == plain_unit("MW")
    ('degC', 'degC', 'm3/h', False)
    """
    unit = bare_unit(unit)
    unit = re.sub(r"(?i)^deg", "deg", unit)
    for sign, plain in _PLAIN:
        unit = unit.replace(sign, plain)
    unit = re.sub(r"/(hr|hour|hours)$", "/h", unit)
    unit = re.sub(r"^deg([cf])$", lambda match: "deg" + match[1].upper(), unit)
    return {"C": "degC", "F": "degF", "oC": "degC"}.get(unit, unit)
