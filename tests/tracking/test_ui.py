"""`soarm ui`: where it says the reproductions are, and whether it opens them; MLflow's server is a stand-in."""

from __future__ import annotations

import json
import threading
import webbrowser
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from soarm.tracking.ui import ui


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that knows an experiment, or none."""
    number = request.param

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if number is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"experiment": {"experiment_id": number}}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("4", "/#/experiments/4/runs?viewStateShareKey=reproductions&workflowType=machine_learning"),
        (None, "/#/experiments"),
    ],
    indirect=["address"],
    ids=["runs", "nothing yet"],
)
@pytest.mark.parametrize(
    ("display", "wanted"), [(":0", True), (None, True), (":0", False)], ids=["display", "none", "no-open"]
)
def test_the_page_is_named_and_opened_where_there_is_a_display(
    address: str,
    page: str,
    display: str | None,
    wanted: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)

    assert ui(5000, open_browser=wanted) == 0
    assert capsys.readouterr().out == f"the reproductions: {address}{page}\n"
    assert opened == ([address + page] if display and wanted else [])
