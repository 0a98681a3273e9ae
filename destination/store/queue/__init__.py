"""The queue: events go in, workers lease lanes, send, and acknowledge."""
