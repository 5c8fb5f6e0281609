"""A variable that looks like a setting and is none is said, with the nearest setting and without its value."""

from pathlib import Path

import pytest

from admin_web.settings import AdminSettings
from agi_gate.settings import GateSettings
from compliance.setting_names import NAMES, unknown_settings

SECRET = "redis://:hunter2@redis/0"


def said(tmp_path: Path, env_file: str | bytes = "", **environment: str) -> list[str]:
    path = tmp_path / ".env"
    if env_file:
        path.write_bytes(env_file if isinstance(env_file, bytes) else env_file.encode())
    found = list(unknown_settings(environment, path))
    assert not any("hunter2" in line for line in found)
    return [line.replace(str(path), ".env") for line in found]


def test_the_names_are_those_of_the_gate_and_of_the_site():
    assert GateSettings.model_fields.keys() | AdminSettings.model_fields.keys() == NAMES


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("DNC_REDIS_URI", "DNC_REDIS_URL"),
        ("DNC_REDISURL", "DNC_REDIS_URL"),
        ("dnc_redis_ulr", "DNC_REDIS_URL"),
        ("DNC_DEADLINE", "DNC_DEADLINE_MS"),
        ("DNC_AMI_SECRET_FIEL", "DNC_AMI_SECRET_FILE"),
        ("DNC_REDIS_URL_FILE_", "DNC_REDIS_URL_FILE"),
        ("DNC_LEASES_S", "DNC_LEASE_S"),
    ],
)
def test_a_misspelt_variable_is_said_with_the_setting_that_it_resembles(tmp_path, name, nearest):
    expected = f"is no setting and is ignored; did you mean {nearest}?"
    assert said(tmp_path, **{name: SECRET}) == [f"{name} {expected}"]
    if not nearest.endswith("_FILE"):
        assert said(tmp_path, f"{name}={SECRET}\n") == [f"{name} in .env {expected}"]


@pytest.mark.parametrize("name", ["DNC_Q7", "DNC_XYZZY_XYZZY"])
def test_a_variable_that_resembles_none_is_said_all_the_same(tmp_path, name):
    assert said(tmp_path, **{name: SECRET}) == [f"{name} is no setting and is ignored"]


def test_settings_in_any_case_files_of_settings_and_other_variables_are_said_nothing_of(tmp_path):
    known = {"DNC_REDIS_URL": SECRET, "dnc_region": "US", "DNC_AMI_SECRET_FILE": "x", "DNC_LAB_CACHE": "x", "PATH": "x"}
    env_file = (
        f"# DNC_REDIS_URI={SECRET}\nDNC_REDIS_URL={SECRET}\nexport DNC_REGION=US\n\n  dnc_prefix = 9\nOTHER_DNC_X=1\n"
    )
    assert said(tmp_path, env_file, **known) == []


def test_a_file_of_a_setting_is_read_only_from_the_environment(tmp_path):
    expected = ["DNC_REDIS_URL_FILE in .env is ignored: set it as a variable of the environment"]
    assert said(tmp_path, "DNC_REDIS_URL_FILE=/run/secrets/redis\n") == expected


def test_an_env_file_that_is_no_text_or_no_file_stops_nothing(tmp_path):
    assert said(tmp_path, b"\xff\xfe\nDNC_REDIS_URI=\xff\n") == [
        "DNC_REDIS_URI in .env is no setting and is ignored; did you mean DNC_REDIS_URL?"
    ]
    assert list(unknown_settings({}, tmp_path)) == []
