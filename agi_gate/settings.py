"""The settings of the gate, from the environment."""

from pydantic import Field

from compliance.settings import HostPort, Settings


class GateSettings(Settings):
    """The settings of `agi-gate`."""

    metrics_bind: HostPort = Field(
        "127.0.0.1:9573",
        description="Address on which the gate answers `/healthz`, `/readyz` and `/metrics` over HTTP.",
    )
    deadline_ms: float = Field(
        50, ge=5, le=1000, description="Milliseconds that a decision may take; after that the call is blocked."
    )
    peer_ms: float = Field(
        1000,
        ge=50,
        le=30_000,
        description="Milliseconds that a PBX may take to send its request, or its reply.",
    )
    most_conversations: int = Field(
        4000,
        ge=10,
        le=100_000,
        description="AGI connections that one gate process accepts at once; further ones are closed without an answer.",
    )
