"""The lab's cluster finishes moves of slots that an error has left half-way."""

import pytest

from compliance.cluster import slot_of
from lab.cluster import KEYS_AT_ONCE, RedisCluster

TAG = "half"
KEYS = [f"{{{TAG}}}{at}" for at in range(2 * KEYS_AT_ONCE + 1)]


@pytest.mark.exhaustive
def test_a_move_that_was_left_half_way_is_finished_with_all_keys(cluster: RedisCluster):
    slot = slot_of(TAG)
    shards = cluster.topology().shards
    old, new = cluster.master_of(slot), next(shard for shard in shards if not shard.owns(slot))
    source, target = (cluster.client_of(at) for at in (slot, new.first))
    for key in KEYS:
        source.set(key, key)
    target.cluster("SETSLOT", slot, "IMPORTING", source.cluster("MYID").decode())
    source.cluster("SETSLOT", slot, "MIGRATING", new.id)
    host, _, port = new.address.rpartition(":")
    source.execute_command("MIGRATE", host, port, "", 0, 5000, "KEYS", *KEYS[::2])
    cluster.finish_moves()
    assert cluster.master_of(slot) is not old
    assert {key.decode() for key in target.scan_iter()} == {*KEYS}
    assert source.dbsize() == 0
    cluster.until_at_rest()


@pytest.mark.exhaustive
def test_a_move_that_only_one_side_knows_of_is_taken_back(cluster: RedisCluster):
    slot = slot_of(TAG)
    old, source = cluster.master_of(slot), cluster.client_of(slot)
    new = next(shard for shard in cluster.topology().shards if not shard.owns(slot))
    source.set(KEYS[0], "")
    source.cluster("SETSLOT", slot, "MIGRATING", new.id)
    cluster.finish_moves()
    assert cluster.master_of(slot) is old
    assert source.exists(KEYS[0], KEYS[1]) == 1  # While the slot migrates, the reply is TRYAGAIN.
