"""A folder of documents: each file a row, its sub-folder the label; what can't be read is told by its place."""

import gzip
import io

import docx
import pypdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.data.columns import PLACE, SPLIT, Columns
from charter.data.reading import read_files, read_source, source_digest
from charter.data.sources import documents
from charter.data.sources import folder as folder_module
from charter.data.sources.documents import READERS
from charter.data.sources.locations import check_location
from charter.errors import DataError, MissingExtraError
from charter.spec.data import Data


def data(source, **more) -> Data:
    return Data.model_validate({"source": source, "inputs": {"text": "text"}, "target": "label", **more})


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def pdf(*lines: str, password: str = "") -> bytes:
    """A page of text in the plainest PDF there is."""
    shown = "".join(f"BT /F1 12 Tf 50 {700 - 20 * at} Td ({line}) Tj ET\n" for at, line in enumerate(lines))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(shown)} >>\nstream\n{shown}endstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]  # fmt: skip
    out, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{one}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 6\n0000000000 65535 f \n{table}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    if not password:
        return (out + end).encode()
    writer, sink = pypdf.PdfWriter(io.BytesIO((out + end).encode())), io.BytesIO()
    writer.encrypt(password, algorithm="RC4-128")
    writer.write(sink)
    return sink.getvalue()


def word(*lines: str) -> bytes:
    document, sink = docx.Document(), io.BytesIO()
    for line in lines:
        document.add_paragraph(line)
    table = document.add_table(rows=1, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    document.save(sink)
    return sink.getvalue()


def test_a_folder_per_class_is_read_with_its_names_as_labels(tmp_path):
    write(
        tmp_path / "r",
        {"good/1.txt": "fine", "bad/deep/2.md": "poor", "bad/.hidden.txt": "no", "3.txt": "whose?"},
    )
    read = read_source(data("r"), tmp_path)
    assert read.frame.select("text", "label").rows() == [("poor", "bad"), ("fine", "good")]
    assert read.frame[PLACE].to_list() == ["bad/deep/2.md", "good/1.txt"]
    assert read.rejects.select(PLACE, "reason").rows() == [("3.txt", "no target in column 'label'")]


def test_every_kind_of_document_becomes_its_text(tmp_path):
    page = "<html><head><title>T</title><style>a{}</style></head><body><p>你<b>好</b>&amp; so</p><script>x()</script><p>two<br>three"
    write(
        tmp_path / "r",
        {"a/1.html": page, "a/2.pdf": pdf("Hello there", "second"), "a/3.docx": word("first", "second"),
         "a/4.txt.gz": gzip.compress(b"packed"), "a/5.md": "# Title\n"},
    )  # fmt: skip
    read = read_source(data("r"), tmp_path)
    texts = dict(zip(read.frame[PLACE].to_list(), read.frame["text"].to_list(), strict=True))
    assert texts["a/1.html"] == "T\n你好& so\ntwo\nthree"
    assert texts["a/2.pdf"].split() == ["Hello", "there", "second"]
    assert texts["a/3.docx"] == "first\nsecond\nleft\tright"
    assert (texts["a/4.txt.gz"], texts["a/5.md"]) == ("packed", "# Title\n")


def test_what_can_not_be_read_is_rejected_by_its_place_and_reason(tmp_path):
    files = {
        "a/1.txt": b"\xff\xfe\xff", "a/2.pdf": b"%PDF-1.4 nothing", "a/3.docx": b"PK\x03\x04", "a/4.png": b"\x89PNG",
        "a/5.txt": " ", "a/6.pdf": pdf("secret", password="x"), "a/7.txt": "good",
    }  # fmt: skip
    write(tmp_path / "r", files)
    read = read_source(data("r"), tmp_path)
    assert dict(read.rejects.select(PLACE, "reason").iter_rows()) == {
        "a/1.txt": "wrong encoding",
        "a/2.pdf": "an unreadable document",
        "a/3.docx": "an unreadable document",
        "a/4.png": "a file that is no document",
        "a/5.txt": "no text in column 'text'",
        "a/6.pdf": "a document with a password",
    }
    assert read.records == 7


def test_globs_patterns_and_encodings_choose_what_is_read(tmp_path):
    write(
        tmp_path / "r",
        {"好/1.txt": "房间".encode("gb18030"), "差/2.txt": "冷".encode("gb18030"), "差/3.md": "x"},
    )
    assert read_source(data("r/*/*.txt", encoding="gb18030"), tmp_path).frame["text"].to_list() == [
        "房间",
        "冷",
    ]
    told = {"use": "folder", "path": "r", "pattern": "差/*"}
    assert read_source(data(told, encoding="gb18030"), tmp_path).frame["label"].to_list() == ["差", "差"]


def test_published_folders_stay_as_they_are(tmp_path):
    write(tmp_path, {"r/train/a/1.txt": "x", "r/test/a/1.txt": "y"})
    read = read_source(data({"train": "r/train/", "test": {"use": "folder", "path": "r/test"}}), tmp_path)
    assert read.frame.select("text", SPLIT).rows() == [("x", "train"), ("y", "test")]


def test_a_renamed_or_changed_document_is_another_source(tmp_path):
    write(tmp_path / "r", {"a/1.txt": "x", "b/2.txt": "y"})
    first = source_digest(data("r"), tmp_path)
    assert source_digest(data("r/"), tmp_path) == first
    (tmp_path / "r/a/1.txt").rename(tmp_path / "r/b/1.txt")
    assert source_digest(data("r"), tmp_path) != first


def test_new_documents_take_the_name_of_the_input_that_is_asked_for(tmp_path):
    write(tmp_path, {"one.txt": "hello", "more/2.md": "there"})
    read = read_files([tmp_path / "one.txt", tmp_path / "more"], Columns({"review": "text"}))
    assert read.frame["review"].to_list() == ["hello", "there"]


def test_a_missing_library_is_told_with_its_install_command(tmp_path, monkeypatch):
    write(tmp_path / "r", {"a/2.pdf": pdf("x")})
    monkeypatch.setattr(documents, "find_spec", {}.get)
    with pytest.raises(MissingExtraError, match=r'pip install "charter\[documents\]"'):
        check_location("r", tmp_path)


@pytest.mark.parametrize("words", ["no file", "no document", "no such folder"])
def test_a_folder_without_documents_is_refused(tmp_path, words):
    write(tmp_path, {"pictures/a/1.png": b"x"})
    (tmp_path / "empty").mkdir()
    place = {"no file": "empty", "no document": "pictures", "no such folder": "folder:none/x"}[words]
    with pytest.raises(DataError, match=words):
        check_location(place, tmp_path)


VALID = {".txt": b"plain", ".html": b"<p>a<script>b</p>", ".pdf": pdf("x"), ".docx": word("x")}


@pytest.mark.parametrize("ending", list(VALID))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_are_a_document_or_rejected(tmp_path, ending, data):
    content = bytearray(VALID[ending])
    for _ in range(data.draw(st.integers(0, 5))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=12))
    path = tmp_path / f"x{ending}"
    path.write_bytes(bytes(content))
    document = documents.read_document(path, ending, "utf-8")
    assert bool(document.problem) or isinstance(document.text, str)
    assert ending in READERS


