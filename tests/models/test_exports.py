"""Exports: a graph answers as its model, a temperature is folded into each form, and nothing outside its folder is read."""

import numpy as np
import onnx
import polars as pl
import pytest
import torch
from onnx import TensorProto, helper

from charter import plugins
from charter.data.columns import ROW, Columns
from charter.errors import MissingExtraError, ModelError
from charter.models.base import attach, find_base, load_tokenizer
from charter.models.engines.graph import Graph
from charter.models.engines.onnx import open_onnx
from charter.models.exports import Exportable, Exporter, check_installed
from charter.models.inference import predict_outputs
from charter.models.parity import check_parity
from charter.runs.digest import folder_digest, folder_files
from charter.tasks.classification import classification

COLUMNS = Columns(inputs={"text": "text"}, target="label")
SLOW = pytest.mark.slow
FORMS = [pytest.param("onnx", marks=SLOW), "onnx-int8", pytest.param("openvino", marks=SLOW), "openvino-int8"]


@pytest.fixture(scope="module")
def given(tiny_bert):
    """The tiny BERT with a head that says something, and rows of many lengths."""
    texts = ["the room was great " * (1 + number % 6) for number in range(24)]
    rows = pl.DataFrame({ROW: range(24), "text": texts, "label": ["a", "b", "c"] * 8})
    task = classification().fit(rows, COLUMNS)
    base = find_base(str(tiny_bert), None, tiny_bert)
    model = attach(base, task, seed=1, max_length=32).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(40)
    tokenizer = load_tokenizer(base.folder)
    return Exportable(model, tokenizer, task, task.examples(rows, COLUMNS, tokenizer, 32), 32, 7)


@pytest.fixture(scope="module", params=FORMS)
def written(request, given, tmp_path_factory):
    """One form, written."""
    folder = tmp_path_factory.mktemp(request.param) / "model"
    exporter = plugins.make("exporter", request.param, {})
    exporter.export(given, folder)
    return request.param, exporter, folder


def test_a_form_answers_as_its_model_and_is_calibrated_in_its_file(written, given):
    name, exporter, folder = written
    expected = np.stack(predict_outputs(given.model, given.task, given.examples))
    before = np.stack(predict_outputs(exporter.open(folder, given.task, 1), given.task, given.examples))
    np.testing.assert_allclose(before, expected, atol=0.2 if "int8" in name else 1e-5)
    exporter.fold(folder, given.task, 2.5)
    after = np.stack(predict_outputs(exporter.open(folder, given.task, 1), given.task, given.examples))
    np.testing.assert_allclose(after * 2.5, before, rtol=1e-5, atol=1e-6)
    left = {name.split("/")[0] for name in folder_files(folder)}
    graph = {"model.onnx"} if "onnx" in name else {"model.xml", "model.bin"}
    assert left == {"config.json", "tokenizer.json", "tokenizer_config.json", *graph}


SHAPES = {
    "multiple_choice": {"stem": "text", "one": "text", "two": "text"},
    "question_answering": {"question": "text", "context": "text"},
    "sentence_embedding": {"text": "text", "other": "text"},
    "sentence_similarity": {"text": "text", "other": "text"},
}


@pytest.mark.parametrize(
    ("use", "form"),
    [
        pytest.param(use, form, marks=[] if (use, form) == ("multiple_choice", "openvino-int8") else SLOW)
        for use in SHAPES
        for form in ("onnx-int8", "openvino-int8")
    ],
)
def test_tasks_of_several_sequences_leave_as_integers_too(use, form, tiny_bert, tmp_path):
    texts = ["the room was great " * (1 + number % 4) for number in range(12)]
    given = {name: texts[at:] + texts[:at] for at, name in enumerate(SHAPES[use])}
    targets = {
        "multiple_choice": ["0", "1"] * 6,
        "question_answering": [[{"start": 0, "end": 3}]] * 12,
        "sentence_similarity": [float(number) for number in range(12)],
    }
    rows = pl.DataFrame({ROW: range(12), **given, **({"y": targets[use]} if use in targets else {})})
    task = plugins.make("task", use, {})
    columns = Columns(inputs=SHAPES[use], target="y" if use in targets else None, form=task.form)
    task = task.fit(rows, columns)
    base = find_base(str(tiny_bert), None, tiny_bert)
    model, tokenizer = attach(base, task, seed=1, max_length=32).eval(), load_tokenizer(base.folder)
    examples = task.examples(rows, columns, tokenizer, 32, with_targets=False)
    exporter = plugins.make("exporter", form, {})
    exporter.export(Exportable(model, tokenizer, task, examples, 32, 7), tmp_path / "model")
    expected = predict_outputs(model, task, examples)
    found = predict_outputs(exporter.open(tmp_path / "model", task, 1), task, examples)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        if use != "question_answering":  # its outputs are places
            np.testing.assert_allclose(ours, theirs, atol=0.1)


