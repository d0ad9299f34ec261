from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from estimator.errors import DamagedError, MisuseError, SourceUnavailableError
from estimator.published import pipeline_files, pipeline_folder
from estimator.published.pipeline_files import archive_files, files_of
from estimator.published.pipeline_folder import folder_files
from tests.estimator.published.made import pipeline


def zipped(files: Mapping[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


PACKERS = [zipped, tarred, lambda files: tarred(files, "w"), lambda files: tarred(files, "w:xz")]


@pytest.mark.parametrize("pack", PACKERS)
def test_an_archive_holds_what_the_folder_holds(
    tmp_path: Path, pack: Callable[[Mapping[str, bytes]], bytes]
) -> None:
    files = pipeline()
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    in_folder = {name: read() for name, read in folder_files(tmp_path).items()}
    in_archive = {name: read() for name, read in archive_files(pack(files)).items()}
    assert in_folder == in_archive == files


@pytest.mark.parametrize("pack", PACKERS[:2])
@pytest.mark.parametrize(
    "name", ["../a.json", "/a.json", "a/../../b.json", "a//b.json", "c:/a.json", "a\\..\\b.json"]
)
def test_paths_that_lead_out_are_refused(
    name: str, pack: Callable[[Mapping[str, bytes]], bytes]
) -> None:
    with pytest.raises(DamagedError, match="member"):
        archive_files(pack({"fine.json": b"{}", name: b"{}"}))


@pytest.mark.parametrize("pack", PACKERS[:2])
def test_a_bomb_is_refused_before_it_is_unpacked(
    pack: Callable[[Mapping[str, bytes]], bytes],
) -> None:
    bomb = pack({"a.json": bytes(pipeline_folder.MOST_FILE_BYTES + 1)})
    assert len(bomb) < 1 << 20
    with pytest.raises(DamagedError, match="at most"):
        archive_files(bomb)


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_zipfile_would_unpack_at_once_is_refused(how: int) -> None:
    with pytest.raises(DamagedError, match=f"compression {how} is unknown"):
        archive_files(zipped({"a.json": b"{}"}, how))


def test_many_members_together_are_a_bomb_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_files, "MOST_BYTES", 1000)
    with pytest.raises(DamagedError, match="1000 for all together"):
        archive_files(zipped({f"{n}.json": bytes(300) for n in range(4)}))
    monkeypatch.setattr(pipeline_files, "MOST_FILES", 3)
    for pack, complaint in ((zipped, "members are 4: at most 3"), (tarred, "more than 3 members")):
        with pytest.raises(DamagedError, match=complaint):
            archive_files(pack({f"{n}.json": b"" for n in range(4)}))


def test_a_huge_member_that_is_not_read_bombs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_files, "MOST_BYTES", 1000)
    with pytest.raises(DamagedError, match="8000 bytes"):
        archive_files(tarred({"a.bin": bytes(9000)}))
    assert set(archive_files(zipped({"a.pkl": bytes(9000)}))) == {"a.pkl"}


def test_a_member_twice_and_a_link_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.json", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.json", b"2")
    with pytest.raises(DamagedError, match="twice"):
        archive_files(buffer.getvalue())
    linked = io.BytesIO()
    with tarfile.open(fileobj=linked, mode="w") as tar:
        info = tarfile.TarInfo("a.json")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(DamagedError, match="a plain file is needed"):
        archive_files(linked.getvalue())


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.json").symlink_to(tmp_path / "secret")
    assert folder_files(folder) == {}


def test_what_is_no_json_is_never_read() -> None:
    read = archive_files(zipped({"SGD_0.zip": b"PK"}))["SGD_0.zip"]
    with pytest.raises(DamagedError, match="pickle"):
        read()


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 and no more", b"\x1f\x8b\x08"])
def test_what_is_no_archive_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DamagedError):
        dict(files_of(str(tmp_path / "a.zip"))[0])


def test_a_large_file_of_a_folder_is_refused_alone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(bytes(pipeline_folder.MOST_FILE_BYTES + 1))
    with pytest.raises(DamagedError, match="more than"):
        folder_files(tmp_path)["a.json"]()


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match=r"gone\.zip: No such file"):
        files_of(str(tmp_path / "gone.zip"))
    with pytest.raises(MisuseError, match="ftp://"):
        files_of("ftp://example/a.zip")
