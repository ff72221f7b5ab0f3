"""The one door to DuckDB, the extra ``duckdb``: reads and writes Parquet (spec 5.8)."""

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from sidegate.core.model.errors import ConfigError, Problem

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY: Final = "1GB"
"""More is put into temporary files: what is sorted may be larger than any memory."""


@contextmanager
def open_duck() -> "Iterator[DuckDBPyConnection]":
    """Open a database in memory that fetches nothing from anywhere and whose settings cannot be changed.

    Raises:
        ConfigError: The extra is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415  an extra: only who reads or writes Parquet needs it
    except ImportError:
        problem = Problem(None, "audit", "needs the extra `duckdb` for Parquet", "install `sidegate[duckdb]`")
        raise ConfigError((problem,)) from None
    with TemporaryDirectory(prefix="sidegate-duckdb-") as temporary:
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "memory_limit": _MEMORY,
            "temp_directory": temporary,
        }
        connection = duckdb.connect(":memory:", config=config)
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET lock_configuration = true")
            yield connection
        finally:
            connection.close()
