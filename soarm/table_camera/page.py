"""A page on this computer that shows what was seen, a picture after the other; nobody else can open it."""

from __future__ import annotations

import contextlib
import http.server
import logging
import threading
from collections.abc import Iterator

import cv2

from soarm.errors import ObservationError
from soarm.table_camera.colours import Picture

logger = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_PAGE = b"""<!doctype html><meta charset="utf-8"><title>soarm track</title>
<style>body{margin:0;background:#222;color:#ddd;font:14px sans-serif}img{max-width:100%;display:block;margin:auto}</style>
<img src="/stream" alt="what the camera sees, and where the things are"><p style="text-align:center">soarm track</p>"""
_QUALITY = 80
_WAIT_S = 5.0


class Live:
    """The newest picture, for everybody who looks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jpeg, self._n, self.watchers = b"", 0, 0

    def show(self, picture: Picture) -> None:
        """Take the next picture of red, green, blue; nothing is done while nobody looks."""
        if not self.watchers and self._n:
            return
        _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        with self._changed:
            self._jpeg, self._n = jpeg.tobytes(), self._n + 1
            self._changed.notify_all()

    def after(self, n: int) -> tuple[int, bytes]:
        """Wait for a picture after the n-th, and return its number and JPEG; the old one where none comes."""
        with self._changed:
            self.watchers += 1
            self._changed.wait_for(lambda: self._n > n, _WAIT_S)
            self.watchers -= 1
            return self._n, self._jpeg


@contextlib.contextmanager
def served(live: Live, port: int) -> Iterator[str]:
    """Serve the page in threads, and return its address.

    Args:
        live: What it shows.
        port: To listen on; 0 takes a free one.

    Raises:
        ObservationError: The port is taken.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/stream":
                self._stream()
            elif self.path in ("/", "/picture.jpg"):
                kind, content = ("text/html", _PAGE) if self.path == "/" else ("image/jpeg", live.after(0)[1])
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            else:
                self.send_error(404)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            n = -1
            with contextlib.suppress(OSError):  # they close the page
                while not ended.is_set():
                    n, jpeg = live.after(n)
                    self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                    self.wfile.write(jpeg + b"\r\n")

        def log_message(self, format: str, *args: object) -> None:
            logger.debug(format, *args)

    ended = threading.Event()
    try:
        server = http.server.ThreadingHTTPServer((_HOST, port), Handler)
    except OSError as error:
        raise ObservationError(f"the page cannot be served on port {port} ({error.strerror}); give another --page") from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="soarm-track-page", daemon=True)
    thread.start()
    try:
        yield f"http://{_HOST}:{server.server_address[1]}/"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
