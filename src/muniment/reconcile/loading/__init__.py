"""From a file to a dataset: CSV, TSV, XLSX, Parquet and JSON lines, in bounded memory."""

from muniment.reconcile.loading.load import load, load_parts, reload
from muniment.reconcile.loading.options import LoadOptions
from muniment.reconcile.loading.parts import Part

__all__ = ["LoadOptions", "Part", "load", "load_parts", "reload"]
