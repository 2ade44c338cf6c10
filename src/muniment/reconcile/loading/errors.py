"""What can be wrong with a file of records. Nothing of such a file is kept."""

from __future__ import annotations

from typing import Any, ClassVar

from muniment.errors import MunimentError


class DatasetUnreadable(MunimentError):
    """This file cannot be read as a table of records."""

    code = "dataset_unreadable"
    status = 422
    title = "Dataset unreadable"

    suggestion: ClassVar[str | None] = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        row: int | None = None,
        column: str | None = None,
        line: int | None = None,
    ) -> None:
        """Name the place.

        Args:
            detail: what is wrong, in a sentence.
            row: 1-based record; 0 is the header.
            column: its name, or 'column 5' where it has none.
            line: 1-based line of the file, or row of the sheet.
        """
        fault: dict[str, Any] = {"row": row, "column": column, "line": line}
        fault = {key: value for key, value in fault.items() if value is not None}
        super().__init__(detail)
        if fault:
            self.errors = [{**fault, "detail": self.detail}]
        self.row = row
        self.column = column
        self.line = line


class EmptyDataset(DatasetUnreadable):
    """The file holds no records."""

    code = "dataset_empty"
    title = "Dataset empty"


class HeaderOnly(EmptyDataset):
    """The file holds a header and no record below it."""

    code = "dataset_header_only"


class NotATable(DatasetUnreadable):
    """The file is no CSV, TSV, XLSX, Parquet or JSON lines file."""

    code = "dataset_not_a_table"
    title = "Not a table"


class DatasetProtected(DatasetUnreadable):
    """The workbook is protected by a password: save a copy without one."""

    code = "dataset_protected"
    title = "Dataset protected"


class DatasetTooLarge(DatasetUnreadable):
    """The file is larger than what is loaded."""

    code = "dataset_too_large"
    status = 413
    title = "Dataset too large"


class RaggedRow(DatasetUnreadable):
    """A row has more or fewer cells than the header."""

    code = "dataset_ragged_row"
    title = "Ragged row"


class WrongDelimiter(DatasetUnreadable):
    """The rows do not split at this delimiter."""

    code = "dataset_wrong_delimiter"
    title = "Wrong delimiter"


class UnclosedQuote(DatasetUnreadable):
    """A quotation mark that opens a cell is not closed, or not followed by a delimiter."""

    code = "dataset_unclosed_quote"
    title = "Unclosed quotation mark"


class MixedEncodings(DatasetUnreadable):
    """Rows of the file are written in different character encodings."""

    code = "dataset_mixed_encodings"
    title = "Mixed encodings"


class DuplicateHeader(DatasetUnreadable):
    """Two columns have the same name."""

    code = "dataset_duplicate_header"
    title = "Duplicate header"


class FormulaWithoutValue(DatasetUnreadable):
    """A formula was saved without its result: open the workbook, let it calculate and save it."""

    code = "dataset_formula_without_value"
    title = "Formula without value"


class BadRecord(DatasetUnreadable):
    """A line is no JSON object."""

    code = "dataset_bad_record"
    title = "Bad record"


class NoSuchColumn(DatasetUnreadable):
    """The dataset has no column of that name."""

    code = "dataset_no_such_column"
    status = 404
    title = "No such column"


class NoSharedColumns(DatasetUnreadable):
    """The two datasets have no columns that could be compared."""

    code = "dataset_no_shared_columns"
    title = "No shared columns"


class ColumnsDiffer(DatasetUnreadable):
    """A further file of a dataset has not the columns of the first one."""

    code = "dataset_columns_differ"
    title = "Columns differ"


class TooManyColumns(DatasetTooLarge):
    """The table has more columns than are loaded."""

    code = "dataset_too_many_columns"


class CellTooLarge(DatasetTooLarge):
    """A cell is longer than what is loaded."""

    code = "dataset_cell_too_large"


class UnreadableCharacter(DatasetUnreadable):
    """A cell holds a character that is no text."""

    code = "dataset_unreadable_character"
    title = "Unreadable character"


class NoRoomForDataset(MunimentError):
    """The disk for temporary files is full: free some space and load the dataset again."""

    code = "dataset_no_room"
    status = 507
    title = "Insufficient storage"


class QueryFailed(DatasetUnreadable):
    """The database refuses this query."""

    code = "dataset_query_failed"
    title = "Query failed"


class QueryNotAllowed(QueryFailed):
    """The role of this connection may not do that: give it a role that may read the tables."""

    code = "dataset_query_not_allowed"


class QueryTimedOut(QueryFailed):
    """The query took longer than it may: narrow it down, or export its result to a file."""

    code = "dataset_query_timed_out"


class DatabaseUnreachable(DatasetUnreadable):
    """The database of this query cannot be reached."""

    code = "dataset_database_unreachable"
    title = "Database unreachable"
