"""Screen the common call in one round trip: judge it on assumed facts, and let Redis record it only if they are true.

Most numbers are on no list. So the gate judges the call as if its number were on none, and sends Redis the decision
together with all assumptions. A script in Redis compares them and appends the decision in one step. If anything
differs, the script appends nothing, and the gate judges the call again on facts that it reads.
"""

import hashlib
from functools import lru_cache

from agi_gate.store.questions import Question
from agi_gate.store.wire import Answer, Command, elements
from compliance.facts import Facts, State
from compliance.redis_records import DECISION_FIELDS, decision_values
from compliance.redis_schema import STATE_FIELDS, WHOLE, Keys, exchange_and_line, listed_key, state_values
from compliance.verdict import Decision

_FIRST_FIELD = 7
_ID = _FIRST_FIELD + DECISION_FIELDS.index("id")
_CAMPAIGN = _FIRST_FIELD + len(DECISION_FIELDS)
_FIRST_LIST = _CAMPAIGN + 1
_FIELDS = ", ".join(f"'{name}', ARGV[{at}]" for at, name in enumerate(DECISION_FIELDS, _FIRST_FIELD))

# Redis runs no other command during a script (Redis documentation, "Scripting with Lua", atomic execution). So nothing
# changes between the comparison and the record, and the script sees each block that was acknowledged before it.
#
# The script compares the state as one string, because any difference means another build, server or count of changes.
SCRIPT = f"""
local state = redis.call('HMGET', ARGV[1], {", ".join(f"'{name}'" for name in STATE_FIELDS)})
if table.concat(state, '\\n') ~= ARGV[4] then return 0 end
if redis.call('EXISTS', ARGV[2]) == 0 then return 0 end
if ARGV[6] ~= '' and redis.call('GET', ARGV[6]) ~= state[{STATE_FIELDS.index("incarnation") + 1}] then return 0 end
for i = {_FIRST_LIST}, #ARGV do
  if redis.call('SISMEMBER', ARGV[i], ARGV[5]) ~= 0 then return 0 end
end
if ARGV[{_CAMPAIGN}] == '' then
  redis.call('XADD', ARGV[3], '*', {_FIELDS})
else
  redis.call('XADD', ARGV[3], '*', {_FIELDS}, 'campaign', ARGV[{_CAMPAIGN}])
end
return ARGV[{_ID}]
"""
"""Compare the assumptions and append the decision. Return the decision's id, or 0 if anything differs.

A missing field of the state is false in Lua (Redis documentation, "Lua API", conversion of null). `table.concat` then
raises an error, so nothing is appended. `redis.call` raises an error too if Redis refuses the record.
"""

_BEGINNING = 7

_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

LOAD: Command = ("SCRIPT", "LOAD", SCRIPT)


def append_if(facts: Facts, state: State, decision: Decision, keys: Keys = WHOLE) -> Question:
    """Return the question that appends `decision` if Redis has `state` and a lease, and the number is on no list.

    On a shard of a cluster, the mark of the number's slot must also name the incarnation of `state`.
    """
    beginning = _beginning(state, keys)
    exchange, line = exchange_and_line(facts.number)
    lists = facts.applying.lists if facts.applying else ()
    listed = [listed_key(state.generation, name, exchange) for name in lists]
    mark = keys.mark(state.generation, facts.number)
    rest: list[str | int] = [line, mark, *decision_values(decision), decision.campaign, *listed]
    command = b"*%d\r\n%b%b" % (_BEGINNING + len(rest), beginning, elements(*rest))
    return Question(command, 1, to_replicas=True, self_checking=True)


@lru_cache(maxsize=64)
def _beginning(state: State, keys: Keys) -> bytes:
    """Return the first elements of the command, `_BEGINNING` in number."""
    # Cached, because they are the same for every call until the state changes, and longer than all others together. A
    # cluster has one state for each shard.
    #
    # The 0 declares no keys. On a cluster all declared keys must share one slot, but the state's tag and the number's
    # exchange hash to different slots. A script without a shebang may use any slot of its node (script.c,
    # scriptVerifyClusterState). It raises an error for a slot of another node, and then nothing is appended.
    believed = "\n".join(state_values(state).values())
    return elements("EVALSHA", _SHA, 0, keys.state, keys.lease, keys.decisions, believed)


def has_appended(reply: Answer, decision: Decision) -> bool:
    """Return whether `reply` says that Redis appended this very decision."""
    # The link assigns replies to calls by their order alone (`pipe.py`). If a reply were lost or added, each later call
    # would get the reply to another one. Around other questions the state is read, so the link notices it there.
    return reply == decision.id.encode()


def is_unknown(reply: Answer) -> bool:
    """Return whether Redis does not have the script."""
    # Redis does not persist its script cache, so a restarted server and a promoted replica lack the script (Redis
    # documentation, "Scripting with Lua", script cache).
    return isinstance(reply, Exception) and str(reply).startswith("NOSCRIPT")
