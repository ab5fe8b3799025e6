"""A stage's run as TensorBoard's event files: `runs/tensorboard/<reproduction>/<stage>_<n>` of the repository."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soarm.tracking.forgiving import Forgiving
from soarm.tracking.tracker import Provenance, Status, Tracker, flatten, reproduction, runs_folder


def open_tensorboard(provenance: Provenance) -> Tracker:
    """Open a run for a stage; where TensorBoard is of no use, the tracker warns once and then does nothing."""
    folder = runs_folder(provenance) / "tensorboard" / reproduction(provenance)
    free = next(n for n in itertools.count(1) if not (folder / f"{provenance.stage}_{n}").exists())
    return Forgiving(
        lambda: TensorboardTracker(provenance, folder / f"{provenance.stage}_{free}"),
        f"TensorBoard in {folder}",
        "Install it (`pip install -c constraints.txt -e '.[tensorboard]'`), make the folder writable",
    )


class TensorboardTracker(Tracker):
    """A folder of event files: a scalar per metric, and parameters with final metrics for the dashboard of hyperparameters.

    Args:
        provenance: What the run is identified by.
        folder: Where they go; a new one.
    """

    def __init__(self, provenance: Provenance, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._stage = provenance.stage
        self._writer = EventFileWriter(str(folder))
        self._params: dict[str, Any] = {"profile": provenance.profile, "seed": provenance.seed, "git_rev": provenance.git_rev}

    def params(self, section: str, values: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self._params |= {
            key: value if isinstance(value, bool | int | float) else str(value) for key, value in flatten(values, section)
        }

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=f"{self._stage}/{key}", simple_value=float(value)) for key, value in metrics.items()]
        self._add(Summary(value=values), step)

    def summary(self, metrics: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self._add(self._hyperparameters(), 0)
        self.log(0, {f"final/{key}": value for key, value in flatten(metrics) if isinstance(value, int | float)})

    def close(self, status: Status) -> None:
        """See `Tracker`."""
        self._writer.close()

    def _hyperparameters(self) -> Any:
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.plugins.hparams import metadata
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

        start = SessionStartInfo()  # `hparams.summary` would do, and takes TensorFlow
        for key, value in self._params.items():
            if isinstance(value, bool):
                start.hparams[key].bool_value = value
            elif isinstance(value, str):
                start.hparams[key].string_value = value
            else:
                start.hparams[key].number_value = value
        content = HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, session_start_info=start).SerializeToString()
        plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=content)
        return Summary(
            value=[Summary.Value(tag=metadata.SESSION_START_INFO_TAG, metadata=SummaryMetadata(plugin_data=plugin))]
        )

    def _add(self, summary: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
