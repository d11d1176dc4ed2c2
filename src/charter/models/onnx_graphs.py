"""Exporters of ONNX graphs: float32, and integers of eight bits (dynamic quantisation, weights per channel).

Dynamic quantisation rounds weights once, per output channel, and activations anew in each pass, by the range they have
there; it needs no data. What comes out is another model: it is calibrated and judged by its own answers.
"""

import inspect
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.errors import ModelError
from charter.models.base import check_labels, longest
from charter.models.engines.onnx import FILE, open_onnx
from charter.models.exports import Exportable, Exporter, save_settings
from charter.models.parity import TRACED, check_parity, inputs_of, named_outputs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from charter.tasks.task import Task

LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
OUTSIDE = "model.onnx.data"
LARGEST = 1_900_000_000
"""Bytes of weights above which they lie in a file beside the graph: an ONNX file holds at most 2 GiB."""
FLOAT_BATCH, INTEGER_BATCH = 8, 4
"""Texts of like length at once; measured on a CPU (docs/bundle.md): larger batches cost more a text, not less."""


def onnx() -> Exporter:
    """An ONNX graph in float32, computed by ONNX Runtime; it answers as the torch model, to rounding."""

    def export(given: Exportable, folder: Path) -> dict[str, Any]:
        save_settings(given.model, given.tokenizer, folder)
        return write_graph(given, folder)

    return _exporter(export, FLOAT_BATCH)


def onnx_int8() -> Exporter:
    """An ONNX graph whose matrix products are in integers of eight bits: about a quarter of the size, half the time."""

    def export(given: Exportable, folder: Path) -> dict[str, Any]:
        save_settings(given.model, given.tokenizer, folder)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            facts = write_graph(given, Path(aside))
            _quantise(Path(aside) / FILE, folder)
        return facts

    return _exporter(export, INTEGER_BATCH)


def _exporter(export: Any, batch_size: int) -> Exporter:
    def open_(folder: Path, task: "Task", threads: int | None) -> Any:
        check_labels(folder, task)
        return open_onnx(folder, threads=threads, batch_size=batch_size)

    return Exporter(export, open_, _fold, libraries=LIBRARIES, extra="onnx")


def write_graph(given: Exportable, folder: Path) -> dict[str, Any]:
    """Trace the model into a folder's `model.onnx` and compare both; gives the facts of the comparison.

    Raises:
        ModelError: the architecture can't be traced, or the graph answers otherwise than the model.
    """
    import onnx as library
    import torch

    batch, length = TRACED
    inputs = inputs_of(given, batch, min(length, longest(given.model) or length))
    outputs = list(named_outputs(given.model, inputs))
    with _tracing(type(given.model).__name__), _plain_attention(given.model):
        program = torch.onnx.export(
            _plain(given.model, list(inputs), outputs),
            kwargs=inputs,
            dynamo=True,
            dynamic_shapes=_dynamic(inputs, given),
            input_names=list(inputs),
            output_names=outputs,
            verbose=False,
        )
        proto = program.model_proto if program is not None else None
    _strip(proto)
    _save(library, proto, folder)
    parity = check_parity(open_onnx(folder, threads=1, batch_size=1), given)
    return {"parity": parity.as_json()}


@contextmanager
def _plain_attention(model: Any) -> Iterator[None]:
    """Attention written out as products and a softmax while it is traced: a third fewer nodes than torch's fused one."""
    if not hasattr(model, "set_attn_implementation"):
        yield
        return
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _plain(model: Any, inputs: list[str], outputs: list[str]) -> "nn.Module":
    """The model as a function from named tensors to a tuple of tensors, which is all that a graph knows."""
    import torch

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, **inputs: "Tensor") -> tuple["Tensor", ...]:
            answered = self.model(**inputs)
            return tuple(answered[name].float() for name in outputs)

    # The tracer binds inputs by the names of a signature, and these are known only here.
    names = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in inputs]
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    vars(Plain)["forward"].__signature__ = inspect.Signature([itself, *names])
    return Plain().eval()


def _dynamic(inputs: Mapping[str, "Tensor"], given: Exportable) -> dict[str, dict[int, Any]]:
    """Batch and length are free, the length up to what the model reads; axes between them (choices) are free too."""
    import torch

    batch = torch.export.Dim("batch")
    length = torch.export.Dim("length", max=longest(given.model) or given.max_length)
    return {
        name: {
            axis: batch if axis == 0 else length if axis == tensor.ndim - 1 else torch.export.Dim.AUTO
            for axis in range(tensor.ndim)
        }
        for name, tensor in inputs.items()
    }


@contextmanager
def _tracing(name: str) -> Iterator[None]:
    """Keep the tracer's notes off the terminal, and say in one line what it can't do.

    Raises:
        ModelError: the architecture can't be traced.
    """
    notes = logging.getLogger("torch.onnx")
    level = notes.level
    notes.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # Each stage of the tracer raises kinds of its own, some of them undocumented.
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        first = (str(cause).strip().splitlines() or [""])[0][:300]
        raise ModelError(
            f"{name} can't be traced into an ONNX graph ({type(cause).__name__}): {first}. "
            "Take this format out of release.formats"
        ) from None
    finally:
        notes.setLevel(level)


def _strip(proto: Any) -> None:
    """Leave out what tracing noted of its own code: it serves nobody, and the same model then gives the same bytes."""
    values = [*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer]
    for part in (proto, proto.graph, *proto.graph.node, *values):
        part.doc_string = ""
        del part.metadata_props[:]


def _save(library: Any, proto: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    large = sum(len(one.raw_data) for one in proto.graph.initializer) > LARGEST
    options = (
        {"save_as_external_data": True, "all_tensors_to_one_file": True, "location": OUTSIDE} if large else {}
    )
    library.save_model(proto, folder / FILE, **options)


def _quantise(graph: Path, folder: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises, through the root logger, what dynamo's graphs have already
    try:
        quantize_dynamic(
            graph,
            folder / FILE,
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=(graph.parent / OUTSIDE).exists(),
        )
    finally:
        root.setLevel(level)


def _fold(folder: Path, task: "Task", temperature: float) -> None:
    """Divide the graph's logits by a temperature: a last node that multiplies each output by its inverse."""
    import onnx as library

    del task
    if temperature == 1.0:
        return
    proto = library.load(folder / FILE, load_external_data=False)
    scale = library.numpy_helper.from_array(_inverse(temperature), name="inverse_temperature")
    proto.graph.initializer.append(scale)
    for output in proto.graph.output:
        hot = f"{output.name}_before_temperature"
        _rename(proto.graph, output.name, hot)
        node = library.helper.make_node(
            "Mul", [hot, scale.name], [output.name], name=f"{output.name}_temperature"
        )
        proto.graph.node.append(node)
    library.save_model(proto, folder / FILE)


def _inverse(temperature: float) -> Any:
    import numpy as np

    return np.asarray(1.0 / temperature, dtype=np.float32)


def _rename(graph: Any, old: str, new: str) -> None:
    """Give a value of the graph another name where it is made and where it is read; the graph's output keeps its own."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
