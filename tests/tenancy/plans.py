"""What a statement reads: its plan on real rows, as the application's role."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from muniment.db import UnitOfWork


class PlanOf:
    """Lends a connection that runs each statement under EXPLAIN ANALYZE, and keeps the plan.

    With `generic`, the plan is the one that a connection turns to after it has run a
    statement a few times, when the values of its parameters do not count any more.
    """

    def __init__(self, work: UnitOfWork, table: str, *, generic: bool) -> None:
        self._connection = work.connection
        self._table = table
        self._mode = "force_generic_plan" if generic else "force_custom_plan"
        self.nodes: list[dict[str, Any]] = []

    @property
    def connection(self) -> Any:
        return self

    @property
    def rows_read(self) -> float:
        """Rows of the table that were looked at, shown or not."""
        return sum(
            (
                node["Actual Rows"]
                + node.get("Rows Removed by Filter", 0)
                + node.get("Rows Removed by Index Recheck", 0)
            )
            * node["Actual Loops"]
            for node in self._scans()
        )

    @property
    def scans(self) -> set[tuple[str, str | None]]:
        """Kind of each scan of the table, and the index that it used."""
        return {(node["Node Type"], node.get("Index Name")) for node in self._scans()}

    def _scans(self) -> list[dict[str, Any]]:
        return [node for node in self.nodes if node.get("Relation Name") == self._table]

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        name = f"plan_{uuid4().hex}"
        await self._connection.execute(f"SET LOCAL plan_cache_mode = {self._mode}")
        await self._connection.execute(f"PREPARE {name} AS {sql}")
        values = ", ".join([await self._literal(argument) for argument in arguments])
        rows = await self._connection.fetch(
            f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {name}({values})"
        )
        (plan,) = json.loads(rows[0][0])
        self._add([plan["Plan"]])
        return []

    async def fetchrow(self, sql: str, *arguments: Any) -> None:
        await self.fetch(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> None:
        await self.fetch(sql, *arguments)

    async def _literal(self, value: Any) -> str:
        if value is None:
            return "NULL"
        text: str = await self._connection.fetchval("SELECT quote_literal($1::text)", str(value))
        return text

    def _add(self, nodes: Sequence[dict[str, Any]]) -> None:
        for node in nodes:
            self.nodes.append(node)
            self._add(node.get("Plans", []))
