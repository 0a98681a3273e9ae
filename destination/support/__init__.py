"""Tools without a word of loyalty in them: JSON, logs, metrics, texts, threads."""
