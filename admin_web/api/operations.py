"""Every operation of the API, in the order of the OpenAPI document. Routes and scopes come from this table too."""

from admin_web.api import consent_terms, decisions, leads, numbers, overrides, own_lists, queue, reasons, suppression
from admin_web.api.operation import AnyOperation, Stream
from admin_web.api.scrubbing import SCRUB

OPERATIONS: tuple[AnyOperation, ...] = (
    leads.list_leads,
    leads.post_lead,
    leads.put_many,
    leads.get_lead,
    leads.put_lead,
    leads.patch_lead,
    suppression.post_block,
    queue.get_queue,
    queue.post_claim,
    queue.post_outcome,
    queue.post_requeue,
    queue.post_dequeue,
    reasons.get_reason,
    numbers.get_number,
    suppression.post_suppress,
    suppression.post_suppress_many,
    suppression.post_lift,
    own_lists.list_patterns,
    own_lists.get_pattern,
    own_lists.post_pattern,
    own_lists.post_pattern_lift,
    own_lists.list_campaign_lists,
    own_lists.put_campaign_list,
    own_lists.post_to_campaign_list,
    own_lists.post_campaign_list_lift,
    consent_terms.get_terms,
    overrides.list_overrides,
    overrides.post_override,
    overrides.get_override,
    overrides.post_revoke,
    decisions.list_decisions,
    decisions.get_decision,
)

STREAMS: tuple[Stream, ...] = (SCRUB,)
