"""A Redis Cluster as its nodes describe it: the owners of slots, and which node's view counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from compliance.cluster import SLOTS, NotACluster, Shard, Topology, merge_views, read_nodes, slot_of, slot_tag
from compliance.numbers import E164
from compliance.redis_schema import WHOLE, Keys, generation_of, listed_key, listed_of, slot_key, slot_of_number

slots = st.integers(0, SLOTS - 1)


def line(node: str, port: int, flags: str, epoch: int, *words: str) -> str:
    return " ".join([node, f"127.0.0.1:{port}@1{port}", flags, "-", "0", "0", str(epoch), "connected", *words])


def told(*lines: str) -> bytes:
    return "".join(f"{one}\n" for one in lines).encode()


A, B = line("a", 7000, "master", 1, "0-99"), line("b", 7001, "master", 2, "100-199")
ITSELF_A, ITSELF_B = A.replace("master", "myself,master"), B.replace("master", "myself,master")


@given(st.text("0123456789", min_size=1, max_size=11))
def test_a_tag_has_the_slot_that_redis_gives_it(tag):
    assert slot_of(tag) == key_slot(f"dnc:{{{tag}}}:x".encode())


@given(slots, st.integers(0, 10**6))
def test_every_shared_key_of_a_shard_is_in_its_lowest_slot(slot, generation):
    keys = Keys(slot)
    spelled = [keys.state, keys.lease, keys.decisions, keys.unreadable_decisions, keys.gates, keys.gate("host:1")]
    spelled += [keys.build(generation), keys.terms(generation), slot_key(generation, slot)]
    assert {key_slot(key.encode()) for key in spelled} == {slot}
    assert len(set(spelled)) == len(spelled)


@given(slots, st.integers(0, 10**6))
def test_a_mark_belongs_to_its_generation_and_is_no_list(slot, generation):
    assert generation_of(slot_key(generation, slot)) == generation
    assert listed_of(slot_key(generation, slot)) is None


def test_a_number_is_in_the_slot_of_its_sets():
    number = E164("+14155550100")
    assert slot_of_number(number) == key_slot(listed_key(7, "internal", "1415555").encode())


def test_a_redis_that_is_no_cluster_has_keys_without_a_tag():
    assert (WHOLE.state, WHOLE.terms(7)) == ("dnc:state", "dnc:7:terms")
    assert slot_tag(0) != slot_tag(1)


def test_a_node_tells_of_the_masters_with_slots_and_of_itself():
    replica, bare = line("r", 7002, "slave", 1), line("m", 7003, "master", 3)
    view = read_nodes(told(ITSELF_A, B, replica, bare))
    assert view.myself == Shard("a", "127.0.0.1:7000", 1, ((0, 99),))
    assert set(view.shards) == {"a", "b"}
    assert view.addresses == {f"127.0.0.1:{port}" for port in (7000, 7001, 7002, 7003)}
    assert read_nodes(told(A, B, replica.replace("slave", "myself,slave"))).myself is None


def test_a_slot_on_the_move_is_its_owners_until_it_has_moved():
    view = read_nodes(told(line("a", 7000, "myself,master", 1, "0-9", "12", "[12->-b]", "[13-<-b]")))
    assert view.myself is not None
    assert view.myself.ranges == ((0, 9), (12, 12))
    assert [view.myself.owns(slot) for slot in (9, 10, 12, 13)] == [True, False, True, False]


def test_a_node_that_does_not_know_its_address_is_where_it_was_asked():
    view = read_nodes(b"a :7000@17000 myself,master - 0 0 1 connected 0-5\n", "10.0.0.1:7000")
    assert view.myself is not None
    assert view.myself.address == "10.0.0.1:7000"


def test_an_address_may_be_of_ipv6_and_have_a_name():
    view = read_nodes(b"a ::1:7000@17000,host.example myself,master - 0 0 1 connected 0-5\n")
    assert view.addresses == {"[::1]:7000"}


@pytest.mark.parametrize("reply", [b"garbage\n", b"a 1 2 3 4 5 6 7 8\n", A.encode() + b" x-y\n"])
def test_what_cannot_be_read_is_no_cluster(reply):
    with pytest.raises(NotACluster):
        read_nodes(reply)


def test_who_has_heard_of_the_latest_election_is_believed():
    old = read_nodes(told(A, B))
    new = read_nodes(told(A.replace("master", "master,fail"), B, line("c", 7002, "master", 9, "0-99"), "").rstrip())
    assert merge_views([old, new]).owner(5).address == "127.0.0.1:7002"
    assert merge_views([new, old]).owner(5).address == "127.0.0.1:7002"


def test_what_a_shard_says_of_itself_outweighs_what_others_say():
    others = read_nodes(told(A, ITSELF_B))
    itself = read_nodes(told(line("a", 7000, "myself,master", 1, "0-50"), B))
    topology = merge_views([others, itself])
    assert topology.named(0).ranges == ((0, 50),)
    assert topology.owner(60) is None


C = line("c", 7002, "master", 3, "200-299")
REPLICA = told(A, B, C, line("r", 7003, "myself,slave", 1))
FROM_A, FROM_B = (
    told(*(one.replace("master", "myself,master") if one is me else one for one in (A, B, C))) for me in (A, B)
)


def failing(reply: bytes, mark: str) -> bytes:
    """Return the reply with the master `c` marked."""
    return reply.replace(b"7002@17002 master", b"7002@17002 master," + mark.encode())


@pytest.mark.parametrize(
    ("replies", "doubted"),
    [
        ([FROM_A, FROM_B, REPLICA], set()),
        ([failing(FROM_A, "fail"), FROM_B], {200}),
        ([FROM_A, FROM_B, failing(REPLICA, "fail")], {200}),
        ([failing(FROM_A, "fail?"), failing(FROM_B, "fail?")], {200}),
        ([failing(FROM_A, "fail?"), FROM_B, failing(REPLICA, "fail?")], set()),
    ],
    ids=["up", "failed to a master", "failed to its replica", "suspected by most", "suspected by one master"],
)
def test_a_master_is_doubted_while_a_node_that_may_take_part_in_its_replacement_marks_it(replies, doubted):
    assert merge_views(map(read_nodes, replies)).doubted == doubted


@pytest.mark.parametrize(
    ("replies", "by_majority"),
    [
        ([FROM_A], False),
        ([FROM_A, FROM_A, REPLICA, REPLICA], False),
        ([FROM_A, FROM_B], True),
        ([FROM_A, FROM_B, REPLICA], True),
        ([told(ITSELF_A)], True),
        ([told(ITSELF_A, B)], False),
        (
            [told(ITSELF_A, B), told(A.replace("master", "slave"), B, line("r", 7003, "myself,master", 9, "0-99"))],
            False,
        ),
    ],
)
def test_a_majority_is_more_than_half_of_the_masters_and_each_counts_for_itself(replies, by_majority):
    assert merge_views(map(read_nodes, replies)).by_majority is by_majority


def test_a_cluster_that_fewer_masters_describe_is_the_same():
    views = [read_nodes(FROM_A), read_nodes(FROM_B)]
    assert merge_views(views) == merge_views(views[:1])


def test_while_a_slot_moves_the_later_election_owns_it():
    topology = Topology((Shard("a", "a:1", 1, ((0, 99),)), Shard("b", "b:1", 5, ((50, 199),))))
    assert [topology.owner(slot).id for slot in (49, 50, 100)] == ["a", "b", "b"]


def test_nobody_who_names_a_shard_is_no_cluster():
    with pytest.raises(NotACluster):
        merge_views([])
    with pytest.raises(NotACluster):
        merge_views([read_nodes(told(line("m", 7003, "myself,master", 3)))])


@pytest.mark.parametrize("other", [Shard("a", "a:1", 2, ((0, 99),)), Shard("a", "a:1", 1, ((0, 98),))])
def test_an_election_or_a_move_of_slots_begins_another_reign(other):
    assert Shard("a", "a:1", 1, ((0, 99),)).reign != other.reign
    assert Shard("z", "z:9", 1, ((0, 99),)).reign == Shard("a", "a:1", 1, ((0, 99),)).reign
