"""Packed files are read as they were, damage is told, and a bomb is refused before it goes off."""

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.data.reading import read_source
from charter.data.sources.compression import FREE_BYTES, PACKINGS, check_archive, opened, unpacked
from charter.errors import DataError
from charter.spec.data import Data


def zst(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def zipped(content: bytes, name: str = "x.csv", **others: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, what in {name: content, **others}.items():
            archive.writestr(one, what)
    return sink.getvalue()


PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zst, ".zip": zipped}
CSV = "text,label\n房间很好,a\nfine,b\n".encode()


def data(source) -> Data:
    return Data.model_validate({"source": source, "inputs": {"text": "text"}, "target": "label"})


@pytest.mark.parametrize("ending", PACKINGS)
def test_every_packing_of_a_table_is_read(tmp_path, ending):
    (tmp_path / f"x.csv{ending}").write_bytes(PACK[ending](CSV))
    assert read_source(data(f"x.csv{ending}"), tmp_path).frame["text"].to_list() == ["房间很好", "fine"]


def test_a_zip_file_is_read_by_the_name_of_its_one_file(tmp_path):
    (tmp_path / "all.zip").write_bytes(zipped(CSV, "reviews.csv", **{"__MACOSX/._reviews.csv": b"mac"}))
    assert read_source(data("all.zip"), tmp_path).records == 2
    (tmp_path / "two.csv.zip").write_bytes(zipped(CSV, "a.csv", **{"b.csv": CSV}))
    with pytest.raises(DataError, match="one file in it is read, and this one has 2"):
        read_source(data("two.csv.zip"), tmp_path)


@pytest.mark.parametrize("ending", PACKINGS)
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, ending):
    path = tmp_path / f"x.csv{ending}"
    path.write_bytes(PACK[ending](bytes(FREE_BYTES + (32 << 20))))
    with pytest.raises(DataError, match="decompression bomb"), opened(path) as stream:
        while stream.read(1 << 20):
            pass


def test_a_bomb_in_an_office_document_is_refused_whatever_sizes_it_tells(tmp_path):
    path = tmp_path / "x.xlsx"
    honest = zipped(bytes(FREE_BYTES + (32 << 20)), "xl/sheet.xml")
    path.write_bytes(honest)
    with pytest.raises(DataError, match="decompression bomb"):
        check_archive(path)
    size = (FREE_BYTES + (32 << 20)).to_bytes(4, "little")
    path.write_bytes(honest.replace(size, (1000).to_bytes(4, "little")))
    with pytest.raises(DataError, match="damaged"):
        check_archive(path)


@pytest.mark.parametrize("ending", PACKINGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_are_unpacked_or_refused_in_words(tmp_path, ending, data):
    content = bytearray(PACK[ending](CSV * 3))
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    path = tmp_path / f"x.csv{ending}"
    path.write_bytes(bytes(content))
    try:
        unpacked(path)
    except DataError as error:
        assert "x.csv" in str(error)


@pytest.mark.parametrize("ending", PACKINGS)
def test_a_file_cut_off_anywhere_is_told(tmp_path, ending):
    whole = PACK[ending](CSV)
    for end in range(1, len(whole) - 1, 7):
        (tmp_path / f"x.csv{ending}").write_bytes(whole[:end])
        with pytest.raises(DataError):
            unpacked(tmp_path / f"x.csv{ending}")
