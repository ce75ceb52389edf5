"""Laws of the public data sets: complete in both languages, checked by hash, quick to give up."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.data import sets
from backmix.data.sets import fetching
from backmix.data.sets.dataset import EPOCH, DataFile, DataSet, clock, raw
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError, PlanError, StorageError
from backmix.tasks import Task, tasks
from backmix.text import LANGUAGES, sentences, speak
from backmix.training.plan import Plan

NAMES = sets.sets.names()
PROTOCOLS = [(name, protocol) for name, part in sets.sets for protocol in part.plans]
CONTENT = b"1.0 2.0\n3.0 4.0\n"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No mirror, an empty cache, no network; returns the cache."""
    monkeypatch.delenv("BACKMIX_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    cache = tmp_path / "cache"
    monkeypatch.setattr(fetching, "cache_folder", lambda: cache)
    return cache


def a_set(*urls: str, carrier: str | None = None, path: str = "small/a.txt") -> DataSet:
    """A set of one file of two rows."""
    file = DataFile(path, urls, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), carrier)

    def read(paths: Any, protocol: str | None) -> Table:
        return Table(np.loadtxt(paths[path]), (Tag("a"), Tag("b")))

    return replace(sets.sets.get("debutanizer"), name="small", files=(file,), read=read)


# what is registered


def test_every_set_of_the_data_page_is_there() -> None:
    assert NAMES == [
        "batch_dryer",
        "bibmon",
        "cmapss_fd001",
        "cmapss_fd002",
        "cmapss_fd003",
        "daisy_cstr",
        "daisy_evaporator",
        "daisy_exchanger",
        "debutanizer",
        "etth1",
        "tennessee_eastman",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_filled_in_both_languages(name: str) -> None:
    part = sets.sets.get(name)
    assert part.name == name
    assert part.licence
    assert part.citation
    assert len(part.files) > 0
    for text in (part.title, part.about):
        assert set(text) == set(LANGUAGES)
        assert all(text.values())
        assert text["en"] != text["zh_TW"]
    for lang in LANGUAGES:
        with speak(lang):
            assert all(tag.description for tag in part.tags)
    assert set(part.tasks) <= set(tasks.names())
    assert {plan["task"]["kind"] for plan in part.plans.values()} == set(part.tasks)


def test_both_languages_have_the_same_blanks() -> None:
    import string

    for name, by_language in sentences("sets").items():
        blanks = [
            {field for _, field, _, _ in string.Formatter().parse(by_language[lang]) if field} for lang in LANGUAGES
        ]
        assert blanks[0] == blanks[1], name


@pytest.mark.parametrize("name", NAMES)
def test_files_have_full_commit_addresses_and_hashes(name: str) -> None:
    for file in sets.sets.get(name).files:
        assert len(file.sha256) == 64
        assert file.size > 0
        assert not file.path.startswith("/")
        assert ".." not in file.path
        for url in file.urls:
            host, _, commit = url.removeprefix("https://").split("/")[0], *url.split("/")[4:6]
            assert host == "raw.githubusercontent.com"
            assert len(commit) == 40
            assert " " not in url
            assert url.endswith(".gz") == (file.carrier is not None)


@pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)
def test_plans_are_plans(name: str, protocol: str) -> None:
    plan = sets.plan(name, protocol)
    assert plan["data"] == {"set": name, "protocol": protocol}
    whole = Plan.model_validate(plan)
    known = {tag.name for tag in sets.sets.get(name).tags}
    assert set(whole.the_task.targets) <= known | set(Task.of(whole.the_task).target.computed)


def test_a_plan_is_a_copy() -> None:
    sets.plan("debutanizer")["task"]["target"] = "u1"
    assert sets.plan("debutanizer")["task"]["target"] == "y"


def test_the_debutanizer_protocols_differ_in_what_is_known_of_y() -> None:
    """Data page: C knows nothing of past y, A knows y(k-4), B y(k-4) ... y(k-8), D a laboratory value 10 rows late."""
    past = {p: sets.plan("debutanizer", p)["task"].get("past_targets") for p in ("C", "A", "B", "D")}
    assert past == {
        "C": None,
        "A": {"delay": 4, "count": 1},
        "B": {"delay": 4, "count": 5},
        "D": {"delay": 10, "count": 1},
    }
    assert next(iter(sets.sets.get("debutanizer").plans)) == "C"


