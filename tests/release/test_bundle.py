"""What a bundle says of itself: every lie in it is found, every damage ends in words, and nothing is released by half."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import charter
from charter.cli import run_command
from charter.errors import BundleError, CharterError, MissingExtraError
from charter.pipeline import Result, run
from charter.release.bundle import read_bundle
from charter.release.signing import check_key
from charter.release.verification import verify
from charter.runs.digest import file_digest, files_digest, folder_files
from charter.runs.run import list_runs
from charter.runs.store import Store

CHARTER = """\
name: reviews
data:
  source: reviews.csv
  inputs: {{text: text}}
  target: label
  max_bad_rows: 0.1
  prepare: [{{use: repair_text}}]
  split: {{test: 0.3, validation: 0.1}}
model: {{base: "{base}", max_length: 16, adapt: {{use: head}}}}
task: {{use: classification}}
training: {{epochs: 1, batch_size: 32}}
audits: [{{use: performance, resamples: 100}}]
limits: [accuracy {limit}]
release: {{sign: {sign}}}
"""


def private_pem(key, password=None):
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def public_pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def make(folder: Path, base: Path, *, limit=">= 0.01", sign="private.pem", **options) -> Result:
    rng = random.Random(3)
    words = ["room", "crew", "flight", "meal", "desk", "seat", "today", "again", "found", "this", "time"]
    rows = [
        f"{' '.join(rng.choices(words, k=9))} {'great' if n % 2 else 'awful'},{'good' if n % 2 else 'bad'}"
        for n in range(160)
    ]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *rows, ",good"]) + "\n", encoding="utf-8")
    path = folder / "charter.yaml"
    path.write_text(CHARTER.format(base=base, limit=limit, sign=sign), encoding="utf-8")
    return run(path, **options)


@pytest.fixture(scope="module")
def released(tiny_bert, tmp_path_factory):
    """A signed bundle, its key, another key, and the draft of a refused run."""
    folder = tmp_path_factory.mktemp("bundle")
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("private", "other")}
    (folder / "private.pem").write_bytes(private_pem(keys["private"]))
    (folder / "public.pem").write_bytes(public_pem(keys["private"]))
    (folder / "other.pem").write_bytes(public_pem(keys["other"]))
    make(folder, tiny_bert)
    make(folder, tiny_bert, limit=">= 0.999", sign="null", draft=True)
    return folder


@pytest.fixture
def signed(released, tmp_path):
    return shutil.copytree(released / "release" / "reviews", tmp_path / "signed")


@pytest.fixture
def unsigned(signed):
    (signed / "charter" / "signature.sigstore").unlink()
    return signed


@pytest.fixture
def draft(released, tmp_path):
    return shutil.copytree(released / "release" / "reviews-REFUSED", tmp_path / "draft")


def edit(path: Path, change) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(value) or value, ensure_ascii=False), encoding="utf-8")


def reseal(folder: Path, **said) -> None:
    """What a liar without the key does: make the manifest fit the changed files again."""
    own = ("charter/manifest.json", "charter/signature.sigstore")
    files = {name: file_digest(path) for name, path in folder_files(folder).items() if name not in own}
    edit(
        folder / own[0], lambda manifest: {**manifest, "files": files, "digest": files_digest(files), **said}
    )


def told(folder, key=None):
    return [line.text for line in verify(folder, key).lines if not line.ok]


def test_an_untouched_bundle_is_consistent_and_only_its_key_makes_it_verified(released, signed):
    assert told(signed) == []
    assert verify(signed, None).conclusion.startswith("Consistent, not authenticated: it is signed")
    assert verify(signed, released / "public.pem").conclusion.startswith("Verified")
    (signed / "charter" / "signature.sigstore").unlink()
    assert verify(signed, None).conclusion.startswith("Consistent, not authenticated: nobody signed it")
    assert told(signed, released / "public.pem") == ["it is not signed, so it can't be of this key"]


def test_another_key_is_named_in_words(released, signed):
    assert told(signed, released / "other.pem") == ["it is signed by another key than other.pem"]
    for name, said in (
        ("private.pem", "private key"),
        ("reviews.csv", "no public key"),
        ("none.pem", "no such file"),
    ):
        with pytest.raises(CharterError, match=said):
            verify(signed, released / name)


def test_a_status_that_one_word_changed_opens_no_refused_draft(draft):
    edit(draft / "charter" / "manifest.json", lambda manifest: manifest.update(status="released"))
    with pytest.raises(BundleError, match="status"):
        read_bundle(draft)
    assert any("does not follow" in line for line in told(draft))
    edit(draft / "charter" / "record.json", lambda record: record.update(status="released"))
    reseal(draft)
    with pytest.raises(BundleError, match="status 'released' does not follow"):
        read_bundle(draft)


@pytest.mark.parametrize("field", ["name", "run", "charter_digest"])
@pytest.mark.parametrize("kind", ["signed", "unsigned"])
def test_a_changed_field_of_the_manifest_does_not_verify(signed, field, kind):
    if kind == "unsigned":
        (signed / "charter" / "signature.sigstore").unlink()
    edit(signed / "charter" / "manifest.json", lambda manifest: manifest.update({field: "other"}))
    assert any(field in line for line in told(signed))
    with pytest.raises(BundleError):
        read_bundle(signed)


def finding(change):
    return lambda folder: (folder / "charter" / "findings.jsonl").write_text(
        "".join(
            json.dumps(change(json.loads(line))) + "\n"
            for line in (folder / "charter" / "findings.jsonl").read_text(encoding="utf-8").splitlines()
        ),
        encoding="utf-8",
    )


def in_file(name, change):
    return lambda folder: edit(folder / name, change)


LIES = {
    "a finding beside": (finding(lambda one: {**one, "n": 1} if one["area"] == "data" else one), "findings.jsonl"),
    "the record's findings": (
        in_file("charter/record.json", lambda one: one.update(findings=one["findings"][1:])), "findings.jsonl"),
    "a verdict's reason": (in_file("charter/verdicts.json", lambda one: one[0].update(because="proven")), "verdicts"),
    "the record's verdict": (
        in_file("charter/record.json", lambda one: one["verdicts"][0].update(because="x")), "verdicts"),
    "the provenance": (in_file("charter/provenance.json", lambda one: one.update(seeds={})), "provenance.json"),
    "the record's run": (in_file("charter/record.json", lambda one: one.update(run_id="x")), "run"),
    "masking left out": (in_file("charter/preparation.json", lambda one: one.update(prepare=[])), "preparation.json"),
    "labels turned round": (
        in_file("charter/preparation.json", lambda one: one["task"]["labels"].reverse()), "labels of config.json"),
    "labels turned in config": (
        in_file("config.json", lambda one: one.update(id2label={"0": "good", "1": "bad"})), "labels of config.json"),
    "a limit": (
        lambda folder: (folder / "charter.yaml").write_text(
            (folder / "charter.yaml").read_text(encoding="utf-8").replace("0.01", "0.9"), encoding="utf-8"),
        "charter.yaml"),
    "the card": (
        lambda folder: (folder / "README.md").write_text(
            (folder / "README.md").read_text(encoding="utf-8") + "Safe for credit decisions.\n", encoding="utf-8"),
        "card"),
    "the datasheet": (
        lambda folder: (folder / "charter" / "datasheet.md").write_text("Everybody agreed.\n", encoding="utf-8"),
        "datasheet.md does not follow"),
    "the metadata": (in_file("charter/croissant.json", lambda one: one.update(license="CC0")), "croissant.json do not"),
}  # fmt: skip


@pytest.mark.parametrize(("lie", "where"), LIES.values(), ids=LIES)
def test_a_lie_in_one_file_is_told_even_where_the_manifest_fits_again(unsigned, lie, where):
    lie(unsigned)
    reseal(unsigned)
    assert any(where in line for line in told(unsigned)), told(unsigned)


def test_a_card_of_another_version_is_said_not_to_be_compared(unsigned):
    for name in ("record.json", "provenance.json"):
        edit(
            unsigned / "charter" / name,
            lambda one: one.get("provenance", one)["versions"].update(charter="9.9"),
        )
    (unsigned / "README.md").write_text("Other words.\n", encoding="utf-8")
    reseal(unsigned)
    found = verify(unsigned, None)
    assert found.ok
    assert any("not compared" in line.text for line in found.lines)


@pytest.mark.parametrize("what", ["link to a file", "link to a folder", "dead link", "pipe", "empty folder"])
@pytest.mark.timeout(120)
def test_what_is_no_file_is_seen_without_a_key_and_not_followed(signed, what):
    place = signed / "stray"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "empty folder":
        place.mkdir()
    else:
        place.symlink_to({"link to a file": "/etc/hostname", "link to a folder": "/etc"}.get(what, "/nosuch"))
    assert any(line.startswith("stray is ") for line in told(signed))
    with pytest.raises(BundleError, match="stray"):
        read_bundle(signed)


def test_a_model_file_that_is_a_link_is_refused(unsigned, tmp_path):
    shutil.move(unsigned / "model.safetensors", tmp_path / "away")
    (unsigned / "model.safetensors").symlink_to(tmp_path / "away")
    assert any("model.safetensors is a link" in line for line in told(unsigned))


@pytest.mark.parametrize(
    "content", ["", "junk", "{}", "[" * 100_000, "\xff", '{"dsseEnvelope": {"payload": "!"}}']
)
def test_a_signature_of_no_sense_is_invalid_without_a_key_too(released, signed, content):
    (signed / "charter" / "signature.sigstore").write_text(content, encoding="latin-1")
    for key in (None, released / "public.pem"):
        assert told(signed, key) == ["its signature can't be read: it was changed or cut off"]
    with pytest.raises(BundleError, match="signature"):
        read_bundle(signed)


def test_the_signature_of_another_bundle_is_invalid_without_a_key_too(released, signed, draft):
    shutil.copy(signed / "charter" / "signature.sigstore", draft / "charter")
    assert any("not of these files" in line for line in told(draft))
    edit(
        signed / "charter" / "signature.sigstore",
        lambda one: one["dsseEnvelope"]["signatures"][0].update(sig="AAAA"),
    )
    assert verify(signed, None).signature == "unknown"
    said = told(signed, released / "public.pem")
    assert said == [
        "its signature names the key public.pem, but was not made with it, or not for these files"
    ]


BROKEN = [
    "",
    "{}",
    "[]",
    "5",
    "null",
    "{",
    "[" * 100_000,
    '{"a": "\\ud800"}',
    "\0",
    '{"format": 1, "files": {}}',
]


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "preparation.json",
        "record.json",
        "verdicts.json",
        "provenance.json",
        "findings.jsonl",
    ],
)
def test_a_file_of_no_sense_ends_in_words(unsigned, name, content, capsys):
    (unsigned / "charter" / name).write_text(content, encoding="utf-8")
    if name != "manifest.json":
        reseal(unsigned)
    assert run_command(["verify", str(unsigned)]) == 4
    assert run_command(["predict", str(unsigned), "--text", "a room"]) == 4
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_length", 0), ("max_length", "16"), ("max_length", 2.5), ("max_length", 10**30), ("inputs", {}), ("inputs", 5),
     ("prepare", 5), ("prepare", [{}]), ("prepare", [{"use": "nosuch"}]), ("prepare", [{"use": "repair_text", "x": 1}]),
     ("task", None), ("task", {"use": "nosuch", "options": {}, "labels": ["bad", "good"]}),
     ("task", {"use": "classification", "options": {"x": 1}, "labels": ["bad", "good"]}),
     ("task", {"use": "classification", "options": {}, "labels": []}),
     ("task", {"use": "classification", "options": {}, "labels": ["bad", "good", "fair"]})],
)  # fmt: skip
def test_a_preparation_of_no_sense_ends_in_words_though_all_digests_fit(unsigned, field, value, capsys):
    from charter.runs.digest import value_digest

    edit(unsigned / "charter" / "preparation.json", lambda one: one.update({field: value}))
    digest = value_digest(json.loads((unsigned / "charter" / "preparation.json").read_text(encoding="utf-8")))
    for name in ("record.json", "provenance.json"):
        edit(
            unsigned / "charter" / name,
            lambda one: one.get("provenance", one).update(preparation_digest=digest),
        )
    reseal(unsigned)
    assert run_command(["predict", str(unsigned), "--text", "a room"]) == 4
    assert "Traceback" not in capsys.readouterr().err


def test_predict_takes_a_key_and_refuses_another(released, signed, capsys):
    ask = ["predict", str(signed), "--text", "the room was great", "--key"]
    assert run_command([*ask, str(released / "public.pem")]) == 0
    assert run_command([*ask, str(released / "other.pem")]) == 4
    assert "another key" in capsys.readouterr().err


def test_a_refused_draft_answers_only_when_asked_for_and_its_verification_says_refused(draft, capsys):
    assert run_command(["predict", str(draft), "--text", "a room"]) == 4
    assert run_command(["verify", str(draft)]) == 0
    assert "REFUSED" in capsys.readouterr().out
    with pytest.raises(BundleError, match="allow_refused"):
        charter.open_bundle(draft)
    answers = charter.answer(charter.open_bundle(draft, allow_refused=True), "the room was great")
    assert answers.height == 1


def test_none_has_its_reason_and_no_text_is_answered_letter_by_letter(signed):
    opened = charter.open_bundle(signed)
    answers = charter.answer(opened, ["a room", None, " "])
    assert answers["not_answered"].to_list() == [None, "no text", "no text is left"]
    assert answers["prediction"].null_count() == 2
    assert charter.answer(opened, "a great room").height == 1
    with pytest.raises(TypeError, match="text 2 is of type int"):
        charter.answer(opened, ["a", 5])
    with pytest.raises(CharterError, match="at character 3"):
        charter.answer(opened, ["ab\udcff"])


@pytest.mark.parametrize(
    ("key", "said"),
    [(lambda: private_pem(rsa.generate_private_key(65537, 2048)), "no EC key"),
     (lambda: private_pem(ed25519.Ed25519PrivateKey.generate()), "no EC key"),
     (lambda: private_pem(ec.generate_private_key(ec.SECP256K1())), "no EC key"),
     (lambda: private_pem(ec.generate_private_key(ec.SECP256R1()), b"secret"), "encrypted"),
     (lambda: public_pem(ec.generate_private_key(ec.SECP256R1())), "no private key"),
     (lambda: b"junk", "no private key")],
    ids=["rsa", "ed25519", "other curve", "encrypted", "public", "junk"],
)  # fmt: skip
def test_a_key_that_cannot_sign_is_found_before_any_work(tiny_bert, tmp_path, key, said, capsys):
    (tmp_path / "private.pem").write_bytes(key())
    with pytest.raises(CharterError, match=said):
        check_key(tmp_path / "private.pem")
    with pytest.raises(CharterError, match=r"private\.pem"):
        make(tmp_path, tiny_bert)
    assert not (tmp_path / "runs").exists()
    assert run_command(["check", str(tmp_path / "charter.yaml")]) == 2
    assert "release.sign" in capsys.readouterr().err


def test_signing_that_is_not_installed_is_found_before_any_work(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setattr("charter.release.signing.find_spec", lambda _: None)
    (tmp_path / "private.pem").write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(MissingExtraError, match=r"charter\[sign\]"):
        make(tmp_path, tiny_bert)
    assert not (tmp_path / "runs").exists()


def test_a_good_key_is_found_good(released):
    check_key(released / "private.pem")


def test_a_place_that_is_taken_is_found_before_any_work(tiny_bert, tmp_path):
    (tmp_path / "release" / "reviews").mkdir(parents=True)
    with pytest.raises(BundleError, match="no bundle"):
        make(tmp_path, tiny_bert, sign="null")
    assert not (tmp_path / "runs").exists()


def test_a_failure_of_packing_leaves_no_claim_of_release(tiny_bert, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("charter.release.bundle.write_findings", full)
    with pytest.raises(OSError, match="No space"):
        make(tmp_path, tiny_bert, sign="null")
    (past,) = list_runs(Store(tmp_path / "runs"))
    assert past.status == "failed"
    assert not (past.folder / "record.json").exists()
    assert not (past.folder / "report.html").exists()
    assert list((tmp_path / "release").iterdir()) == []


def test_a_refused_run_says_whose_bundle_still_stands_and_a_reused_stage_keeps_its_rejects(
    tiny_bert, tmp_path
):
    first = make(tmp_path, tiny_bert, sign="null")
    events = []
    second = make(tmp_path, tiny_bert, sign="null", limit=">= 0.999", on_event=events.append)
    notes = [event.text for event in events if event.kind == "note"]
    assert any(f"is still the bundle of run {first.run_id}" in note for note in notes)
    rejects = [(one.folder / "rejects.jsonl").read_bytes() for one in (first, second)]
    assert rejects[0] == rejects[1] != b""


def test_a_charter_that_was_changed_in_the_record_opens_no_bundle(unsigned):
    edit(unsigned / "charter" / "record.json", lambda one: one["charter"]["training"].update(seed=8))
    reseal(unsigned)
    with pytest.raises(BundleError, match="charter_digest"):
        read_bundle(unsigned)
