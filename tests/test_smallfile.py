from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from soarm import smallfile
from soarm.errors import CalibrationError, SmallFileError
from soarm.smallfile import parse_json, read_json, require_writable, write_atomically


def read(path: Path, **how: Any) -> Any:
    return read_json(path, CalibrationError, "Look at it.", **how)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"a": ', "is not JSON, or truncated: Expecting value"),
        (b"\xff{}", "is not UTF-8 text: byte 0 is 0xff"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 text"),
        (b'{"a": NaN}', "holds NaN"),
        (b'{"a": -Infinity}', "holds -Infinity"),
        (b'{"a": 1e999}', "holds the number 1e999"),
        (b'{"a": ' + b"7" * 400 + b"}", "whole number of 400 digits"),
        (b'{"a": ' + b"7" * 5000 + b"}", "whole number of 5000 digits"),
        (b'{"a": 1, "b": 2, "a": 3}', "has the key 'a' twice"),
        (b'{"a":' * 100_000, "nested more than 32 levels deep"),
        (b"[" * 40 + b"]" * 40, "nested more than 32|holds a list"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nested more than 32 levels deep"),
        (b"[1, 2]", r"holds a list \(\[1, 2\]\), not an object"),
        (b"null", "holds null"),
        (b"3", "holds a number"),
    ],
)
def test_what_is_no_such_json_is_refused_with_its_fault(content: bytes, fault: str) -> None:
    with pytest.raises(SmallFileError, match=fault):
        parse_json(content)


def test_a_mark_at_the_beginning_as_editors_write_it_is_no_fault() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1.5}') == {"a": 1.5}


def test_numbers_that_are_not_finite_pass_where_the_caller_takes_them() -> None:
    assert parse_json(b'{"a": Infinity, "b": 1e999}', finite=False) == {"a": float("inf"), "b": float("inf")}


def test_a_place_that_is_no_readable_file_is_refused_and_nothing_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    pipe, link, large, line = (Path(name) for name in ("pipe", "link", "large", "socket"))
    os.mkfifo(pipe)
    link.symlink_to("nowhere")
    large.write_bytes(b" " * 101)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(line))

    with server:
        for path, fault in [
            (tmp_path, "it is a folder"),
            (pipe, "it is a pipe"),
            (line, "it is a socket"),
            (Path("/dev/zero"), "it is a device"),
            (tmp_path / "none", "No such file or directory"),
            (link, "No such file or directory: it is a link to nowhere"),
            (large / "below", "Not a directory"),
            (Path("a\0b"), "null"),
            (Path("a" * 300), "File name too long"),
        ]:
            with pytest.raises(CalibrationError, match=rf"cannot be read \(.*{fault}.*Look at it"):
                read(path)
    with pytest.raises(CalibrationError, match="has 101 bytes; allowed are 100"):
        read(large, most_bytes=100)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(mode=0)

    with pytest.raises(CalibrationError, match="Permission denied"):
        read(tmp_path / "secret")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "arm.json"
    write_atomically(path, "old", CalibrationError)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(smallfile.os, "fsync", full)
    with pytest.raises(CalibrationError, match=r"arm\.json cannot be written \(No space left on device\)"):
        write_atomically(path, "new", CalibrationError)
    with pytest.raises(CalibrationError, match="No space left"):
        require_writable(path, CalibrationError)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")

    write_atomically(tmp_path / "link", "here", CalibrationError)

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "here"


@pytest.mark.parametrize("name", ["", "folder", "none/arm.json", "file/arm.json", "pipe", "/dev/null", "a\0b", "b" * 300])
def test_a_place_that_cannot_be_written_is_refused_before_and_when_it_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(CalibrationError, match="cannot be written"):
        require_writable(tmp_path / name, CalibrationError)
    with pytest.raises(CalibrationError, match="cannot be written"):
        write_atomically(tmp_path / name, "new", CalibrationError)

    assert sorted(tmp_path.rglob("*")) == before


def test_asking_whether_a_place_can_be_written_leaves_nothing_there(tmp_path: Path) -> None:
    require_writable(tmp_path / "arm.json", CalibrationError)

    assert list(tmp_path.iterdir()) == []


def test_a_value_is_shown_short() -> None:
    assert smallfile.shown("\ud800") == "'\\ud800'"
    assert len(smallfile.shown({"a": ["x" * 1000] * 1000})) <= 120
