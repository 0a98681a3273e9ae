"""The settings: their tables, and the parsers that read them."""
