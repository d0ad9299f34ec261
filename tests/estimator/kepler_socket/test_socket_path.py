from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from estimator.errors import MisuseError, WattstreamError
from estimator.kepler_socket.socket_path import Access, BoundSocket, access


def test_owner_and_group_by_name_and_by_number() -> None:
    user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    by_name = access(0o640, user.pw_name, group.gr_name)
    assert by_name == access(0o640, str(user.pw_uid), str(group.gr_gid))
    assert by_name == Access(0o640, user.pw_uid, group.gr_gid)
    assert access(0o660) == Access(0o660, -1, -1)


def test_unknown_names_are_misuse() -> None:
    with pytest.raises(MisuseError, match="socket_owner is 'nobody-like-this'"):
        access(0o660, "nobody-like-this")
    with pytest.raises(MisuseError, match="socket_group is 'no-such-group'"):
        access(0o660, "", "no-such-group")


def test_the_file_has_them(tmp_path: Path) -> None:
    wanted = Access(0o606, os.getuid(), os.getgid())
    bound = BoundSocket(tmp_path / "e.sock", wanted)
    found = bound.path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == wanted
    bound.close()
    assert not bound.path.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a file away")
def test_root_gives_it_to_others(tmp_path: Path) -> None:
    bound = BoundSocket(tmp_path / "e.sock", Access(0o660, 12345, 23456))
    found = bound.path.stat()
    assert (found.st_uid, found.st_gid) == (12345, 23456)
    bound.close()


def test_who_may_not_give_it_away_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(WattstreamError, match=r"e\.sock: cannot listen there: .* not permitted"):
        BoundSocket(tmp_path / "e.sock", Access(0o660, 12345, -1))
    assert list(tmp_path.iterdir()) == []
