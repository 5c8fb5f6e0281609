"""The lab's cluster finishes moves of slots that an error has left half-way."""

import pytest
from redis import Redis

from compliance.cluster import slot_of
from lab.cluster import KEYS_AT_ONCE, RedisCluster

TAG = "half"
KEYS = [f"{{{TAG}}}{at}" for at in range(2 * KEYS_AT_ONCE + 1)]
SLOT = slot_of(TAG)


def roles(client: Redis) -> dict[str, str]:
    """Return the flags of each node by its id, as one node reports them."""
    return {node["node_id"]: node["flags"] for node in client.cluster("NODES").values()}


@pytest.mark.exhaustive
@pytest.mark.parametrize("replaced", [False, True], ids=["", "after the old master was replaced"])
def test_a_move_that_was_left_half_way_is_finished_with_all_keys(cluster: RedisCluster, replaced: bool):
    new = next(shard for shard in cluster.topology().shards if not shard.owns(SLOT))
    source, target = cluster.client_of(SLOT), cluster.client_of(new.first)
    for key in KEYS:
        source.set(key, key)
    old = source.cluster("MYID").decode()
    target.cluster("SETSLOT", SLOT, "IMPORTING", old)
    source.cluster("SETSLOT", SLOT, "MIGRATING", new.id)
    host, _, port = new.address.rpartition(":")
    source.execute_command("MIGRATE", host, port, "", 0, 5000, "KEYS", *KEYS[::2])
    if replaced:
        source.wait(cluster.replicas_of(cluster.master_of(SLOT)), 5000)
        cluster.take_over(SLOT)
        cluster.until(lambda: "slave" in roles(target)[old])  # Then the slot has no owner in its view.
    cluster.finish_moves()
    owner = cluster.topology().owner(SLOT)
    assert owner is not None
    assert owner.id == new.id
    assert {key.decode() for key in target.scan_iter()} == {*KEYS}
    assert target.exists(*KEYS) == len(KEYS)  # While a slot moves, the reply is an error if a key is elsewhere.


@pytest.mark.exhaustive
def test_a_move_that_only_one_side_knows_of_is_taken_back(cluster: RedisCluster):
    old, source = cluster.master_of(SLOT), cluster.client_of(SLOT)
    new = next(shard for shard in cluster.topology().shards if not shard.owns(SLOT))
    source.set(KEYS[0], "")
    source.cluster("SETSLOT", SLOT, "MIGRATING", new.id)
    cluster.finish_moves()
    assert cluster.master_of(SLOT) is old
    assert source.exists(*KEYS) == 1  # While a slot moves, the reply is an error if a key is elsewhere.
