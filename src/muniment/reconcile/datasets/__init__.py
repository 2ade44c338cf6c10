"""Datasets: given as files, queries or documents, loaded by a job, shown with their columns."""
