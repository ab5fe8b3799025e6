"""Have DVC keep the results of stages of one file, as `dvc commit --force` does.

    python -m soarm.cluster.entering FILE NAME...

`dvc commit` reads and writes the lock file anew for every stage that is named. That of the study has 1.1 MB, which takes DVC
8 s of processor time. Here it is read and written once, however many stages there are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any


def enter(repo: Any, path: str, names: Sequence[str]) -> None:
    """Keep the results of stages.

    Args:
        repo: DVC's repository.
        path: Of the dvc.yaml that has the stages.
        names: Theirs, within it: full@0, ablation@no_penalty-0.

    Raises:
        dvc.exceptions.DvcException: There is no such stage, or its results are not there.
    """
    from dvc.dvcfile import load_file
    from dvc.repo import lock_repo

    with lock_repo(repo):
        file = load_file(repo, path)
        found = file.stages
        stages = [found[name] for name in names]
        for stage in stages:
            stage.save()
            stage.commit()
        file.dump_stages(stages, update_pipeline=False)


def main() -> None:
    """Enter what the command line names; wait for others that hold DVC's lock."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(_wait_for_lock=True) as repo:
            enter(repo, sys.argv[1], sys.argv[2:])
    except DvcException as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
