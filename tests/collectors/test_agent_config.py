"""What an agent is told: defaults, bounds, and errors in the words of the file."""

import msgspec
import pytest

from collectors import config
from collectors.config import (
    AgentConfig,
    AgentFile,
    BatchConfig,
    ConfigError,
    KafkaLog,
    LocalLog,
    SpoolConfig,
    TailInput,
    UdpInput,
    decode_toml,
    load,
)

AGENT = """
[[agents]]
name = "node-1"
cluster = "east"
network = "flat"
"""
NETFLOW = AGENT + '[[agents.inputs]]\ntype = "netflow"\n'


def _error(text):
    with pytest.raises(ConfigError) as caught:
        decode_toml(text.encode(), AgentFile)
    return str(caught.value)


def test_a_small_file_gives_one_agent_with_defaults():
    """Name, cluster, network and an input are enough; the log is then local."""
    file = decode_toml(NETFLOW.encode(), AgentFile)
    assert isinstance(file.log, LocalLog)
    assert file.topic_prefix == "crosspane.v1"
    (agent,) = file.agents
    assert agent.inputs == (UdpInput(),)
    assert agent.inputs[0].address() == ("127.0.0.1", 2055)
    assert agent.batch.max_payloads == 4096
    assert agent.batch.max_age_ms == 500
    assert agent.spool.max_bytes == 1_073_741_824
    assert agent.spool.policy == "drop_oldest"
    assert str(agent.state_directory()) == "/var/lib/crosspane/agent/east.node-1"


def test_several_agents_of_a_file_share_a_kafka_log():
    """``[log]`` is one for all ``[[agents]]``."""
    file = decode_toml(
        b"""
        [log]
        type = "kafka"
        bootstrap = ["kafka-1:9092", "kafka-2:9092"]
        [[agents]]
        name = "a"
        cluster = "east"
        network = "n1"
        inputs = [{type = "netflow", listen = "[::]:2055"}]
        [[agents]]
        name = "a"
        cluster = "west"
        network = "n2"
        inputs = [{type = "access_log", paths = ["/var/log/envoy/*.log"]}]
        """,
        AgentFile,
    )
    assert isinstance(file.log, KafkaLog)
    assert file.log.bootstrap == ("kafka-1:9092", "kafka-2:9092")
    assert file.agents[0].inputs[0].address() == ("::", 2055)
    assert isinstance(file.agents[1].inputs[0], TailInput)


@pytest.mark.parametrize("default", [LocalLog(), UdpInput(), BatchConfig(), SpoolConfig()])
def test_defaults_are_within_their_own_bounds(default):
    """A default is a value one could have written."""
    assert msgspec.convert(msgspec.to_builtins(default), type(default)) == default


def test_each_key_of_each_struct_is_documented():
    """No key without a description: the reference is generated from them."""
    for struct in (
        LocalLog, KafkaLog, UdpInput, TailInput, BatchConfig, SpoolConfig, AgentConfig, AgentFile,
    ):  # fmt: skip
        for field in msgspec.structs.fields(struct):
            notes = getattr(field.type, "__metadata__", ())
            assert any(note.description for note in notes), f"{struct.__name__}.{field.name}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            NETFLOW + "listen = 3",
            (
                "agents[0].inputs[0].listen: expected `str`, got `int`"
                " ('address:port'; '[::]:2055' takes IPv4 and IPv6)"
            ),
        ),
        (
            NETFLOW + 'listen = "::1:99999"',
            "agents[0].inputs[0].listen: expected `str` matching regex",
        ),
        (
            NETFLOW + 'listen = "[::1]:99999"',
            "agents[0].inputs[0].listen: expected a port of 0 to 65535",
        ),
        (
            NETFLOW + "[agents.batch]\nmax_age = 3",
            (
                "agents[0].batch.max_age: no such key,"
                " allowed are max_age_ms, max_bytes, max_payloads; did you mean 'max_age_ms'?"
            ),
        ),
        (
            NETFLOW + '[agents.spool]\npolicy = "drop"',
            (
                "agents[0].spool.policy: invalid enum value 'drop',"
                " allowed are 'drop_oldest', 'drop_newest'"
            ),
        ),
        (
            AGENT + '[[agents.inputs]]\ntype = "sflow"',
            "agents[0].inputs[0].type: invalid value 'sflow', allowed are 'netflow', 'access_log'",
        ),
        (
            AGENT + '[[agents.inputs]]\nlisten = "a:1"',
            "agents[0].inputs[0].type: needed but missing, allowed are 'netflow', 'access_log'",
        ),
        (AGENT, "agents[0].inputs: needed but missing (what it receives"),
        (
            NETFLOW + '[[agents.inputs]]\ntype = "netflow"',
            "agents[0].inputs: at most one of a type",
        ),
        (NETFLOW + NETFLOW, "agents: two are named 'node-1' in cluster 'east'"),
        (
            '[log]\ntype = "kafka"\n' + NETFLOW,
            "log.bootstrap: needed but missing (brokers to ask first, each 'host:port')",
        ),
        (
            '[log]\ntype = "kafka"\nbootstrap = ["k:1"]\nsecurity_protocol = "SASL_SSL"\n'
            + NETFLOW,
            "log.sasl_username: needed with SASL_PLAINTEXT and SASL_SSL",
        ),
        ("agents = 3", "agents: expected `array`, got `int`"),
        ("agents =", "not TOML: Invalid value"),
    ],
)
def test_an_error_names_the_key_and_what_is_allowed(text, message):
    """Who reads the error needs to look nowhere else."""
    assert _error(text).startswith(message)


def test_bytes_that_are_no_text_are_a_config_error():
    """A binary file given by mistake is told, not raised through."""
    with pytest.raises(ConfigError, match=r"^not TOML"):
        decode_toml(b"\xff\xfe", AgentFile)


def test_load_names_the_file(tmp_path):
    """The error begins with the file, so that several can be told apart."""
    path = tmp_path / "agent.toml"
    with pytest.raises(ConfigError, match=r"agent.toml: No such file"):
        load(path)
    path.write_text("agents = 3")
    with pytest.raises(ConfigError, match=r"agent.toml: agents: expected `array`"):
        load(path)
    path.write_text(NETFLOW)
    assert load(path).agents[0].name == "node-1"


def test_the_kafka_password_comes_from_file_or_environment_only(tmp_path, monkeypatch):
    """No secret is a key of the file."""
    log = KafkaLog(bootstrap=("k:9092",), security_protocol="SASL_SSL", sasl_username="agent")
    monkeypatch.delenv("CROSSPANE_KAFKA_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="CROSSPANE_KAFKA_PASSWORD"):
        log.settings()
    monkeypatch.setenv("CROSSPANE_KAFKA_PASSWORD", "from-environment")
    assert log.settings() == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "agent",
        "sasl_plain_password": "from-environment",
    }
    secret = tmp_path / "password"
    secret.write_text("from-file\n")
    log = msgspec.structs.replace(log, sasl_password_file=str(secret), ssl_cafile="/ca.pem")
    assert "from-file" in log.settings().values()
    assert log.settings()["ssl_cafile"] == "/ca.pem"


def test_the_module_exports_what_it_says():
    """``config`` is the one place to import the agent's configuration from."""
    for name in config.__all__:
        assert hasattr(config, name)
