"""Running a charter from Python with its progress shown where there is somebody to see it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charter.pipeline.result import Result


def watched(path: Path, progress: bool | None, options: Mapping[str, Any]) -> "Result":
    """Run a charter; its progress is shown as `charter.run` says."""
    from charter.cli.notebook import NotebookView, in_notebook

    notebook = in_notebook()
    own = {"on_event", "on_progress"} & options.keys()
    if not (notebook and not own if progress is None else progress):
        from charter import pipeline

        return pipeline.run(path, **options)
    from charter import spec
    from charter.cli.showing import RunView

    language = spec.read(path).report.language
    with NotebookView(language) if notebook else RunView(language) as view:
        from charter import (
            pipeline,
        )  # after the view stands: it loads transformers, which would draw bars of its own

        given: dict[str, Any] = {"on_event": view.event, "on_progress": view.progress, **options}
        return pipeline.run(path, **given)
