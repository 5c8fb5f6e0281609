"""Webhooks receive the events that they subscribe to: signed, at least once, and always with the same id."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from admin_web.record.changes import Records, utc_now
from admin_web.record.database import Database
from admin_web.record.models import Webhook, WebhookDelivery
from admin_web.services.leads import add_lead, change_lead
from admin_web.services.overrides import grant_override
from admin_web.services.revocation import revoke_override
from admin_web.services.suppression import lift, suppress, suppress_many
from admin_web.services.webhooks import UnknownWebhook, add_webhook, disable_webhook, try_webhook
from admin_web.settings import AdminSettings
from admin_web.webhooks.events import Event
from admin_web.worker.courier import Courier
from admin_web.worker.deliveries import HELD, RETRY_S, note, take
from admin_web.worker.expiry import record_expiries
from admin_web.worker.retention import forget
from compliance.refusal import Unwritable
from lab.redis import RedisServer
from tests.admin_web.worker.test_worker import Workshop
from tests.support.receiver import Receiver, is_genuine
from tests.support.records import ADMIN, CONSENT, LEAD, NUMBER, OTHER, SUPERVISOR, Clock, rows

OPEN = AdminSettings(webhook_http=True, webhook_private=True)
CLOSED = AdminSettings(webhook_http=True)
EVERY = list(Event)


@asynccontextmanager
async def courier_of(records: Records, settings: AdminSettings = OPEN) -> AsyncIterator[Courier]:
    courier = Courier(records.database, settings, records.now)
    try:
        yield courier
    finally:
        await courier.close()


async def round_of(courier: Courier) -> None:
    """Start the deliveries that are due, and wait until they have ended."""
    await courier.step()
    await asyncio.gather(*list(courier._rounds.values()))


async def deliveries(records: Records) -> list[WebhookDelivery]:
    return await rows(records, WebhookDelivery)


async def test_each_change_is_told_once_with_what_it_did(records: Records):
    async with Receiver() as receiver, courier_of(records) as courier:
        await add_webhook(records, ADMIN, OPEN, receiver.url, EVERY)
        await add_lead(records, ADMIN, LEAD, NUMBER)
        await suppress(records, SUPERVISOR, NUMBER, source="call")
        await suppress(records, SUPERVISOR, NUMBER, source="call")
        await suppress_many(records, ADMIN, [NUMBER, OTHER], source="import")
        granted = await grant_override(records, SUPERVISOR, CONSENT)
        await revoke_override(records, ADMIN, granted.override_id, reason="they called us")
        await revoke_override(records, ADMIN, granted.override_id, reason="again")
        await lift(records, ADMIN, OTHER, reason="a mistake")
        await round_of(courier)
    told = {event["type"]: event["data"] for event in receiver.events}
    assert sorted(event["type"] for event in receiver.events) == ["lift", "override", "revoke", "suppress", "suppress"]
    assert told["revoke"] == {
        "override": granted.override_id, "lead": LEAD, "number": NUMBER, "reason": "they called us", "by": "admin",
    }  # fmt: skip
    assert told["lift"] == {"list": "internal", "numbers": [OTHER], "reason": "a mistake", "by": "admin"}
    assert told["override"]["expires_at"] == "2027-03-01T12:00:00Z"
    numbers = [event["data"]["numbers"] for event in receiver.events if event["type"] == "suppress"]
    assert sorted(numbers) == [[NUMBER], [OTHER]]


async def test_a_number_that_changes_tells_of_the_override_that_ends_with_it(records: Records):
    await add_webhook(records, ADMIN, OPEN, "http://127.0.0.1:9/", [Event.REVOKE])
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await suppress(records, SUPERVISOR, NUMBER, source="call")
    await grant_override(records, SUPERVISOR, CONSENT)
    await change_lead(records, ADMIN, LEAD, number=OTHER)
    assert [one.event for one in await deliveries(records)] == ["revoke"]


async def test_a_webhook_is_told_only_what_it_asked_for_and_only_while_it_is_on(records: Records):
    lifts, _ = await add_webhook(records, ADMIN, OPEN, "http://127.0.0.1:9/a", [Event.LIFT])
    off, _ = await add_webhook(records, ADMIN, OPEN, "http://127.0.0.1:9/b", EVERY)
    await suppress(records, ADMIN, NUMBER, source="call")
    assert await disable_webhook(records, ADMIN, off)
    assert not await disable_webhook(records, ADMIN, off)
    await lift(records, ADMIN, NUMBER, reason="a mistake")
    told = [(one.webhook_id, one.event, one.given_up_at is None) for one in await deliveries(records)]
    assert told == [(off, "suppress", False), (lifts, "lift", True)]
    with pytest.raises(UnknownWebhook):
        await try_webhook(records, ADMIN, off)


async def test_a_change_that_is_not_committed_tells_nobody(records: Records):
    await add_webhook(records, ADMIN, OPEN, "http://127.0.0.1:9/", EVERY)
    with pytest.raises(RuntimeError, match="power cut"):
        async with records.change(ADMIN) as change:
            change.notify(Event.SUPPRESS, numbers=[NUMBER])
            raise RuntimeError("power cut")
    assert await deliveries(records) == []


async def test_the_signature_proves_sender_moment_and_body(records: Records, clock: Clock):
    async with Receiver() as receiver, courier_of(records) as courier:
        _, secret = await add_webhook(records, ADMIN, OPEN, receiver.url, EVERY)
        await suppress(records, ADMIN, NUMBER, source="call", note="naïve – “ünïcode”")
        await round_of(courier)
    ((headers, body),) = receiver.got
    now = clock.at.timestamp()
    assert is_genuine(secret, headers, body, now)
    assert not is_genuine(secret, headers, body.replace(b"+1415", b"+1416"), now)
    assert not is_genuine(secret, {**headers, "webhook-id": "evt-another"}, body, now)
    assert not is_genuine(secret, {**headers, "webhook-timestamp": str(int(now) + 1)}, body, now)
    assert not is_genuine(secret, headers, body, now + 301)
    assert not is_genuine("whsec_" + "A" * 43 + "=", headers, body, now)
    assert headers["content-type"] == "application/json"


async def test_the_secret_is_in_no_audit_event(records: Records):
    _, secret = await add_webhook(records, ADMIN, OPEN, "http://127.0.0.1:9/", EVERY)
    async with records.database.read() as session:
        (audit,) = await session.scalars(text("SELECT particulars FROM audit_events"))
    assert secret not in str(audit)


async def test_what_is_not_taken_is_sent_again_later_and_later_and_given_up_after_a_day(records: Records, clock: Clock):
    async with Receiver(answer=lambda _: 500) as receiver, courier_of(records) as courier:
        await add_webhook(records, ADMIN, OPEN, receiver.url, EVERY)
        await suppress(records, ADMIN, NUMBER, source="call")
        began = clock.at
        for wait_s in RETRY_S:
            await round_of(courier)
            (one,) = await deliveries(records)
            assert one.due_at == clock.at + timedelta(seconds=wait_s)
            clock.move(seconds=wait_s - 1)
            await round_of(courier)
            assert (await deliveries(records))[0].attempts == one.attempts
            clock.move(seconds=1)
        await round_of(courier)
        (one,) = await deliveries(records)
        assert (one.given_up_at, one.last_error) == (clock.at, "It answered 500.")
        assert timedelta(hours=20) < clock.at - began <= timedelta(hours=24)
        clock.move(days=1)
        await round_of(courier)
    assert len(receiver.got) == len(RETRY_S) + 1
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len({headers["webhook-signature"] for headers, _ in receiver.got}) == len(receiver.got)


async def test_a_receiver_that_is_down_is_told_when_it_is_back(records: Records, clock: Clock):
    async with courier_of(records) as courier:
        async with Receiver() as receiver:
            url = receiver.url
        await add_webhook(records, ADMIN, OPEN, url, EVERY)
        await suppress(records, ADMIN, NUMBER, source="call")
        await round_of(courier)
        assert "Connect" in (await deliveries(records))[0].last_error
        async with Receiver() as back:
            async with records.database.write() as session:
                await session.execute(update(Webhook).values(url=back.url))
            clock.move(seconds=RETRY_S[0])
            await round_of(courier)
    assert len(back.got) == 1
    assert (await deliveries(records))[0].delivered_at == clock.at


async def test_a_redirect_is_not_followed(records: Records):
    async with Receiver(answer=lambda _: 307) as receiver, courier_of(records) as courier:
        await add_webhook(records, ADMIN, OPEN, receiver.url, EVERY)
        await suppress(records, ADMIN, NUMBER, source="call")
        await round_of(courier)
    assert len(receiver.got) == 1
    assert (await deliveries(records))[0].last_error == "It answered 307."


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"])
async def test_what_is_within_this_network_is_not_connected_to(records: Records, host: str):
    """The address is checked at each connection: a name that was harmless when it was saved can change."""
    async with Receiver() as receiver, courier_of(records, CLOSED) as courier:
        async with records.database.write() as session:
            session.add(
                Webhook(
                    url=f"http://{host}:{receiver.port}/", secret="whsec_" + "A" * 43 + "=", events=["lift"],
                    created_at=records.now(), created_by="admin",
                )
            )  # fmt: skip
        await try_webhook(records, ADMIN, 1)
        await round_of(courier)
    assert receiver.got == []
    assert (await deliveries(records))[0].last_error != ""
    assert (await deliveries(records))[0].attempts == 1


async def test_a_dead_receiver_holds_up_nobody_else(records: Records):
    async with Receiver(delay_s=30) as dead, Receiver() as well, courier_of(records) as courier:
        await add_webhook(records, ADMIN, OPEN, dead.url, EVERY)
        await add_webhook(records, ADMIN, OPEN, well.url, EVERY)
        for line in range(25):
            await suppress(records, ADMIN, f"+1415555{line:04}", source="call")
        began = time.monotonic()
        while len(well.got) < 25:
            await courier.step()
            await asyncio.sleep(0.01)
            assert time.monotonic() - began < 25  # The slow receiver answers after 30 seconds.
        assert len(dead.got) <= 10


async def test_two_senders_share_the_deliveries_out(records: Records):
    webhook, _ = await add_webhook(records, ADMIN, OPEN, "http://127.0.0.1:9/", EVERY)
    for line in range(25):
        await suppress(records, ADMIN, f"+1415555{line:04}", source="call")
    taken = await asyncio.gather(*(take(records.database, webhook, records.now()) for _ in range(4)))
    ids = [one.id for some in taken for one in some]
    assert len(ids) == len(set(ids)) == 25


async def test_a_sender_that_died_loses_nothing_and_one_that_was_slow_overwrites_nothing(
    records: Records, clock: Clock
):
    async with Receiver() as receiver, courier_of(records) as courier:
        webhook, _ = await add_webhook(records, ADMIN, OPEN, receiver.url, EVERY)
        await suppress(records, ADMIN, NUMBER, source="call")
        assert len(await take(records.database, webhook, clock.at)) == 1  # The sender dies here.
        await round_of(courier)
        assert receiver.got == []
        clock.move(seconds=HELD.total_seconds())
        await round_of(courier)
    assert len(receiver.got) == 1
    (one,) = await deliveries(records)
    assert (one.attempts, one.delivered_at) == (2, clock.at)


async def test_a_sender_that_was_held_up_does_not_speak_for_the_one_that_took_over(records: Records, clock: Clock):
    webhook, _ = await add_webhook(records, ADMIN, OPEN, "http://127.0.0.1:9/", EVERY)
    await suppress(records, ADMIN, NUMBER, source="call")
    (slow,) = await take(records.database, webhook, clock.at)
    clock.move(seconds=HELD.total_seconds())
    (again,) = await take(records.database, webhook, clock.at)
    await note(records.database, [(slow, "")], clock.at)
    (one,) = await deliveries(records)
    assert (one.delivered_at, one.due_at) == (None, clock.at + HELD), "the second attempt is still under way"
    await note(records.database, [(again, "")], clock.at)
    await note(records.database, [(again, "It answered 500.")], clock.at)
    (one,) = await deliveries(records)
    assert (one.delivered_at, one.last_error) == (clock.at, "")


async def test_the_end_of_an_override_is_told_once_however_often_it_is_looked_for(records: Records, clock: Clock):
    await add_webhook(records, ADMIN, OPEN, "http://127.0.0.1:9/", [Event.EXPIRY])
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await suppress(records, ADMIN, NUMBER, source="call")
    granted = await grant_override(records, SUPERVISOR, CONSENT)
    clock.at = granted.expires_at - timedelta(seconds=1)
    await record_expiries(records, utc_now() + timedelta(days=1000))
    assert await deliveries(records) == []
    clock.move(seconds=1)
    for _ in range(3):
        await record_expiries(records, utc_now() + timedelta(days=1000))
    (told,) = await deliveries(records)
    assert (told.event, told.body["data"]["override"], told.body["data"]["number"]) == ("expiry", 1, NUMBER)


async def test_deliveries_are_forgotten_after_thirty_days(records: Records, clock: Clock):
    await add_webhook(records, ADMIN, OPEN, "http://127.0.0.1:9/", EVERY)
    await suppress(records, ADMIN, NUMBER, source="call")
    await forget(records.database, clock.at + timedelta(days=30))
    assert len(await deliveries(records)) == 1
    assert await forget(records.database, clock.at + timedelta(days=30, seconds=1)) == 1
    assert await deliveries(records) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.com/", "DNC_WEBHOOK_HTTP"),
        ("ftp://example.com/", "https://HOST/PATH"),
        ("nonsense", "https://HOST/PATH"),
        ("https://", "https://HOST/PATH"),
        ("https://example.com:99999/", "not a URL"),
        ("https://user:secret@example.com/", "Leave user"),
        ("https://example.com/#part", "Leave user"),
        ("https://127.0.0.1/", "DNC_WEBHOOK_PRIVATE"),
        ("https://10.1.2.3/", "DNC_WEBHOOK_PRIVATE"),
        ("https://169.254.169.254/latest/meta-data", "DNC_WEBHOOK_PRIVATE"),
        ("https://[::ffff:10.0.0.1]/", "DNC_WEBHOOK_PRIVATE"),
        ("https://[64:ff9b::a00:1]/", "DNC_WEBHOOK_PRIVATE"),
        ("https://LOCALHOST./", "DNC_WEBHOOK_PRIVATE"),
        ("https://example.com/" + "a" * 2000, "longer than"),
    ],
)
async def test_an_address_that_cannot_be_is_refused_with_what_to_do(records: Records, url: str, said: str):
    with pytest.raises(Unwritable, match=said):
        await add_webhook(records, ADMIN, AdminSettings(), url, EVERY)


@pytest.fixture
async def shop(
    database: Database, database_url: str, redis_server: RedisServer, short_path: Path
) -> AsyncIterator[Workshop]:
    async with Workshop(database, redis_server, database_url, short_path) as shop:
        yield shop
        for worker in shop.workers:
            worker.stop()


async def test_a_worker_that_is_killed_and_started_again_delivers_everything(shop: Workshop):
    settings = {"DNC_WEBHOOK_HTTP": "true", "DNC_WEBHOOK_PRIVATE": "true"}
    async with Receiver(delay_s=0.05) as receiver:
        await add_webhook(shop.records, ADMIN, OPEN, receiver.url, EVERY)
        for line in range(60):
            await shop.suppress(f"+1415555{line:04}")
        worker = shop.start(**settings)
        await receiver.until(12)
        worker.kill()
        async with shop.database.write() as session:  # A minute passes.
            waiting = update(WebhookDelivery).where(WebhookDelivery.delivered_at.is_(None))
            await session.execute(waiting.values(due_at=utc_now()))
        shop.start(**settings)
        deadline = time.monotonic() + 60
        while any(one.delivered_at is None for one in await deliveries(shop.records)):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    numbers = {event["data"]["numbers"][0] for event in receiver.events}
    ids = {headers["webhook-id"] for headers, _ in receiver.got}
    assert len(numbers) == len(ids) == 60
