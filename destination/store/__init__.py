"""Every statement of the service: what arrived, what is on its way, what became of it.

The store is the queue. `receiving` takes calls in, `sending` lets workers claim and settle
deliveries, `replaying` sends what is kept again; `records` lists what is kept, a `Filter` chooses
among it, `retention` and `forgetting` remove it; `schema` has the tables.
"""
