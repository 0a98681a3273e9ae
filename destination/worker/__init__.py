"""The worker: leases deliveries, sends them, and acknowledges what came of each."""
