"""One peer on one linkage set, in a process of its own: prints the pairs and the seconds.

    python reconcile_peer.py splink|recordlinkage FOLDER

Both are given the columns that the two files share, compare text by Jaro-Winkler and learn
without labels, and take each record's best pair from one half on, one to one. Candidates are
pairs that share a word of the first column or a whole value of another one.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

_COMMON = 50
"""Records with a word from which it joins nobody."""


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    begin = time.perf_counter()
    left, right = (_read(folder / f"{side}.csv") for side in ("left", "right"))
    columns = [c for c in left[0] if c in right[0] and c != "id"]
    scored = {"splink": _splink, "recordlinkage": _recordlinkage}[name](left, right, columns)
    pairs = _one_to_one(scored)
    seconds = time.perf_counter() - begin
    print(
        json.dumps(
            {"seconds": seconds, "pairs": [(left[i]["id"], right[j]["id"]) for i, j in pairs]}
        )
    )


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return [{k: v.lower().strip() for k, v in row.items()} for row in csv.DictReader(lines)]


def _blocked(
    left: list[dict[str, str]], right: list[dict[str, str]], columns: list[str]
) -> list[tuple[int, int]]:
    found = set()
    for column in columns:
        words: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for side, records in enumerate((left, right)):
            for at, record in enumerate(records):
                for word in set(record[column].split()):
                    words[word][side].append(at)
        for mine, theirs in words.values():
            if len(mine) * len(theirs) <= _COMMON:
                found |= {(i, j) for i in mine for j in theirs}
    return sorted(found)


def _splink(
    left: list[dict[str, str]], right: list[dict[str, str]], columns: list[str]
) -> list[tuple[float, int, int]]:
    import pyarrow as pa
    import splink.comparison_library as library
    from splink import Linker, SettingsCreator, block_on
    from splink.backends.duckdb import DuckDBAPI

    api = DuckDBAPI()
    tables = [
        api.register(
            pa.table(
                {"unique_id": list(range(len(records)))}
                | {c: [r[c] or None for r in records] for c in columns}
            ),
            dataset_display_name=name,
        )
        for name, records in (("set_a", left), ("set_b", right))
    ]
    settings = SettingsCreator(
        link_type="link_only",
        comparisons=[
            library.JaroWinklerAtThresholds(c, [0.92, 0.8]).configure(
                term_frequency_adjustments=True
            )
            for c in columns
        ],
        blocking_rules_to_generate_predictions=[block_on(columns[0])],
    )
    linker = Linker(tables, settings, log_level=None)
    pairs = _blocked(left, right, columns)
    keys = {
        "match_key": ["0"] * len(pairs),
        "join_key_l": [f"set_a-__-{i}" for i, _ in pairs],
        "join_key_r": [f"set_b-__-{j}" for _, j in pairs],
    }
    linker.table_management.register_blocked_pairs_for_predict(api.register(pa.table(keys)))
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for column in columns[:2]:
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(column))
    found = linker.inference.predict(threshold_match_probability=0.5).as_pyarrow_table()
    names = ("match_probability", "unique_id_l", "unique_id_r")
    return list(zip(*(found[name].to_pylist() for name in names), strict=True))


def _recordlinkage(
    left: list[dict[str, str]], right: list[dict[str, str]], columns: list[str]
) -> list[tuple[float, int, int]]:
    import pandas as pd
    import recordlinkage

    frames = [pd.DataFrame(records)[columns] for records in (left, right)]
    pairs = pd.MultiIndex.from_tuples(_blocked(left, right, columns))
    compare = recordlinkage.Compare()
    for column in columns:
        compare.string(column, column, method="jarowinkler", threshold=0.85)
    features = compare.compute(pairs, *frames)
    model = recordlinkage.ECMClassifier()
    model.fit(features)
    chances: Any = model.prob(features)
    return [(float(p), int(i), int(j)) for (i, j), p in chances.items() if p >= 0.5]


def _one_to_one(scored: list[tuple[float, int, int]]) -> list[tuple[int, int]]:
    used: tuple[set[int], set[int]] = (set(), set())
    found = []
    for _, i, j in sorted(scored, reverse=True):
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            found.append((i, j))
    return found


if __name__ == "__main__":
    main()
