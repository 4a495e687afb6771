"""
A real Apache Kafka for tests: KRaft, one node, from Maven artifacts.

The jars are fetched once into ``.cache``; a broker starts in some seconds. One
broker serves a whole test session, topics keep tests apart.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cache import kept
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from ports import free_ports

_POM = Path(__file__).parent / "kafka-broker" / "pom.xml"
_START_S = 60.0
# An id in Kafka's form, 22 characters. One drawn by lot began with a hyphen once in 64 runs, and
# Kafka's tool took it for an option.
_CLUSTER = "crosspane-test-cluster"

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=1000
"""


class Broker:
    """
    A broker that can be stopped and started again on the same data and port.

    Attributes
    ----------
    bootstrap
        ``127.0.0.1:port``.
    """

    def __init__(self, jars: Path, directory: Path) -> None:
        self._directory = directory
        port, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        self._java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        self._properties = directory / "server.properties"
        self._properties.write_text(
            _PROPERTIES.format(port=port, controller=controller, directory=directory)
        )
        tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._properties)]
        command = [*self._java, *tool]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        if done.returncode:
            pytest.fail(f"Kafka's storage was not made: {done.stderr[-2_000:]}")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self._directory / "broker.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._properties)], stdout=out, stderr=out
            )
        limit = time.monotonic() + _START_S
        while time.monotonic() < limit and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.2)
        self.stop()
        pytest.fail(f"Kafka did not start: {log.read_text(errors='replace')[-2_000:]}")

    def _answers(self) -> bool:
        host, port = self.bootstrap.split(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            client = KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=5_000)
        except (KafkaError, OSError):
            return False
        try:
            return bool(client.describe_cluster())
        except KafkaError:
            return False
        finally:
            client.close()

    def stop(self) -> None:
        """Stop it; what it wrote stays."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _jars() -> Path:
    """Folder of Kafka's jars, fetched if they are not there."""
    version = _POM.read_text().split("<version>")[2].split("<")[0]
    return kept(f"kafka-{version}", _fetch)


def _fetch(folder: Path) -> None:
    if shutil.which("mvn") is None:
        pytest.skip("Maven is not installed, which fetches Kafka: apt-get install maven")
    goal = "dependency:copy-dependencies"
    subprocess.run(
        [
            "mvn",
            "-q",
            "-B",
            "-f",
            _POM,
            goal,
            f"-DoutputDirectory={folder}",
            "-DincludeScope=runtime",
        ],
        check=True,
        timeout=240,
    )


@contextmanager
def run_broker() -> Iterator[Broker]:
    """A broker of its own, gone at the end."""
    jars = _jars()
    with tempfile.TemporaryDirectory(prefix="crosspane-kafka-") as directory:
        broker = Broker(jars, Path(directory))
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[Broker]:
    """The session's broker. A test that stops it starts it again."""
    with run_broker() as broker:
        yield broker
