"""MLflow: a run in an experiment, in a database file beside the charter, another database, or a tracking server."""

import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Annotated, Any, final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from charter.errors import MissingExtraError
from charter.tracking.tracker import Ending, TrackedRun, Tracker, flat

SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https")
MOST_CHARACTERS = 6000
"""MLflow cuts a parameter there."""
BATCH = 100
"""MLflow takes at most so many parameters and tags in one request."""


def _known(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme.split("+")[0] not in SCHEMES:
        raise ValueError(
            f"found {uri[:60]!r}; accepted: sqlite:///FILE, a database's URL (postgresql, mysql, mssql), or a server's (http, https)"
        )
    if parts.password is not None:
        raise ValueError(
            "a password stands in it, and the charter travels with the model: for a server take it out and set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; for a database use its own password file"
        )
    return uri


def mlflow(
    *,
    uri: Annotated[
        str,
        AfterValidator(_known),
        Field(description="sqlite:///FILE (relative ones start beside the charter), a database or a server"),
    ] = "sqlite:///mlflow.db",
    experiment: Annotated[
        str | None, Field(min_length=1, description="the experiment; default: the charter's name")
    ] = None,
    artifacts: Annotated[
        str | None,
        Field(
            description="where a new experiment's files go; default: of a sqlite file mlartifacts/ beside it, else MLflow's own"
        ),
    ] = None,
) -> Tracker:
    """MLflow: a run with the charter's settings, the curves, every score, and the report.

    Raises:
        MissingExtraError: MLflow is not installed.
    """
    if find_spec("mlflow") is None:
        raise MissingExtraError("tracker 'mlflow'", "mlflow")
    return Mlflow(uri, experiment, artifacts)


@final
class Mlflow(Tracker):
    """One run of MLflow, through its client; the process's own "active run" is left alone."""

    name = "mlflow"

    def __init__(self, uri: str, experiment: str | None, artifacts: str | None) -> None:
        self._uri, self._experiment, self._artifacts = uri, experiment, artifacts
        self._client: Any = None
        self._id = ""

    def begin(self, run: TrackedRun) -> None:
        """Open a run in the experiment, which is made where there is none."""
        with _quiet():
            from mlflow import MlflowClient

            uri, artifacts = self._uri, self._artifacts
            if uri.startswith("sqlite:///"):
                file = (run.beside / uri.removeprefix("sqlite:///")).resolve()
                file.parent.mkdir(parents=True, exist_ok=True)
                uri = f"sqlite:///{file}"
                artifacts = artifacts or (file.parent / "mlartifacts").as_uri()
            self._client = MlflowClient(tracking_uri=uri)
            experiment = self._experiment_id(self._experiment or run.name, artifacts)
            self._id = self._client.create_run(experiment, run_name=run.id).info.run_id
            self._batch(params={key: _shown(one) for key, one in flat(run.config).items()})

    def _experiment_id(self, name: str, artifacts: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name, artifact_location=artifacts))
            except Exception:
                found = self._client.get_experiment_by_name(name)  # another run has made it meanwhile
                if found is None:
                    raise
        return str(found.experiment_id)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        with _quiet():
            self._batch(metrics=values, step=step)

    def end(self, ending: Ending) -> None:
        """Scores as metrics, outcomes as tags, pages as artefacts."""
        with _quiet():
            self._batch(metrics=ending.scores)
            self._batch(tags={"status": ending.status, **ending.words})
            for name, text in ending.pages.items():
                self._client.log_text(self._id, text, name)
            states = {"failed": "FAILED", "interrupted": "KILLED"}
            self._client.set_terminated(self._id, status=states.get(ending.status, "FINISHED"))

    def _batch(
        self,
        *,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        items = [
            *(("metrics", Metric(_name(key), float(one), now, step)) for key, one in (metrics or {}).items()),
            *(("params", Param(_name(key), one)) for key, one in (params or {}).items()),
            *(("tags", RunTag(_name(key), one)) for key, one in (tags or {}).items()),
        ]
        for start in range(0, len(items), BATCH):
            some = items[start : start + BATCH]
            kinds = {kind: [one for of, one in some if of == kind] for kind in ("metrics", "params", "tags")}
            self._client.log_batch(self._id, **kinds)


def _name(key: str) -> str:
    """A key as MLflow takes it: its own signs only, at most 250."""
    signs = {">=": "ge", "<=": "le", ">": "gt", "<": "lt", "=": ":", "[": " ", "]": ""}
    for sign, word in signs.items():
        key = key.replace(sign, word)
    return re.sub(r"[^\w/. :\-]", "_", key).strip()[:250]


def _shown(value: Any) -> str:
    return str(value)[:MOST_CHARACTERS]


@contextmanager
def _quiet() -> Iterator[None]:
    """No word of MLflow's own, no count of its users, and no minutes of trying again at a server that does not answer."""
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
