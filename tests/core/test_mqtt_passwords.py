"""The broker's password hashes: ours and Mosquitto's are the same thing."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.mqtt_passwords import mosquitto_password_hash, new_mqtt_password, verify_mosquitto_password

# Made by mosquitto_passwd 2.0.11 from the password "correct horse".
FROM_MOSQUITTO = (
    "$7$101$hYyYLgNcuXamC3i/$c52JcNeqf91RdxNcvnyrkF0eRmejCR73xm6W"
    "ay7afPm6iECVMGI7Z/j4MStaBqyMtoc7B90PSWIZxIbYnTb0/A=="
)


@settings(max_examples=30)
@given(st.text(max_size=40), st.text(max_size=40))
def test_a_hash_accepts_its_own_password_and_no_other(password: str, other: str):
    stored = mosquitto_password_hash(password)
    assert verify_mosquitto_password(password, stored)
    assert verify_mosquitto_password(other, stored) == (other == password)


def test_two_hashes_of_one_password_differ():
    assert mosquitto_password_hash("same") != mosquitto_password_hash("same")


def test_a_hash_that_mosquitto_made_is_understood():
    assert verify_mosquitto_password("correct horse", FROM_MOSQUITTO)
    assert not verify_mosquitto_password("correct horsf", FROM_MOSQUITTO)


def test_mosquitto_passwd_and_we_agree(tmp_path):
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not on the PATH")
    password = new_mqtt_password()
    path = tmp_path / "passwords"
    subprocess.run(
        [program, "-c", "-b", path, "device", password], check=True, timeout=20, capture_output=True
    )
    user, _, stored = path.read_text().strip().partition(":")
    assert user == "device"
    assert verify_mosquitto_password(password, stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "plain",
        "$6$101$AAAA$AAAA",
        "$7$0$AAAA$AAAA",
        "$7$x$AAAA$AAAA",
        "$7$101$*$AAAA",
        "$7$101$AAAA$",
        "$7$99999999$AAAA$AAAA",
    ],
)
def test_a_malformed_hash_lets_nobody_in(stored: str):
    assert not verify_mosquitto_password("", stored)
    assert not verify_mosquitto_password("plain", stored)
