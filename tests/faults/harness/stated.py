"""How soon calls must be back after each fault, from what the product promises. `SLOWNESS` scales all of it at once."""

import os

SLOWNESS = float(os.environ.get("FAULTS_SLOWNESS", "1"))
"""How many times slower than a quiet machine with two cores this machine is: the only factor on the times below."""

DEADLINE_MS = 200
"""The gates' deadline in milliseconds, as in `bench/failover.py`."""

SLACK_MS = 250
"""What the harness itself may be late, in milliseconds, before an answer reaches the history."""

LEASE_S = 10

FORWARD_S = 1.0
"""After a pause or a delay: the gate answers what waits at once, because its deadline is far shorter."""

START_S = 4.0
"""The start of a program of the product: 0.4 to 2.3 s of Python, and its first successful look at Redis."""

RECONNECT_S = 3.0
"""A connection that broke or hung: a gate tries again after at most 0.25 s (`agi_gate/store/link.py`), gives an attempt
2 s (`REACH_S`), and asks for the state every 0.5 s."""

REBUILT_S = 8.0
"""A projection that was lost: the worker looks again after at most 2 s (`RETRY_S` in `worker/loop_states.py`), waits
up to 5 s after a failed rebuild (`FAILED_S` in `worker/keeper.py`), and rebuilds these few numbers within 1 s."""

FAILED_OVER_S = 20.0
"""A master that was replaced: up to 16 s behind Sentinel and up to 8.2 s in a cluster (docs/sizing.md, "When something
dies"), and the rebuild."""

REPLICA_GONE_S = 8.0
"""A replica that is away or hangs: up to seven seconds, until it is no longer counted (docs/operate.md, "Behind
Sentinel")."""

SLOTS_MOVED_S = 10.0
"""Slots that moved: the calls of both shards stop until both are rebuilt (docs/operate.md, "On a Redis Cluster")."""

SQL_BACK_S = 4.0
"""SQL that is back after longer than the lease: the worker tries again after at most 2 s, and renews the lease."""

UNARCHIVED_S = 2.0
"""How long a decision stands in Redis alone while nothing fails: usually less than a second (docs/operate.md)."""

AT_REST_S = 60.0
"""All faults are over and nobody asks any more: the leases, retries and hold-offs of the product are far shorter."""
