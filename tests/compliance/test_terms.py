"""Which lists apply to a number, by the longest prefix, and what follows where no list covers it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance import verdict
from compliance.area_codes import prefixes_of
from compliance.numbers import E164
from compliance.terms import (
    REGISTRY_STALE,
    REGISTRY_UNCOVERED,
    CampaignList,
    RegistryTerms,
    Terms,
    campaign_id,
    unchecked,
)
from compliance.verdict import allow, block

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LISTS = ("internal", "ca-dncl", "uk-tps", "us-ftc", "us-tx")
"""In the order in which they are searched for a reason."""

FTC = RegistryTerms("us-ftc", frozenset({"1415", "1212", "1214"}), {"1415": AT + DAY, "1214": AT - DAY}, True, True)
TEXAS = RegistryTerms("us-tx", frozenset({"1214"}), {"1214": AT + DAY}, True, True, spared=("service",))
DNCL = RegistryTerms("ca-dncl", frozenset({"1416", "1604"}), {"1416": AT - DAY}, False, False)
TPS = RegistryTerms("uk-tps", frozenset({"44"}), {"44": AT + DAY}, True, True)
TERMS = Terms(LISTS, (FTC, TEXAS, DNCL, TPS))

CASES = [
    ("+14155550100", "", ("internal", "us-ftc"), allow(verdict.NOT_LISTED)),
    ("+12125550100", "", ("internal", "us-ftc"), block(REGISTRY_UNCOVERED, "us-ftc")),
    ("+12145550100", "", ("internal", "us-ftc", "us-tx"), block(REGISTRY_STALE, "us-ftc")),
    ("+12145550100", "service", ("internal", "us-ftc"), block(REGISTRY_STALE, "us-ftc")),
    ("+12145550100", "unheard-of", ("internal", "us-ftc", "us-tx"), block(REGISTRY_STALE, "us-ftc")),
    ("+14165550100", "", ("internal", "ca-dncl"), allow(verdict.NOT_LISTED, "stale-ca-dncl")),
    ("+16045550100", "", ("internal", "ca-dncl"), allow(REGISTRY_UNCOVERED, "ca-dncl")),
    ("+442079460000", "", ("internal", "uk-tps"), allow(verdict.NOT_LISTED)),
    ("+4930123456", "", ("internal",), allow(verdict.NOT_LISTED)),
]


@pytest.mark.parametrize(("number", "campaign", "lists", "ruling"), CASES)
def test_the_terms_of_a_number(number, campaign, lists, ruling):
    applying = TERMS.applying(E164(number), campaign)
    assert applying.lists == lists
    assert applying.unlisted(AT) == ruling


def test_a_copy_is_stale_from_its_moment_on():
    applying = TERMS.applying(E164("+14155550100"))
    last = AT + DAY - timedelta(microseconds=1)
    assert (applying.unlisted(last).reason, applying.unlisted(AT + DAY).reason) == ("not-listed", "registry-stale")


def test_a_stale_registry_comes_before_one_that_does_not_cover_the_number():
    gap = RegistryTerms("ca-dncl", frozenset({"1415"}), {}, True, True)
    applying = Terms(LISTS, (FTC, gap)).applying(E164("+14155550100"))
    assert [applying.unlisted(AT).reason, applying.unlisted(AT + DAY).reason] == [
        "registry-uncovered",
        "registry-stale",
    ]


def test_one_that_blocks_comes_before_one_that_lets_pass():
    passing = RegistryTerms("a", frozenset({"1415"}), {}, True, False)
    blocking = RegistryTerms("z", frozenset({"1415"}), {}, True, True)
    ruling = Terms(("internal",), (passing, blocking)).applying(E164("+14155550100")).unlisted(AT)
    assert ruling == block(REGISTRY_UNCOVERED, "z")


def test_a_list_that_no_terms_speak_of_is_asked_about_every_number_for_every_campaign():
    terms = Terms(("internal", "unheard-of"), (TEXAS,))
    for campaign in ("", "service", "other"):
        for number in ("+12145550100", "+14155550100", "+442079460000"):
            assert {"internal", "unheard-of"} <= set(terms.applying(E164(number), campaign).lists)


def test_a_registry_of_which_the_projection_holds_nothing_covers_nothing():
    applying = Terms(("internal",), (FTC,)).applying(E164("+14155550100"))
    assert (applying.lists, applying.unlisted(AT)) == (("internal",), block(REGISTRY_UNCOVERED, "us-ftc"))
    assert applying.phases == (), "no part of it can become stale"


def test_copies_of_different_ages_become_stale_one_after_the_other():
    days = {"a": 5, "b": 1, "c": 4, "d": 2, "e": 6, "f": 3}
    aging = [RegistryTerms(name, frozenset({"1"}), {"1": AT + day * DAY}, False, True) for name, day in days.items()]
    applying = Terms(("internal", *days), tuple(aging)).applying(E164("+14155550100"))
    assert [until for until, _ in applying.phases] == [AT + day * DAY for day in range(1, 7)]
    details = [applying.unlisted(AT + day * DAY).detail for day in range(8)]
    assert details == ["", "stale-b", "stale-b", "stale-b", "stale-b", "stale-a", "stale-a", "stale-a"]


def test_a_campaign_that_nobody_spares_has_the_look_up_of_all_calls():
    """Callers could send a new campaign with each call, and every cached look-up would stay in memory."""
    terms = Terms(LISTS, (FTC, TEXAS))
    everybody = terms.applying(E164("+12145550100"))
    assert all(terms.applying(E164("+12145550100"), name) is everybody for name in ("x", "y", "Service"))
    spared = terms.applying(E164("+12145550100"), "service")
    assert spared is not everybody
    assert terms.applying(E164("+12145550100"), "service") is spared, "it is computed once"


def test_the_longest_beginning_decides():
    whole = RegistryTerms("us-ftc", frozenset({"1"}), {"1": AT + DAY, "12145": AT - DAY}, True, True)
    terms = Terms(("internal", "us-ftc", "us-tx"), (whole, TEXAS))
    found = {number: terms.applying(E164(number)) for number in ("+14155550100", "+12144550100", "+12145550100")}
    assert [one.lists for one in found.values()] == [("internal", "us-ftc"), *[("internal", "us-ftc", "us-tx")] * 2]
    assert [one.unlisted(AT).reason for one in found.values()] == ["not-listed", "not-listed", "registry-stale"]


@pytest.mark.parametrize(
    ("number", "campaign", "listed", "applying"),
    [
        ("+12145550100", "", ("internal", "us-ftc", "us-tx"), ("internal", "us-ftc", "us-tx")),
        ("+12145550100", "service", ("us-ftc", "us-tx"), ("us-ftc",)),
        ("+12145550100", "service", ("us-tx",), ()),
        ("+14155550100", "", ("partners", "us-tx", "uk-tps"), ("partners",)),
        ("+4930123456", "", ("internal", "us-ftc"), ("internal",)),
    ],
)
def test_of_the_lists_that_a_number_stands_on_those_count_that_apply_or_that_no_terms_speak_of(
    number, campaign, listed, applying
):
    assert TERMS.applicable(TERMS.applying(E164(number), campaign), listed) == applying


@pytest.mark.parametrize(
    ("ruling", "said"),
    [
        (block(REGISTRY_UNCOVERED, "us-tx"), "us-tx should cover the number and was never imported for it"),
        (allow(REGISTRY_UNCOVERED, "us-tx"), "us-tx should cover the number and was never imported for it"),
        (block(REGISTRY_STALE, "us-tx"), "the copy of us-tx is too old"),
        (TERMS.applying(E164("+14165550100")).unlisted(AT), "the copy of ca-dncl is too old"),
        (allow(verdict.NOT_LISTED), ""),
        (block(verdict.INVALID_NUMBER, "stale-x"), ""),
        (allow(verdict.OVERRIDE, override="7"), ""),
        (block(verdict.listed_on("us-tx")), ""),
    ],
)
def test_a_ruling_says_which_registry_nobody_can_tell_of(ruling, said):
    assert unchecked(ruling) == said


def test_of_several_stale_registries_the_first_by_name_is_named_in_whatever_order_they_come():
    several = [RegistryTerms(name, frozenset({"1415"}), {"1415": AT - DAY}, False, False) for name in "cab"]
    for order in (several, several[::-1]):
        ruling = Terms(("internal", *"bca"), tuple(order)).applying(E164("+14155550100"))
        assert (ruling.lists, ruling.unlisted(AT)) == (("internal", *"abc"), allow(verdict.NOT_LISTED, "stale-a"))


prefixes = st.from_regex(r"[1-3]{1,4}", fullmatch=True)
moments = st.integers(-3, 3).map(lambda days: AT + days * DAY)
registries = st.builds(
    RegistryTerms,
    st.sampled_from(LISTS[1:]),
    st.frozensets(prefixes, max_size=4),
    st.dictionaries(prefixes, moments, max_size=4),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(), ("service",)]),
)


campaign_lists = st.builds(
    CampaignList,
    st.sampled_from(("own-a", "own-b")),
    st.lists(st.sampled_from(["service", "spring"]), unique=True, max_size=2).map(tuple),
)


def plainly(terms: list[RegistryTerms], lists: tuple[str, ...], number: str, campaign: str, at: datetime):
    """Return the same by brute force: each registry alone, every prefix tried."""
    asked, stale, gaps = {"internal"}, [], []
    for one in terms:
        starts = sorted((s for s in {*one.prefixes, *one.covered} if number[1:].startswith(s)), key=len)
        if campaign in one.spared or not starts:
            continue
        asked.add(one.name)
        if starts[-1] not in one.covered or one.name not in lists:
            gaps.append(one)
        elif at >= one.covered[starts[-1]]:
            stale.append(one)
    asked |= {name for name in lists if name not in {one.name for one in terms}}
    if any(one.blocks_when_stale for one in stale):
        said = ("BLOCK", "registry-stale")
    elif gaps:
        said = ("BLOCK" if any(one.blocks_uncovered for one in gaps) else "ALLOW", "registry-uncovered")
    else:
        said = ("ALLOW", "not-listed")
    named = sorted(name for name in asked & set(lists) if name in {one.name for one in terms})
    return (*(name for name in lists if name in asked and name not in named), *named), said


@given(
    st.lists(registries, max_size=4, unique_by=lambda one: one.name),
    st.lists(st.sampled_from((*LISTS[1:], "own-a", "own-b")), unique=True),
    st.frozensets(prefixes, max_size=3),
    st.lists(campaign_lists, unique_by=lambda one: one.name, max_size=2),
    st.from_regex(r"\+[1-4]{7}", fullmatch=True),
    st.sampled_from(["", "service", "spring", "unheard-of"]),
    moments,
)
def test_the_look_up_says_what_brute_force_says(terms, names, patterns, own, number, campaign, at):
    lists = ("internal", *names)
    applying = Terms(lists, tuple(terms), tuple(patterns), tuple(own)).applying(E164(number), campaign)
    ruling = applying.unlisted(at)
    elsewhere = {one.name for one in own if campaign not in one.campaigns}
    here = tuple(name for name in lists if name not in elsewhere)
    assert (applying.lists, (ruling.verdict, ruling.reason)) == plainly(terms, here, number, campaign, at)
    assert applying.may_block or ruling.verdict == "ALLOW"
    assert applying.pattern == max((one for one in patterns if number[1:].startswith(one)), key=len, default="")


@pytest.mark.parametrize(
    ("number", "pattern"),
    [
        ("+14155550100", "1415555"), ("+14155560100", "1415"), ("+14165550100", ""), ("+442079460000", "442"),
        ("+441179460000", ""), ("+1415555", "1415555"),
    ],
)  # fmt: skip
def test_the_most_specific_pattern_covers_a_number_and_changes_nothing_about_its_registries(number, pattern):
    terms = Terms(LISTS, (FTC, TEXAS, DNCL, TPS), ("1415", "1415555", "442"))
    plain = TERMS.applying(E164(number))
    assert terms.applying(E164(number)) == replace(plain, pattern=pattern)
    assert terms.longest == 7


CAMPAIGN_LISTS = (CampaignList("spring", ("spring-26", "spring-27")), CampaignList("none", ()))
OWN = Terms(("internal", "none", "other", "spring", "us-ftc"), (FTC,), (), CAMPAIGN_LISTS)


@pytest.mark.parametrize(
    ("campaign", "lists"),
    [
        ("", ("internal", "other")),
        ("spring-26", ("internal", "other", "spring")),
        ("Spring-26", ("internal", "other")),
        ("spring-27", ("internal", "other", "spring")),
        ("spring-28", ("internal", "other")),
    ],
)
def test_a_campaign_list_applies_to_the_calls_of_its_campaigns_and_spares_no_other_list(campaign, lists):
    applying = OWN.applying(E164("+442079460000"), campaign)
    assert applying.lists == lists
    assert OWN.applicable(applying, ("internal", "spring", "none", "other")) == tuple(
        name for name in ("internal", "spring", "none", "other") if name in lists
    )


def test_a_registry_of_the_name_of_a_campaign_list_keeps_its_own_terms():
    terms = Terms(("internal", "us-ftc"), (FTC,), (), (CampaignList("us-ftc", ("spring",)),))
    for campaign in ("", "spring"):
        assert terms.applying(E164("+14155550100"), campaign).lists == ("internal", "us-ftc")
    assert terms.campaigns_of(["us-ftc"]) == {}


def test_the_campaigns_for_which_a_number_is_blocked_are_those_of_its_campaign_lists():
    assert OWN.campaigns_of(["internal", "spring", "us-ftc"]) == {"spring": ("spring-26", "spring-27")}


def test_the_united_states_and_canada_share_no_area_code_but_those_nobody_knows():
    states, canada = prefixes_of("US"), prefixes_of("CA")
    assert {"1415", "1212", "1787", "1671"} <= states - canada
    assert {"1416", "1604", "1867"} <= canada - states
    assert "1876" not in states | canada
    assert "1415" not in states & canada


@pytest.mark.parametrize(
    ("country", "area_codes", "prefixes"),
    [("GB", [], {"44"}), ("DE", [], {"49"}), ("US", ["214", "469"], {"1214", "1469"}), ("GB", ["20"], {"4420"})],
)
def test_the_beginnings_of_a_countrys_numbers(country, area_codes, prefixes):
    assert prefixes_of(country, area_codes) == prefixes


@pytest.mark.parametrize("text", ["", "a b", "x" * 65, "a,b", "café", "a\n"])
def test_what_is_no_campaign_is_none(text):
    assert campaign_id(text) is None


def test_a_campaign_is_letters_digits_dots_dashes_and_underscores():
    assert campaign_id("Spring_2027.b-1") == "Spring_2027.b-1"


def test_the_longest_beginning_is_that_of_any_registry_covered_or_not():
    assert (TERMS.longest, Terms(LISTS, ()).longest) == (4, 0)
    assert Terms(LISTS, (TPS, RegistryTerms("a", frozenset(), {"4420794": AT}, True, True))).longest == 7
