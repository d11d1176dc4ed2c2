"""What a charter names is looked for on this machine: a base that can't be loaded and a key that can't sign are said."""

import json
from pathlib import Path

import pytest

from charter.errors import CharterFileError
from charter.spec import check, check_with_notes, parse_document

HERE = Path(__file__).parent


def text_of(model: str = 'base: "sample:minilm"', rest: str = "", encoding: str = "utf-8") -> str:
    return (
        f'name: a\ndata: {{source: "sample:tweets", inputs: {{text: text}}, target: sentiment, encoding: {encoding}}}\n'
        f"model: {{{model}}}\ntask: {{use: classification}}\n{rest}"
    )


def said(folder: Path, text: str) -> dict[str, str]:
    with pytest.raises(CharterFileError) as caught:
        check(parse_document(text, folder / "charter.yaml"))
    return {one.path: one.message for one in caught.value.problems}


def base_in(folder: Path, *, positions: int = 64) -> Path:
    base = folder / "mine"
    base.mkdir()
    (base / "config.json").write_text(
        json.dumps({"model_type": "bert", "max_position_embeddings": positions})
    )
    (base / "model.safetensors").write_bytes(b"")
    (base / "tokenizer.json").write_text("{}")
    return base


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("config.json", "config.json"),
        ("model.safetensors", "safetensors"),
        ("tokenizer.json", "tokenizer.json"),
    ],
)
def test_a_base_folder_that_lacks_a_file_is_said(tmp_path, gone, words):
    (base_in(tmp_path) / gone).unlink()
    assert words in said(tmp_path, text_of("base: mine, max_length: 64"))["model.base"]


@pytest.mark.parametrize("base", ["mine", "./mine"])
def test_a_length_beyond_what_a_local_base_reads_is_said(tmp_path, base):
    base_in(tmp_path)
    assert "at most 64" in said(tmp_path, text_of(f"base: {base}, max_length: 65"))["model.max_length"]
    assert check(parse_document(text_of(f"base: {base}, max_length: 64"), tmp_path / "charter.yaml"))


@pytest.mark.parametrize(
    "config", ["[]", "{", "[" * 100_000, '{"max_position_embeddings": "many"}', "\x00", "{}"]
)
def test_no_config_of_a_base_ends_in_a_traceback(tmp_path, config):
    (base_in(tmp_path) / "config.json").write_text(config)
    try:
        check(parse_document(text_of("base: mine"), tmp_path / "charter.yaml"))
    except CharterFileError as error:
        assert [one.path for one in error.problems] == ["model.base"]


def test_a_length_beyond_the_sample_and_a_revision_of_it_are_said(tmp_path):
    found = said(tmp_path, text_of('base: "sample:minilm", max_length: 513, revision: main'))
    assert "at most 512" in found["model.max_length"]
    assert "remove the key" in found["model.revision"]


@pytest.mark.parametrize(
    "base",
    ["./none", "two words", "a/b/c", '"a\\0b"', "samples:minilm", "x" * 300, "~nobody-at-all/x", "~/mine"],
)
def test_a_base_that_is_no_folder_and_no_hub_id_is_said(tmp_path, base):
    assert "model.base" in said(tmp_path, text_of(f"base: {base}"))


@pytest.mark.parametrize(
    "source", ['"a\\0b.csv"', "~nobody-at-all/x.csv", "x" * 300 + ".csv", ".csv", "/", '"csv:"', '"hf:"']
)
def test_a_source_that_is_no_path_is_said(tmp_path, source):
    text = text_of().replace('"sample:tweets"', source)
    try:
        check(parse_document(text, tmp_path / "charter.yaml"))
    except CharterFileError as error:
        assert {one.path for one in error.problems} == {"data.source"}


def test_a_hub_id_is_not_asked_for(tmp_path):
    assert check(parse_document(text_of("base: google-bert/bert-base-uncased"), tmp_path / "charter.yaml"))


@pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13", '"a\\0b"'])
def test_an_encoding_that_is_none_is_said_whatever_the_source(tmp_path, encoding):
    assert "is not known" in said(tmp_path, text_of(encoding=encoding))["data.encoding"]


