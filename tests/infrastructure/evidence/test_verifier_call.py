"""The call of the verifier: its options and keys, a proof alone, and what it needs."""

import base64
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from offerlog_infrastructure.evidence import verify_bundle as alone
from support.bundles import ExportedLog


def test_a_proof_is_checked_without_its_bundle(
    exported: ExportedLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its checkpoint is signed, and its event leads to the root; the event is shown."""
    proof = exported.folder / "proofs" / "1.tlog-proof"
    words = ["--proof", str(proof), "--key", exported.words[1]]
    # when
    assert alone.main(words) == 0
    # then
    out = capsys.readouterr().out
    first = json.loads((exported.folder / "events.ndjson").read_text().partition("\n")[0])
    assert f"position 1, {first['topic']}: {{'organization': {first['organization']!r}" in out
    assert "signed by shop.example/offers" in out
    assert out.endswith("ok      the event is in a signed tree\n")
    # when it is changed
    good = proof.read_text()
    for changed, expected in (
        (good.replace("index 0", "index 1"), "does not lead from its event to the root"),
        (good.replace("shop.example/offers\n", "shoe.example/offers\n", 1), "no given key has signed"),
        (good.replace("extra ", "extra"), "is not a proof of an event"),
        (good + " " * (1 << 20), "is longer than 1,048,576 bytes"),
    ):
        other = tmp_path / "1.tlog-proof"
        other.write_text(changed)
        assert alone.main(["--proof", str(other), *words[2:]]) == 1
        assert expected in capsys.readouterr().out


def test_a_python_without_cryptography_is_told_so(exported: ExportedLog) -> None:
    """In one line, and with the exit code of a check that could not be made."""
    lacks = "import runpy, sys; sys.modules['cryptography'] = None"
    code = f"{lacks}; runpy.run_path(sys.argv[1], run_name='__main__')"
    words = [sys.executable, "-I", "-S", "-c", code, str(exported.folder / "verify_bundle.py"), "bundle"]
    run = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert run.stderr == "verify_bundle.py: error: install `cryptography`, version 2.6 or newer\n"


def public_key(kind: int, length: int) -> str:
    """A public key of a type, of so many bytes."""
    data = bytes([kind]) + bytes(range(length))
    return f"a+{sha256(b'a' + chr(10).encode() + data).hexdigest()[:8]}+{base64.b64encode(data).decode()}"


def test_a_key_of_the_log_is_not_a_witness_and_a_private_key_is_not_printed(
    exported: ExportedLog, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log that vouches for itself has no witness."""
    key = exported.words[1]
    for words, expected in (
        (["--key", key, "--witness", key], "no log's --key nor witness's --witness"),
        (["--key", str(exported.key)], "not a public key NAME+ID+BASE64"),
        (["--key", key, "--checkpoint", "\x1b[2J"], "x1b[2J"),
        (["--key", key, "--\x1b[2J"], "verify_bundle.py: error: unrecognized arguments: --\\x1b[2J"),
        (["--key", ""], "not a public key NAME+ID+BASE64"),
        (["--key", public_key(4, 32)], "no log's --key nor witness's --witness"),
        (["--key", public_key(1, 31)], "no log's --key nor witness's --witness"),
        (["--key", key, "--witness", public_key(1, 32)], "no log's --key nor witness's --witness"),
        (["--key", key, "--proof", "a"], "not allowed with argument"),
    ):
        with pytest.raises(SystemExit, match="2"):
            alone.main([str(exported.folder), *words])
        err = capsys.readouterr().err
        assert expected in err
        assert "PRIVATE+KEY" not in err
        assert "\x1b" not in err


def test_a_manifest_of_another_format_is_refused(exported: ExportedLog, tmp_path: Path) -> None:
    """A later format may mean something else by the same fields."""
    text = (exported.folder / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace("offerlog-bundle-1", "offerlog-bundle-2"))
    faults = [*alone.check_manifest({**alone.list_files(exported.folder), **alone.list_files(tmp_path)})]
    assert faults == ["manifest.json: is not of the format offerlog-bundle-1, which this verifier reads"]
