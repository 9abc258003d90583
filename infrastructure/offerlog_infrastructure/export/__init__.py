"""Exports: tables as Parquet, Arrow, CSV or NDJSON, to a file or a pipe, batch by batch."""
