"""The runs of the study there are -> data/study_summary: one table (CSV) and one figure; missing runs are named."""

from __future__ import annotations

import numpy as np

from soarm.report import study
from soarm.report.style import save, write_csv
from soarm.stage import command, open_stage
from soarm.study import summary, tables
from soarm.study.variants import StudyParams


def main() -> None:
    """Run the stage."""
    with open_stage("study_summary") as run:
        params = run.params("study", StudyParams)
        found = summary.summarise(run.input("study"), params, np.random.default_rng(run.seed))
        write_csv(tables.table(found), run.out / "table.csv")
        save(study.figure(tables.curves(found)), run.out / "figures")
        for path in [run.out / "table.csv", run.out / "figures" / "study.png"]:
            run.artifact(path)
        run.finish(found.to_dict())


if __name__ == "__main__":
    command(main, __doc__)
