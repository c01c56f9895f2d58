"""The same over TLS, with a certificate made here; nobody is trusted without one."""

import ipaddress
import ssl
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.clock import wall_now
from tests.ingest.transport.scripted import (
    BOTH,
    await_connected,
    await_trouble,
    connecting,
    publish,
    scripted,
    take,
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return the file of a self-signed certificate for localhost, and that of its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(wall_now() - timedelta(days=1))
        .not_valid_after(wall_now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate_file, key_file


@pytest.fixture
def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@BOTH
def test_messages_come_and_answers_go_through_tls(transport_kind, certificate, server_context, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with scripted(server_context) as broker, connecting(transport_kind, broker.url) as transport:
        line = broker.accept()
        line.welcome()
        await_connected(transport)
        # Larger than a record (16 KiB) and than the buffer; then many in one record.
        large = bytes(range(256)) * 2_500
        line.send(publish(b"a/1", large, 1))
        line.send_in_pieces(b"".join(publish(b"a/2", b"%d" % mid, mid) for mid in range(2, 402)), 7, 900)
        got = take(transport, 401)
        assert got[0].payload == large
        assert [d.payload for d in got[1:]] == [b"%d" % mid for mid in range(2, 402)]
        transport.ack([d.token for d in got])
        assert line.acknowledged(401) == list(range(1, 402))
        line.close()
        again = broker.accept()
        again.welcome(present=True)
        assert await_connected(transport).session_present
        again.close()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@BOTH
def test_a_broker_whose_certificate_nobody_vouches_for_gets_no_password(
    transport_kind, server_context, monkeypatch
):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with scripted(server_context) as broker, connecting(transport_kind, broker.url) as transport:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            broker.accept()
        trouble = await_trouble(transport)
        assert trouble.kind == "broker_unreachable"
        assert "certificate verify failed" in trouble.detail.lower()