POEM = "\ufeffone  \r\n\r\ntwo\r\nthree\r\n \r\n\r\nfour".encode()


@pytest.mark.parametrize(
    ("kind", "expected", "places"),
    [
        ("lines", ["one  ", "two", "three", "four"], ["line 1", "line 3", "line 4", "line 7"]),
        ("paragraphs", ["one  ", "two\nthree", "four"], ["paragraph 1", "paragraph 2", "paragraph 3"]),
        ("folder", ["one  \r\n\r\ntwo\r\nthree\r\n \r\n\r\nfour"], [""]),
    ],
)
@pytest.mark.parametrize("name", ["poem.txt", "poem.md.gz"])
def test_a_document_is_a_file_or_each_of_its_lines_or_paragraphs(tmp_path, kind, expected, places, name):
    write(tmp_path, {f"good/{name}": gzip.compress(POEM) if name.endswith("gz") else POEM})
    frame = read_source(data(f"{kind}:."), tmp_path).frame
    assert frame["text"].to_list() == expected
    assert frame["label"].to_list() == ["good"] * len(expected)
    assert frame[PLACE].to_list() == [f"good/{name} {place}".strip() for place in places]


def test_lines_of_word_files_are_read_too_and_a_bad_line_harms_no_other(tmp_path):
    write(
        tmp_path,
        {"a/one.docx": word("first", "second"), "a/two.txt": b"good\n\xff bad\nlast", "a/x.png": b"no"},
    )
    read = read_source(data("lines:.", max_bad_rows=0.5), tmp_path)
    assert read.frame["text"].to_list() == ["first", "second", "left\tright", "good", "last"]
    assert dict(zip(read.rejects[PLACE], read.rejects["reason"], strict=True)) == {
        "a/two.txt line 2": "wrong encoding",
        "a/x.png": "a file that is no document",
    }


def test_a_paragraph_without_end_is_rejected_and_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "MOST_BYTES", 20)
    write(tmp_path, {"a.txt": "word\n" * 9 + "\nshort"})
    read = read_source(
        Data.model_validate({"source": "paragraphs:a.txt", "inputs": {"text": "text"}}), tmp_path
    )
    assert read.frame["text"].to_list() == ["short"]
    assert read.rejects["length"].to_list() == [24]


def test_a_table_has_no_lines(tmp_path):
    write(tmp_path, {"a.csv": "text\nx"})
    with pytest.raises(DataError, match=r"no document among its 1 files; read are \.txt"):
        check_location("lines:a.csv", tmp_path)


def test_another_cut_of_a_file_has_another_digest(tmp_path):
    write(tmp_path, {"a.txt": "one\n\ntwo"})
    sources = ("a.txt", "lines:a.txt", "paragraphs:a.txt")
    columns = Columns({"text": "text"})
    told = {
        source_digest(Data.model_validate({"source": one, "inputs": {"text": "text"}}), tmp_path, columns)
        for one in sources
    }
    assert len(told) == 3
