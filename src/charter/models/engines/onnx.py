"""ONNX Runtime: a graph in `model.onnx`, and what it may read beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.errors import ModelError
from charter.models.engines.graph import Arrays, Graph, threads_or_all
from charter.models.folders import loading

FILE = "model.onnx"


class OnnxGraph(Graph):
    """A graph that ONNX Runtime computes on the CPU."""

    def __init__(self, session: Any, *, batch_size: int) -> None:
        self.session = session
        self.inputs = tuple(one.name for one in session.get_inputs())
        self.outputs = tuple(one.name for one in session.get_outputs())
        self.batch_size = batch_size

    def compute(self, arrays: Arrays) -> list[NDArray[np.float32]]:
        """The graph's outputs, in the order of `outputs`."""
        return list(self.session.run(None, dict(arrays)))


def open_onnx(folder: Path, *, threads: int | None = None, batch_size: int = 4) -> OnnxGraph:
    """The graph in a folder's `model.onnx`, ready to answer.

    Threads do not spin while they wait, so that an idle server costs nothing.

    Raises:
        ModelError: there is none, it can't be read, or its weights lie outside its folder.
    """
    import onnxruntime

    path = folder / FILE
    with loading(str(path)):
        check_weights_beside(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads_or_all(threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: they are raised as well
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return OnnxGraph(session, batch_size=batch_size)


def check_weights_beside(path: Path) -> None:
    """Check that a graph's weights lie in it, or in a plain file beside it.

    An ONNX file may name any path of the machine as the place of a tensor, and a runtime would read it.

    Raises:
        ModelError: they lie elsewhere.
    """
    import onnx

    if not path.is_file() or path.is_symlink():
        raise ModelError(f"{path.parent} has no {FILE}")
    for place in sorted(set(_places(onnx.load(path, load_external_data=False)))):
        beside = path.parent / place
        if Path(place).name != place or beside.is_symlink() or not beside.is_file():
            raise ModelError(
                f"{path} names weights that are no file beside it ({place[:80]!r}); they are not loaded"
            )


def _places(model: Any) -> Iterator[str]:
    """The file of every tensor that is kept outside the graph, wherever in the graph it stands."""
    from onnx.external_data_helper import uses_external_data

    graphs = [model.graph, *model.functions]
    while graphs:
        graph = graphs.pop()
        tensors = list(getattr(graph, "initializer", ()))
        for sparse in getattr(graph, "sparse_initializer", ()):
            tensors += [sparse.values, sparse.indices]
        for node in graph.node:
            for attribute in node.attribute:
                tensors += [attribute.t, *attribute.tensors]
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    tensors += [sparse.values, sparse.indices]
                graphs += [one for one in (attribute.g, *attribute.graphs) if one.node or one.initializer]
        for tensor in tensors:
            if uses_external_data(tensor):
                yield next((one.value for one in tensor.external_data if one.key == "location"), "")
