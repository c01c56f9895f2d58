"""The key that signs protocols, and the commands that export and verify them."""

import json
import os
import stat
import subprocess
import sys
import threading
from uuid import UUID

import pytest

from auction.protocol.export import export
from auction.protocol.signing import canonical, key_id, protocol_key, public_pem, read_public
from core.errors import Misconfigured, NotFound, Rejected
from core.settings import Settings
from tests.auction.protocol.forging import KEY


def test_an_unknown_lot_has_no_protocol(db):
    with pytest.raises(NotFound):
        export(db, UUID(int=0), key=KEY)


# ------------------------------------------------------------------------------------ the key


def deployment(tmp_path, **options):
    return Settings(data_dir=tmp_path, _env_file=None, **options)


def test_a_hundred_that_ask_at_once_get_the_same_key_and_nobody_else_may_read_it(tmp_path):
    found = []
    asking = [
        threading.Thread(target=lambda: found.append(public_pem(protocol_key(deployment(tmp_path)))))
        for _ in range(20)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(found) == 20
    assert len(set(found)) == 1
    path = tmp_path / "keys" / "protocol.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["protocol.pem"]
    assert key_id(read_public(found[0].encode())) == key_id(protocol_key(deployment(tmp_path)).public_key())


def test_a_key_file_of_the_operator_is_used_or_refused_but_never_replaced(tmp_path):
    given_file = tmp_path / "ours.pem"
    with pytest.raises(Misconfigured, match="PROTOCOL_KEY_FILE"):
        protocol_key(deployment(tmp_path, protocol_key_file=given_file))
    given_file.write_text("not a key")
    with pytest.raises(Misconfigured, match="PROTOCOL_KEY_FILE"):
        protocol_key(deployment(tmp_path, protocol_key_file=given_file))
    assert given_file.read_text() == "not a key"


def test_a_number_that_is_not_whole_cannot_be_signed():
    with pytest.raises(Rejected, match="whole numbers"):
        canonical({"price": 1.5})


def test_what_is_no_public_key_is_refused():
    with pytest.raises(Rejected, match="Ed25519"):
        read_public(b"-----BEGIN PUBLIC KEY-----")


# ------------------------------------------------------------------------- the command line


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pledgewatch", "auction", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60,
        env={k: v for k, v in os.environ.items() if not k.startswith("PLEDGEWATCH_")} | environment,
    )  # fmt: skip


def test_the_command_line_says_what_is_wrong_and_by_its_exit_code_that_it_is(protocols, tmp_path):
    public, good, bad = tmp_path / "public.pem", tmp_path / "good.json", tmp_path / "bad.json"
    public.write_text(public_pem(KEY))
    good.write_bytes(canonical(protocols["sold", "public"]))
    bad.write_bytes(good.read_bytes().replace(b'"view":"public"', b'"view":"full"'))
    held = command("verify", good, "--key", public, "--json")
    assert held.returncode == 0, held.stderr
    assert json.loads(held.stdout.splitlines()[-1])["ok"] is True
    broken = command("verify", bad, "--key", public, "--json")
    assert broken.returncode == 1
    assert "bad_signature" in broken.stderr
    assert json.loads(broken.stdout.splitlines()[-1])["problems"][0]["code"] == "bad_signature"
    assert command("verify", good, "--key", good).returncode == 2
    assert command("verify", tmp_path / "none.json", "--key", public).returncode == 2


def test_the_public_key_of_a_deployment_is_printed_and_stays_the_same(tmp_path):
    first = command("key", PLEDGEWATCH_DATA_DIR=str(tmp_path))
    again = command("key", PLEDGEWATCH_DATA_DIR=str(tmp_path))
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout == public_pem(protocol_key(deployment(tmp_path)))
