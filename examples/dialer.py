"""A small dialer: claim a lead, ring an agent, dial the lead through the gate, and report how the call ended.

    SITE=https://dnc.example.com TOKEN=dnc_... AMI_SECRET=... python examples/dialer.py --agent alice --campaign spring

It needs Python 3.11 and aiohttp, a token with the scopes `dial` and `read`, a user of Asterisk's manager interface that
may originate calls, and the context `dnc-click-to-call` of `dialplan/extensions_dnc_sample.conf`. The site must read
the PBX's call-detail records (`DNC_CDR_FILE`), because they say how each call ended.
"""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

import aiohttp

Json = dict[str, Any]

OUTCOMES = ("no-answer", "call-back", "sale", "not-interested", "wrong-number", "do-not-call")
LEASE_S = 600
RING_S = 20
POLL_S = 1.0
TRIES = 5


class Api:
    """The REST API of the site."""

    def __init__(self, site: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._session = aiohttp.ClientSession(f"{site.rstrip('/')}/api/v1/", headers=headers)

    async def get(self, path: str, **query: str) -> Json:
        """Return the answer to a GET. Raises ClientError."""
        async with self._session.get(path, params=query, raise_for_status=True) as answer:
            return dict(await answer.json())

    async def post(self, path: str, **body: object) -> Json:
        """Send a write, and return its answer. Raises ClientError.

        Each attempt has the same idempotency key, so that the site makes the change once.
        """
        key = secrets.token_hex(16)
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._session.post(path, json=body, headers={"Idempotency-Key": key}) as answer:
                    if answer.status < 500 or attempt == TRIES:
                        answer.raise_for_status()
                        return dict(await answer.json())
            except aiohttp.ClientConnectionError:
                if attempt == TRIES:
                    raise
            await asyncio.sleep(attempt)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()


class Ami:
    """One connection to Asterisk's manager interface, for one action at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def log_in(cls, address: str, user: str, secret: str) -> Self:
        """Connect and log in. Raises OSError, ConnectionError."""
        host, _, port = address.rpartition(":")
        ami = cls(*await asyncio.open_connection(host, int(port)))
        await ami._reader.readline()
        answer = await ami._ask([("Action", "Login"), ("Username", user), ("Secret", secret), ("Events", "call")], "")
        if answer.get("Response") != "Success":
            raise ConnectionError(f"the PBX refuses the login: {answer.get('Message')}")
        return ami

    async def originate(self, channel: str, unique_id: str, number: str, variables: Mapping[str, str]) -> bool:
        """Ring a telephone, and dial the number when it is picked up. Return whether it was picked up."""
        action = [
            ("Action", "Originate"),
            ("Channel", channel),
            ("ChannelId", unique_id),
            ("OtherChannelId", f"{unique_id}-2"),
            ("Context", "dnc-click-to-call"),
            ("Exten", number),
            ("Priority", "1"),
            ("Timeout", str(RING_S * 1000)),
            ("Async", "true"),
            *(("Variable", f"{name}={value}") for name, value in variables.items()),
        ]
        answer = await self._ask(action, "OriginateResponse")
        return answer.get("Response") == "Success"

    async def _ask(self, action: Sequence[tuple[str, str]], event: str) -> dict[str, str]:
        """Send an action. Return the event that ends it, or the response if it failed or `event` is empty."""
        own = secrets.token_hex(8)
        lines = [f"{name}: {value}" for name, value in (*action, ("ActionID", own))]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a value for the PBX has a line break")
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        while True:
            message = await self._message()
            if message.get("ActionID") != own:
                continue
            if message.get("Event") == event or (
                "Response" in message and "Event" not in message and (not event or message["Response"] != "Success")
            ):
                return message

    async def _message(self) -> dict[str, str]:
        block = await self._reader.readuntil(b"\r\n\r\n")
        pairs = (line.partition(": ") for line in block.decode(errors="replace").split("\r\n"))
        return {name: value for name, colon, value in pairs if colon}

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def how_it_ended(api: Api, lead: str, unique_id: str) -> Json | None:
    """Return the gate's decision about the call, once the call has ended; None if that takes longer than the lease."""
    try:
        async with asyncio.timeout(LEASE_S):
            while True:
                found = await api.get("decisions", lead=lead, limit="10")
                for decision in found["items"]:
                    if decision["channel"] == unique_id and (decision["verdict"] == "BLOCK" or decision["outcome"]):
                        return Json(decision)
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return None


async def ask_agent() -> str:
    """Ask the agent at the terminal for the outcome of an answered call."""
    while True:
        said = (await asyncio.to_thread(input, f"How did the call end ({', '.join(OUTCOMES)})? ")).strip()
        if said in OUTCOMES:
            return said


async def call(api: Api, ami: Ami, lead: Json, asked: argparse.Namespace) -> bool:
    """Call one lead, and report the outcome. Return whether the agent picked up."""
    unique_id = f"dialer-{secrets.token_hex(12)}"
    variables = {"DNC_CALL_LEAD": lead["lead"], "DNC_CALL_AGENT": asked.agent, "__DNC_CAMPAIGN": asked.campaign}
    channel = asked.channel or f"PJSIP/{asked.agent}"
    if not await ami.originate(channel, unique_id, lead["number"], variables):
        await api.post(f"leads/{lead['lead']}/requeue")
        print(f"{channel} was not picked up; {lead['lead']} is back in the queue", flush=True)
        return False
    decision = await how_it_ended(api, lead["lead"], unique_id)
    if decision is None or decision["verdict"] == "BLOCK":
        # The lead stays claimed until the lease ends. After that the queue judges it again.
        print(f"{lead['lead']}: {decision['reason'] if decision else 'no record of the call'}", flush=True)
        return True
    outcome = "no-answer"
    if decision["outcome"]["disposition"] == "ANSWERED":
        outcome = asked.answered or await ask_agent()
    done = await api.post(f"leads/{lead['lead']}/outcome", outcome=outcome, decision=decision["decision"])
    in_force = "" if done["in_force"] else f" (recorded, not yet in force: {done['why_not']})"
    print(f"{lead['lead']}: {outcome}{in_force}", flush=True)
    return True


async def dial(asked: argparse.Namespace) -> None:
    """Call leads of the queue until `--calls` are placed, the queue is empty or the agent does not pick up."""
    ami = await Ami.log_in(asked.ami, asked.user, os.environ["AMI_SECRET"])
    try:
        async with Api(os.environ["SITE"], os.environ["TOKEN"]) as api:
            placed, after = 0, ""
            while not asked.calls or placed < asked.calls:
                claimed = await api.post("queue/claim", lease_s=LEASE_S, after=after)
                after = claimed["next"]
                if claimed["item"] is not None:
                    placed += 1
                    if not await call(api, ami, claimed["item"], asked):
                        return
                elif not after:
                    print("the queue is empty", flush=True)
                    return
    finally:
        ami.close()


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Call the leads of the dial queue.")
    parser.add_argument("--agent", required=True, help="the agent: a name for the record")
    parser.add_argument("--channel", default="", help="the agent's telephone; PJSIP/AGENT if left out")
    parser.add_argument("--campaign", default="", help="the campaign of the calls")
    parser.add_argument("--ami", default="127.0.0.1:5038", help="address of the manager interface")
    parser.add_argument("--user", default="dnc-gate", help="user of the manager interface")
    parser.add_argument("--calls", type=int, default=0, help="number of calls; 0 for all")
    parser.add_argument("--answered", choices=OUTCOMES, help="outcome of answered calls; without it the agent is asked")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(dial(arguments()))
    except KeyError as missing:
        sys.exit(f"dialer: set {missing.args[0]} in the environment")
    except (OSError, ValueError, asyncio.IncompleteReadError, aiohttp.ClientError) as error:
        sys.exit(f"dialer: {error}")