@SLOW
def test_the_same_model_gives_the_same_bytes(given, tmp_path):
    exporter = plugins.make("exporter", "onnx-int8", {})
    for place in ("one", "two"):
        exporter.export(given, tmp_path / place)
    assert folder_digest(tmp_path / "one") == folder_digest(tmp_path / "two")
    proto = onnx.load(tmp_path / "one" / "model.onnx")
    assert not [one for node in proto.graph.node for one in node.metadata_props]
    assert b".py" not in proto.SerializeToString()  # no file of the machine that traced it


class Fixed(Graph):
    """A graph that always gives the same logits."""

    inputs = ("input_ids", "attention_mask")
    outputs = ("logits",)
    batch_size = 2

    def compute(self, arrays):
        return [np.ones((len(arrays["input_ids"]), 3), dtype=np.float32)]


def test_a_graph_that_answers_otherwise_is_not_released(given):
    with pytest.raises(ModelError, match=r"differ from the model's.*release\.formats"):
        check_parity(Fixed(), given)


def test_a_graph_says_which_input_it_lacks():
    with pytest.raises(ModelError, match="attention_mask is not given"):
        Fixed()(input_ids=torch.ones((1, 2), dtype=torch.int64))


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/hostname", "a/b.bin", "gone.bin"])
def test_weights_outside_the_folder_are_never_read(place, tmp_path):
    (tmp_path / "secret.bin").write_bytes(b"\0" * 16)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(outside(place).SerializeToString())
    with pytest.raises(ModelError, match="no file beside it"):
        open_onnx(folder, threads=1)


def outside(place):
    """A graph with a branch whose constant lies at a place outside of it."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=tensor)], "inner", [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )  # fmt: skip
    node = helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph(
        [node], "outer", [helper.make_tensor_value_info("x", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])],
    )  # fmt: skip
    return helper.make_model(graph)


@pytest.mark.parametrize("content", [b"", b"no graph at all", None], ids=["empty", "noise", "absent"])
def test_a_file_that_is_no_graph_is_told_in_a_line(content, tmp_path):
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx"):
        open_onnx(tmp_path, threads=1)


def test_a_missing_library_names_its_install_command():
    exporter = Exporter(print, print, print, libraries=("no_such_library",), extra="onnx")  # type: ignore[arg-type]
    with pytest.raises(MissingExtraError, match=r'pip install "charter\[onnx\]"'):
        check_installed("onnx", exporter)


def test_an_architecture_that_cannot_be_traced_is_told_in_a_line(given, tmp_path):
    class Loud(torch.nn.Module):
        config = given.model.config
        base_model = given.model.base_model

        def forward(self, input_ids, attention_mask):
            if float(attention_mask.float().mean()) > 0.5:  # a question that no graph can ask
                return given.model(input_ids, attention_mask)
            return given.model(input_ids)

    untraceable = Exportable(Loud(), given.tokenizer, given.task, given.examples, 32, 7)
    with pytest.raises(ModelError, match=r"Loud can't be traced .*release\.formats"):
        plugins.make("exporter", "onnx", {}).export(untraceable, tmp_path)


def test_importing_openvino_imports_no_telemetry():
    import subprocess
    import sys

    code = (
        "from charter.models.engines.openvino import import_openvino; import_openvino(); import nncf, sys; "
        "sys.exit(any(name.startswith('openvino_telemetry') and one for name, one in sys.modules.items()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
