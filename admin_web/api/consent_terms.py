"""What an override needs, over the API: the statement to confirm, and what each basis of consent opens."""

from admin_web.api.operation import ApiCall, Arguments, Result, operation
from admin_web.people.tokens import Scope
from compliance.consent import ATTESTATION, Basis
from compliance.consent_rules import Origin, Tie


class GetConsentTerms(Arguments):
    """No arguments."""


class ConsentTerms(Result):
    """What an override needs: the statement to confirm word for word, the possible bases, and a document.

    `largest_document` is its maximum size in bytes. `lifts` says what each basis opens under the policy of the
    installation, `months` how long an existing relationship lasts, if the policy limits it.
    """

    attestation: str
    bases: list[Basis]
    largest_document: int
    policy: str
    lifts: dict[Basis, list[Origin]]
    months: dict[Tie, int]


@operation("get-consent-terms", "GET", "/consent-terms", Scope.OVERRIDE)
async def get_terms(call: ApiCall, _: GetConsentTerms) -> ConsentTerms:
    """Return the statement that an override must confirm, and the possible bases of consent."""
    policy = call.records.rules.policy
    return ConsentTerms(
        attestation=ATTESTATION,
        bases=list(Basis),
        largest_document=call.settings.document_bytes,
        policy=policy.name,
        lifts={basis: sorted(origins) for basis, origins in policy.lifts.items()},
        months=dict(policy.months),
    )
