"""Ports that are given to programs of the lab do not get into one another's way."""

from lab.process import free_port

BUS = 10_000
"""So much higher do the nodes of a Redis Cluster speak to one another."""


def test_no_port_is_given_twice_and_none_is_that_on_which_the_nodes_of_a_cluster_speak():
    given = {free_port() for _ in range(500)}
    assert len(given) == 500
    assert not given & {port + BUS for port in given}
