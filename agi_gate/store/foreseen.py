"""The common call in one round trip: judged on assumed facts, and recorded only if Redis confirms them.

Most numbers are on no list. The gate judges the call as if its number were on none, and sends Redis the decision with
everything it assumed. A script in Redis compares and appends in one step. If anything differs it appends nothing, and
the gate judges the call again on facts that it reads.
"""

import hashlib
from functools import lru_cache

from agi_gate.store.questions import Question, question
from agi_gate.store.wire import Answer, Command
from compliance.facts import Facts, State
from compliance.redis_records import DECISION_FIELDS, decision_values
from compliance.redis_schema import STATE_FIELDS, WHOLE, Keys, exchange_and_line, listed_key, state_values
from compliance.verdict import Decision

_FIRST_FIELD = 7
_CAMPAIGN = _FIRST_FIELD + len(DECISION_FIELDS)
_FIRST_LIST = _CAMPAIGN + 1
_FIELDS = ", ".join(f"'{name}', ARGV[{at}]" for at, name in enumerate(DECISION_FIELDS, _FIRST_FIELD))

# Redis runs a script without any other command in between (Redis documentation, "Scripting with Lua", atomic
# execution). So no change comes between the comparison and the record: a block that was acknowledged before is seen.
# Exact comparison of strings: the state is one build on one server with one count of changes, or it is another.
SCRIPT = f"""
local state = redis.call('HMGET', ARGV[1], {", ".join(f"'{name}'" for name in STATE_FIELDS)})
if table.concat(state, '\\n') ~= ARGV[4] then return 0 end
if redis.call('EXISTS', ARGV[2]) == 0 then return 0 end
if ARGV[6] ~= '' and redis.call('GET', ARGV[6]) ~= state[{STATE_FIELDS.index("incarnation") + 1}] then return 0 end
for i = {_FIRST_LIST}, #ARGV do
  if redis.call('SISMEMBER', ARGV[i], ARGV[5]) ~= 0 then return 0 end
end
if ARGV[{_CAMPAIGN}] == '' then return redis.call('XADD', ARGV[3], '*', {_FIELDS}) end
return redis.call('XADD', ARGV[3], '*', {_FIELDS}, 'campaign', ARGV[{_CAMPAIGN}])
"""
"""Compare and append; return the entry's id, or 0 if anything differs.

A missing field of the state comes as false (Redis documentation, "Lua API", conversion of null). `table.concat` raises
an error for it, and so nothing is appended.
"""

_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

LOAD: Command = ("SCRIPT", "LOAD", SCRIPT)


def append_if(facts: Facts, state: State, decision: Decision, keys: Keys = WHOLE) -> Question:
    """Return the question that appends `decision` if Redis has `state` and a lease, and no list has the number.

    On a shard of a cluster the mark of the number's slot must name the incarnation of `state`, too.
    """
    exchange, line = exchange_and_line(facts.number)
    lists = facts.applying.lists if facts.applying else ()
    listed = [listed_key(state.generation, name, exchange) for name in lists]
    mark = keys.mark(state.generation, facts.number)
    # No key is declared (the 0). On a cluster declared keys must share one slot, and the state's tag and the number's
    # exchange hash to different ones. A script without a shebang may use any slot of its node (script.c,
    # scriptVerifyClusterState) and fails at one of another node, which reads as "not appended".
    command: Command = (
        *("EVALSHA", _SHA, 0, keys.state, keys.lease, keys.decisions, _believed(state), line, mark),
        *(*decision_values(decision), decision.campaign),
        *listed,
    )
    return question(command, to_replicas=True, self_checking=True)


@lru_cache(maxsize=64)
def _believed(state: State) -> str:
    """Return the state as the script compares it."""
    # Cached: the state is the same for every call until a change comes; a cluster has one for each shard.
    return "\n".join(state_values(state).values())


def is_unknown(reply: Answer) -> bool:
    """Return whether Redis does not have the script."""
    # The script cache is not persisted: a restarted server and a promoted replica do not have it (Redis documentation,
    # "Scripting with Lua", script cache).
    return isinstance(reply, Exception) and str(reply).startswith("NOSCRIPT")
