"""Files are whole, folders have one writer, and every refusal of the disk is loud."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from backmix import storage
from backmix.errors import BusyError, StorageError
from backmix.storage import LOCK, hold, remove, write_atomic
from backmix.text import say, sentences, speak

CALLS = ("fsync", "replace", "open")


def drafts(folder: Path) -> list[Path]:
    return list(folder.glob(".partial-*"))


@pytest.mark.parametrize("content", [b"new", "new", lambda file: file.write(b"new")])
def test_a_file_is_replaced_whole(tmp_path: Path, content: Any) -> None:
    target = tmp_path / "deep" / "er" / "a.txt"
    write_atomic(target, "old")
    write_atomic(target, content)
    assert target.read_bytes() == b"new"
    assert not drafts(target.parent)


def test_text_is_utf8(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.txt", "溫度 °C")
    assert (tmp_path / "a.txt").read_bytes().decode() == "溫度 °C"


def test_the_umask_of_the_user_holds(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.txt", "x")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS])
def test_row_40_any_refusal_at_any_call_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """Each system call of a write fails in turn, at its first and at its second use."""
    target = tmp_path / "a.txt"
    write_atomic(target, "old")
    true = getattr(os, call)
    for index in range(3):
        seen = iter(range(100))

        def broken(*args: Any, seen: Any = seen, index: int = index, **named: Any) -> Any:
            if next(seen) == index:
                raise OSError(code, os.strerror(code))
            return true(*args, **named)

        with monkeypatch.context() as patch:
            patch.setattr(storage.os, call, broken)
            late = (call, index) in (("fsync", 1), ("open", 0))  # of the folder, after the rename
            refused = late or index == 0
            with pytest.raises(StorageError) if refused else nullcontext() as caught:
                write_atomic(target, "new")
        if refused:
            assert caught.value.exit_code == 8
            assert caught.value.key == ("storage.unconfirmed" if late else "storage.cannot_write")
            assert caught.value.values["where"] == target
        assert target.read_text() == ("old" if refused and not late else "new")
        assert not drafts(tmp_path)
        write_atomic(target, "old")


def test_row_40_a_full_disk_in_the_middle_of_the_content(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_atomic(target, "old")

    def half(file: BinaryIO) -> None:
        file.write(b"n" * 100_000)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError) as caught:
        write_atomic(target, half)
    assert str(caught.value) == (
        f"{target} — cannot be written: the disk is full. What was there before is intact; mend that and start again"
    )
    assert target.read_text() == "old"
    assert not drafts(tmp_path)


def test_row_40_a_real_limit_of_file_size(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: the kernel itself refuses the 4097th byte."""
    target = tmp_path / "a.txt"
    write_atomic(target, "old")
    done = run(f"""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write_atomic({str(target)!r}, b"n" * 100_000)
        except StorageError as fault:
            print(fault)
    """)
    assert done == (
        f"{target} — cannot be written: the file would be larger than this process may write. "
        "What was there before is intact; mend that and start again"
    )
    assert target.read_text() == "old"
    assert not drafts(tmp_path)


def test_row_40_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    locked = tmp_path / "locked"
    locked.mkdir()
    write_atomic(locked / "a.txt", "old")
    locked.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    done = run(f"""
        import os
        str(StorageError("storage.cannot_write", where="", reason=""))  # read the catalogue while we may
        if os.geteuid() == 0:
            os.seteuid(65534)  # nobody: permissions mean nothing to root
        for act in (lambda: write_atomic({str(locked / "a.txt")!r}, "new"),
                    lambda: hold({str(locked)!r}).__enter__()):
            try:
                act()
            except StorageError as fault:
                print(fault)
    """)
    sentence = "cannot be written: no permission. What was there before is intact; mend that and start again"
    assert done.splitlines() == [f"{locked / 'a.txt'} — {sentence}", f"{locked} — {sentence}"]
    locked.chmod(0o755)
    assert (locked / "a.txt").read_text() == "old"


