"""Take the pictures of docs/tracking.md from MLflow's pages: docs/images/tracking_*.png.

    python docs/tracking_pictures.py [--store sqlite:///mlflow/mlflow.db] [--port 5099]

Run from the root of the repository, on a store with two reproductions or more. Needs Chromium and playwright (extra `dev`).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from soarm.tracking.experiment import page as reproductions

CHROMIUM = "/usr/bin/chromium"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
IMAGES = Path("docs/images")


def main() -> None:
    """Serve the store, follow the clicks and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="sqlite:///mlflow/mlflow.db")
    parser.add_argument("--port", type=int, default=5099)
    options = parser.parse_args()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": options.store}
    serve = [sys.executable, "-m", "soarm", "ui", "--no-open", "--port", str(options.port)]
    server = subprocess.Popen(serve, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{options.port}/health")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.set_default_timeout(60_000)
            follow(page, f"http://127.0.0.1:{options.port}")
            browser.close()
    finally:
        server.terminate()
        server.wait()


def follow(page: Page, address: str) -> None:
    """Go from the list of reproductions to the second one, for what it changed, and by the best one to its model."""
    page.goto(address + reproductions("1"))
    runs = page.get_by_role("row").locator("a[href*='/runs/']")
    runs.first.wait_for()
    for button in ("Close", "Dismiss"):  # MLflow's assistant, and the word on views
        with suppress(Exception):
            page.get_by_role("button", name=re.compile(button, re.IGNORECASE)).first.click(timeout=3000)
    take(page, "tracking_best.png")
    best, second = (address + "/" + str(runs.nth(i).get_attribute("href")).lstrip("/") for i in (0, 1))
    page.goto(second)
    page.get_by_text("Show more").click()
    take(page, "tracking_changed.png")
    page.goto(best)
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Model: residual").click()
    opened.value.get_by_text("Aliases:").wait_for()
    take(opened.value, "tracking_model.png")


def take(page: Page, name: str) -> None:
    """Take a picture once the page has come to rest."""
    page.wait_for_timeout(2500)
    page.screenshot(path=IMAGES / name)


def wait_for(address: str) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        with suppress(OSError):
            urllib.request.urlopen(address, timeout=5.0)
            return
        time.sleep(0.2)
    raise SystemExit(f"{address} does not answer")


if __name__ == "__main__":
    main()
