"""`tessera serve` as a process: sets a fresh folder up, serves, stops in good order, comes back with what it had."""

import json
import signal
import socket
import ssl
import stat
import urllib.request
from pathlib import Path

from serve_kit import Start, start

__all__ = ["start"]


def test_fresh_folder_serves_the_demo_and_keeps_it(start: Start, tmp_path: Path) -> None:
    first = start("--demo")
    first.wait_ready()
    config = json.loads(first.get("/phone/v1/config")[1])
    assert config["host"] == f"localhost:{first.port}"
    assert [tenant["name"] for tenant in config["tenants"]] == ["Banque des Halles"]
    assert json.loads(first.get("/demo/api/session")[1])["customer"] is None
    code, output = first.stop()
    assert code == 0
    assert f"http://localhost:{first.port}/demo/" in output
    assert '"event":"stopping"' in output
    for name in ("tessera.db", "keys.key", "keys.tessera", "demo.json"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600, name
    second = start("--demo")
    second.wait_ready()
    again = json.loads(second.get("/phone/v1/config")[1])
    assert again["tenants"] == config["tenants"], "same tenant, same key, on another port"
    assert second.stop(signal.SIGINT)[0] == 0


def test_without_demo_there_is_no_demo(start: Start) -> None:
    served = start()
    served.wait_ready()
    assert served.get("/demo/")[0] == 404
    assert json.loads(served.get("/phone/v1/config")[1])["tenants"] == []


def test_taken_port_is_said_in_a_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        served = start(TESSERA_LISTEN_PORT=str(taken.getsockname()[1]))
        code, output = served.stop(0)
    assert code == 1
    assert "cannot listen on 127.0.0.1 port" in output
    assert "Traceback" not in output


def test_open_stream_does_not_hold_the_stop_up(start: Start, tmp_path: Path) -> None:
    served = start("--demo")
    served.wait_ready()
    kept = json.loads((tmp_path / "data" / "demo.json").read_text())
    request = urllib.request.Request(
        f"{served.url}/api/v1/page-tokens",
        data=b'{"user":"claire"}',
        headers={"Authorization": f"Bearer {kept['api_key']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        token = json.loads(answer.read())["page_token"]
    request = urllib.request.Request(
        f"{served.url}/api/v1/events", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=20) as stream:
        assert stream.readline().startswith(b"retry:")
        code, output = served.stop()
        assert stream.read().strip() == b""
    assert code == 0
    assert token not in output
    assert kept["api_key"] not in output


def test_lan_serves_https_beside_loopback(start: Start, tmp_path: Path) -> None:
    """This computer keeps plain HTTP under its own name; phones get HTTPS with the development authority."""
    address = "127.0.0.2"
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    served = start("--demo", "--lan", TESSERA_LAN_ADDRESS=address, TESSERA_LAN_PORT=str(port))
    served.wait_ready()
    authority = tmp_path / "data" / "dev-ca.crt"
    context = ssl.create_default_context(cafile=str(authority))
    url = f"https://{address}:{port}"
    assert served.get("/dev-ca.crt", context=context, url=url)[1] == authority.read_bytes()
    config = json.loads(served.get("/phone/v1/config", context=context, url=url)[1])
    assert config["host"] == f"{address}:{port}"
    assert json.loads(served.get("/phone/v1/config")[1])["host"] == config["host"], "127.0.0.1 is no alias"
    near = f"http://localhost:{served.port}"
    assert json.loads(served.get("/phone/v1/config", url=near)[1])["host"] == f"localhost:{served.port}"
    code, output = served.stop()
    assert code == 0
    assert f"{near}/demo/" in output
    assert f"{url}/phone/" in output
    assert "\u2580" in output or "\u2584" in output, "a QR code for the phone"
