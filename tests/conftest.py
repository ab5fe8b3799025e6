"""Settings of every test: one thread, no tracking, few and repeatable examples."""

from __future__ import annotations

import copy
import gc
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from soarm.act.config import ACTConfig
    from soarm.dataset.reader import Dataset
    from soarm.hardware.driver import Arm
    from soarm.sim.params import SimParams
    from soarm.twin.twin import Twin

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync"]

# Read when NumPy and torch are first imported, so set here, before any test is collected.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["SOARM_TRACKING"] = "off"
os.environ["MPLBACKEND"] = "Agg"
# A suite that is started by `nohup` or in the background ignores these, and so would every process that the tests start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: the machine may be shared. Derandomised: a red test is red for everybody.
settings.register_profile(
    "soarm", max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("soarm")


_parse = yaml.safe_load


@cache
def _parsed(text: str) -> Any:
    return _parse(text)


def _parse_once(source: Any) -> Any:
    return copy.deepcopy(_parsed(source)) if isinstance(source, str) else _parse(source)


yaml.safe_load = _parse_once  # hundreds of tests read the same params.yaml, each in 50 ms


@pytest.fixture(autouse=True, scope="module")
def _short_collections() -> None:
    """Let Python's collector look only at what a module's tests make, which takes milliseconds.

    All that a worker of the suite has loaded took it up to 1.2 s, in which no other thread runs: an arm that a thread emulates
    answers nothing meanwhile.
    """
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker whole folders of tests: what they share, and the packages they load, is then made once and not by each."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("::")[0].rpartition("/")[0]

    return ByFolder(config, log)


# A twin and a driver on it, in lockstep: nothing depends on how fast the machine is. Imported when first asked for.


@pytest.fixture(autouse=True)
def state_here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep backups of registers out of the user's folders."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Begin torch's random stream anew, so that what a test draws does not depend on the tests before it."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def errors_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log what a command says on standard error as well, so that `caplog` has the whole of what a person reads."""
    from soarm import entry

    say = entry.say
    monkeypatch.setattr(
        entry, "say", lambda text, status: (logging.getLogger("soarm.entry").error(text), say(text, status))[1]
    )


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], str]], None]:
    """Return how to answer what a command asks: with a function from the question to the answer; Enter by default."""
    monkeypatch.setattr("builtins.input", lambda question="": "")
    return lambda reply: monkeypatch.setattr("builtins.input", reply)


@pytest.fixture(scope="session")
def sim() -> SimParams:
    """The simulator of params.yaml."""
    from soarm import params as params_file
    from soarm.sim.params import SimParams

    return params_file.load(ROOT / "params.yaml", "pick_place").section("sim", SimParams)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by how many states a renderer of policies' pictures is asked to draw."""
    from soarm.sim.cameras import PolicyCameras

    states: list[int] = []
    render_rows = PolicyCameras.render_rows

    def counted(self: PolicyCameras, qpos: Any, *rest: Any) -> Any:
        states.append(len(qpos))
        return render_rows(self, qpos, *rest)

    monkeypatch.setattr(PolicyCameras, "render_rows", counted)
    return states