# real files


@pytest.fixture
def mirror(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BACKMIX_DATA", str(shared_data))
    return shared_data


@pytest.mark.parametrize(
    ("name", "protocol", "shape", "batches", "step"),
    [
        ("tennessee_eastman", "case1", (5 * 480 + 5 * 800, 53), 10, 180.0),
        ("tennessee_eastman", "case2", (5 * 480 + 5 * 800, 53), 10, 180.0),
        ("tennessee_eastman", "all", (21 * 480 + 21 * 800, 53), 42, 180.0),
        ("tennessee_eastman", "with_normal", (500 + 21 * 480 + 22 * 960, 53), 44, 180.0),
        ("debutanizer", "C", (2394, 8), 0, None),
        ("cmapss_fd001", "capped", (33727, 26), 200, None),
        ("cmapss_fd002", "capped", (87750, 26), 519, None),
        ("cmapss_fd003", "uncapped", (41316, 26), 200, None),
        ("batch_dryer", "Y10", (9269, 36), 71, None),
        ("bibmon", None, (3169, 108), 0, 300.0),
        ("daisy_cstr", "coolant_flow", (7500, 3), 0, 6.0),
        ("daisy_exchanger", "liquid_flow", (4000, 2), 0, 1.0),
        ("daisy_evaporator", "all_outputs", (6305, 6), 0, None),
        ("etth1", "oil_temperature", (17420, 7), 0, 3600.0),
    ],
)
@pytest.mark.usefixtures("mirror")
def test_loaded_tables_have_the_documented_shape(
    name: str, protocol: str | None, shape: tuple[int, int], batches: int, step: float | None
) -> None:
    assert sets.available(name)
    table = sets.load(name, protocol)
    assert table.values.shape == shape
    assert len(table.batch_names) == batches
    assert table.step == step
    assert table.source == name
    assert table.names == tuple(tag.name for tag in sets.sets.get(name).tags)
    if protocol is not None:
        target = sets.plan(name, protocol)["task"]["target"]
        assert tuple(tag.name for tag in table.tags if tag.role == "target") == tuple(
            [target] if isinstance(target, str) else target
        )


@pytest.mark.usefixtures("mirror")
def test_the_debutanizer_laboratory_samples_every_tenth_row() -> None:
    """Protocol D: y is missing between the samples, and the inputs are those of the other protocols."""
    full, sampled = sets.load("debutanizer", "C"), sets.load("debutanizer", "D")
    labels = np.isfinite(sampled.column("y"))
    assert np.flatnonzero(labels).tolist() == list(range(0, 2394, 10))
    assert np.array_equal(sampled.column("y")[labels], full.column("y")[labels])
    assert np.array_equal(sampled.values[:, :7], full.values[:, :7])


@pytest.mark.usefixtures("mirror")
def test_tennessee_eastman_is_read_as_published(shared_data: Path) -> None:
    """d00.dat is stored transposed; diagnosis tests on rows 161-960 only."""
    table = sets.load("tennessee_eastman", "with_normal")
    first = np.loadtxt(shared_data / "tennessee_eastman/d00.dat").T
    assert np.array_equal(table.values[:500, :52], first)
    fault = table.column("fault")
    assert set(fault[:500]) == {0.0}
    end = table.batch_names.index("d21_te")
    assert fault[table.batch == end].tolist() == [0.0] * 160 + [21.0] * 800
    case = sets.load("tennessee_eastman", "case1")
    assert case.tag("fault").categories == ("fault 1", "fault 2", "fault 6", "fault 7", "fault 8")
    tested = case.rows(case.batch == case.batch_names.index("d08_te"))
    whole = np.loadtxt(shared_data / "tennessee_eastman/d08_te.dat")
    assert np.array_equal(tested.values[:, :52], whole[160:960])
    assert case.tag("XMEAS9").label == "XMEAS9 [degC]"
    assert np.nanmean(case.column("XMEAS9")) == pytest.approx(120.4, abs=0.5)  # Downs & Vogel, base case


@pytest.mark.usefixtures("mirror")
def test_remaining_life_ends_at_the_published_remainder(shared_data: Path) -> None:
    left = np.loadtxt(shared_data / "cmapss/RUL_FD001.txt")
    table = sets.load("cmapss_fd001", "uncapped")
    assert table.batch is not None
    rul, batch = table.column("RUL"), table.batch
    last = np.append(np.flatnonzero(np.diff(batch)), len(batch) - 1)
    assert np.array_equal(rul[last], np.concatenate([np.zeros(100), left]))
    assert np.all(np.diff(rul)[np.diff(batch) == 0] == -1)
    capped = sets.load("cmapss_fd001").column("RUL")
    assert np.array_equal(capped, np.minimum(rul, 125))


@pytest.mark.usefixtures("mirror")
def test_status_texts_are_bad_and_never_zero() -> None:
    """Row 9 of the list of bad inputs: 498 cells of the real plant hold a text."""
    table = sets.load("bibmon")
    assert int(np.isnan(table.values).sum()) == 498
    assert table.quality is not None
    assert np.array_equal(table.quality == 2, np.isnan(table.values))


@pytest.mark.usefixtures("mirror")
def test_batch_results_stand_in_the_last_row_only() -> None:
    table = sets.load("batch_dryer", "class")
    assert table.batch is not None
    last = np.append(np.flatnonzero(np.diff(table.batch)), len(table) - 1)
    known = np.flatnonzero(np.isfinite(table.column("class")))
    assert np.array_equal(known, last)
    counts = np.bincount(table.column("class")[last].astype(int))
    assert dict(zip(table.tag("class").categories, counts.tolist(), strict=True)) == {
        "On-spec": 33,
        "Off-Spec": 28,
        "High-Solvent": 10,
    }
    lengths = np.bincount(table.batch)
    assert (lengths.min(), lengths.max()) == (93, 201)


# clocks


def test_the_nominal_clock_only_grows_and_keeps_runs_apart() -> None:
    times = clock([3, 2], 180.0)
    assert times[0] == EPOCH
    gaps = np.diff(times).astype("timedelta64[s]").astype(int)
    assert gaps.tolist() == [180, 180, 86400 - 360, 180]


# where files come from


def test_mirror_file_is_used(alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = a_set("http://127.0.0.1:9/a.txt")
    place = tmp_path / "mirror/small/a.txt"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    monkeypatch.setenv("BACKMIX_DATA", str(tmp_path / "mirror"))
    assert fetching.fetch(found) == {"small/a.txt": place}
    assert fetching.at_hand(found)


def test_altered_mirror_file_is_refused(alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = a_set("http://127.0.0.1:9/a.txt")
    place = tmp_path / "mirror/small/a.txt"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT + b" ")
    monkeypatch.setenv("BACKMIX_DATA", str(tmp_path / "mirror"))
    with pytest.raises(InputError) as caught:
        fetching.fetch(found)
    got, want = hashlib.sha256(CONTENT + b" ").hexdigest()[:12], hashlib.sha256(CONTENT).hexdigest()[:12]
    assert str(caught.value) == (
        f"{place} — this is not the published file of data set 'small' (sha256 {got}…, published {want}…). "
        "Delete it or put the original in its place"
    )
    assert caught.value.exit_code == 3
    assert not fetching.at_hand(found)


def test_missing_mirror_folder_is_named(alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKMIX_DATA", str(tmp_path / "no such"))
    with pytest.raises(InputError) as caught:
        fetching.fetch(a_set("http://127.0.0.1:9/a.txt"))
    assert str(caught.value) == (
        f"{tmp_path / 'no such'} — BACKMIX_DATA names a folder that does not exist. Correct BACKMIX_DATA or unset it"
    )


def test_closed_network_is_said_at_once(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("socket.create_connection", unreachable)
    with pytest.raises(InputError) as caught:
        sets.load("debutanizer")
    assert str(caught.value) == (
        "data set 'debutanizer' — debutanizer/Debutanizer_Column_Data.txt is not on this machine and "
        "raw.githubusercontent.com cannot be reached (Network is unreachable). Put the file into a folder as "
        "<folder>/debutanizer/Debutanizer_Column_Data.txt and set BACKMIX_DATA=<folder>, or use a simulated "
        'plant: [data] plant = "cstr"'
    )
    assert caught.value.exit_code == 3
    assert not sets.available("debutanizer")


def test_a_firewall_that_swallows_packets_does_not_hang(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def swallow(*args: Any, **kwargs: Any) -> None:
        gate.wait(5)
        raise TimeoutError

    monkeypatch.setattr("socket.create_connection", swallow)
    monkeypatch.setattr(fetching, "CONNECT_SECONDS", 0.2)
    start = time.monotonic()
    with pytest.raises(InputError, match=r"cannot be reached \(timeout\)"):
        sets.load("tennessee_eastman")
    assert time.monotonic() - start < 2
    gate.set()
    assert fetching.CONNECT_SECONDS <= 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A server on the loopback that offers a plain, a packed, an altered and a monstrous file."""
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "a.txt").write_bytes(CONTENT)
    (folder / "altered.txt").write_bytes(CONTENT + b"5.0 6.0\n")
    (folder / "a.txt.gz").write_bytes(gzip.compress(CONTENT, mtime=0))
    (folder / "bomb.txt.gz").write_bytes(gzip.compress(b"0" * 50_000_000, mtime=0))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_download_into_the_cache_and_no_second_time(alone: Path, server: str) -> None:
    found = a_set(f"{server}/a.txt")
    assert not fetching.at_hand(found)
    (path,) = fetching.fetch(found).values()
    assert path == alone / "small/a.txt"
    assert path.read_bytes() == CONTENT
    assert fetching.fetch(a_set("http://127.0.0.1:9/gone")) == {"small/a.txt": path}


def test_second_address_helps_when_the_first_has_gone(alone: Path, server: str) -> None:
    (path,) = fetching.fetch(a_set(f"{server}/gone.txt", f"{server}/a.txt")).values()
    assert path.read_bytes() == CONTENT


def test_packed_file_is_unpacked(alone: Path, server: str) -> None:
    carrier = hashlib.sha256(gzip.compress(CONTENT, mtime=0)).hexdigest()
    (path,) = fetching.fetch(a_set(f"{server}/a.txt.gz", carrier=carrier)).values()
    assert path == alone / "small/a.txt"
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_altered_download_is_refused(alone: Path, server: str) -> None:
    with pytest.raises(InputError) as caught:
        fetching.fetch(a_set(f"{server}/altered.txt"))
    assert str(caught.value) == (
        f"data set 'small' — what {server}/altered.txt sends is not the published file. Do not use it; put "
        "the original into a folder as <folder>/small/a.txt and set BACKMIX_DATA=<folder>"
    )
    assert not (alone / "small/a.txt").exists()


def test_packed_bomb_stays_small(alone: Path, server: str, tmp_path: Path) -> None:
    """Row 22 of the list of bad inputs: no more is unpacked than the file should have."""
    carrier = hashlib.sha256((tmp_path / "server/bomb.txt.gz").read_bytes()).hexdigest()
    with pytest.raises(InputError, match="is not the published file"):
        fetching.fetch(a_set(f"{server}/bomb.txt.gz", carrier=carrier))
    assert len(fetching._unpack(tmp_path / "server/bomb.txt.gz", 16)) == 17


def test_refusing_server_is_named(alone: Path, server: str) -> None:
    with pytest.raises(InputError) as caught:
        fetching.fetch(a_set(f"{server}/gone.txt"))
    assert str(caught.value) == (
        f"data set 'small' — {server}/gone.txt answered with status 404. Put the file into a folder as "
        "<folder>/small/a.txt and set BACKMIX_DATA=<folder>"
    )


def test_cache_that_cannot_be_written(alone: Path, server: str) -> None:
    alone.parent.mkdir(exist_ok=True)
    alone.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="the cache of data sets cannot be written"):
        fetching.fetch(a_set(f"{server}/a.txt"))


def test_the_proxy_is_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy.plant:3128"})
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
    assert fetching._door(raw("a/b", "0" * 40, "c")) == ("proxy.plant", 3128)


# names


def test_unknown_protocol_names_the_known() -> None:
    with pytest.raises(PlanError) as caught:
        sets.load("debutanizer", "E")
    assert str(caught.value) == "data set 'debutanizer' has no protocol 'E'. Known: C, A, B, D"


def test_set_without_protocols() -> None:
    assert sets.plan("bibmon") == {}
    with pytest.raises(PlanError) as caught:
        sets.plan("bibmon", "C")
    assert str(caught.value) == ("data set 'bibmon' has no protocols, so 'C' cannot be used. Leave the protocol out")


def test_unknown_set_names_the_nearest() -> None:
    with pytest.raises(PlanError, match="Did you mean 'debutanizer'"):
        sets.load("debutaniser")
