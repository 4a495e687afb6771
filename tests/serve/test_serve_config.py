"""Who may ask: `[serve]` of the file, what its page shows, and the command."""

import re
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from collectors.config import ConfigError, decode_toml
from pipeline.cli import serve as command
from pipeline.cli.common import Commands
from pipeline.config import Config, RoleConfig, ServeConfig
from pipeline.errors import CrosspaneError
from pipeline.lake import Lake
from pipeline.serve.pgwire import login, scram

PAGE = (Path(__file__).parents[2] / "docs/how-to/sql.md").read_text("utf-8")


def test_the_pages_file_is_one():
    """Its roles are as its words say; the verifier's password is the RFC's, pencil."""
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    serve = decode_toml(text.encode(), Config).serve
    assert list(serve.roles) == ["pane", "grafana", "team-shop"]
    assert serve.roles["team-shop"].namespaces == ("shop",)
    known = login.known_of("team-shop", serve.roles["team-shop"])
    assert known == scram.verifier("pencil", salt=known.salt if known else b"")


def test_what_is_served_without_a_file():
    """One role, without a password, on loopback."""
    serve = Config().serve
    assert (serve.listen, serve.web_listen) == ("127.0.0.1:5433", "127.0.0.1:8400")
    assert serve.roles == {"crosspane": RoleConfig()}
    assert login.known_of("crosspane", RoleConfig()) is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("listen = 'nowhere'", "listen"),
        ("listen = '::1:5433'", "listen"),
        ("max_clients = 0", "max_clients"),
        ("roles = {}", "roles"),
        ("[serve.roles.'a b']", "roles"),
        ("[serve.roles.a]\nmemory = 'much'", "memory"),
        ("[serve.roles.a]\nscram = 'md5abc'", "scram"),
        ("[serve.roles.a]\nmax_time_s = 0", "max_time_s"),
        ("[serve.roles.a]\npassword = 'x'", "password"),
    ],
)
def test_a_wrong_key_is_named(text: str, key: str):
    """Addresses, limits, names; a password in the file itself is no key."""
    with pytest.raises(ConfigError, match=key):
        decode_toml(f"[serve]\n{text}".encode(), Config)


def test_addresses_may_be_empty():
    """Then nothing listens there; an IPv6 address is in brackets."""
    serve = decode_toml(b"[serve]\nlisten = ''\nweb_listen = '[::1]:8400'", Config).serve
    assert (serve.listen, serve.web_listen) == ("", "[::1]:8400")


def test_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of a file, its first line; of the environment; each as the verifier of it."""
    (tmp_path / "password").write_text("pencil\r\nnot this\n")
    monkeypatch.setenv("CROSSPANE_TEST_PASSWORD", "pencil")
    for role in (
        RoleConfig(password_file=str(tmp_path / "password")),
        RoleConfig(password_env="CROSSPANE_TEST_PASSWORD"),  # noqa: S106 - a variable's name
    ):
        known = login.known_of("a", role)
        assert known == scram.verifier("pencil", salt=known.salt if known else b"")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (RoleConfig(password_file="/nope"), "serve.roles.a.password_file"),  # noqa: S106
        (RoleConfig(password_env="CROSSPANE_NOT_SET"), "serve.roles.a.password_env"),  # noqa: S106
        (RoleConfig(password_env="X", scram="Y"), "not both"),  # noqa: S106
        (RoleConfig(scram="SCRAM-SHA-256$1:AA==$AA==:AA=="), "serve.roles.a.scram"),
    ],
)
def test_a_password_that_cannot_be_had_is_said(config: RoleConfig, said: str):
    """Before anything listens, with the key."""
    with pytest.raises(ConfigError, match=said):
        login.Doorkeeper(ServeConfig(roles={"a": config}))


@pytest.mark.parametrize(
    "config",
    [
        ServeConfig(require_tls=True),
        ServeConfig(tls_certificate="/a"),
        ServeConfig(tls_certificate="/nope", tls_key="/nope"),
    ],
)
def test_tls_that_cannot_be_had_is_said(config: ServeConfig):
    """Required without a certificate, half of a pair, no file."""
    with pytest.raises(ConfigError, match="serve.(tls|require_tls)"):
        login.Doorkeeper(config)


def _run(*arguments: str, typed: str = "") -> tuple[int, str]:
    main = Commands("crosspane", listed={"serve": ("serve", "")}, help="")
    done = CliRunner().invoke(main, ["serve", *arguments], input=typed)
    return done.exit_code, done.output


def test_a_verifier_is_made_of_a_password():
    """Of a line of standard input; the server takes what is printed."""
    code, printed = _run("--scram", typed="pencil\n")
    known = scram.parse(printed.strip())
    assert (code, known) == (0, scram.verifier("pencil", salt=known.salt))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--listen", "nowhere"), 2),
        (("--listen", "", "--web-listen", ""), 2),
        (("--scram",), 2),
        (("--lake", "/nope"), 1),
    ],
)
def test_what_cannot_be_served_is_said(arguments: tuple[str, ...], code: int):
    """Asked wrongly, or without a lake."""
    assert _run(*arguments)[0] == code


def test_serving_says_where_and_an_address_that_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """What to type, and who has to go."""
    Lake(tmp_path / "lake").close()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        config = ServeConfig(listen=taken, web_listen="")
        with (
            pytest.raises(CrosspaneError, match=f"serve.listen {taken}: Address already in use"),
            command.serving(tmp_path / "lake", config, warm=False),
        ):
            pass
    config = ServeConfig(listen="127.0.0.1:0", web_listen="")
    with command.serving(tmp_path / "lake", config, warm=False):
        said = capsys.readouterr().err
        address = re.search(r"postgresql://crosspane@(127\.0\.0\.1):(\d+)/crosspane", said)
        assert address
        with socket.create_connection((address[1], int(address[2])), timeout=30) as client:
            client.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")
            assert client.recv(1) == b"N"
