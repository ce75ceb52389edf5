"""The names that historians give to the columns of a form.

This module knows by which words a column says that it holds tags, values, units or qualities, in English and Chinese.
"""

from __future__ import annotations

import re

_TAG = """tag tags tagname tag_name tag_id tagid tagpath tag_path point pointname point_name pointid point_id name
item itemid variable variable_name parameter signal sensor sensor_id channel measurement_name series metric
標籤 標籤名稱 點位 點名 測點 測點名稱 位號 儀表位號 名稱 變數 變數名稱 參數 參數名稱 訊號 感測器 通道
项目 項目 标签 位号 测点 变量"""
_VALUE = """value values val reading result measurement measured data pv numeric_value value_num avg
數值 值 測值 量測值 讀值 讀數 資料值 数值 测量值 读数"""
_UNIT = "unit units uom eu engunits eng_units engineering_unit engineering_units 單位 工程單位 单位"
_QUALITY = """quality qualities qual q status stat st statuscode status_code flag flags good bad valid invalid validity
questionable substituted annotated isgood is_good isvalid is_valid confidence opcquality
品質 質量 質量碼 狀態 狀態碼 旗標 可疑 有效 品質碼 品質狀態 状态 质量 质量码"""
_TIME = (
    "time timestamp time_stamp datetime date_time date ts t 時間 時刻 日期 日期時間 時間戳記 "
    "時間戳 时间 时间戳 日期时间"
)
_BATCH = "batch batchid batch_id lot lotid run campaign heat unit_id 批 批次 批號 批次編號 批次號 爐號 批号"


def several(words: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(words.split())


TAG, VALUE, UNIT, QUALITY, TIME, BATCH = map(several, (_TAG, _VALUE, _UNIT, _QUALITY, _TIME, _BATCH))


def plain(name: str) -> str:
    """A name without case, blanks and the number that tells repeats apart: "Time.1", "Status (2)", "Value_3".

    >>> plain("Time Stamp.1"), plain("數值 (2)"), plain("FI101")
    ('time_stamp', '數值', 'fi101')
    """
    word = re.sub(r"[ _]+", "_", name.strip().casefold())
    return re.sub(r"(?<=\w)(?:\.\d{1,3}|_?\(\d{1,3}\)|_\d{1,3})$", "", word)


def nameless(name: str) -> bool:
    """Whether a column has no name of its own: ``header`` calls it by its number."""
    return re.fullmatch(r"column \d+|unnamed: \d+(_level_\d+)?", name.strip().casefold()) is not None


def looks_like_tag(name: str) -> bool:
    """Whether a word is built like the name of a measuring point: letters, then digits, or a path.

    >>> [looks_like_tag(word) for word in ("FI101", "21-TIC-4711.PV", "Plant/Unit1/FI101", "RUN", "Batch 7")]
    [True, True, True, False, False]
    """
    leaf = re.split(r"[\\/|]", name.strip())[-1]
    return re.fullmatch(r"(?:\d{1,4}[-_.]?)?[A-Z]{1,6}[-_.]?\d{2,6}[A-Z]?(?:[-_.:]\w+)?", leaf) is not None
