"""What is said of a change that is not yet in force: the operator reads why, others no address and no setting."""

import re
from collections.abc import Iterator

import pytest
from psycopg import errors as postgres
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from admin_web.documents import DocumentMissing, DocumentsUnavailable
from admin_web.pbx.ami import LoginRefused, PbxUnreachable
from admin_web.pbx.pbx import NoPbx
from admin_web.projection.evidence import TermsLost
from admin_web.projection.live import ForeignHistory, NotRecoverable, ProjectionLost, SlotsLeft, StoreUnfit
from admin_web.projection.mending import WidelyDrifted
from admin_web.projection.rebuild_outcome import SuspiciousDrop
from admin_web.projection.verify import ProjectionMoved
from admin_web.projection.wire import RedisRefused, RedisSilent, RedisUnavailable, StoreMoved, TooFewReplicas
from admin_web.record.changes import ChangeLost, NotInForce, Records, not_in_force, public_words
from admin_web.record.database import DatabaseUnavailable, OutcomeUnknown
from admin_web.record.database_faults import translated_errors, unknown_outcome
from admin_web.record.tally import note_change, tallied
from admin_web.services.recovered_registries import RegistryNotRecovered
from tests.support.records import ADMIN

PRIVATE = "no usable Redis at redis://10.1.2.3:6379/0 of DNC_REDIS_URL in /var/lib/dnc"
ELSEWHERE = (
    PbxUnreachable("The PBX cannot be reached at 10.1.2.3:5038: no answer."),
    LoginRefused("The PBX refuses the login of x. Check DNC_AMI_USER and DNC_AMI_SECRET."),
    NoPbx("No PBX is configured. Set DNC_AMI_ADDRESS to the address of its manager interface."),
    DocumentMissing("There is no file aa/bb in /var/lib/dnc."),
)
"""Failures that reach pages and answers of the API in other ways."""

REVEALING = re.compile(r"DNC_|://|/[a-z]|\d+\.\d+\.\d+|:\d{2,}|`")
ADVICE = re.compile(r"try again|nothing was changed", re.IGNORECASE)

FAILURES = (
    *(
        kind(PRIVATE)
        for kind in (NotInForce, RedisUnavailable, RedisSilent, RedisRefused, StoreMoved, TooFewReplicas, StoreUnfit)
    ),
    NotRecoverable(PRIVATE),
    *(ProjectionLost(why) for why in ("no-state", "other-incarnation", "other-generation")),
    ProjectionMoved(),
    *(
        ForeignHistory("a1"),
        WidelyDrifted({"x": 1}),
        RegistryNotRecovered("us-ftc"),
        TermsLost("a1"),
        SlotsLeft("a1", 0),
    ),
    SuspiciousDrop("internal", 100, 1),
    ChangeLost(),
    DatabaseUnavailable(PRIVATE, "nothing was changed; try again"),
    OutcomeUnknown(PRIVATE),
    DocumentsUnavailable(PRIVATE),
    OSError(28, "No space left on device", "/var/lib/dnc/x"),
)


def kinds_of(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_of(below)


def test_every_way_in_which_redis_fails_is_tried_here():
    product = {kind for kind in kinds_of(NotInForce) if kind.__module__.startswith("admin_web.")}
    assert product <= {type(failure) for failure in FAILURES}


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_the_public_words_name_no_address_no_path_and_no_setting(failure):
    standing = not_in_force(failure)
    assert standing.public
    assert not REVEALING.search(standing.public)
    assert standing.shown == f"recorded, not yet in force: {standing.public}"
    assert isinstance(failure, DatabaseUnavailable) or not REVEALING.search(public_words(failure))


@pytest.mark.parametrize("failure", ELSEWHERE, ids=lambda failure: type(failure).__name__)
def test_failures_of_the_pbx_and_of_documents_name_no_address_either(failure):
    assert REVEALING.search(str(failure))
    assert not REVEALING.search(public_words(failure))


@pytest.mark.parametrize("failure", FAILURES[:-2], ids=lambda failure: type(failure).__name__)
def test_what_is_recorded_and_being_tried_is_not_to_be_tried_again(failure):
    standing = not_in_force(failure)
    assert not ADVICE.search(f"{standing} {standing.shown}")


class Failing:
    """A projector that fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def drain(self, *_: object) -> None:
        raise self.error


@pytest.mark.parametrize("failure", [RedisUnavailable(PRIVATE), DatabaseUnavailable("x: locked", "try again")])
async def test_a_change_whose_projection_fails_stands_recorded(database, clock, failure):
    standing = await Records(database, Failing(failure), clock).standing()
    assert (standing.in_force, bool(standing.public)) == (False, True)
    assert not ADVICE.search(str(standing))


def lost(error: Exception) -> DBAPIError:
    return DBAPIError("COMMIT", {}, error)


SQLITE, POSTGRES = make_url("sqlite:////x.sqlite3"), make_url("postgresql://dnc:secret-word@db/dnc")


@pytest.mark.parametrize(
    "error",
    [
        postgres.OperationalError("server closed the connection unexpectedly\n secret-word"),
        postgres.InterfaceError("x"),
        postgres.AdminShutdown("terminating connection due to administrator command"),
        postgres.CrashShutdown("terminating connection because of crash of another server process"),
    ],
)
def test_a_connection_lost_during_the_commit_leaves_the_outcome_unknown(error):
    with pytest.raises(OutcomeUnknown) as found, unknown_outcome(POSTGRES):
        raise lost(error)
    assert "look whether it is recorded before you repeat it" in str(found.value)
    assert "secret-word" not in str(found.value)
    assert not ADVICE.search(str(found.value))


@pytest.mark.parametrize(
    "error", [postgres.DiskFull("full"), postgres.SerializationFailure("x"), postgres.LockNotAvailable("x")]
)
def test_an_error_that_the_server_reports_at_the_commit_says_that_nothing_is_recorded(error):
    with pytest.raises(DatabaseUnavailable) as found, translated_errors(POSTGRES), unknown_outcome(POSTGRES):
        raise lost(error)
    assert not isinstance(found.value, OutcomeUnknown)


async def test_only_changes_on_record_are_counted_also_those_of_other_tasks(records: Records):
    with tallied() as tally:
        async with records.change(ADMIN):
            pass
        assert tally.changes == 0
        async with records.change(ADMIN) as change:
            change.audit("lift", "number", "x")
        with pytest.raises(RuntimeError):
            async with records.change(ADMIN) as change:
                change.audit("lift", "number", "x")
                raise RuntimeError
        assert tally.changes == 1
    note_change()
    assert tally.changes == 1
