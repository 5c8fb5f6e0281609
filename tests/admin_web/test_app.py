"""The site's health for a process supervisor: alive, ready, or why it is not."""

from aiohttp.test_utils import TestClient, TestServer

from admin_web.app import make_app
from admin_web.settings import AdminSettings


async def asked(settings: AdminSettings, path: str) -> tuple[int, str]:
    async with TestClient(TestServer(make_app(settings))) as client:
        answer = await client.get(path)
        return answer.status, await answer.text()


async def test_a_site_over_a_migrated_database_is_ready(database_url: str):
    settings = AdminSettings(database_url=database_url)
    assert await asked(settings, "/healthz") == (200, "alive\n")
    assert await asked(settings, "/readyz") == (200, "ready\n")


async def test_a_site_without_its_tables_lives_and_says_what_to_run(tmp_path):
    settings = AdminSettings(database_url=f"sqlite:///{tmp_path}/empty.sqlite3")
    assert (await asked(settings, "/healthz"))[0] == 200
    status, said = await asked(settings, "/readyz")
    assert status == 503
    assert said.count("\n") == 1
    assert str(tmp_path) not in said, "strangers can ask"


async def test_readyz_says_which_instance_answers_if_one_is_set(database_url: str):
    for settings, instance in [(AdminSettings(instance="abc-1"), "abc-1"), (AdminSettings(), None)]:
        async with TestClient(
            TestServer(make_app(settings.model_copy(update={"database_url": database_url})))
        ) as client:
            assert (await client.get("/readyz")).headers.get("DNC-Instance") == instance
