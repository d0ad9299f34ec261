from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest

from estimator.artifacts.zips import open_zip
from estimator.errors import DamagedError

ANY = re.compile(".*", re.DOTALL)


def zipped(*names: str, data: bytes = b"x", how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return buffer.getvalue()


def names_in(data: bytes, most_members: int = 10, names: re.Pattern[str] = ANY) -> list[str]:
    with open_zip(io.BytesIO(data), most_members, names) as members:
        return [member.name for member in members]


def test_files_are_read_a_piece_at_a_time_and_folders_left_out(tmp_path: Path) -> None:
    path, data = tmp_path / "a.zip", bytes(range(256)) * 10_000
    path.write_bytes(zipped("b/c", "b/", data=data))
    with open_zip(path, names=ANY) as (member,):
        assert (member.name, member.size) == ("b/c", len(data))
        assert [len(piece) for piece in member.pieces()] == [
            1 << 20,
            1 << 20,
            len(data) - (2 << 20),
        ]
        assert member.read() == data


@pytest.mark.parametrize("name", ["../a", "/a", "a/b", "a/", "a\\b", "c:a", ".a", ""])
def test_a_plain_name_is_needed_unless_others_are_wanted(name: str) -> None:
    with (
        pytest.raises(DamagedError, match="a plain file name is needed"),
        open_zip(io.BytesIO(zipped(name))),
    ):
        pass


def test_a_name_is_taken_as_the_zip_has_it() -> None:
    with (
        pytest.raises(DamagedError, match=r"'a\.json\\x00\.\./b'"),
        open_zip(io.BytesIO(zipped("a.jsonN../b").replace(b"jsonN", b"json\0"))),
    ):
        pass


def test_too_many_are_refused() -> None:
    assert names_in(zipped("a", "b", "c"), 3) == ["a", "b", "c"]
    with pytest.raises(DamagedError, match="members are 3: at most 2"):
        names_in(zipped("a", "b", "c"), 2)


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_zipfile_would_unpack_at_once_is_refused(how: int) -> None:
    with pytest.raises(DamagedError, match=f"member 'a': compression {how} is unknown"):
        names_in(zipped("a", how=how))


def test_no_more_is_read_than_what_was_promised(tmp_path: Path) -> None:
    whole = zipped("a", data=bytes(100_000))
    lying = whole.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with open_zip(io.BytesIO(lying)) as (member,):
        assert member.size == 10
        with pytest.raises(DamagedError, match="not a zip that can be read: Bad CRC"):
            member.read()


def test_what_the_reader_does_wrong_is_its_own() -> None:
    def fail(data: bytes) -> None:
        with open_zip(io.BytesIO(data)) as (member,):
            for _ in member.pieces():
                raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fail(zipped("a"))
