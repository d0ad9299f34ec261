"""The file of an SQLite log: its schema, its connections, its failures in the log's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

from estimator.errors import DamagedError, LogUnavailableError, MisuseError, WattstreamError

APPLICATION_ID = 0x57617474
"""Says in the file's header that the database is one of ours ("Watt")."""
SCHEMA_VERSION = 1

PAGE_BYTES = 8192
"""Records of 10 KiB fill 93 % of pages of this size (of 4096: 83 %, of 16384: 62 %), and a
single append still writes few bytes."""
WAL_KEPT_BYTES = 64 * 1024 * 1024
"""Beyond that the write-ahead file is cut back when it begins anew."""
WAL_RESTART_MS = 200
"""How long to wait for readers that keep it from beginning anew; then it grows for now."""

# A message's id is its partition's id and its offset in one integer, so that one B-tree holds all
# partitions, each in offset order. Offsets of a partition have no gaps, and neither appended_ms
# nor start_bytes (the bytes appended before it) ever falls: both can be searched without an index.
OFFSET_BITS = 44

_SCHEMA = """
CREATE TABLE topic (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    partitions INTEGER NOT NULL,
    retention_seconds REAL,
    retention_bytes INTEGER
);
CREATE TABLE partition (
    id INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL REFERENCES topic,
    number INTEGER NOT NULL,
    begin_offset INTEGER NOT NULL DEFAULT 0,
    end_offset INTEGER NOT NULL DEFAULT 0,
    last_ms INTEGER NOT NULL DEFAULT 0,
    appended_bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number)
);
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    appended_ms INTEGER NOT NULL,
    start_bytes INTEGER NOT NULL,
    key TEXT NOT NULL,
    headers BLOB,
    value BLOB NOT NULL
);
CREATE TABLE committed (
    consumer TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) WITHOUT ROWID;
"""


class SqliteFile:
    """An SQLite database that several threads and processes read and write at once.

    A connection serves one thread at a time: transactions borrow one, and open another when all
    are out. ``busy_seconds`` bounds the wait for another writer. Raises ``LogUnavailableError``
    where waiting may help, ``MisuseError`` if the file is something else or of a newer schema,
    ``DamagedError`` if its content is broken; every message names the path.
    """

    def __init__(self, path: Path, busy_seconds: float, sleep: Callable[[float], None]) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._sleep = sleep
        self._writing = Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogUnavailableError(f"log {path}: {error.strerror}: {path.parent}") from error
        self._create()

    def connect(self) -> sqlite3.Connection:
        """Open a connection in autocommit mode; the caller closes it."""
        with self.failures():
            connection = sqlite3.connect(
                self.path,
                timeout=self._busy_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                # FULL: every commit is synced before it returns, or a power cut could take
                # batches that were acknowledged. (A killed process loses nothing even without.)
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA secure_delete = OFF")
                connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
            except BaseException:
                connection.close()
                raise
            return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the file throughout."""
        with self._borrowed() as connection, transaction(connection, "BEGIN"):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes beside; durable when the block has ended."""
        # Threads queue here, because SQLite's own wait is a sleep and knows no order.
        if not self._writing.acquire(timeout=self._busy_seconds):
            raise LogUnavailableError(
                f"log {self.path}: another thread has been writing for {self._busy_seconds:g} s"
            )
        try:
            with self._borrowed() as connection, transaction(connection, "BEGIN IMMEDIATE"):
                yield connection
        finally:
            self._writing.release()

    def restrain_wal(self) -> None:
        """Make a write-ahead file that is too long begin anew.

        SQLite does so by itself where no reader is in the way just then; under a steady stream
        of polls the file would go on growing.
        """
        try:
            length = Path(f"{self.path}-wal").stat().st_size
        except FileNotFoundError:
            return
        if length > WAL_KEPT_BYTES:
            with closing(self.connect()) as connection, self.failures():
                connection.execute(f"PRAGMA busy_timeout = {WAL_RESTART_MS}")
                for _ in range(WAL_RESTART_MS // 10):
                    frames = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[1]
                    if frames >= 0:
                        break
                    self._sleep(0.01)  # another connection is at it, for which SQLite never waits

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn SQLite's errors into the log's."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a mistake of this program, not of the file
        except sqlite3.DatabaseError as error:
            raise self._named(error) from error

    def close(self) -> None:
        """Close all connections that are not borrowed; borrowed ones close when returned."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        if self._closed:
            raise LogUnavailableError(f"log {self.path}: it has been closed")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.connect()
        try:
            with self.failures():
                yield connection
        finally:
            if self._closed or connection.in_transaction:
                connection.close()
            else:
                self._idle.append(connection)

    def _named(self, error: sqlite3.DatabaseError) -> WattstreamError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            return MisuseError(f"log {self.path}: the file is not an SQLite database")
        if code == sqlite3.SQLITE_CORRUPT:
            return DamagedError(f"log {self.path}: {error}")
        if code == sqlite3.SQLITE_BUSY:
            return LogUnavailableError(
                f"log {self.path}: another process has held it for {self._busy_seconds:g} s"
            )
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            return LogUnavailableError(
                f"log {self.path}: {error}: is {self.path.parent} a folder that may be written?"
            )
        return LogUnavailableError(f"log {self.path}: {error}")

    def _create(self) -> None:
        """Make the schema if the file is new. Changing to WAL mode does not wait by itself."""
        for wait in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, None):
            try:
                with closing(self.connect()) as connection, self.failures():
                    self._create_with(connection)
                return
            except LogUnavailableError as error:
                busy = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if wait is None or not busy:
                    raise
                self._sleep(wait)

    def _create_with(self, connection: sqlite3.Connection) -> None:
        self._is_new(connection)  # before anything is changed in a file that is not ours
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise LogUnavailableError(
                f"log {self.path}: journal mode is {mode!r}: its file system has no shared memory"
            )
        with transaction(connection, "BEGIN IMMEDIATE"):
            if self._is_new(connection):
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if (application, version, tables) == (0, 0, 0):
            return True
        if application != APPLICATION_ID:
            raise MisuseError(f"log {self.path}: an SQLite database, but not a log of Wattstream")
        if version > SCHEMA_VERSION:
            raise MisuseError(
                f"log {self.path}: its schema version is {version}, "
                f"this release reads {SCHEMA_VERSION}: use a newer release or another file"
            )
        return False


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    """Commit what the block has done, or nothing of it if it raises."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back after some failures
            connection.execute("ROLLBACK")
        raise
