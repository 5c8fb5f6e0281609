"""People read labels, not slugs: every action, subject, particular, source, reason and doubt that the code writes."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import admin_web
from admin_web.services import Standing
from admin_web.services.registries import EditedTerms
from admin_web.services.wrap_up import Outcome
from admin_web.site import labels
from admin_web.site.pages import in_force
from compliance.consent import Basis
from compliance.known_registries import PRESETS
from compliance.refusal import as_sentence
from compliance.rule import sentence_of, sentences
from compliance.verdict import DIALPLAN_REASONS, listed_on

PACKAGE = Path(admin_web.__file__).parent


def audits() -> Iterator[ast.Call]:
    """Yield every call of `audit` in the source, of a change or of the security events."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"audit", "audit_always"}
            ):
                yield node


def texts(node: ast.expr) -> set[str]:
    """Return the string constants of an expression."""
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


WRITTEN = list(audits())
PASSED_ON = {"read-document", "document-unfit"}
"""Actions that `services/downloads.py` passes to a helper of its own."""


def test_the_source_writes_audit_events():
    assert len(WRITTEN) > 30


def test_every_action_that_the_code_audits_has_a_label_and_no_label_is_left_over():
    written = PASSED_ON.union(*(texts(call.args[0]) for call in WRITTEN))
    assert written == set(labels.ACTIONS)


def test_every_kind_of_subject_that_the_code_audits_has_a_label():
    assert set().union(*(texts(call.args[1]) for call in WRITTEN)) <= set(labels.SUBJECTS)


def test_every_particular_that_the_code_audits_has_a_label():
    named = {keyword.arg for call in WRITTEN for keyword in call.keywords if keyword.arg}
    assert named <= set(labels.PARTICULARS)
    terms = {field.name for field in fields(EditedTerms)} - {"owner_account"} | {"account"}
    assert terms | {"lead", "number", "document", "expires_at", "why"} <= set(labels.PARTICULARS)


@pytest.mark.parametrize("reason", [*sentences(), *DIALPLAN_REASONS, *map(listed_on, PRESETS)])
def test_every_reason_reads_as_one_sentence(reason: str):
    sentence = sentence_of(reason)
    assert sentence != reason
    assert sentence[0].isupper()
    assert as_sentence(sentence) == sentence


def test_every_basis_and_every_outcome_has_a_label():
    assert set(labels.BASES) == set(Basis)
    assert set(labels.OUTCOMES) == set(Outcome)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("supervisor", "supervisor"),
        ("shell:root", "root at the shell (shell:root)"),
        ("token:crm", "API token crm (token:crm)"),
        ("system:worker", "the worker process (system:worker)"),
        ("worker", "the worker process (worker)"),
        ("other:thing", "other:thing"),
    ],
)
def test_an_actor_is_named_with_what_is_on_record_where_that_differs(name: str, shown: str):
    assert labels.who(name) == shown


def test_particulars_are_words_and_the_empty_ones_are_left_out():
    told = {"list": "internal", "entry": 4, "added": True, "lead": "", "source": "list-page"}
    assert list(labels.particulars(told)) == [
        ("newly added", "yes"),
        ("entry number", "4"),
        ("list", "company's own list"),
        ("source", "Do-Not-Call list page"),
    ]
    assert dict(labels.particulars({"added": 3, "already": 0})) == {"newly added": "3", "already listed": "0"}
    terms = {"by_area_code": 0, "when_stale": "block", "when_uncovered": "pass"}
    assert dict(labels.particulars(terms)) == {
        "covers only the area codes in its file": "no",
        "when stale": "block calls",
        "numbers not covered": "calls pass",
    }


@pytest.mark.parametrize(
    ("names", "phrase"),
    [
        (("internal",), "the company's own Do-Not-Call list"),
        (("us-ftc",), "the list us-ftc"),
        (("internal", "us-ftc"), "the company's own Do-Not-Call list and the list us-ftc"),
        (("internal", "us-ftc", "us-tx"), "the company's own Do-Not-Call list and 2 other lists"),
        (("us-ftc", "us-tx"), "2 lists"),
    ],
)
def test_the_lists_of_a_number_follow_the_word_on(names: tuple[str, ...], phrase: str):
    assert labels.on_lists(names) == phrase


@pytest.mark.parametrize(
    ("doubt", "shown"),
    [
        ("no-lease", "No worker keeps the copy in Redis current. (no-lease)"),
        (
            "the shard from slot 0: no-state",
            "the shard from slot 0: Redis holds no copy of the lists. (no-state)",
        ),
        ("Connection refused", "Connection refused."),
    ],
)
def test_a_gates_doubt_is_a_sentence_with_its_slug(doubt: str, shown: str):
    assert labels.gate_doubt(doubt) == shown


@pytest.mark.parametrize(
    ("text", "ended"),
    [("in time", "in time."), ("Done.", "Done."), (" What? ", "What?"), ("and more …", "and more …"), ("", "")],
)
def test_a_message_ends_with_one_mark_so_that_a_sentence_can_follow(text: str, ended: str):
    assert as_sentence(text) == ended


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(in_force=True), "In force now."),
        (
            Standing(in_force=False, public="Redis did not answer in time"),
            "Recorded, not yet in force: Redis did not answer in time. The worker keeps trying until it is.",
        ),
        (
            Standing(in_force=False, public="The change is not committed yet."),
            "Recorded, not yet in force: The change is not committed yet. The worker keeps trying until it is.",
        ),
        (Standing(in_force=False), "Recorded, not yet in force. The worker keeps trying until it is."),
    ],
)
def test_a_notice_is_made_of_whole_sentences_whatever_the_reason_ends_with(standing: Standing, said: str):
    assert in_force("Lead L-1 is changed.", standing).text == f"Lead L-1 is changed. {said}"
