"""The built web files over HTTP: a page keeps its content policy when the browser asks whether it has changed."""

from pathlib import Path

from face_kit import running_face


async def test_unchanged_page_comes_with_the_policy_of_a_page(tmp_path: Path) -> None:
    phone = tmp_path / "dist" / "phone"
    phone.mkdir(parents=True)
    (phone / "index.html").write_text("<!doctype html><title>x</title>")
    async with running_face(tmp_path, web_dist=tmp_path / "dist") as face:
        status, _, first = await face.ask("GET", "/phone/", token=None)
        assert status == 200
        status, _, again = await face.ask(
            "GET", "/phone/", token=None, headers={"If-None-Match": first["ETag"]}
        )
    assert status == 304
    # A browser that is told "not changed" takes these headers in place of those that it kept.
    assert again["Content-Security-Policy"] == first["Content-Security-Policy"]
    assert "script-src 'self'" in again["Content-Security-Policy"]
