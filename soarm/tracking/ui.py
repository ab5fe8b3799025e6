"""MLflow's pages on the tracked runs, opened where the reproductions are."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

from soarm.errors import StageError
from soarm.tracking import server
from soarm.tracking.experiment import EXPERIMENT, page
from soarm.tracking.store import opened_alone

_START_S = 120.0
"""How long the server may take to come up; 5 s are usual."""
_LOOK_S = 0.2
# Its job workers (for judges of language models) are eight more processes, which nothing here needs.
_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def ui(port: int = 5000, open_browser: bool = True) -> int:
    """Serve MLflow's pages until a signal ends them; say where they are, and open them.

    The store is the one of the repository in the working directory, or what `MLFLOW_TRACKING_URI` names. Where that is a
    server, its own pages are opened.

    Args:
        port: Where to serve, 1..65535.
        open_browser: Whether to open a browser, if there is a display.

    Returns:
        Exit status of the server.

    Raises:
        StageError: The working directory is no repository, the port is taken, or the store cannot be opened.
    """
    store = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow/mlflow.db")
    if store.startswith(("http://", "https://")):
        _show(store.rstrip("/"), open_browser)
        return 0
    if not Path("mlflow").exists():
        raise StageError(f"{Path.cwd()} has no mlflow; run this from the root of the repository")
    server.require_free(port)
    try:
        with opened_alone(store):  # a new store is made before the server looks
            pass
    except (OSError, ImportError) as error:
        raise StageError(f"the store {store} cannot be opened: {error}") from None
    threading.Thread(target=_show, args=(f"http://127.0.0.1:{port}", open_browser), daemon=True).start()
    # One worker: each takes 250 MB, and the default of four needs half a minute to start on two cores.
    arguments = ["--backend-store-uri", store, "--port", str(port), "--workers", "1"]
    return server.serve([sys.executable, "-m", "mlflow", "ui", *arguments], _ENVIRONMENT)


def _show(address: str, open_browser: bool) -> None:
    """Wait for the server, say where the reproductions are in its pages, and open them."""
    give_up_s = time.monotonic() + _START_S
    while (found := _experiment(address)) is None:
        if time.monotonic() >= give_up_s:
            return
        time.sleep(_LOOK_S)
    where = address + page(found or None)
    sys.stdout.write(f"the reproductions: {where}\n")
    sys.stdout.flush()
    if open_browser and (sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
        webbrowser.open(where)


def _experiment(address: str) -> str | None:
    """Return the id of the experiment; empty where the server has none yet, None while there is no server."""
    try:
        asked = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name={EXPERIMENT}"
        with urllib.request.urlopen(asked, timeout=10.0) as answer:
            return str(json.load(answer)["experiment"]["experiment_id"])
    except urllib.error.HTTPError as error:
        return "" if error.code == 404 else None
    except (OSError, ValueError):
        return None
