"""The built web files: phone app, elements, demo bank. The server assembly mounts them. A path is looked up among
plain names only, so nothing outside the directory can be reached; files are kept in memory, compressed once, and
answered with an ETag."""

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gateway.core.errors import Problem, ProblemCode

_PLAIN_PATH = re.compile(r"\A[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\Z")
_HASHED_NAME = re.compile(r"-[A-Za-z0-9_-]{8}\.[a-z0-9]+\Z")
_COMPRESSED = (
    "text/",
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "image/svg+xml",
)
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".map": "application/json",
}


@dataclass(frozen=True, slots=True)
class _Held:
    """A file in memory."""

    stamp: tuple[int, int]
    body: bytes
    compressed: bytes | None
    etag: str
    media_type: str


class StaticFiles:
    """One directory, such as web/dist/phone."""

    def __init__(self, root: Path, *, cross_origin: bool = False) -> None:
        """`cross_origin` lets pages of any origin load the files (the elements' bundle)."""
        self._root = root
        self._cross_origin = cross_origin
        self._held: dict[str, _Held] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer GET and HEAD. Raises Problem(NOT_FOUND)."""
        tail = request.match_info.get("tail", "") or "index.html"
        if tail.endswith("/"):
            tail += "index.html"
        held = self._find(tail)
        headers = {
            "ETag": held.etag,
            "Cache-Control": "public, max-age=31536000, immutable"
            if _HASHED_NAME.search(tail)
            else "no-cache",
            "Vary": "Accept-Encoding",
        }
        if self._cross_origin:
            headers["Access-Control-Allow-Origin"] = "*"
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.headers.get("If-None-Match") == held.etag:
            # Of the file's own type, since a browser takes the policy of a 304 in place of the kept one.
            return web.Response(status=304, headers=headers, content_type=held.media_type)
        body = held.body
        if held.compressed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = held.compressed
            headers["Content-Encoding"] = "gzip"
        charset = "utf-8" if held.media_type.startswith("text/") else None
        return web.Response(body=body, headers=headers, content_type=held.media_type, charset=charset)

    def _find(self, tail: str) -> _Held:
        if not _PLAIN_PATH.match(tail):
            raise Problem(ProblemCode.NOT_FOUND)
        path = self._root / tail
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            held = self._held.get(tail)
            if held is None or held.stamp != stamp:
                held = self._held[tail] = _load(path, stamp)
        except OSError as error:
            raise Problem(ProblemCode.NOT_FOUND) from error
        return held


def _load(path: Path, stamp: tuple[int, int]) -> _Held:
    body = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    compressed = gzip.compress(body, 6, mtime=0) if media_type.startswith(_COMPRESSED) else None
    etag = '"' + hashlib.sha256(body).hexdigest()[:24] + '"'
    return _Held(stamp, body, compressed, etag, media_type)
