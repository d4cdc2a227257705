"""Settings: file, environment, command line; what is wrong is named with the next step, values are not repeated."""

import json
import os
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import settings as settings_module
from gateway.checks import find_problems
from gateway.settings import DEFAULT_LIMITS, ConfigError, RateLimit, Settings, describe_keys, load
from gateway.storage.backends import make_backend

GOOD = {
    "public_host": "gateway.bank.example",
    "hsm": "software:file=/k/keys.tessera?key-source=file:/run/key",
}


def keys_of(problems: list[object]) -> set[str]:
    return {problem.key for problem in problems}  # type: ignore[attr-defined]


def test_defaults_are_good_and_on_loopback() -> None:
    settings = load(None, {})
    assert settings.listen_host == "127.0.0.1"
    assert not settings.production
    assert find_problems(settings) == []
    assert settings.resolved_database_url == "sqlite:///var/tessera.db"
    assert settings.origin == "http://localhost:8080"


def test_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    file = tmp_path / "tessera.toml"
    file.write_text("listen_port = 1001\nrotation_s = 20\n[limits.guess]\nquota = 3\nwindow_s = 60\n")
    settings = load(file, {"TESSERA_LISTEN_PORT": "1002"}, production=True, demo=None)
    assert (settings.listen_port, settings.rotation_s, settings.production) == (1002, 20, True)
    assert settings.all_limits()["guess"] == RateLimit(3, 60)
    assert settings.all_limits()["start"] == DEFAULT_LIMITS["start"]
    assert settings.public_host == "localhost:1002"


def test_environment_has_every_type() -> None:
    settings = load(
        None,
        {
            "TESSERA_CORS_ORIGINS": "https://a.example, https://b.example",
            "TESSERA_SUITES": "hybrid",
            "TESSERA_PRODUCTION": "true",
            "TESSERA_LIMITS": json.dumps({"guess": {"quota": 1, "window_s": 2}}),
            "TESSERA_HSM": "",
        },
    )
    assert settings.cors_origins == ["https://a.example", "https://b.example"]
    assert settings.suites == ["hybrid"]
    assert settings.production
    assert settings.limits == {"guess": RateLimit(1, 2)}
    assert settings.hsm is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LISTEN_PORT", "99999"),
        ("LISTEN_PORT", "secret-value"),
        ("LOG_LEVEL", "secret-value"),
        ("SUITES", "hybrid,secret-value"),
        ("LIMITS", "{secret-value"),
        ("LIMITS", '{"guess":{"quota":0,"window_s":1}}'),
        ("LIMITS", '{"secret-value":{"quota":1,"window_s":1}}'),
        ("PIN_DIGITS", "3"),
    ],
)
def test_wrong_value_is_named_and_not_repeated(variable: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {f"TESSERA_{variable}": value})
    assert keys_of(list(caught.value.problems)) == {variable.lower()}
    assert "secret-value" not in str(caught.value)
    assert all(problem.next_step for problem in caught.value.problems)


@pytest.mark.parametrize("name", ["TESSERA_PRODUCTON", "TESSERA_", "TESSERA_PORT", "TESSERA_production"])
def test_variable_that_nothing_reads_is_refused(name: str) -> None:
    """A misspelt `production` would serve as a development gateway, and nobody would be told."""
    with pytest.raises(ConfigError) as caught:
        load(None, {name: "secret-value"})
    assert keys_of(list(caught.value.problems)) == {name}
    assert "secret-value" not in str(caught.value)


def test_misspelt_variable_is_told_what_was_meant() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"TESSERA_PORT": "8081"})
    assert "TESSERA_LISTEN_PORT" in caught.value.problems[0].next_step


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    theirs = {
        "TESSERA_CONFIG": "x.toml",
        "TESSERA_PYTHON": "/usr/bin/python3",
        "TESSERA_PHONE_STORE": "x",
        "TESSERA_PASSPHRASE": "x",
        "TESSERA_PORT": "tcp://10.0.0.1:8080",
        "TESSERA_SERVICE_HOST": "10.0.0.1",
        "TESSERA_GATEWAY_SERVICE_PORT_HTTP": "8080",
        "TESSERA_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    hsm = "software:file=/k/keys?passphrase-source=env:TESSERA_PASSPHRASE"
    assert load(None, theirs | {"TESSERA_HSM": hsm}).hsm == hsm
    file = tmp_path / "tessera.toml"
    file.write_text(f'hsm = "{hsm}"\n')
    assert load(file, theirs).hsm == hsm


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("lisen_port = 1", "lisen_port"),
        ("a = ", "config"),
        ('listen_port = "x"\nrotation_s = 0', "listen_port"),
    ],
)
def test_wrong_file_is_named(tmp_path: Path, text: str, key: str) -> None:
    file = tmp_path / "tessera.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert key in keys_of(list(caught.value.problems))


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.toml", binary, tmp_path):
        with pytest.raises(ConfigError):
            load(path, {})


@given(st.binary(max_size=200))
def test_file_of_any_bytes_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("any") / "tessera.toml"
    file.write_bytes(content)
    try:
        load(file, {})
    except ConfigError as error:
        assert error.problems
    else:
        assert tomllib.loads(content.decode()) is not None


