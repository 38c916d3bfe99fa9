"""TLS, passwords and compression of the HTTP side."""

import base64
import gzip
import http.client
import shutil
import ssl
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
from pydantic import ValidationError

from backstay.config import Config
from backstay.metrics.blocks import ConnectionMeter
from backstay.metrics.exporter import HttpServer, Views, create_app
from backstay.metrics.passwords import check_hash, is_right, make_hash
from backstay.metrics.server import Certificate

HASH = make_hash("opensesame", b"0123456789abcdef")


class Source:
    def connections(self):
        return [ConnectionMeter(name="keeper")]

    def actors(self):
        return []

    def now(self):
        return 1.0


@contextmanager
def serving(users=None, certificate=None):
    views = Views(source=Source(), status=lambda: {"schema": 1})
    server = HttpServer("127.0.0.1:0", create_app(views, users=users), certificate=certificate)
    server.start()
    try:
        yield server
    finally:
        assert server.stop()


def get(server, path, context=None, **headers):
    if context is None:
        connection = http.client.HTTPConnection(*server.address, timeout=20)
    else:
        connection = http.client.HTTPSConnection(*server.address, timeout=20, context=context)
    with closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_without_users_nobody_is_asked_who_he_is():
    with serving() as server:
        assert get(server, "/metrics")[0] == 200


def test_with_users_everything_but_the_health_checks_needs_a_password():
    with serving({"prometheus": HASH}) as server:
        for path in ("/metrics", "/", "/api/v1/status", "/readyz/connection/keeper"):
            status, _, headers = get(server, path)
            assert (status, headers["www-authenticate"].split()[0]) == (401, "Basic")
        assert get(server, "/livez")[0] == 200
        assert get(server, "/readyz")[0] == 200
        for _ in range(2):  # the second is remembered
            assert get(server, "/metrics", Authorization=basic("prometheus", "opensesame"))[0] == 200
        for wrong in (
            basic("prometheus", "opensesame "),
            basic("prometheu", "opensesame"),
            "Basic ???",
            "Basic",
            "Bearer opensesame",
            "Basic " + base64.b64encode(b"\xff\xfe").decode(),
            "Basic " + "A" * 5000,
        ):
            assert get(server, "/metrics", Authorization=wrong)[0] == 401


def test_a_hash_is_right_for_its_password_only_and_says_nothing_of_it():
    assert is_right("opensesame", HASH)
    assert not is_right("opensesamE", HASH)
    assert "opensesame" not in HASH
    assert make_hash("opensesame") != make_hash("opensesame")


@pytest.mark.parametrize(
    "bad", ["", "opensesame", "scrypt$3$8$1$YQ==$YQ==", "scrypt$16384$8$1$$", "md5$1$1$1$YQ==$YQ=="]
)
def test_what_is_no_hash_is_refused_here_and_in_the_configuration(bad):
    with pytest.raises(ValueError, match="must be a hash"):
        check_hash(bad)
    with pytest.raises(ValidationError, match=r"users\.me: must be a hash"):
        Config.model_validate({"http": {"users": {"me": bad}}})


def test_hashes_are_in_no_dump_of_the_configuration():
    config = Config.model_validate({"http": {"users": {"me": HASH}}})
    assert HASH not in config.model_dump_json()
    assert HASH not in repr(config)
    assert config.http.users["me"].get_secret_value() == HASH


def test_a_certificate_needs_its_key():
    with pytest.raises(ValidationError, match="certificate and key belong together"):
        Config.model_validate({"http": {"certificate": "x.pem"}})


def test_the_hash_of_a_line_is_printed():
    command = [sys.executable, "-m", "backstay.metrics.passwords"]
    done = subprocess.run(command, input="opensesame\n", capture_output=True, text=True, check=True)
    assert is_right("opensesame", done.stdout.strip())


@pytest.fixture
def certificate(tmp_path):
    assert shutil.which("openssl"), "openssl makes the certificate of this test"
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*make, *subject, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    return Certificate(chain, key)


def test_with_a_certificate_it_speaks_https_and_nothing_else(certificate):
    assert certificate.problem() == ""
    trusting = ssl.create_default_context(cafile=certificate.chain)
    with serving(certificate=certificate) as server:
        status, body, _ = get(server, "/metrics", trusting)
        assert status == 200
        assert b"backstay_build_info" in body
        with pytest.raises((http.client.HTTPException, OSError)):
            get(server, "/metrics")


def another_key(path, *secret):
    command = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", *secret, "-out", path]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_a_certificate_that_cannot_be_used_is_found_out_before_with_the_reason(certificate, tmp_path):
    missing = Certificate(certificate.chain.with_name("none"), certificate.key)
    assert missing.problem() == f"{missing.chain}: No such file or directory"
    foreign = certificate._replace(key=another_key(tmp_path / "foreign.pem"))
    assert foreign.problem().endswith(": the key is that of another certificate")
    secret = certificate._replace(key=another_key(tmp_path / "secret.pem", "-aes256", "-pass", "pass:x"))
    assert secret.problem().endswith(": the key is encrypted")
    certificate.chain.write_text("nothing")
    assert certificate.problem().endswith(": one of them is no PEM, or not of its kind")
    tree = 'http = {certificate = "chain.pem", key = "key.pem"}\n[gateways.here]\nendpoints = ["127.0.0.1:1"]\n'
    (tmp_path / "backstay.toml").write_text(tree + '[relays.r]\ngateway = "here"\nlisten = "127.0.0.1:0"\n')
    for command in (["check", "backstay.toml"], ["run", "--config", "backstay.toml"]):
        told = [sys.executable, "-m", "backstay", *command]
        done = subprocess.run(told, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "http.certificate: " in done.stderr
        assert "is no PEM" in done.stderr


def test_metrics_are_compressed_for_those_who_ask():
    with serving() as server:
        _, plain, headers = get(server, "/metrics")
        assert headers["content-encoding"] is None
        _, packed, headers = get(server, "/metrics", **{"Accept-Encoding": "deflate, gzip;q=0.5"})
        assert headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in headers["vary"]
        assert len(packed) < len(plain) / 5
        assert gzip.decompress(packed).startswith(b"# HELP backstay_build_info")
