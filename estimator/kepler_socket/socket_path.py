"""A unix socket's place in the file system: taken when it is free, given back when it is ours."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import socket
import stat
from pathlib import Path
from typing import Final, NamedTuple

from estimator.errors import MisuseError, WattstreamError

BACKLOG: Final = 4096
"""Kepler does not wait for a place in the queue: a full one refuses it at once."""

_PROBE_SECONDS: Final = 1.0
_NOBODY: Final = (errno.ECONNREFUSED, errno.ENOENT)


class Access(NamedTuple):
    """Who may connect: the permissions, owner and group of the socket's file.

    -1 leaves the owner or the group as the process is.
    """

    mode: int = 0o660
    owner: int = -1
    group: int = -1


def access(mode: int, owner: str = "", group: str = "") -> Access:
    """Access with owner and group by name or number, empty for the process's own.

    ``MisuseError`` for names that the system does not know.
    """
    try:
        uid = -1 if not owner else int(owner) if owner.isdecimal() else pwd.getpwnam(owner).pw_uid
    except KeyError as error:
        raise MisuseError(f"socket_owner is {owner!r}: there is no such user") from error
    try:
        gid = -1 if not group else int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise MisuseError(f"socket_group is {group!r}: there is no such group") from error
    return Access(mode, uid, gid)


class BoundSocket:
    """A socket that listens at a path, until it is closed; then the path is free again.

    Clients can connect from now on; they wait until somebody accepts them.
    """

    def __init__(self, path: str | Path, access: Access = Access()) -> None:  # noqa: B008  # frozen
        """Bind and listen; ``WattstreamError`` if the path is in use or cannot be made."""
        self.path = Path(path)
        _make_free(self.path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        bound = False
        try:
            self.socket.bind(str(self.path))
            bound = True
            # Nobody can connect before listen(), so nobody sees other permissions than these.
            os.chown(self.path, access.owner, access.group)
            self.path.chmod(access.mode)
            self.socket.listen(BACKLOG)
            self._identity = _identity(self.path)
        except OSError as error:
            if bound:
                self.path.unlink(missing_ok=True)
            self.socket.close()
            reason = error.strerror or error
            raise WattstreamError(
                f"socket path {self.path}: cannot listen there: {reason}"
            ) from error

    def leave(self) -> None:
        """Free the path, if it is still ours; who has connected already is served on."""
        with contextlib.suppress(OSError):
            if _identity(self.path) == self._identity:
                self.path.unlink()

    def close(self) -> None:
        """Free the path and stop listening."""
        self.leave()
        self.socket.close()


def _identity(path: Path) -> tuple[int, int, int]:
    """What tells this file from another at its path: numbers of files are used again."""
    found = path.lstat()
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _make_free(path: Path) -> None:
    """Remove the socket file of a process that is no more."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise WattstreamError(f"socket path {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise WattstreamError(f"socket path is in use: {path} is there and is not a socket")
    answer = _probe(path)
    if answer not in _NOBODY:
        why = "a process listens on it" if answer in (0, errno.EAGAIN) else os.strerror(answer)
        raise WattstreamError(f"socket path is in use: {path}: {why}")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _probe(path: Path) -> int:
    """The error number of an attempt to connect, 0 if it succeeds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        return probe.connect_ex(str(path))