def test_every_key_says_what_it_is_for() -> None:
    rows = describe_keys()
    assert [row[0] for row in rows] == [field.name for field in msgspec.structs.fields(Settings)]
    for name, _, meaning in rows:
        assert len(meaning) > 10, name


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"public_host": "https://bank.example"}, "public_host"),
        ({"public_host": "Bank.example"}, "public_host"),
        ({"public_host": "bank.example:443"}, "public_host"),
        ({"public_host": "bank.example/path"}, "public_host"),
        ({"cors_origins": ["https://bank.example/"]}, "cors_origins"),
        ({"cors_origins": ["*"]}, "cors_origins"),
        ({"trusted_proxies": ["10.0.0.0/8"]}, "trusted_proxies"),
        ({"place_header": "X-Place"}, "place_header"),
        ({"place_header": "X Place:", "trusted_proxies": ["10.0.0.1"]}, "place_header"),
        ({"lan_address": "nonsense"}, "lan_address"),
        ({"lan_address": "fe80::1"}, "lan_address"),
        ({"tls_cert": "/nowhere/cert.pem"}, "tls_cert"),
        ({"database_url": "mysql://x/y"}, "database_url"),
        ({"database_url": "not a url"}, "database_url"),
        ({"hsm": "nothing:x"}, "hsm"),
        ({"production": True, "cors_origins": ["http://bank.example"]}, "cors_origins"),
        ({"production": True, "demo": True}, "demo"),
        ({"production": True, "webhook_private": True}, "webhook_private"),
        ({"demo": True, "listen_host": "0.0.0.0"}, "listen_host"),
        ({"demo": True, "listen_host": "::"}, "listen_host"),
        ({"demo": True, "listen_host": "192.168.1.7"}, "listen_host"),
        ({"production": True, "hsm": None}, "hsm"),
        ({"production": True, "public_host": "localhost:8080"}, "public_host"),
        ({"production": True}, "trusted_proxies"),
        ({"production": True, "trusted_proxies": ["10.0.0.1", "127.0.0.1"]}, "metrics_token"),
        ({"production": True, "trusted_proxies": ["::1"]}, "metrics_token"),
    ],
)
def test_checks_name_the_key(change: dict[str, object], key: str) -> None:
    settings = Settings(**(GOOD | change))  # type: ignore[arg-type]
    problems = find_problems(settings)
    assert key in keys_of(list(problems))
    assert all(problem.next_step for problem in problems)


def test_data_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    behind = str(tmp_path / "file" / "var")
    assert keys_of(list(find_problems(Settings(**(GOOD | {"data": behind}))))) == {"data"}  # type: ignore[arg-type]
    elsewhere = {"data": behind, "database_url": "sqlite:////srv/t.db"}
    assert find_problems(Settings(**(GOOD | elsewhere))) == []  # type: ignore[arg-type]
    assert find_problems(Settings(**(GOOD | {"data": str(tmp_path / "new" / "var")}))) == []  # type: ignore[arg-type]


def test_demo_is_for_this_computer_and_on_purpose_for_the_network() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        assert find_problems(Settings(demo=True, listen_host=host)) == []
    assert find_problems(Settings(demo=True, listen_host="0.0.0.0"), is_lan=True) == []


def test_production_allows_no_inside_webhooks() -> None:
    assert Settings(webhook_private=True).allows_inside_webhooks
    assert not Settings(webhook_private=True, production=True).allows_inside_webhooks
    assert not Settings(demo=True, production=True).allows_inside_webhooks


def test_production_asks_to_end_the_key_that_a_demo_left(tmp_path: Path) -> None:
    settings = Settings(
        **(GOOD | {"production": True, "trusted_proxies": ["10.0.0.1"], "data": str(tmp_path)})  # type: ignore[arg-type]
    )
    assert find_problems(settings) == []
    (tmp_path / "demo.json").touch()
    (problem,) = find_problems(settings)
    assert problem.key == "data"
    assert "tessera api-key revoke" in problem.next_step


@pytest.mark.parametrize("name", ["tessera.db", "tessera.db-wal"])
def test_database_file_that_others_may_open_is_named(tmp_path: Path, name: str) -> None:
    settings = Settings(data=str(tmp_path))
    (tmp_path / "tessera.db").touch(mode=0o600)
    (tmp_path / name).touch()
    for mode, found in ((0o600, set()), (0o640, {"database_url"}), (0o604, {"database_url"})):
        (tmp_path / name).chmod(mode)
        problems = find_problems(settings)
        assert keys_of(list(problems)) == found
    assert f"chmod 600 {tmp_path / 'tessera.db'}*" in problems[0].next_step


def test_database_file_is_made_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_backend(f"sqlite:///{tmp_path / 'new.db'}").dispose()
    finally:
        os.umask(before)
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "host", ["bank.example", "bank.example:8443", "192.168.1.7:8080", "[2001:db8::1]:8443", "a"]
)
def test_good_hosts_pass(host: str) -> None:
    behind = {"production": True, "trusted_proxies": ["10.0.0.1"], "place_header": "X-Place"}
    assert find_problems(Settings(**(GOOD | behind | {"public_host": host}))) == []  # type: ignore[arg-type]


def test_production_says_where_https_ends(tmp_path: Path) -> None:
    pem = tmp_path / "tls.pem"
    pem.touch()
    own = {"tls_cert": str(pem), "tls_key": str(pem)}
    on_loopback = {"trusted_proxies": ["127.0.0.1"], "metrics_token": "m" * 32}
    for change in (own, on_loopback):
        assert find_problems(Settings(**(GOOD | {"production": True} | change))) == []


def test_hosts_that_phones_reach_are_https() -> None:
    assert Settings(public_host="bank.example").origin == "https://bank.example"
    assert Settings(public_host="localhost:1", tls_cert="c", tls_key="k").origin == "https://localhost:1"


def test_every_key_is_read_by_somebody() -> None:
    package = Path(settings_module.__file__).parent
    own = Path(settings_module.__file__).read_text()
    others = "".join(path.read_text() for path in package.rglob("*.py") if path.name != "settings.py")
    for key, _, _ in describe_keys():
        is_read = re.search(rf"settings\.{key}\b", others) or re.search(rf"self\.{key}\b", own)
        assert is_read, f"nothing reads {key}"
