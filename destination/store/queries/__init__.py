"""Questions that people and programs ask of what is kept. Nothing here changes a row."""
