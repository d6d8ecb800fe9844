"""Shards on a cluster of Dask: who works at which shard, one limit for all, and how to get there.

`office` is what the scheduler keeps, with `ledger` and `budgets`; `rope` ties an attempt at a shard
to it. These know no Dask: `plugin`, `worker` and `connecting` are their doors in its scheduler, its
workers and its client. The extra `dask` brings the library.
"""
