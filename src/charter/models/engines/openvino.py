"""OpenVINO: a graph in `model.xml` with its weights in `model.bin`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.errors import ModelError
from charter.models.engines.graph import Arrays, Graph, threads_or_all
from charter.models.folders import loading

FILE, WEIGHTS = "model.xml", "model.bin"


class OpenVinoGraph(Graph):
    """A graph that OpenVINO computes on the CPU."""

    def __init__(self, compiled: Any, *, batch_size: int) -> None:
        self.request = compiled.create_infer_request()
        self.inputs = tuple(one.get_any_name() for one in compiled.inputs)
        self.outputs = tuple(one.get_any_name() for one in compiled.outputs)
        self.batch_size = batch_size

    def compute(self, arrays: Arrays) -> list[NDArray[np.float32]]:
        """The graph's outputs, in the order of `outputs`; copies, since the next call writes into its own."""
        found = self.request.infer(dict(arrays), share_inputs=True)
        return [np.array(found[number]) for number in range(len(self.outputs))]


def open_openvino(folder: Path, *, threads: int | None = None, batch_size: int = 8) -> OpenVinoGraph:
    """The graph in a folder's `model.xml` and `model.bin`, ready to answer.

    It computes in float32 where weights are float: by default OpenVINO would take bfloat16 on processors that know it,
    which is slower without AMX and another model than the one that was judged.

    Raises:
        ModelError: there is none, or it can't be read.
    """
    openvino = import_openvino()
    for name in (FILE, WEIGHTS):
        if not (folder / name).is_file() or (folder / name).is_symlink():
            raise ModelError(f"{folder} has no {name}")
    settings = {
        "INFERENCE_NUM_THREADS": threads_or_all(threads),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    with loading(str(folder / FILE)):
        core = openvino.Core()
        model = core.read_model(folder / FILE, folder / WEIGHTS)
        compiled = core.compile_model(model, "CPU", settings)
    return OpenVinoGraph(compiled, batch_size=batch_size)


def import_openvino() -> Any:
    """The library, without its telemetry: by default importing it sends what is done with it to its makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: it can't be imported
    import openvino

    return openvino
