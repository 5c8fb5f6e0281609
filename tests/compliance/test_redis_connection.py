"""Error replies of Redis appear in messages with their first word, whichever parser has read them."""

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ResponseError

from compliance.redis_connection import error_reply

MOVING = "another shard of the cluster owns the slot now"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("MOVED 5397 10.0.0.9:7001", f"MOVED 5397: {MOVING}"),
        ("ASK 5397 10.0.0.9:7001", "ASK 5397: the slot is moving to another shard of the cluster"),
        *(
            (said, said)
            for said in (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                "CLUSTERDOWN Hash slot not served",
                "READONLY You can't write against a read only replica.",
                "LOADING Redis is loading the dataset in memory",
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                "NOREPLICAS Not enough good replicas to write.",
                "MISCONF Redis is configured to save RDB snapshots",
                "OOM command not allowed when used memory > 'maxmemory'.",
                "NOPERM this user has no permissions to run the 'info' command",
                "WRONGPASS invalid username-password pair or user is disabled.",
                "NOGROUP No such key",
            )
        ),
    ],
)
def test_an_error_reply_is_shown_from_its_first_word_on(sent: str, shown: str):
    assert error_reply(ResponseError(sent)) == shown
    assert error_reply(BaseParser.parse_error(sent)) == shown


def test_an_error_without_a_text_is_named():
    assert error_reply(ConnectionResetError()) == "ConnectionResetError"
    assert error_reply(OSError("gone")) == "gone"
