"""Exporters of OpenVINO graphs: float32, and integers of eight bits by NNCF (post-training, calibrated on training rows).

Post-training quantisation fixes the range of every activation from a sample of rows, so those rows shape the model. They
are training rows only; what comes out is calibrated and judged by its own answers, on rows it never saw.
"""

import contextlib
import io
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charter.models.base import check_labels
from charter.models.engines.onnx import FILE as ONNX_FILE
from charter.models.engines.openvino import FILE, import_openvino, open_openvino
from charter.models.exports import Exportable, Exporter, save_settings
from charter.models.onnx_graphs import write_graph
from charter.models.parity import check_parity

if TYPE_CHECKING:
    from charter.tasks.task import Task

FLOAT = ("onnx", "onnxruntime", "onnxscript", "openvino")
INTEGER = (*FLOAT, "nncf")


def openvino() -> Exporter:
    """An OpenVINO graph in float32; it answers as the torch model, to rounding."""

    def export(given: Exportable, folder: Path) -> dict[str, Any]:
        model = _converted(given, folder)
        _save(model, folder)
        parity = check_parity(open_openvino(folder, threads=1), given)
        return {"parity": parity.as_json()}

    return Exporter(export, _open, _fold, libraries=FLOAT, extra="openvino")


def openvino_int8() -> Exporter:
    """An OpenVINO graph in integers of eight bits by NNCF: about a quarter of the size, the fastest on batches."""

    def export(given: Exportable, folder: Path) -> dict[str, Any]:
        model = _converted(given, folder)
        _save(_quantised(model, given), folder)
        return {"rows": len(given.examples), "seed": given.seed}

    return Exporter(export, _open, _fold, reads_rows=True, libraries=INTEGER, extra="openvino")


def _open(folder: Path, task: "Task", threads: int | None) -> Any:
    check_labels(folder, task)
    return open_openvino(folder, threads=threads)


def _converted(given: Exportable, folder: Path) -> Any:
    """The model as OpenVINO reads it from its ONNX graph, which is compared with the model first."""
    save_settings(given.model, given.tokenizer, folder)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        write_graph(given, Path(aside))
        return import_openvino().convert_model(Path(aside) / ONNX_FILE)


def _quantised(model: Any, given: Exportable) -> Any:
    """By NNCF's scheme for transformers (SmoothQuant, bias correction); one text at a time, so that none is padded."""
    import_openvino()
    os.environ.setdefault("NNCF_CI", "1")  # its own switch for its telemetry
    import nncf

    names = [one.get_any_name() for one in model.inputs]
    texts = [
        given.task.fed(given.examples.batch(np.asarray([place]))) for place in range(len(given.examples))
    ]
    rows = [{name: one[name].numpy() for name in names} for one in texts]
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # progress bars, which can't be turned off
            return nncf.quantize(
                model, nncf.Dataset(rows), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows)
            )
    finally:
        logger.setLevel(level)


def _save(model: Any, folder: Path) -> None:
    """Write a graph. Names that the library numbered by what it made before are numbered by place: same model, same bytes."""
    for place, node in enumerate(model.get_ordered_ops()):
        if re.search(r"_\d+$", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}.{place}")
    import_openvino().save_model(model, folder / FILE, compress_to_fp16=False)


def _fold(folder: Path, task: "Task", temperature: float) -> None:
    """Divide the graph's logits by a temperature: a last node that multiplies each output by its inverse."""
    del task
    if temperature == 1.0:
        return
    library = import_openvino()
    model = library.Core().read_model(folder / FILE)
    inverse = np.asarray(1.0 / temperature, dtype=np.float32)
    for result in model.get_results():
        hot = result.input(0).get_source_output()
        scaled = library.opset13.multiply(hot, inverse).output(0)
        names = hot.get_names()
        hot.set_names(set())
        scaled.set_names(names)
        result.input(0).replace_source_output(scaled)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        # Its weights are still mapped from the file that would be written over.
        _save(model, Path(aside))
        del model
        for path in Path(aside).iterdir():
            path.replace(folder / path.name)