def pem(kind: str, *, password: bytes | None = None) -> bytes:
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    keys = {
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "koblitz": lambda: ec.generate_private_key(ec.SECP256K1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    hidden = to.NoEncryption() if password is None else to.BestAvailableEncryption(password)
    return keys[kind]().private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, hidden)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: pem("rsa"), "RSA"),
        (lambda: pem("ed25519"), "Ed25519"),
        (lambda: pem("koblitz"), "secp256k1"),
        (lambda: pem("ec", password=b"secret"), "passphrase"),
        (lambda: b"-----BEGIN RSA PRIVATE KEY-----\nAA\n-----END RSA PRIVATE KEY-----\n", "RSA PRIVATE KEY"),
        (lambda: b"-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n", "PUBLIC KEY"),
        (lambda: b"-----BEGIN EC PRIVATE KEY-----\nAA\n-----END EC PRIVATE KEY-----\n", "damaged"),
        (lambda: b"\xff\x00 no key", "no PEM"),
        (lambda: b"", "no PEM"),
    ],
)
def test_a_key_that_can_t_sign_is_said_before_a_run(tmp_path, content, words):
    (tmp_path / "key.pem").write_bytes(content())
    assert words in said(tmp_path, text_of(rest="release: {sign: key.pem}\n"))["release.sign"]


def test_a_key_that_can_sign_passes_and_one_that_is_not_there_is_said(tmp_path):
    (tmp_path / "key.pem").write_bytes(pem("ec"))
    assert check(parse_document(text_of(rest="release: {sign: key.pem}\n"), tmp_path / "charter.yaml"))
    for key in ("none.pem", "~/key.pem", '"a\\0b"', "x" * 300, "."):
        assert "release.sign" in said(tmp_path, text_of(rest=f"release: {{sign: {key}}}\n"))


def data_of(source: str, rest: str = "") -> str:
    return (
        f"name: a\ndata:\n  inputs: {{text: text}}\n  target: label\n  source: {source}\n{rest}"
        'model: {base: "sample:minilm"}\ntask: {use: classification}\n'
    )


@pytest.mark.parametrize(
    ("source", "path", "words"),
    [
        ("{use: folder, path: none}", "data.source", "no such file or folder"),
        ("{use: folder, path: texts, patern: x}", "data.source.patern", "Did you mean 'pattern'"),
        ("{use: folder, url: texts}", "data.source", "say where it is, once: {use: folder, path: LOCATION}"),
        ("{use: foldr, path: texts}", "data.source.use", "Did you mean 'folder'"),
        ("{train: texts, test: {use: sql, url: texts}}", "data.source.test", "say once what is read"),
        ("'sql:postgresql://me:hunter2@host/shop#t'", "data.source", "write ${DB_PASSWORD} in its place"),
        ("{use: sql, url: 'sqlite:///a.db', query: select 1}", "data.source", "a query says ORDER BY"),
    ],
)
def test_a_source_that_can_not_be_read_is_said_at_its_key(tmp_path, source, path, words):
    (tmp_path / "texts" / "a").mkdir(parents=True)
    (tmp_path / "texts" / "a" / "1.txt").write_text("x")
    found = said(tmp_path, data_of(source))
    assert words in found[path]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("join", "path", "words"),
    [
        ("{source: users.csv, on: idd}", "data.join[0].on", "no column 'idd'"),
        ("{source: none.csv, on: id}", "data.join[0].source", "no such file"),
        ("{sorce: users.csv, on: id}", "data.join[0].sorce", "Did you mean 'source'"),
        ("{source: users.csv, on: id, unmatched: drop}", "data.join[0].unmatched", "accepted: reject, keep"),
        ("{source: users.csv, on: id}", "data.inputs.text", "in none of the tables"),
    ],
)
def test_a_join_that_can_not_be_made_is_said_at_its_key(tmp_path, join, path, words):
    (tmp_path / "x.csv").write_text("id,label\n1,a\n")
    (tmp_path / "users.csv").write_text("id,city\n1,Oslo\n")
    assert words in said(tmp_path, data_of("x.csv", f"  join: [{join}]\n"))[path]


def test_what_a_server_holds_is_not_asked_and_an_unset_variable_is_noted(tmp_path, monkeypatch):
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    text = data_of("'sql:postgresql://me:${SHOP_PASSWORD}@127.0.0.1:1/shop#reviews'")
    notes = check_with_notes(parse_document(text, tmp_path / "charter.yaml")).notes
    assert [
        "data.source" in one.path and "SHOP_PASSWORD is not set here" in one.message for one in notes
    ].count(True) == 1
