"""Training in several processes by accelerate: DDP over NCCL on GPUs, one each, or over gloo on the CPU."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import torch
from torch.multiprocessing.spawn import spawn

from soarm.errors import MissingPackageError, ParamsError, SoarmError, how_to_install

if TYPE_CHECKING:
    from accelerate import Accelerator

Log = Callable[[int, Mapping[str, float]], None]
Work = Callable[["Accelerator", Log, Any], None]
"""Trains in one of several processes: knows the others, reports steps, and takes what was passed on."""


def together(n: int, device: torch.device, work: Work, task: Any, log: Log) -> None:
    """Run `work` in `n` processes until all are done; the first one's reports go to `log` in this process.

    Args:
        n: How many, 2 or more; on CUDA no more than there are GPUs.
        device: Its type says on what.
        work: A function of a module, called in each process.
        task: What it works on; must be picklable.
        log: Takes a step and its metrics.

    Raises:
        MissingPackageError: accelerate is missing.
        ParamsError: There are too few GPUs.
        SoarmError: What `work` raised.
    """
    _require_possible(n, device)
    context = get_context("spawn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reports = context.SimpleQueue()
    n_threads = max(1, torch.get_num_threads() // n)
    arguments = n, port, device.type, n_threads, work, task, reports
    started: Any = spawn(_begin, arguments, nprocs=n, join=False)  # type: ignore[no-untyped-call]
    try:
        while not started.join(timeout=0.1):
            _pass_on(reports, log)
        _pass_on(reports, log)
    finally:
        for process in started.processes:
            process.terminate()
            process.join()


def _pass_on(reports: Any, log: Log) -> None:
    while not reports.empty():
        found = reports.get()
        if isinstance(found, SoarmError):
            raise found
        log(*found)


def _begin(
    rank: int, n: int, port: int, kind: str, n_threads: int, work: Work, task: Any, reports: Any
) -> None:  # runs in a process of its own
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(n), RANK=str(rank), LOCAL_RANK=str(rank))
    torch.set_num_threads(n_threads)
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=kind == "cpu")
    try:
        work(accelerator, (lambda *row: reports.put(row)) if rank == 0 else (lambda *row: None), task)
    except SoarmError as error:  # all processes fail alike; the first one tells
        if rank == 0:
            reports.put(error)
    finally:
        with contextlib.suppress(RuntimeError):
            accelerator.end_training()


def _require_possible(n: int, device: torch.device) -> None:
    try:
        import accelerate  # noqa: F401
    except ImportError:
        raise MissingPackageError(
            f"train_act.processes is {n}, which needs the package accelerate: {how_to_install('accelerate')}, or set it to 1"
        ) from None
    if device.type == "cuda" and n > torch.cuda.device_count():
        raise ParamsError(
            f"train_act.processes is {n} and torch finds {torch.cuda.device_count()} GPUs; it must be at most their number"
        )