@pytest.fixture
def rays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw with rays, which need no trial in a process of its own."""
    from soarm.sim import camera

    monkeypatch.setattr(camera, "find_fault", lambda backend: None if backend == "ray" else "not asked for")


@pytest.fixture(scope="session")
def tiny_config() -> ACTConfig:
    """An ACT of a moment."""
    from soarm.act.config import ACTConfig

    return ACTConfig(
        chunk_size=5,
        n_action_steps=3,
        temporal_ensemble_coeff=None,
        dim_model=8,
        n_heads=2,
        dim_feedforward=16,
        n_encoder_layers=1,
        n_decoder_layers=1,
        use_vae=True,
        n_vae_encoder_layers=2,
        latent_dim=4,
        kl_weight=1.0,
        dropout=0.1,
    )


@pytest.fixture(scope="session")
def make_demonstrations() -> Callable[..., Dataset]:
    """Return a maker of smooth made-up demonstrations, in memory: episodes of some lengths that no other seed gives."""
    import numpy as np

    from soarm.dataset.reader import Dataset
    from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE
    from soarm.tasks.pick_place import TASK

    def make(lengths: tuple[int, ...] = (12, 9, 15, 11, 8), seed: int = 0) -> Dataset:
        rng = np.random.default_rng(seed)
        n = sum(lengths)
        state = (rng.normal(size=(n, 6)).cumsum(axis=0) * 5.0).astype(np.float32)
        objects = rng.normal(size=(n, 7)).astype(np.float32)
        action = (state + 3.0 * objects[:, :6] + rng.normal(size=6)).astype(np.float32)
        return Dataset(
            path=Path("nowhere"),
            columns={STATE: state, ENVIRONMENT_STATE: objects, ACTION: action},
            episode_starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            features=TASK.features,
            fps=30,
            robot_type=None,
            tasks=("pick",),
            task_index=np.zeros(n, np.int64),
            splits={"train": range(len(lengths))},
            not_loaded={},
            info={},
            is_recording=False,
            n_unfinished=0,
        )

    return make


@pytest.fixture
def make_twin(sim: SimParams) -> Iterator[Callable[..., Twin]]:
    """Return a function that starts a twin with options of `TwinConfig`."""
    from soarm.twin.twin import Twin
    from soarm.twin.twin_config import TwinConfig

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Twin.start(sim, TwinConfig(**options)))


@pytest.fixture
def twin(make_twin: Callable[..., Twin]) -> Twin:
    """A twin in lockstep."""
    return make_twin()


@pytest.fixture
def connect() -> Iterator[Callable[..., Arm]]:
    """Return a function that connects to a twin; a servo that is asked in vain costs 60 ms."""
    from soarm.hardware.config import ArmConfig
    from soarm.hardware.driver import Arm

    with ExitStack() as stack:

        def to(twin: Twin, **settings: Any) -> Arm:
            config = ArmConfig(**{"timeout_s": 0.06, **settings})
            return stack.enter_context(Arm.connect(twin.ports[0], twin.config.calibration, config, sleep=lambda _: None))

        yield to


@pytest.fixture
def exchanges() -> Callable[[Path], list[tuple[bytes, bytes]]]:
    """Return a function that reads a wire log: every request, and all that came until the next one."""

    def read(path: Path) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        for line in path.read_text().splitlines():
            event = json.loads(line)
            data = bytes.fromhex(event["hex"])
            if event["dir"] == "tx":
                found.append((data, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + data)
        return found

    return read


@pytest.fixture
def when_torque_comes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Arm, int, Callable[[], object]], None]:
    """Return how to have something happen as soon as a servo of an arm was given its torque."""

    def hook(arm: Arm, servo_id: int, happens: Callable[[], object]) -> None:
        write = arm.bus.write

        def write_and_see(to: int, name: str, value: int) -> None:
            write(to, name, value)
            if (to, name) == (servo_id, "torque_enable"):
                happens()

        monkeypatch.setattr(arm.bus, "write", write_and_see)

    return hook


@pytest.fixture
def active(twin: Twin, connect: Callable[..., Arm]) -> Arm:
    """An arm on `twin` that takes commands."""
    arm = connect(twin)
    arm.hold()
    arm.activate()
    return arm


class PageFaults(NamedTuple):
    """What is wrong with a page, each fault as a text; see `page_faults.js`.

    Attributes:
        overflowing: What leaves the window or a picture sideways, or is cut off by a box that does not scroll.
        low_contrast: Text whose contrast is below AA of WCAG 2.2, with the ratio.
        without_alt: Pictures, figures and films without a text.
        failed: Addresses that could not be loaded, and those that are neither the page's own host nor in the page.
        errors: What the console shows as an error.
        scrolling: Boxes that scroll sideways: no fault by itself, and none is needed in a wide window.
    """

    overflowing: list[str]
    low_contrast: list[str]
    without_alt: list[str]
    failed: list[str]
    errors: list[str]
    scrolling: list[str]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Callable[[Callable[[Any], Any]], Any]]:
    """Return a function that calls another one with a Chromium, `playwright.sync_api.Browser`; one process per session."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra `dev`)")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here (Debian, Ubuntu: `apt install chromium`)")
    with ThreadPoolExecutor(1) as thread:  # Playwright keeps an event loop running in its thread
        driver = thread.submit(lambda: playwright.sync_playwright().start()).result()
        browser = thread.submit(lambda: driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)).result()
        yield lambda do: thread.submit(do, browser).result()
        thread.submit(lambda: (browser.close(), driver.stop())).result()


@pytest.fixture(scope="session")
def inspect_page(chromium: Callable[[Callable[[Any], Any]], Any]) -> Callable[..., PageFaults]:
    """Return a function that opens a page in Chromium and tells what is wrong with it.

    Its arguments: a local file or an address; `width_px` of the window; `scheme`, `light` or `dark`; `screenshot`, a file to
    write a picture of the whole page to; `do`, called with the page (`playwright.sync_api.Page`) before it is looked at. Other
    hosts than the page's own are never asked for anything.
    """
    script = (ROOT / "tests" / "page_faults.js").read_text()

    def inspect(
        target: Path | str,
        width_px: int = 1280,
        scheme: str = "light",
        screenshot: Path | None = None,
        do: Callable[[Any], object] = lambda page: None,
    ) -> PageFaults:
        address = target.resolve().as_uri() if isinstance(target, Path) else target
        home, failed, errors = urlsplit(address), [], []

        def pass_on(route: Any) -> None:
            asked = urlsplit(route.request.url)
            if asked.scheme in ("data", "blob") or (asked.scheme, asked.netloc) == (home.scheme, home.netloc):
                return route.continue_()
            failed.append(f"another host: {route.request.url}")
            return route.abort()

        def look(browser: Any) -> dict[str, list[str]]:
            page = browser.new_page(viewport={"width": width_px, "height": 900}, color_scheme=scheme)
            try:
                page.route("**/*", pass_on)
                page.on("requestfailed", lambda request: failed.append(f"{request.url[:200]}: {request.failure}"))
                page.on("response", lambda got: failed.append(f"{got.url[:200]}: {got.status}") if got.status >= 400 else None)
                page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
                page.on("pageerror", lambda error: errors.append(str(error)))
                page.goto(address)
                do(page)
                faults: dict[str, list[str]] = page.evaluate(script)
                if screenshot is not None:
                    page.screenshot(path=screenshot, full_page=True)
                return faults
            finally:
                page.close()

        return PageFaults(**chromium(look), failed=failed, errors=errors)

    return inspect
