"""From a file to a dataset: CSV, TSV, XLSX, Parquet and JSON lines, in bounded memory."""

from muniment.reconcile.loading.load import LoadOptions, load, reload

__all__ = ["LoadOptions", "load", "reload"]
