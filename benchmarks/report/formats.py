"""The formats in which leaderboards are written, known without importing what writes them."""

FORMATS = ("markdown", "csv", "html", "pictures", "latex", "parquet")
DEFAULT_FORMATS = ("markdown", "csv", "html", "pictures")
TEXT_FORMATS = ("markdown", "latex", "csv")
"""Formats of comparisons, which are printed; the first is the default."""
