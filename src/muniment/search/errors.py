"""What can be wrong with a search."""

from __future__ import annotations

from muniment.errors import MunimentError, ValidationFailed


class QueryNotAcceptable(ValidationFailed):
    """The query must have 1 to 4,096 characters and hold more than white space."""

    code = "query_not_acceptable"
    title = "Query not acceptable"


class FilterNotAcceptable(ValidationFailed):
    """A filter holds a value that no document can have."""

    code = "filter_not_acceptable"
    title = "Filter not acceptable"


class EmbeddingShapeError(MunimentError):
    """Vectors do not have the shape that their model and passages call for."""

    code = "embedding_shape"
    title = "Embedding shape"


class EvaluationUnusable(MunimentError):
    """The folder is not a judged collection in BEIR layout."""

    code = "evaluation_unusable"
    title = "Evaluation unusable"
