"""Plain values that every room speaks of: events, deliveries, verdicts, leases, requests."""
