"""Bundles from anywhere: altered, truncated, newer, hostile. Nothing is executed, the error is one line."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backmix.errors import BundleError
from backmix.results.run import Run
from backmix.serving.archive import FORMAT, MANIFEST, MOST_BYTES, OPTIONAL, pack
from backmix.serving.bundle import Bundle

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def members(sensor_run: Run) -> Members:
    with zipfile.ZipFile(sensor_run.bundle_path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}


def _write(path: Path, members: Members, manifest: bytes | None = None) -> Path:
    """A bundle file with any members and, if given, any manifest."""
    if manifest is None:
        pack(path, members, version="0.1.0")
        return path
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {"manifest.json": manifest, **members}.items():
            archive.writestr(name, data)
    return path


def _refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(path)
    assert caught.value.exit_code == 6
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path), "FILE")


def test_row_36_a_missing_or_foreign_file(tmp_path: Path) -> None:
    assert _refused(tmp_path / "no.backmix") == (
        "FILE — there is no such bundle. A run leaves it as runs/NAME/model.backmix"
    )
    whole = (
        "FILE — this is not a whole bundle (truncated, damaged or another kind of file). "
        "Copy it again from the run folder"
    )
    path = tmp_path / "any.backmix"
    for content in (b"", b"hello", pickle.dumps({"a": 1}), b"PK\x03\x04" + b"\0" * 40, b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(content)
        assert _refused(path) == whole


def test_row_36_truncated_anywhere(sensor_run: Run, tmp_path: Path) -> None:
    whole = sensor_run.bundle_path.read_bytes()
    path = tmp_path / "cut.backmix"
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert "not a whole bundle" in _refused(path)


def test_row_36_one_byte_changed_is_noticed(sensor_run: Run, members: Members, tmp_path: Path) -> None:
    with zipfile.ZipFile(sensor_run.bundle_path) as archive:
        manifest = archive.read("manifest.json")
    changed = bytearray(members["weights.safetensors"])
    changed[-3] ^= 1
    path = _write(tmp_path / "b.backmix", members | {"weights.safetensors": bytes(changed)}, manifest)
    assert _refused(path) == (
        "FILE — weights.safetensors was changed after the bundle was made. Nothing was loaded; "
        "copy it again from the run folder"
    )


def test_row_36_a_newer_format(members: Members, tmp_path: Path) -> None:
    manifest = json.dumps({"format": FORMAT + 1, "backmix": "9.0", "members": {}}).encode()
    assert _refused(_write(tmp_path / "b.backmix", members, manifest)) == (
        f"FILE — bundle format {FORMAT + 1} (made by backmix '9.0') is newer than this release reads ({FORMAT}). "
        "Upgrade backmix"
    )


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "/etc/passwd",
        "weights.pkl",
        "a\\b",
        "MANIFEST.JSON",
        "model.keras",
        "recipe.json/../../x",
        "ｒecipe.json",
    ],
)
def test_row_36_a_member_that_does_not_belong(members: Members, tmp_path: Path, name: str) -> None:
    path = _write(tmp_path / "b.backmix", members | {name: b"import os"}, b"{}")
    assert "which does not belong in one. Nothing was loaded" in _refused(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.backmix"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_row_36_a_member_twice(members: Members, tmp_path: Path) -> None:
    path = tmp_path / "b.backmix"
    _write(path, members)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("recipe.json", b"{}")
    assert "holds 'recipe.json', which does not belong" in _refused(path)


@pytest.mark.parametrize("lost", sorted(set(MOST_BYTES) - OPTIONAL - {MANIFEST}))
def test_row_36_a_member_is_missing(members: Members, tmp_path: Path, lost: str) -> None:
    left = {name: data for name, data in members.items() if name != lost}
    assert len(left) == len(members) - 1
    assert _refused(_write(tmp_path / "b.backmix", left)) == (
        f"FILE — the bundle lacks {lost}. Copy it again from the run folder"
    )


@pytest.mark.parametrize(
    "manifest", [b"[]", b"7", b"null", b'{"format": true, "members": {}}', b'{"format": 1}', b"{}"]
)
def test_row_36_a_manifest_that_is_none(members: Members, tmp_path: Path, manifest: bytes) -> None:
    assert "manifest.json is not what a bundle holds" in _refused(_write(tmp_path / "b.backmix", members, manifest))


@pytest.mark.parametrize("listed", [None, "", [], {}, {"sha256": None}])
def test_row_36_a_member_that_the_manifest_does_not_know(
    sensor_run: Run, members: Members, tmp_path: Path, listed: object
) -> None:
    with zipfile.ZipFile(sensor_run.bundle_path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    manifest["members"]["scores.json"] = listed
    path = _write(tmp_path / "b.backmix", members, json.dumps(manifest).encode())
    assert "scores.json was changed after the bundle was made" in _refused(path)


def test_row_22_a_member_may_be_as_large_as_its_limit_and_no_larger(
    sensor_run: Run, members: Members, tmp_path: Path
) -> None:
    with zipfile.ZipFile(sensor_run.bundle_path) as archive:
        manifest = archive.read("manifest.json")
    limit = MOST_BYTES[MANIFEST]
    full = _write(tmp_path / "full.backmix", members, manifest.ljust(limit))
    assert Bundle.load(full).weights.keys() == sensor_run.bundle.weights.keys()
    for size in (limit + 1, 10 * limit):
        assert _refused(_write(tmp_path / "b.backmix", members, manifest.ljust(size))) == (
            f"FILE — manifest.json unpacks to {size} bytes, more than the {limit} allowed. Nothing was loaded"
        )


def test_row_22_a_zip_bomb_is_stopped_by_bytes_read(members: Members, tmp_path: Path) -> None:
    path = tmp_path / "bomb.backmix"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * 50_000_000)
    assert _refused(path) == (
        "FILE — manifest.json unpacks to 50000000 bytes, more than the 100000 allowed. Nothing was loaded"
    )
    # a header that lies about the size does not help
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = raw.index(signature)
        raw[start + at : start + at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(raw)
    assert "Nothing was loaded" in _refused(path) or "not a whole bundle" in _refused(path)


def test_row_22_json_nested_a_million_deep(members: Members, tmp_path: Path) -> None:
    deep = b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    assert "recipe.json is not what a bundle holds" in _refused(
        _write(tmp_path / "b.backmix", members | {"recipe.json": deep})
    )


def _json_change(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        value = json.loads(data)
        change(value)
        return json.dumps(value).encode()

    return apply


HOSTILE = {
    "unknown cell": ("architecture.json", _json_change(lambda a: a.update(cell="Lambda"))),
    "huge layer": ("architecture.json", _json_change(lambda a: a.update(units=[10**9]))),
    "other size": ("architecture.json", _json_change(lambda a: a.update(units=[5]))),
    "keras config": ("architecture.json", _json_change(lambda a: a.update(class_name="Functional"))),
    "more features": ("architecture.json", _json_change(lambda a: a.update(features=99))),
    "unknown task": ("recipe.json", _json_change(lambda r: r["task"].update(kind="os.system"))),
    "task not text": ("recipe.json", _json_change(lambda r: r["task"].update(kind=["x"]))),
    "zero scale": ("recipe.json", _json_change(lambda r: r["scaler"].update(scale=[0.0, 0.0, 0.0]))),
    "no windows": ("recipe.json", _json_change(lambda r: r.pop("windows"))),
    "negative lookback": ("recipe.json", _json_change(lambda r: r["windows"].update(lookback=-5))),
    "list for object": ("recipe.json", lambda data: b"[]"),
    "not json": ("recipe.json", lambda data: b"\x80\x04\x95"),
    "no time": ("scores.json", _json_change(lambda s: s.update(trained_on={"first": "NaT", "last": "2024-01-01"}))),
    "not utf-8": ("plan.toml", lambda data: b"\xff\xfe\xfa"),
    "unknown setting": ("read.json", _json_change(lambda r: r.update(loader="pickle"))),
    "weights are a pickle": ("weights.safetensors", lambda data: pickle.dumps([1, 2])),
    "weights empty": ("weights.safetensors", lambda data: b""),
    "weights not finite": (
        "weights.safetensors",
        lambda data: safetensors.numpy.save(
            {name: np.full_like(array, np.nan) for name, array in safetensors.numpy.load(data).items()}
        ),
    ),
    "weights renamed": (
        "weights.safetensors",
        lambda data: safetensors.numpy.save(
            {f"x{i}": array for i, array in enumerate(safetensors.numpy.load(data).values())}
        ),
    ),
    "weights reshaped": (
        "weights.safetensors",
        lambda data: safetensors.numpy.save(
            {name: array.reshape(-1) for name, array in safetensors.numpy.load(data).items()}
        ),
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_row_36_hostile_content_with_a_valid_manifest(members: Members, tmp_path: Path, case: str) -> None:
    name, change = HOSTILE[case]
    path = _write(tmp_path / "b.backmix", members | {name: change(members[name])})
    assert "is not what a bundle holds. Nothing was loaded" in _refused(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), byte=st.integers(0, 255), length=st.integers(1, 40))
@example(at=6e-05, byte=24, length=23)  # the name of the first member is no longer UTF-8
def test_row_36_bytes_overwritten_anywhere(sensor_run: Run, tmp_path: Path, at: float, byte: int, length: int) -> None:
    """Whatever is damaged, either the bundle is as it was or it is refused with one line."""
    whole = bytearray(sensor_run.bundle_path.read_bytes())
    start = int(at * (len(whole) - length))
    whole[start : start + length] = bytes([byte]) * length
    path = tmp_path / "damaged.backmix"
    path.write_bytes(whole)
    try:
        found = Bundle.load(path)
    except BundleError as fault:
        assert "\n" not in str(fault)  # noqa: PT017
    else:
        assert found.preprocessing.to_dict() == sensor_run.bundle.preprocessing.to_dict()
        for name, array in sensor_run.bundle.weights.items():
            np.testing.assert_array_equal(found.weights[name], array)


def test_opening_a_bundle_never_unpickles(sensor_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    Bundle.load(sensor_run.bundle_path)
