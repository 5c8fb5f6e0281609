"""Keys and values in Redis: what one program encodes, the other decodes."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.cluster import SLOTS, slot_of
from compliance.facts import LiveOverride, State
from compliance.numbers import E164, LeadId, lead_id
from compliance.redis_records import GateHeartbeat, decision_fields, heartbeat_value, read_decision, read_heartbeat
from compliance.redis_schema import (
    EPOCH,
    STATE_FIELDS,
    WHOLE,
    Keys,
    build_key,
    count_field,
    epoch_ms,
    exchange_and_line,
    from_epoch_ms,
    gate_key,
    generation_of,
    lines_in,
    listed_key,
    listed_of,
    number_of,
    override_key,
    override_of,
    override_value,
    read_counts,
    read_override,
    read_state,
    read_versions,
    slot_key,
    slot_of_number,
    state_values,
    version_field,
)
from compliance.redis_terms import read_terms, terms_digest, terms_value
from compliance.terms import AllTerms, CampaignList, RegistryTerms
from compliance.verdict import Decision, Reason, Ruling, Verdict

numbers = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True).map(E164)
leads = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True).map(LeadId)
generations = st.integers(1, 10**12)
lists = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)


@given(numbers)
def test_an_exchange_and_a_line_name_exactly_one_number(number):
    assert number_of(*exchange_and_line(number)) == number


def test_leading_zeros_are_kept_out_of_the_members_and_come_back():
    assert exchange_and_line(E164("+14155550007")) == ("1415555", 7)
    assert number_of("1415555", 7) == "+14155550007"


@given(generations, lists, numbers)
def test_the_key_of_a_set_tells_its_generation_list_and_exchange(generation, list_name, number):
    exchange, _ = exchange_and_line(number)
    key = listed_key(generation, list_name, exchange)
    assert generation_of(key) == generation
    assert listed_of(key) == (list_name, exchange)
    assert override_of(key) is None


@given(generations, numbers, leads)
def test_the_key_of_an_override_tells_whose_it_is(generation, number, lead):
    key = override_key(generation, number, lead)
    assert generation_of(key) == generation
    assert override_of(key) == (number, lead)
    assert listed_of(key) is None


@given(generations, numbers, leads, leads)
def test_two_leads_never_share_a_key(generation, number, one, other):
    same = override_key(generation, number, one) == override_key(generation, number, other)
    assert same == (one == other)
    assert lead_id(one) == one


@pytest.mark.parametrize("key", ["dnc:state", "dnc:lease", "dnc:decisions", "dnc:decisions:unreadable", "other:7:x"])
def test_keys_that_belong_to_no_generation_are_never_taken_for_one(key):
    assert generation_of(key) is None


@given(generations)
def test_the_mark_of_a_build_belongs_to_its_generation_and_holds_no_numbers(generation):
    assert generation_of(build_key(generation)) == generation
    assert listed_of(build_key(generation)) is override_of(build_key(generation)) is None


@given(generations, lists, numbers)
def test_all_keys_of_one_number_are_in_one_slot_of_a_cluster(generation, list_name, number):
    exchange, _ = exchange_and_line(number)
    keys = listed_key(generation, list_name, exchange), override_key(generation, number, LeadId("lead"))
    assert {re.search(r"\{(.*?)\}", key)[1] for key in keys} == {exchange}


@given(st.integers(0, 9), st.integers(0, SLOTS - 1), numbers)
def test_the_mark_of_a_number_is_that_of_its_own_slot_whatever_shard_that_is_on(generation, first_slot, number):
    mark = Keys(first_slot).mark(generation, number)
    assert mark == Keys(0).mark(generation, number) == slot_key(generation, slot_of_number(number))
    assert slot_of(mark.partition("{")[2].removesuffix("}")) == slot_of_number(number)
    assert generation_of(mark) == generation
    assert WHOLE.mark(generation, number) == ""


@given(st.from_regex(r"[0-9]{1,18}", fullmatch=True), lists, moments)
def test_an_override_is_read_as_it_was_spelled_and_never_ends_later(override_id, basis, ends):
    read = read_override(override_value(LiveOverride(override_id, basis, ends)).encode())
    assert (read.id, read.basis) == (override_id, basis)
    assert timedelta(0) <= ends - read.expires_at < timedelta(milliseconds=1)


@given(st.binary(max_size=40) | st.from_regex(rb"[0-9]*\|[a-z]*\|[0-9]{1,40}", fullmatch=True))
def test_what_is_no_override_is_a_value_error_and_nothing_else(value):
    try:
        override = read_override(value)
    except ValueError:
        return
    assert override.expires_at.tzinfo is UTC


digests = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
servers = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)


@given(generations, servers, st.lists(lists, min_size=1), st.integers(0, 10**12), digests)
def test_the_state_is_read_as_it_was_spelled(generation, incarnation, names, changes, terms):
    state = State(generation, incarnation, tuple(names), changes, terms)
    spelled = state_values(state)
    assert read_state([spelled[name].encode() for name in STATE_FIELDS]) == state


STATED = {"generation": b"7", "incarnation": b"run-1", "lists": b"internal", "changes": b"0", "terms": b"0" * 16}


MALFORMED = (None, b"", b"-1", b"7x", b"9" * 5000, "７".encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field in ("generation", "changes", "terms") for value in MALFORMED]
    + [("lists", None), ("lists", b""), ("incarnation", None)],
)
def test_a_state_with_a_missing_or_malformed_field_is_no_state(field, value):
    assert read_state([(STATED | {field: value})[name] for name in STATE_FIELDS]) is None


def test_an_incomplete_state_is_no_state():
    assert read_state([None, b"run-1", b"internal", b"0", b"0" * 16]) is None
    assert read_state([None] * 5) is None


registries = st.builds(
    RegistryTerms,
    lists,
    st.frozensets(st.from_regex(r"[1-9][0-9]{0,6}", fullmatch=True), max_size=5),
    st.dictionaries(st.from_regex(r"[1-9][0-9]{0,6}", fullmatch=True), moments, max_size=5),
    st.booleans(),
    st.booleans(),
    st.lists(lists, max_size=3).map(sorted).map(tuple),
)


@given(st.lists(registries, unique_by=lambda one: one.name, max_size=4))
def test_the_terms_are_read_as_they_were_spelled_and_no_copy_is_fresh_for_longer(terms):
    read = read_terms(terms_value(terms)).registries
    for one, spelled in zip(read, sorted(terms, key=lambda one: one.name), strict=True):
        assert replace(one, covered=spelled.covered) == spelled
        assert one.covered.keys() == spelled.covered.keys()
        for prefix, until in one.covered.items():
            assert timedelta(0) <= spelled.covered[prefix] - until < timedelta(milliseconds=1)


@given(st.permutations(["us-ftc", "us-tx", "ca-dncl"]))
def test_the_same_terms_have_the_same_digest_in_whatever_order(names):
    terms = [RegistryTerms(name, frozenset({"1"}), {}, True, True) for name in names]
    assert terms_digest(terms_value(terms)) == terms_digest(terms_value(sorted(terms, key=lambda one: one.name)))


FTC = RegistryTerms("us-ftc", frozenset({"1"}), {}, True, True)
CAMPAIGN_LISTS = (CampaignList("spring", ("spring-26", "spring-27")), CampaignList("autumn", ("autumn",)))
AUTUMN_FIRST = CAMPAIGN_LISTS[::-1]
DOCUMENT = (
    b'{"campaign_lists":{"autumn":["autumn"],"spring":["spring-26","spring-27"]},"patterns":["1415","442"],'
    b'"registries":[]}'
)


def test_without_patterns_and_campaign_lists_the_document_is_the_one_that_gates_of_0_2_know():
    """So an upgrade alone changes no digest, and no gate blocks."""
    known = (
        b'[{"covered":{},"name":"us-ftc","prefixes":["1"],"spared":[],"when_stale":"block","when_uncovered":"block"}]'
    )
    assert terms_value([FTC]) == known
    assert read_terms(known) == AllTerms((FTC,), (), ())
    assert terms_value([]) == b"[]"


def test_patterns_and_campaign_lists_are_read_as_they_were_spelled_in_whatever_order():
    assert (
        terms_value([], ["442", "1415"], CAMPAIGN_LISTS) == DOCUMENT == terms_value([], ["1415", "442"], AUTUMN_FIRST)
    )
    assert read_terms(DOCUMENT) == AllTerms((), ("1415", "442"), AUTUMN_FIRST)
    assert read_terms(terms_value([FTC], ["1415"])) == AllTerms((FTC,), ("1415",))
    assert read_terms(terms_value([], [], [CampaignList("none", ())])) == AllTerms((), (), (CampaignList("none", ()),))


def of_registry(**changed: object) -> bytes:
    """Return a document of one registry with some changed fields."""
    (encoded,) = json.loads(terms_value([FTC]))
    return json.dumps([encoded | changed]).encode()


@pytest.mark.parametrize(
    "document",
    [
        b'{"registries":[],"patterns":["1415"]}',
        b'{"registries":[],"campaign_lists":{}}',
        b'{"patterns":[],"campaign_lists":{}}',
        b'{"registries":[],"patterns":["+1415"],"campaign_lists":{}}',
        b'{"registries":[],"patterns":[""],"campaign_lists":{}}',
        b'{"registries":[],"patterns":[1415],"campaign_lists":{}}',
        b'{"registries":[],"patterns":[],"campaign_lists":{"internal":["spring"]}}',
        b'{"registries":[],"patterns":[],"campaign_lists":{"spring":"spring"}}',
        b'{"registries":[],"patterns":[],"campaign_lists":["spring"]}',
        b'{"registries":[],"patterns":[],"campaign_lists":{"spring":[["spring"]]}}',
        b'{"registries":[],"patterns":[],"campaign_lists":{"spring":["spring",1]}}',
        b'{"registries":[1],"patterns":[],"campaign_lists":{}}',
        of_registry(name="internal"),
        of_registry(name=["us-ftc"]),
        of_registry(prefixes=[1]),
        of_registry(prefixes="1415"),
        of_registry(covered={"1767225600000": [1]}),
        of_registry(covered={"9" * 30: ["1"]}),
        of_registry(spared=[["spring"]]),
        b"[" * 100_000,
        b'"registries"', b"7", b"null", b"{}", b"odd", b"[1]",
    ],
)  # fmt: skip
def test_a_document_that_could_spare_a_list_or_is_not_whole_is_not_read(document):
    with pytest.raises(ValueError, match=r".+"):
        read_terms(document)


def test_what_does_not_say_that_it_passes_blocks():
    spelled = terms_value([RegistryTerms("us-ftc", frozenset({"1"}), {}, False, False)])
    (odd,) = read_terms(spelled.replace(b'"warn"', b'"odd"').replace(b'"pass"', b'"odd"')).registries
    assert (odd.blocks_when_stale, odd.blocks_uncovered) == (True, True)


def test_counts_are_read_by_list_and_malformed_ones_left_out():
    values = {count_field("internal").encode(): b"3", b"count:x": b"many", b"generation": b"7", b"count:\xff": b"1"}
    assert read_counts(values) == {"internal": 3, "\ufffd": 1}


@pytest.mark.parametrize("digits", [19, 5_000])
def test_a_count_that_no_integer_of_the_database_can_hold_is_left_out(digits: int):
    assert read_counts({count_field("internal").encode(): b"9" * digits}) == {}
    assert read_versions({version_field("us-ftc").encode(): b"9" * digits}) == {}


@pytest.mark.parametrize("key", [
    "dnc:1:internal:{" + "1" * 12 + "}", "dnc:1:" + "x" * 33 + ":{1415555}", "dnc:1:in\0ternal:{1415555}",
    "dnc:1:override:{" + "1" * 12 + "}:1:lead-1", "dnc:1:override:{1415555}:1:" + "x" * 65,
    "dnc:1:override:{1415555}:1:lead\0",
])  # fmt: skip
def test_a_key_of_no_number_and_of_no_lead_names_none(key: str):
    assert listed_of(key) is override_of(key) is None


def test_what_is_no_line_number_is_left_out():
    assert lines_in([b"0", b"9999", b"10000", b"-1", b"x", b"", b"9" * 5_000, b"7"]) == [0, 9999, 7]


decisions = st.builds(
    Decision,
    id=texts,
    at=moments.map(lambda at: from_epoch_ms(epoch_ms(at))),
    ruling=st.builds(Ruling, st.sampled_from(Verdict), texts.map(Reason), texts, texts),
    dialed=texts,
    number=texts,
    lead=texts,
    channel=texts,
    generation=st.integers(0, 10**12),
    gate=texts,
    campaign=texts,
)


@given(decisions)
def test_a_decision_is_read_as_it_was_spelled(decision):
    fields = {name.encode(): value.encode() for name, value in decision_fields(decision).items()}
    assert read_decision(fields) == decision


PLAIN = Decision("1", EPOCH, Ruling(Verdict.ALLOW, Reason("")), "", "", "", "", 0, "")
FIELDS = (*decision_fields(PLAIN), "campaign")


def test_most_decisions_have_no_campaign_and_then_no_field_of_it():
    assert "campaign" not in decision_fields(PLAIN)
    assert decision_fields(PLAIN._replace(campaign="spring"))["campaign"] == "spring"


values = st.binary(max_size=30) | st.integers().map(lambda number: str(number).encode())


@given(st.dictionaries(st.sampled_from(FIELDS).map(str.encode), values))
def test_whatever_stands_in_the_fields_of_a_decision_it_is_read_or_refused(fields):
    try:
        decision = read_decision(fields)
    except (KeyError, ValueError):
        return
    assert decision.at.tzinfo is UTC


@given(moments)
def test_milliseconds_are_rounded_down_and_come_back(moment):
    assert timedelta(0) <= moment - from_epoch_ms(epoch_ms(moment)) < timedelta(milliseconds=1)
    assert epoch_ms(from_epoch_ms(epoch_ms(moment))) == epoch_ms(moment)


def test_a_moment_beyond_the_calendar_is_a_value_error():
    with pytest.raises(ValueError, match="no such moment"):
        from_epoch_ms(10**30)


counts = st.integers(0, 10**12)


@given(st.just("[::1]:4573"), moments, generations, texts, counts, counts, counts)
def test_a_beat_comes_back_as_it_was_spelled(listens, started_at, generation, doubt, calls, unrecorded, dropped):
    started_at = started_at.replace(microsecond=0)
    beat = GateHeartbeat(listens, started_at, generation, doubt, calls, unrecorded, dropped)
    assert read_heartbeat(heartbeat_value(beat).encode()) == beat


@given(
    st.one_of(st.binary(), st.sampled_from([b"||||||", b"1|2|3|4|5", b"1|2|3|x|5|6|7", b"9" * 40 + b"|2|3|4|5|6|7"]))
)
def test_what_is_no_beat_is_a_value_error(value):
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError
        read_heartbeat(value)


def test_the_key_of_a_gate_belongs_to_no_generation():
    assert generation_of(gate_key("7:8")) is None