def test_row_40_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.write_text("I am a file")
    for act in (lambda: write_atomic(run / "a.txt", "x"), lambda: hold(run).__enter__()):
        with pytest.raises(StorageError, match=re.escape("a file stands where a folder is needed")):
            act()


def test_a_fault_of_the_writer_is_not_hidden(tmp_path: Path) -> None:
    def broken(_file: BinaryIO) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        write_atomic(tmp_path / "a.txt", broken)
    assert not list(tmp_path.iterdir())


def test_row_41_killed_at_random_moments_the_file_is_old_or_new(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    write_atomic(target, b"0" * 3_000_000)
    seen = set()
    for turn in range(8):
        writer = start(f"""
            for letter in range(10_000):
                write_atomic({str(target)!r}, bytes([48 + letter % 10]) * 3_000_000)
                if letter == 0:
                    print("going", flush=True)
        """)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "going\n"
        time.sleep(0.003 * turn)
        writer.kill()
        writer.communicate()
        result = target.read_bytes()
        assert len(result) == 3_000_000
        assert len(set(result)) == 1
        seen.add(result[0])
    assert len(seen) > 1
    with hold(tmp_path):
        assert not drafts(tmp_path), "the next holder sweeps what a killed writer has left"


def test_row_39_the_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    holder = start(
        f"""
        with hold({str(tmp_path / "run")!r}):
            print("held", flush=True)
            input()
    """,
        stdin=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BusyError) as caught, hold(tmp_path / "run"):
        pass
    values = caught.value.values
    assert values["pid"] == holder.pid
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", values["since"])
    assert str(caught.value) == (
        f"{tmp_path / 'run'} — another process holds this folder: pid {holder.pid} on {values['host']} since "
        f"{values['since']}. Wait for it, stop it, or choose another folder"
    )
    assert caught.value.exit_code == 7
    holder.send_signal(signal.SIGKILL)  # the lock dies with its process, however that ends
    holder.communicate()
    with hold(tmp_path / "run"):
        pass


def test_row_39_one_process_cannot_hold_a_folder_twice(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(BusyError, match=f"pid {os.getpid()} "), hold(tmp_path):
        pass
    with hold(tmp_path):
        pass


def test_row_39_a_holder_that_has_not_signed_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_PATIENCE", 0.05)
    with hold(tmp_path):
        (tmp_path / LOCK).write_text("")
        with pytest.raises(BusyError, match=re.escape("pid ? on ? since ?")), hold(tmp_path):
            pass


def test_many_processes_starting_at_once_take_turns(tmp_path: Path) -> None:
    """Trap Y: no race for the folder, and none to create it."""
    script = f"""
        import os, time
        while True:
            try:
                with hold({str(tmp_path / "new" / "run")!r}) as folder:
                    handle = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)
                    time.sleep(0.02)
                    os.close(handle)
                    os.unlink(folder / "inside")
                    break
            except BusyError:
                time.sleep(0.01)
        print("done")
    """
    workers = [start(script) for _ in range(5)]
    assert [worker.communicate()[0] for worker in workers] == ["done\n"] * 5


def test_remove_is_quiet_about_what_is_not_there_and_loud_otherwise(tmp_path: Path) -> None:
    remove(tmp_path / "none")
    with pytest.raises(StorageError):
        remove(tmp_path)


def test_the_message_speaks_chinese(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with speak("zh_TW"), pytest.raises(StorageError, match="需要資料夾的位置已有同名檔案"):
        write_atomic(tmp_path / "run" / "a", "x")
    assert all({"en", "zh_TW"} == set(sentence) for sentence in sentences("storage").values())
    assert say("storage.reason_full", "zh_TW") == "磁碟空間已滿"


HEAD = "from backmix.storage import hold, write_atomic\nfrom backmix.errors import BusyError, StorageError\n"


def start(script: str, **named: Any) -> subprocess.Popen[str]:
    lines = script.splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    text = HEAD + "\n".join(line[margin:] for line in lines)
    return subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        text=True,
        **named,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


def run(script: str) -> str:
    return start(script).communicate(timeout=60)[0].strip()
