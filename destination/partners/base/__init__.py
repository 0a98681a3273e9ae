"""What partners share: credentials, the fields of an action, notices."""
