"""Every statement of the service: what arrived, what is on its way, what became of it.

The store is the queue: `queue/` takes events in, and lets workers lease and acknowledge
deliveries. `rules/` decide in view of what is kept, `replay/` sends it again, `queries/` shows it,
`upkeep/` removes it. `database` is SQLite or PostgreSQL, `schema` has the tables.
"""
