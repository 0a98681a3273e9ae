"""How we send: one HTTP client, its name look-up, and the guard over strangers' addresses."""
