"""A server for one person on this computer: loopback only, with a token, and nothing but the results of one folder."""

import hmac
import json
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np

from linnet.errors import InputError, LinnetError
from linnet.nuclei.view.pyramid import TILE, Pyramids
from linnet.nuclei.view.results import FoundFolder, FoundImage, read_found

_log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_MOST_BYTES = 64 * 2**20  # of a request: some two million points
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = {
    "/": ("index.html", "text/html"),
    "/view.js": ("view.js", "text/javascript"),
    "/view.css": ("view.css", "text/css"),
}
_TILE = re.compile(r"/api/tile/(\d{1,6})/(\d{1,2})/(\d{1,7})/(\d{1,7})")
_IMAGE = re.compile(r"/api/(image|points)/(\d{1,6})")


class Refused(Exception):
    """A request that isn't answered, and why.

    Args:
        status: HTTP status.
        reason: What to say.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ViewServer(ThreadingHTTPServer):
    """Serves the page of one folder.

    Args:
        found: The folder.
        port: Where to listen; 0 takes a free port.
        token: What each request must carry; a new one when None.

    Raises:
        InputError: the port is taken or may not be used.
    """

    daemon_threads = True

    def __init__(self, found: FoundFolder, *, port: int = 0, token: str | None = None) -> None:
        self.found, self.pyramids = found, Pyramids()
        self.token = token or secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"`port` {port} can't be used ({reason}). Choose another, or leave it out.") from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The page, with the token in it."""
        return f"http://{HOST}:{self.port}/?token={self.token}"

    def image(self, number: int) -> FoundImage:
        """An image by its place in the list."""
        if not 0 <= number < len(self.found.images):
            raise Refused(HTTPStatus.NOT_FOUND, f"There is no image {number}; there are {len(self.found.images)}.")
        return self.found.images[number]


def open_view(folder: str | Path, *, port: int = 0) -> ViewServer:
    """A server for a folder that `linnet nuclei detect` wrote; `serve_forever` runs it.

    Raises:
        InputError: it is no such folder, or the port can't be used.
    """
    return ViewServer(read_found(folder), port=port)


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """A page, a list, points or a tile."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Points or counts to keep."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """To the log in place of stderr; without the query, which holds the token."""
        _log.debug(format.split("?")[0], *(str(a).split("?")[0] for a in args))

    def _answer(self, work: Callable[[str, Mapping[str, str]], tuple[bytes, str]]) -> None:
        try:
            self._require_mine()
            address = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(address.query).items()}
            self._require_token(query)
            body, kind = work(address.path, query)
            status = HTTPStatus.OK
        except Refused as error:
            body, kind, status = _error(str(error)), "application/json", error.status
        except LinnetError as error:
            body, kind, status = _error(str(error)), "application/json", HTTPStatus.UNPROCESSABLE_ENTITY
        except OSError as error:  # a full disk, a folder that may not be written to
            reason = f"{error.filename or 'The folder'}: {error.strerror or error}. Nothing was changed."
            body, kind, status = _error(reason), "application/json", HTTPStatus.INSUFFICIENT_STORAGE
        self.send_response(status)
        headers = {
            "Content-Type": kind if kind.startswith("image/") else f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "private, max-age=3600" if kind.startswith("image/") else "no-store",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        if status != HTTPStatus.OK:
            self.close_connection = True  # what is left of a refused request isn't read
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _require_mine(self) -> None:
        """Only this computer's own browser, under this server's own name: no other host and no other page."""
        mine = {f"{host}:{self.server.port}" for host in (HOST, "localhost")}
        if self.headers.get("Host", "") not in mine:
            raise Refused(HTTPStatus.FORBIDDEN, "This page is served to this computer alone.")
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in mine:
            raise Refused(HTTPStatus.FORBIDDEN, "Requests of other pages aren't answered.")

    def _require_token(self, query: Mapping[str, str]) -> None:
        given = self.headers.get("X-Linnet-Token") or query.get("token", "")
        if not hmac.compare_digest(given.encode(), self.server.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "The token is missing or wrong. Open the address that linnet printed.")

    def _get(self, path: str, query: Mapping[str, str]) -> tuple[bytes, str]:
        if path in _PAGE:
            name, kind = _PAGE[path]
            content = (files("linnet.nuclei.view") / "page" / name).read_bytes()
            return content.replace(b"{token}", quote(self.server.token).encode()), kind
        if path == "/api/images":
            return _json({"folder": str(self.server.found.folder), "images": _listed(self.server.found)})
        tile = _TILE.fullmatch(path)
        if tile:
            number, level, row, column = map(int, tile.groups())
            return self._tile(self.server.image(number), level, row, column, query.get("channel", "")), "image/jpeg"
        image = _IMAGE.fullmatch(path)
        if image and image[1] == "image":
            return _json(self._image(self.server.image(int(image[2]))))
        raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _post(self, path: str, query: Mapping[str, str]) -> tuple[bytes, str]:
        if path == "/api/counts":
            self._body()
            return _json({"saved": str(self.server.found.save_counts())})
        asked = _IMAGE.fullmatch(path)
        if asked and asked[1] == "points":
            image = self.server.image(int(asked[2]))
            points = _points(self._body(), self.server.pyramids.of(image).shape)
            return _json({"saved": str(self.server.found.save_points(image, points)), "points": len(points)})
        raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _body(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _MOST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request holds at most {_MOST_BYTES:,} bytes.")
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON was needed.")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "This is no JSON.") from None

    def _image(self, image: FoundImage) -> dict[str, Any]:
        pyramid = self.server.pyramids.of(image)
        return {
            "height": pyramid.shape[0],
            "width": pyramid.shape[1],
            "levels": pyramid.levels,
            "tile": TILE,
            "channels": self.server.pyramids.channels(image),
            "points": self.server.found.points(image).tolist(),
            "found": image.count,
            "corrected": self.server.found.corrected(image).exists(),
        }

    def _tile(self, image: FoundImage, level: int, row: int, column: int, channel: str) -> bytes:
        number = int(channel) if channel.isdigit() else None
        whole = self.server.pyramids.of(image)
        if number is None or whole.color:
            return whole.tile(level, row, column, number)
        return self.server.pyramids.of(image, number).tile(level, row, column)


def _listed(found: FoundFolder) -> list[dict[str, Any]]:
    return [
        {"name": i.name, "stem": i.stem, "count": i.count, "flag": i.flag, "reasons": i.reasons} for i in found.images
    ]


def _points(content: Any, shape: tuple[int, int]) -> np.ndarray:
    """Points (n, 2) of a request: finite, and inside the image."""
    given = content.get("points") if isinstance(content, dict) else None
    try:
        points = np.array(given, dtype=np.float64).reshape(-1, 2) if given != [] else np.zeros((0, 2))
    except (TypeError, ValueError):
        points = np.full((1, 2), np.nan)
    inside = (points >= -0.5) & (points < np.array(shape) - 0.5)
    if not inside.all():
        raise Refused(HTTPStatus.BAD_REQUEST, "Points [y, x] inside the image were needed.")
    return points[np.lexsort((points[:, 1], points[:, 0]))]


def _json(content: Any) -> tuple[bytes, str]:
    return json.dumps(content, allow_nan=False).encode(), "application/json"


def _error(message: str) -> bytes:
    return _json({"error": message})[0]
