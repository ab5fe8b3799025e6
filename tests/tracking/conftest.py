"""A store of MLflow for every test: made once, and copied."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from soarm.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store; making one takes seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of its own for one test."""
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    shutil.copy(template, tmp_path / "mlflow.db")
    return Store(f"sqlite:///{tmp_path / 'mlflow.db'}", (tmp_path / "artifacts").as_uri())


@pytest.fixture
def client(store: Store) -> MlflowClient:
    """Looks at what was written."""
    from mlflow import MlflowClient

    return MlflowClient(store.uri)
