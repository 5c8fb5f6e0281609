"""A projection that a test writes into a real Redis itself, to test the gate without the site."""

import time
from datetime import datetime

import redis

from compliance.facts import LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.redis_records import read_decision
from compliance.redis_schema import (
    CHANGES,
    DECISIONS,
    LEASE,
    STATE,
    epoch_ms,
    exchange_and_line,
    listed_key,
    override_key,
    override_value,
    state_values,
    terms_key,
)
from compliance.redis_terms import terms_digest, terms_value
from compliance.terms import CampaignList, RegistryTerms
from compliance.verdict import Decision
from lab.redis import RedisServer


class HandmadeProjection:
    """The live generation in a Redis, under control of a test."""

    def __init__(self, server: RedisServer, generation: int = 1) -> None:
        self.redis = redis.Redis(unix_socket_path=str(server.socket))
        self.generation = generation
        self.lists: tuple[str, ...] = ("internal",)
        self.registries: tuple[RegistryTerms, ...] = ()
        self.patterns: tuple[str, ...] = ()
        self.campaign_lists: tuple[CampaignList, ...] = ()
        self.verify()

    def verify(self) -> None:
        """Mark the projection as complete and current for the running server, and set the lease."""
        run_id = self.redis.info("server")["run_id"]
        terms = terms_value(self.registries, self.patterns, self.campaign_lists)
        self.redis.set(terms_key(self.generation), terms)
        state = State(self.generation, run_id, self.lists, 0, terms_digest(terms))
        self.redis.hset(STATE, mapping=state_values(state))
        self.redis.set(LEASE, "test", px=60_000)

    def put_on(self, number: str, list_name: str = "internal") -> None:
        exchange, line = exchange_and_line(E164(number))
        self.redis.sadd(listed_key(self.generation, list_name, exchange), line)
        self.redis.hincrby(STATE, CHANGES, 1)

    def lift(self, number: str) -> None:
        exchange, line = exchange_and_line(E164(number))
        self.redis.srem(listed_key(self.generation, "internal", exchange), line)
        self.redis.hincrby(STATE, CHANGES, 1)

    def grant(self, number: str, lead: str, expires_at: datetime, override: str = "1") -> None:
        key = override_key(self.generation, E164(number), LeadId(lead))
        self.redis.set(
            key,
            override_value(LiveOverride(override, "signed-consent", expires_at)),
            pxat=epoch_ms(expires_at),
        )
        self.redis.hincrby(STATE, CHANGES, 1)

    def revoke(self, number: str, lead: str) -> None:
        self.redis.unlink(override_key(self.generation, E164(number), LeadId(lead)))
        self.redis.hincrby(STATE, CHANGES, 1)

    def decisions(self) -> list[Decision]:
        """Return all decisions on the stream, oldest first."""
        return [read_decision(fields) for _, fields in self.redis.xrange(DECISIONS)]

    def decision(self, decision_id: str, within_s: float = 30.0) -> Decision:
        """Return the last record of one decision. Wait up to `within_s` seconds for the first."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = [decision for decision in self.decisions() if decision.id == decision_id]
            if found:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError(f"decision {decision_id} is not on the stream")
