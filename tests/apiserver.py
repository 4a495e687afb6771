"""
A real kube-apiserver with etcd for tests, as Kubernetes publishes its source.

``tests/kube-apiserver/build`` builds it once into ``.cache`` (`make test` does);
a server starts in some seconds. Nothing else of a cluster runs: what a
controller or a kubelet would write, a test writes.
"""

import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ports import free_ports

_SOURCE = Path(__file__).parent / "kube-apiserver"
_CACHE = Path(os.environ.get("CROSSPANE_CACHE", Path(__file__).parents[1] / ".cache"))
_START_S = 90.0
_IDLE_S = 30.0
_RBAC = "rbac.authorization.k8s.io"
_MERGE = "application/merge-patch+json"


class Client:
    """
    Asks an API server, as the administrator if not told otherwise, by one connection.

    Attributes
    ----------
    url, ca_file
        Where it is, and what its certificate is checked with.
    """

    def __init__(self, url: str, ca_file: Path, bearer: str = "admin-token") -> None:
        self.url = url
        self.ca_file = ca_file
        self._bearer = bearer
        self._asked_s = 0.0
        self._connection: http.client.HTTPSConnection | None = None

    def ask(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        if time.monotonic() - self._asked_s > _IDLE_S:
            self.close()  # before the server does
        self._asked_s = time.monotonic()
        if self._connection is None:
            context = ssl.create_default_context(cafile=self.ca_file)
            host = self.url.removeprefix("https://")
            self._connection = http.client.HTTPSConnection(host, timeout=30, context=context)
        headers = {"Authorization": f"Bearer {self._bearer}", "Content-Type": kind}
        try:
            text = json.dumps(body) if body is not None else None
            self._connection.request(method, path, text, headers)
            answer = self._connection.getresponse()
            found = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionError(str(error)) from error
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(found) if is_json else found

    def make(self, path: str, body: object) -> Any:
        """Create an object; what it then is."""
        return self._must("POST", path, body)

    def patch(self, path: str, body: object) -> Any:
        """Merge into an object; what it then is."""
        return self._must("PATCH", path, body, _MERGE)

    def delete(self, path: str) -> Any:
        """Delete an object at once; its last state."""
        return self._must("DELETE", path, {"gracePeriodSeconds": 0})

    def get(self, path: str) -> Any:
        """What the server says now."""
        return self._must("GET", path)

    def permit(self, name: str, rules: list[dict[str, list[str]]]) -> None:
        """Let the agent do something."""
        of = {"apiVersion": f"{_RBAC}/v1", "metadata": {"name": name}}
        role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
        who = [{"apiGroup": _RBAC, "kind": "User", "name": "agent"}]
        self.make(f"/apis/{_RBAC}/v1/clusterroles", of | {"kind": "ClusterRole", "rules": rules})
        self.make(
            f"/apis/{_RBAC}/v1/clusterrolebindings",
            of | {"kind": "ClusterRoleBinding", "roleRef": role, "subjects": who},
        )

    def _must(self, method: str, path: str, body: object = None, kind: str = "application/json"):
        status, answer = self.ask(method, path, body, kind)
        assert status in {200, 201, 202}, (method, path, status, answer)
        return answer

    def close(self) -> None:
        """Hang up; the next question connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class ApiServer(Client):
    """
    An API server that can be killed and started again on the same data and port.

    Attributes
    ----------
    admin_token_file, agent_token_file
        Who may do all; and who may do what a test grants.
    """

    def __init__(self, program: Path, etcd: str, folder: Path) -> None:
        self._folder = folder
        port, self._etcd_port, peers = free_ports(3)
        super().__init__(f"https://127.0.0.1:{port}", folder / "certificates/apiserver.crt")
        self.admin_token_file = folder / "admin"
        self.agent_token_file = folder / "agent"
        self.admin_token_file.write_text("admin-token")
        self.agent_token_file.write_text("agent-token\n")
        (folder / "tokens.csv").write_text(
            "admin-token,admin,1,system:masters\nagent-token,agent,2\n"
        )
        key = folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        store = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{peers}"
        self._etcd = [
            *(etcd, "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", store, "--advertise-client-urls", store),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
        ]
        self._server = [
            *(str(program), "--etcd-servers", store, "--bind-address", "127.0.0.1"),
            *("--secure-port", str(port), "--cert-dir", str(self.ca_file.parent)),
            *("--service-account-issuer", "https://kubernetes.default.svc"),
            *("--service-account-key-file", str(key), "--service-account-signing-key-file"),
            *(str(key), "--service-cluster-ip-range", "10.96.0.0/16"),
            *("--token-auth-file", str(folder / "tokens.csv"), "--authorization-mode", "RBAC"),
            "--disable-admission-plugins=ServiceAccount",  # whose accounts a controller would make
            *("--etcd-compaction-interval", "0", "--enable-priority-and-fairness=false"),
        ]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start what does not run, and wait until it is ready."""
        for name, command in (("etcd", self._etcd), ("server", self._server)):
            if name not in self._processes:
                with (self._folder / f"{name}.log").open("ab") as out:
                    self._processes[name] = subprocess.Popen(command, stdout=out, stderr=out)
        limit = time.monotonic() + _START_S
        while time.monotonic() < limit and all(p.poll() is None for p in self._processes.values()):
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        log = (self._folder / "server.log").read_text(errors="replace")[-2_000:]
        self.stop()
        pytest.fail(f"kube-apiserver did not start: {log}")

    def kill(self) -> None:
        """End the API server as a crash does; etcd keeps all."""
        server = self._processes.pop("server")
        server.send_signal(signal.SIGKILL)
        server.wait()
        self.close()

    def stop(self) -> None:
        """End both."""
        self.close()
        for process in reversed(self._processes.values()):
            process.kill()
            process.wait()
        self._processes.clear()

    def compact(self) -> None:
        """Have etcd forget all but the present."""
        self._etcd_call("compaction", {"revision": self._revision(), "physical": True})

    def _revision(self) -> str:
        answer = self._etcd_call("range", {"key": "AA==", "limit": 1})
        return str(answer["header"]["revision"])

    def _etcd_call(self, what: str, body: object) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._etcd_port, timeout=30)
        try:
            path = f"/v3/kv/{what}"
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, text
        return json.loads(text)


def _program() -> Path:
    version = re.findall(
        r"^require k8s.io/kubernetes v(\S+)$", (_SOURCE / "go.mod").read_text(), re.MULTILINE
    )
    program = _CACHE / f"kube-apiserver-{version[0]}" / "kube-apiserver"
    if not program.exists():
        pytest.skip(
            "no kube-apiserver: install Go 1.24 or newer, and run tests/kube-apiserver/build"
        )
    return program


@contextmanager
def run_apiserver() -> Iterator[ApiServer]:
    """A server of its own, gone at the end."""
    program = _program()
    etcd = shutil.which("etcd")
    if etcd is None:
        pytest.skip("etcd is not installed: apt-get install etcd-server")
    with tempfile.TemporaryDirectory(prefix="crosspane-apiserver-") as folder:
        server = ApiServer(program, etcd, Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def apiserver() -> Iterator[ApiServer]:
    """The session's API server. A test that kills it starts it again."""
    with run_apiserver() as server:
        yield server
