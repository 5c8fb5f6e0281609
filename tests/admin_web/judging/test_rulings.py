"""Numbers ruled on together get the same rulings as each of them alone."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from admin_web.judging.facts import RECORD
from admin_web.judging.listing import Membership, spelled
from admin_web.judging.rulings import _grouped
from compliance.facts import Facts
from compliance.numbers import E164
from compliance.rule import decide
from compliance.terms import RegistryTerms, Terms

AT = datetime(2026, 11, 23, tzinfo=UTC)
NAMES = ("uk-tps", "us-ftc", "us-tx")
LISTS = ((), ("internal",), ("internal", "us-ftc"), ("us-tx",), ("uk-tps", "us-ftc"))

SOME = st.from_regex("1415555[0-9]{4}|1[2-9][0-9]{9}|44[0-9]{5,13}|[1-9][0-9]{6}", fullmatch=True)
BEGINNINGS = st.one_of(
    st.sampled_from(["1", "1415", "44", "4420", "14155550", "1415555010", "441"]),
    st.from_regex("[1-9][0-9]{0,8}", fullmatch=True),
)


@st.composite
def known_terms(draw: st.DrawFn) -> Terms:
    held = ("internal", *draw(st.sets(st.sampled_from(NAMES))))
    return Terms(
        held,
        tuple(
            RegistryTerms(
                name, draw(st.frozensets(BEGINNINGS, max_size=3)),
                draw(st.dictionaries(BEGINNINGS, st.sampled_from([AT, AT.replace(year=2027)]), max_size=3)),
                draw(st.booleans()), draw(st.booleans()),
            )
            for name in draw(st.sets(st.sampled_from(NAMES)))
        ),
    )  # fmt: skip


@settings(deadline=None)  # How long one example takes says more of the machine than of the code.
@given(known_terms(), st.lists(SOME, min_size=1), st.randoms(use_true_random=False))
def test_numbers_are_told_apart_where_something_else_is_known_of_them(terms: Terms, some: list[str], chance):
    numbers = np.unique(np.array([int(number) for number in some], np.int64))
    kinds = np.array([chance.randrange(len(LISTS)) for _ in numbers])
    known = _grouped(terms, Membership(kinds, LISTS), numbers)
    for place, number in enumerate(spelled(numbers)):
        assert decide_by(known.facts[known.kinds[place]], number) == decide_by(
            facts(terms, number, LISTS[kinds[place]]), number
        )


def test_a_beginning_that_ends_within_the_line_of_a_number_tells_its_exchange_apart():
    one = RegistryTerms("us-tx", frozenset({"1415555010"}), {}, True, True)
    numbers = np.array([14155550099, 14155550100, 14155550110], np.int64)
    known = _grouped(Terms(("internal",), (one,)), Membership(np.zeros(3, np.int64), [()]), numbers)
    reasons = [decide(facts.number, facts, AT).reason for facts in known.facts]
    assert [reasons[kind] for kind in known.kinds] == ["not-listed", "registry-uncovered", "not-listed"]


def facts(terms: Terms, number: E164, lists: tuple[str, ...]) -> Facts:
    applying = terms.applying(number)
    listed = terms.applicable(applying, lists)
    return Facts(number, None, RECORD.incarnation, RECORD, True, listed, None, applying)


def decide_by(facts: Facts, number: E164) -> tuple[object, ...]:
    return facts.listed, facts.applying, decide(facts.number, facts, AT)
