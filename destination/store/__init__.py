"""Every statement of the service: what arrived, what is on its way, what became of it.

The store is the queue. `receiving` takes calls in, `sending` lets workers claim and settle
deliveries, `records` lists what is kept; `schema` has the tables.
"""
