"""Reserved ports of the lab's programs never collide."""

import subprocess
import sys

from lab.process import free_port

BUS = 10_000
"""Offset of the port on which a Redis Cluster node talks to the others."""

OTHER = "from lab.process import free_port; print(*(free_port() for _ in range(1000)))"


def test_no_port_is_given_twice_and_none_is_that_on_which_the_nodes_of_a_cluster_speak():
    given = {free_port() for _ in range(500)}
    assert len(given) == 500
    assert not given & {port + BUS for port in given}


def test_two_processes_that_live_at_the_same_time_are_given_different_ports():
    given = {free_port() for _ in range(500)}
    other = subprocess.run([sys.executable, "-c", OTHER], capture_output=True, text=True, check=True).stdout
    assert len({*map(int, other.split())} - given) == 1000
