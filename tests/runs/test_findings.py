import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.errors import StoreError
from charter.runs.findings import Finding, read_findings, write_findings

numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(
    value=st.floats(allow_nan=False, allow_infinity=False),
    low=numbers,
    slices=st.dictionaries(st.text(min_size=1), st.text()),
    because=st.text(),
)
def test_findings_survive_writing_and_reading(tmp_path_factory, value, low, slices, because):
    finding = Finding(
        "area", "metric", value, low=low, slice=slices, because=because, attachment={"kind": "x"}
    )
    path = tmp_path_factory.mktemp("f") / "findings.jsonl"
    write_findings(path, [finding, finding])
    assert read_findings(path) == [finding, finding]


def test_a_finding_without_value_must_say_why():
    with pytest.raises(ValueError, match="because"):
        Finding("area", "metric", None)


def test_not_a_number_is_no_measurement():
    with pytest.raises(ValueError, match="no measurement"):
        Finding("area", "metric", float("nan"))


def test_a_spoiled_line_is_named(tmp_path):
    path = tmp_path / "findings.jsonl"
    write_findings(path, [Finding("a", "b", 1.0)])
    path.write_text(path.read_text() + '{"area": "x"\n')
    with pytest.raises(StoreError, match=r"findings\.jsonl:2"):
        read_findings(path)
