"""Run the study as jobs: one job is one variant and seed, or a shard of them; a run that is done is skipped.

    python examples/study_jobs.py --shard 2/8                    the second of eight parts, one run after the other
    python examples/study_jobs.py --slurm --partition cpu        all runs, as an array of Slurm's, by submitit
    python examples/study_jobs.py --slurm --local                the same on this machine, to try it

Type the same command again after a failure: what is done is skipped, and what was killed goes on from its checkpoint. A job
that reaches its time limit, or has to make way for another, is queued again by itself and goes on as well.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from soarm import params
from soarm.entry import guarded, loading
from soarm.errors import ParamsError
from soarm.study.shards import Shard
from soarm.study.variants import StudyParams

logger = logging.getLogger("study_jobs")


_END_S = 60.0
"""How long a run may take to end after it was told to [s]; submitit tells it 90 s before the time limit."""
_MOST_LIMITS = 20
"""How often a job may reach its time limit and go on."""


class Job:
    """One run of the study, as submitit calls it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self, variant: str, seed: int) -> str:
        """Run it, and return its name. `stages.study` goes on from its checkpoint, if it has one."""
        name = f"{variant}-{seed}"
        if not is_done(self.root, variant, seed):
            command = [sys.executable, "-m", "stages.study", variant, str(seed)]
            self.process = subprocess.Popen(command, cwd=self.root, preexec_fn=_leave_signals_to_submitit)
            while (status := self.process.poll()) is None:  # not `wait`: a signal would find its lock taken
                time.sleep(0.5)
            if status:
                raise RuntimeError(f"{name} ended with status {status}; its output says why")
        return name

    def checkpoint(self, variant: str, seed: int) -> Any:
        """Stop the run, and say what is queued in its place: the same one, which goes on from the checkpoint."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:  # it must not go on beside the next one
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_S)
            self.process.kill()
        return DelayedSubmission(Job(self.root), variant, seed)


def _leave_signals_to_submitit() -> None:
    """Have a run ignore what Slurm sends to every process of a job; `Job.checkpoint` tells it to stop."""
    for name in ("SIGTERM", "SIGUSR2"):
        signal.signal(signal.Signals[name], signal.SIG_IGN)


def is_done(root: Path, variant: str, seed: int) -> bool:
    """Whether a run has its results; the stage puts them in place at its end, all at once."""
    return (root / "data" / "study" / f"{variant}-{seed}" / "metrics.json").is_file()


def submit(root: Path, runs: list[tuple[str, int]], given: argparse.Namespace) -> None:
    """Submit a job per run, and wait for them."""
    with loading("slurm"):
        import submitit

    executor = submitit.AutoExecutor(
        root / "runs" / "slurm", cluster="local" if given.local else "slurm", slurm_max_num_timeout=_MOST_LIMITS
    )
    executor.update_parameters(name="study", timeout_min=given.minutes, cpus_per_task=2, mem_gb=4)
    if not given.local:
        executor.update_parameters(slurm_array_parallelism=given.jobs, slurm_partition=given.partition)
    # The local executor knows no array that waits: it starts as many as it is given.
    at_once = given.jobs if given.local else max(1, len(runs))
    for first in range(0, len(runs), at_once):
        some = runs[first : first + at_once]
        jobs = executor.map_array(Job(root), *map(list, zip(*some, strict=True)))
        for run, job in zip(some, jobs, strict=True):
            error = job.exception()
            logger.info("%s-%d %s", *run, "is done" if error is None else f"failed, see {job.paths.stderr}")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shard", default="1/1", help="i/n, i from 1 on: the i-th of n parts")
    parser.add_argument("--only", nargs="+", default=[], metavar="VARIANT", help="these variants alone")
    parser.add_argument("--slurm", action="store_true", help="submit a job per run")
    parser.add_argument("--local", action="store_true", help="processes of this machine in the place of Slurm's")
    parser.add_argument("--jobs", type=int, default=16, help="how many of them at once")
    parser.add_argument("--minutes", type=int, default=120, help="time limit of a job, which goes on in another")
    parser.add_argument("--partition", default=None, help="Slurm's")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    root = Path.cwd()
    study = params.load(root / "params.yaml").section("study", StudyParams)
    known = {name for variant, seed in study.runs() for name in (variant, f"{variant}-{seed}")}
    if unknown := set(given.only) - known:
        raise ParamsError(f"the study has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    runs = [run for run in study.runs() if not given.only or {run[0], f"{run[0]}-{run[1]}"} & {*given.only}]
    left = [run for run in Shard.parse(given.shard).of(runs) if not is_done(root, *run)]
    logger.info("%d runs, %d in this shard to do", len(runs), len(left))
    if given.slurm:
        submit(root, left, given)
        return 0
    for run in left:
        logger.info("%s is done", Job(root)(*run))
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
