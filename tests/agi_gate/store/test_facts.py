"""Facts from a Redis with chosen answers: terms are fetched once, and facts are queried again after a change."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from redis.exceptions import ResponseError

from agi_gate.store.facts import FactStore
from agi_gate.store.health import Health
from agi_gate.store.questions import Answers
from agi_gate.store.wire import Answer, StoreUnavailable
from compliance.facts import Facts, LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.redis_facts import MOST_ATTEMPTS
from compliance.redis_schema import WHOLE, override_value
from compliance.redis_terms import terms_digest, terms_value
from compliance.terms import REGISTRY_UNCOVERED, RegistryTerms
from compliance.verdict import Verdict

NUMBER, ELSEWHERE, LEAD = E164("+14155550100"), E164("+442079460000"), LeadId("lead-1")
UNTIL = datetime(2026, 12, 1, tzinfo=UTC)
FTC = RegistryTerms("us-ftc", frozenset({"1415"}), {"1415": UNTIL}, True, True, spared=("service",))
DOCUMENT, OTHER = terms_value([FTC]), terms_value([replace(FTC, covered={}, blocks_uncovered=False)])
STATE = State(7, "run-1", ("internal", "us-ftc"), 3, terms_digest(DOCUMENT))


def answers(state: State | None, *replies: Answer) -> Answers:
    return Answers("run-1", state, state, True, replies)


def asked(
    store: FactStore, *told: Answers, number: E164 = NUMBER, lead: LeadId | None = None, campaign: str = ""
) -> tuple[Facts | None, list[bytes]]:
    """Answer one question after the other; return the facts and the questions. All answers must be used."""
    steps = store.facts(number, lead, campaign)
    questions, left = [next(steps).commands], list(told)
    while left:
        try:
            questions.append(steps.send(left.pop(0)).commands)
        except StopIteration as end:
            assert not left
            return end.value, questions
    return None, questions


def store_of(state: State | None = None) -> FactStore:
    return FactStore(SimpleNamespace(health=Health(state=state, clock_behind_s=0.0), keys=WHOLE))


def learnt(state: State = STATE, document: bytes = DOCUMENT) -> FactStore:
    """Return a store that has the terms and knows this state."""
    store = store_of(state)
    asked(store, answers(state, document), answers(state, 0, 0))
    return store


def keys(question: bytes) -> list[bytes]:
    return [word for word in question.split(b"\r\n") if word.startswith(b"dnc:")]


LISTS = [b"dnc:7:internal:{1415555}", b"dnc:7:us-ftc:{1415555}"]


def test_without_a_state_there_is_nothing_to_ask_and_nothing_known():
    facts, questions = asked(store_of(), answers(None))
    assert facts
    assert (facts.state, facts.applying, facts.doubt(), questions) == (None, None, "no-state", [b""])


def test_the_first_call_learns_state_and_terms_and_then_asks():
    facts, questions = asked(store_of(), answers(STATE), answers(STATE, DOCUMENT), answers(STATE, 0, 1))
    assert facts
    assert (facts.listed, facts.applying.lists) == (("us-ftc",), ("internal", "us-ftc"))
    assert [keys(question) for question in questions] == [[], [b"dnc:7:terms"], LISTS]


def test_the_next_call_asks_at_once_and_only_what_applies():
    store = learnt()
    facts, questions = asked(store, answers(STATE, 0, 0))
    assert facts
    assert ([keys(one) for one in questions], facts.doubt()) == ([LISTS], "")
    facts, questions = asked(store, answers(STATE, 0), number=ELSEWHERE)
    assert [keys(one) for one in questions] == [[b"dnc:7:internal:{44207946}"]]


def test_a_campaign_that_is_spared_a_list_does_not_ask_it_and_any_other_does():
    store = learnt()
    facts, questions = asked(store, answers(STATE, 0), campaign="service")
    assert facts
    assert ([keys(one) for one in questions], facts.applying.lists) == ([LISTS[:1]], ("internal",))
    assert facts.campaign == "service"
    for campaign in ("sales", "Service", "service2"):
        assert [keys(one) for one in asked(store, answers(STATE, 0, 0), campaign=campaign)[1]] == [LISTS]


def test_the_override_is_asked_for_with_a_lead_and_what_is_none_opens_nothing():
    store, live = learnt(), LiveOverride("42", "other", UNTIL)
    for reply, found in ((override_value(live).encode(), live), (b"odd", None), (None, None), (7, None)):
        facts, questions = asked(store, answers(STATE, 1, 0, reply), lead=LEAD)
        assert facts
        assert (facts.listed, facts.override) == (("internal",), found)
        assert keys(questions[0]) == [*LISTS, b"dnc:7:override:{1415555}:100:lead-1"]


@pytest.mark.parametrize("document", [None, b"", b"odd", b"[1]", OTHER, ResponseError("OOM")])
def test_terms_that_are_not_those_of_the_state_are_none(document):
    facts, questions = asked(store_of(STATE), answers(STATE, document))
    assert facts
    assert (facts.state, facts.applying, facts.doubt()) == (STATE, None, "no-terms")
    assert keys(questions[0]) == [b"dnc:7:terms"]


@pytest.mark.parametrize("document", [b"odd", b"[1]", b'[{"name":"us-ftc"}]', b'[{"name":"a","prefixes":1}]', b"7"])
def test_terms_that_nobody_can_read_are_none_and_those_before_are_forgotten_with_their_digest(document):
    store = learnt()
    state = STATE._replace(terms=terms_digest(document))
    facts, _ = asked(store, answers(state, 0, 0), answers(state, document))
    assert facts
    assert (facts.applying, facts.doubt()) == (None, "no-terms")
    facts, questions = asked(store, answers(STATE, 0, 0))
    assert facts
    assert ([keys(one) for one in questions], facts.doubt()) == ([LISTS], "")


def test_terms_that_have_moved_are_fetched_and_the_call_is_judged_by_the_new_ones():
    store, moved = learnt(), STATE._replace(terms=terms_digest(OTHER))
    facts, questions = asked(store, answers(moved, 0, 0), answers(moved, OTHER), answers(moved, 0, 0))
    assert facts
    assert [keys(one) for one in questions] == [LISTS, [b"dnc:7:terms"], LISTS]
    ruling = facts.applying.unlisted(UNTIL - timedelta(days=1))
    assert (ruling.verdict, ruling.reason) == (Verdict.ALLOW, REGISTRY_UNCOVERED)


def test_what_another_call_has_learnt_meanwhile_need_not_be_fetched_again():
    store = store_of(STATE)
    steps = store.facts(NUMBER, None)
    assert keys(next(steps).commands) == [b"dnc:7:terms"]
    asked(store, answers(STATE, DOCUMENT), answers(STATE, 0, 0))
    assert keys(steps.send(answers(STATE, None)).commands) == LISTS


def test_lists_that_have_changed_are_looked_up_by_terms_of_their_own():
    store, more = learnt(), STATE._replace(lists=("internal", "partners", "us-ftc"))
    facts, questions = asked(store, answers(more, 0, 0), answers(more, DOCUMENT), answers(more, 0, 1, 0))
    assert facts
    assert facts.listed == ("partners",)
    assert len(keys(questions[-1])) == 3


def test_another_generation_is_asked_anew_without_fetching_the_same_terms():
    store, rebuilt = learnt(), STATE._replace(generation=8)
    facts, questions = asked(store, answers(rebuilt, 1, 1), answers(rebuilt, 0, 0))
    assert facts
    assert (facts.listed, facts.state) == ((), rebuilt)
    assert keys(questions[1]) == [key.replace(b":7:", b":8:") for key in LISTS]


def test_a_projection_that_does_not_stand_still_is_given_up():
    store = learnt()
    moving: Sequence[Answers] = [answers(STATE._replace(generation=8 + n), 0, 0) for n in range(MOST_ATTEMPTS)]
    with pytest.raises(StoreUnavailable, match="changed again and again"):
        asked(store, *moving)


@pytest.mark.parametrize("reply", [None, 2, b"1", ResponseError("WRONGTYPE")])
def test_a_doubt_whether_the_number_is_listed_is_not_a_no(reply):
    with pytest.raises(StoreUnavailable, match="unexpected reply"):
        asked(learnt(), answers(STATE, 0, reply))


def test_a_state_that_goes_away_meanwhile_is_told():
    facts, _ = asked(learnt(), answers(None, 0, 0))
    assert facts
    assert (facts.state, facts.doubt()) == (None, "no-state")
