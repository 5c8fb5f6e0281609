"""The common call in one round trip: the decision is made on facts that are foreseen, and recorded if they hold.

Most numbers are on no list. The gate judges a call as if this one were on none, and sends Redis what it counted on
together with the decision. Redis compares and appends in one step, which no change can come between. It appends
nothing when anything is otherwise: then the call is judged anew on facts that were asked for.
"""

import hashlib
from functools import lru_cache

from agi_gate.store.asking import Question, question
from agi_gate.store.wire import Answer, Command
from compliance.facts import Facts, State
from compliance.redis_schema import (
    DECISION_FIELDS,
    STATE_FIELDS,
    WHOLE,
    Keys,
    decision_values,
    exchange_and_line,
    listed_key,
    state_values,
)
from compliance.verdict import Decision

_FIRST_FIELD = 7
_CAMPAIGN = _FIRST_FIELD + len(DECISION_FIELDS)
_FIRST_LIST = _CAMPAIGN + 1
_FIELDS = ", ".join(f"'{name}', ARGV[{at}]" for at, name in enumerate(DECISION_FIELDS, _FIRST_FIELD))

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
"""Compare and append. A field of the state that is missing is an error, and so nothing is appended."""

_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

LOAD: Command = ("SCRIPT", "LOAD", SCRIPT)


def append_if(facts: Facts, state: State, decision: Decision, keys: Keys = WHOLE) -> Question:
    """Spell the question that appends `decision` if `facts`, with `state`, are so and no list has the number.

    On a shard of a cluster the mark of the number's slot must be that of the state, too.
    """
    exchange, line = exchange_and_line(facts.number)
    lists = facts.applying.lists if facts.applying else ()
    listed = [listed_key(state.generation, name, exchange) for name in lists]
    mark = keys.mark(state.generation, facts.number)
    command: Command = (
        *("EVALSHA", _SHA, 0, keys.state, keys.lease, keys.decisions, _believed(state), line, mark),
        *(*decision_values(decision), decision.campaign),
        *listed,
    )
    return question(command, to_replicas=True, alone=True)


@lru_cache(maxsize=64)
def _believed(state: State) -> str:
    """Spell the state as the script reads it."""
    return "\n".join(state_values(state).values())


def is_unknown(reply: Answer) -> bool:
    """Tell whether Redis does not have the script: it is a new one, or has restarted."""
    return isinstance(reply, Exception) and str(reply).startswith("NOSCRIPT")
