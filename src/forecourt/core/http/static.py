"""Built front ends, served from memory: the one place of the HTTP edge that reads files.

A build is a few megabytes. Its hashed assets never change; its pages are asked for anew each time.
"""

import gzip
import mimetypes
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from forecourt.core.errors import NotFound
from forecourt.core.http.problem import MethodNotAllowed, render

INDEX = "index.html"
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
FILE_BYTES_MAX = 8 * 1024 * 1024
GZIP_FROM_BYTES = 1024
PACKED = (".js", ".css", ".html", ".json", ".svg", ".txt", ".webmanifest")

mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/manifest+json", ".webmanifest")
mimetypes.add_type("font/woff2", ".woff2")


@dataclass(frozen=True, slots=True)
class File:
    body: bytes
    packed: bytes | None
    media_type: str
    etag: str
    cache_control: str


class StaticSite:
    """One single-page application below a mount: its files, and its index for every page it draws itself.

    Mounted as a public ASGI application. Where nothing was built, a page says which command builds it.
    """

    def __init__(self, folder: Path, build_command: str) -> None:
        self._folder = folder
        self._build_command = build_command
        self._files: dict[str, File] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        if scope["method"] not in {"GET", "HEAD"}:
            return render(MethodNotAllowed())
        if INDEX not in self._files:
            self._files = load(self._folder)  # A build may have been made since.
        if INDEX not in self._files:
            return HTMLResponse(_missing_page(self._build_command), HTTPStatus.SERVICE_UNAVAILABLE)
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root).lstrip("/")
        found = self._files.get(path)
        if found is None and "." not in path.rpartition("/")[2]:
            found = self._files[INDEX]
        if found is None:
            return render(NotFound("There is no such file."))
        return _response(found, Headers(scope=scope))


def _response(file: File, asked: Headers) -> Response:
    headers = {"cache-control": file.cache_control, "etag": file.etag, "vary": "accept-encoding"}
    if asked.get("if-none-match") == file.etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if file.packed is not None and "gzip" in asked.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(file.packed, headers=headers, media_type=file.media_type)
    return Response(file.body, headers=headers, media_type=file.media_type)


def load(folder: Path) -> dict[str, File]:
    """Every file below `folder` by its path; nothing where it is missing. Links out of it are passed over."""
    if not (folder / INDEX).is_file():
        return {}
    top = folder.resolve()
    files = {}
    for path in sorted(top.rglob("*")):
        if not path.is_file() or not path.resolve().is_relative_to(top):
            continue
        body = path.read_bytes()
        assert len(body) <= FILE_BYTES_MAX, f"{path} is too large to be a part of a front end"
        name = path.relative_to(top).as_posix()
        packs = path.suffix in PACKED and len(body) >= GZIP_FROM_BYTES
        files[name] = File(
            body=body,
            packed=gzip.compress(body, mtime=0) if packs else None,
            media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
            etag=f'"{sha256(body).hexdigest()[:24]}"',
            cache_control=FOREVER if name.startswith("assets/") else ASK_AGAIN,
        )
    return files


def _missing_page(command: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not built</title>'
        '<body style="font:16px/1.6 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem">'
        "<h1>This screen is not built yet</h1><p>The server runs; its pages are missing. Build them with</p>"
        f"<pre><code>{escape(command)}</code></pre><p>and load this page again.</p>"
        "<p>界面尚未构建。请运行上面的命令，然后刷新本页。</p></body></html>"
    )
