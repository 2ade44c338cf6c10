"""Where Splink runs its SQL: DuckDB in this process, or Spark beyond one machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final

from muniment.reconcile.matching.splink_model.errors import SparkMissing, SplinkMissing

_LOCKED: Final = (
    "SET enable_external_access = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    # The last one: from here on none of these can be set back.
    "SET lock_configuration = true",
)
"""What keeps the SQL of a model inside the database: no file, no network, no extension, no
variable of this process."""


class Backend(StrEnum):
    """Which engine runs a model."""

    DUCKDB = "duckdb"
    SPARK = "spark"


@contextmanager
def opened(backend: Backend = Backend.DUCKDB, memory_mb: int | None = None) -> Iterator[Any]:
    """Yield Splink's interface to an engine that is closed afterwards.

    Args:
        backend: which.
        memory_mb: that DuckDB may take; None: what it thinks right.

    Raises:
        SplinkMissing: Splink or DuckDB is not installed.
        SparkMissing: Spark or Java is not.
    """
    # Splink tells of every step as if somebody read along.
    logging.getLogger("splink").setLevel(logging.ERROR)
    if backend is Backend.SPARK:
        with _spark() as api:
            yield api
        return
    try:
        import duckdb
        from splink.backends.duckdb import DuckDBAPI
    except ImportError as error:
        raise SplinkMissing from error
    connection = duckdb.connect(":memory:")
    try:
        if memory_mb is not None:
            connection.execute(f"SET memory_limit = '{int(memory_mb)}MB'")
        for statement in _LOCKED:
            connection.execute(statement)
        yield DuckDBAPI(connection)
    finally:
        connection.close()


@contextmanager
def _spark() -> Iterator[Any]:
    """Yield Splink's interface to the Spark session of this process, or to a local one.

    Where a cluster is, `spark-defaults.conf` and `SPARK_HOME` say so, as for any Spark program.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SparkMissing from error
    try:
        from splink.backends.spark import SparkAPI
        from splink.internals.spark.jar_location import similarity_jar_location
    except ImportError as error:
        raise SplinkMissing from error
    builder = SparkSession.builder.appName("muniment")
    # No `select * from csv.`path``: a model's SQL reads the records and nothing else.
    builder = builder.config("spark.sql.runSQLOnFiles", "false")
    builder = builder.config("spark.ui.enabled", "false")
    builder = builder.config("spark.jars", similarity_jar_location())
    try:
        session = builder.getOrCreate()
    except (OSError, RuntimeError) as error:
        raise SparkMissing(f"Spark does not start: {error}") from error
    try:
        yield SparkAPI(  # type: ignore[no-untyped-call]
            spark_session=session, break_lineage_method="persist"
        )
    finally:
        session.stop()
