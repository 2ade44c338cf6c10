"""What the doctor looks at in the search engine."""

from __future__ import annotations

from muniment.db import load_statements
from muniment.db.doctor import DoctorCheck, Examination, Fault, Severity, doctor_check

_statements = load_statements("muniment.search")


@doctor_check(
    "search.vector_indexes",
    "Every embedding model in use has its vector index.",
    Severity.ERROR,
)
async def vector_indexes(examination: Examination) -> list[Fault]:
    """Compare the models with the indexes; the index of a model is made when it is first used."""
    async with examination.database.operator() as work:
        rows = await _statements.models_without_index(work)
    return [
        Fault(
            title=f"The embedding model {row['name']} has no vector index.",
            evidence=f"embeddings_of_model_{row['model_id']} is not there: searches by meaning "
            "read every vector of an organization.",
            remedy="Make it again; reads go on meanwhile. A million vectors take minutes.",
            sql=(_create(row["model_id"], row["dimensions"]),),
        )
        for row in rows
    ]


def _create(model_id: int, dimensions: int) -> str:
    """As the function embedding_model of the migrations does."""
    return (
        f"CREATE INDEX CONCURRENTLY embeddings_of_model_{model_id} ON embeddings"
        f" USING hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops)"
        f" WITH (m = 16, ef_construction = 64) WHERE model_id = {model_id}"
    )


checks: list[DoctorCheck] = [vector_indexes]
