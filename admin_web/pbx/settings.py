"""Settings of the PBX: its manager interface, how agents are rung, and its call-detail records."""

from typing import Annotated

from pydantic import AfterValidator, Field

from compliance.separated import between_commas
from compliance.settings import Settings, host_port, text_like

AGENT = "{agent}"


def _template(written: str) -> str:
    if written.count(AGENT) != 1 or not written.isprintable() or not written.isascii():
        raise ValueError(f"write {AGENT} exactly once, where the agent's extension belongs, as in PJSIP/{AGENT}")
    return written


def _ami_address(address: str) -> str:
    return host_port(address, "127.0.0.1:5038") if address else address


class PbxSettings(Settings):
    """The settings for click-to-call, for hanging up calls, and for call-detail records."""

    ami_address: Annotated[str, AfterValidator(_ami_address)] = Field(
        "",
        description="Manager interface (AMI) of the PBX, HOST:PORT; empty: no click-to-call, and no call is hung up.",
    )
    ami_user: Annotated[
        str, text_like(r"[!-~]{1,80}", "write 1 to 80 characters of ASCII without spaces, such as dnc-gate")
    ] = Field("dnc-gate", description="User of the manager interface.")
    ami_secret: Annotated[str, text_like(r"[ -~]{0,200}", "write one line of at most 200 characters of ASCII")] = Field(
        "", repr=False, description="Password of that user."
    )
    agent_channel: Annotated[str, AfterValidator(_template)] = Field(
        f"PJSIP/{AGENT}", description=f"How the PBX rings an agent; `{AGENT}` stands for the agent's extension."
    )
    call_context: Annotated[
        str, text_like(r"[A-Za-z0-9_-]{1,79}", "write 1 to 79 letters, digits, dashes and underscores")
    ] = Field(
        "dnc-click-to-call",
        description="Dialplan context that screens and dials the numbers that agents click.",
    )
    ring_s: int = Field(20, ge=3, le=120, description="Seconds for which an agent's telephone rings.")
    hang_up_on_revocation: bool = Field(
        False, description="Whether calls under an override are hung up when it is revoked."
    )
    cdr_file: str = Field(
        "",
        description="CSV file of call-detail records that the PBX writes (dialplan/cdr_custom.conf); empty: not read.",
    )
    trunk_channels: str = Field(
        "PJSIP/trunk-*",
        min_length=1,
        description="Patterns, with `*` and `?`, of the channels that lead out of the PBX, separated by commas.",
    )

    @property
    def trunks(self) -> tuple[str, ...]:
        """The patterns of `trunk_channels` as a tuple."""
        return between_commas(self.trunk_channels)
