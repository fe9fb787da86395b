"""Throw-away servers of other kinds, for the benchmark and the examples: a Kafka broker, Kafka
Connect with one connector of Debezium's, an OpenSearch node. Their programs come from
scripts/install-servers. Each owns its directory below the one it is given; its process is gone
after stop(), its data stay for another start()."""

import http.client
import json
import os
import signal
import subprocess
import time

from throwaway import BIN, free_port

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JAVA = ["java", "-XX:+UseSerialGC"]
START_TIMEOUT_S = 120


class ServerError(Exception):
    pass


def archives(name):
    where = subprocess.run(
        [os.path.join(REPOSITORY, "scripts", "install-servers"), "--where", name],
        check=True, capture_output=True, text=True).stdout.strip()
    if not os.path.isdir(where):
        raise ServerError("no %s at %s: run scripts/install-servers %s" % (name, where, name))
    return os.path.join(where, "lib")


def postgresql16():
    """The programs of PostgreSQL 16, or Debian's where that was not fetched."""
    try:
        programs = os.path.join(archives("postgresql16"), "postgresql", "bin")
    except ServerError:
        return BIN
    return programs


def ask(port, method, path, body=None, content_type="application/json"):
    """One HTTP request to this machine; gives status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        headers = {"Content-Type": content_type} if body is not None else {}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Server:
    def __init__(self, directory, name):
        self.name = name
        self.path = os.path.join(directory, name)
        self.log_path = os.path.join(directory, name + ".log")
        os.makedirs(self.path)
        self._process = None

    def _launch(self, command):
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, cwd=self.path, start_new_session=True)

    def _wait_until(self, ready):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                if ready():
                    return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                with open(self.log_path, errors="replace") as log:
                    raise ServerError("%s did not start:\n%s" % (self.name, log.read()[-4000:]))
            time.sleep(0.2)

    def stop(self):
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None


class Kafka(Server):
    def __init__(self, directory):
        super().__init__(directory, "kafka")
        self.port = free_port()
        controller = free_port()
        self.brokers = "127.0.0.1:%d" % self.port
        self._config = os.path.join(self.path, "server.properties")
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": "1@127.0.0.1:%d" % controller,
            "listeners": "PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d" % (self.brokers, controller),
            "advertised.listeners": "PLAINTEXT://" + self.brokers,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": os.path.join(self.path, "log"),
            "num.partitions": 1,
            "log.message.timestamp.type": "LogAppendTime",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 2,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
        }
        with open(self._config, "w") as out:
            out.writelines("%s=%s\n" % item for item in settings.items())

    def start(self):
        java = [*JAVA, "-Xmx512m", "-Dlog4j2.level=WARN", "-cp", archives("kafka") + "/*"]
        subprocess.run([*java, "kafka.tools.StorageTool", "format", "--config", self._config,
                        "--cluster-id", "cGdmbG93LWJlbmNobWFyay0x", "--ignore-formatted"],
                       check=True, cwd=self.path, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        self._launch([*java, "kafka.Kafka", self._config])
        self._wait_until(lambda: subprocess.run(
            ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/%d" % self.port],
            stderr=subprocess.DEVNULL).returncode == 0)
        return self


class Connect(Server):
    """Kafka Connect standalone with one connector, from its start to its stop. `plugin` is the
    list of archives (tests/servers) that the connector is in."""

    def __init__(self, directory, name, brokers, connector, plugin="debezium", worker=None):
        super().__init__(directory, name)
        self.port = free_port()
        plugins = os.path.join(self.path, "plugins")
        os.makedirs(plugins)
        os.symlink(archives(plugin), os.path.join(plugins, plugin))
        worker = {
            "bootstrap.servers": brokers,
            "listeners": "http://127.0.0.1:%d" % self.port,
            "plugin.path": plugins,
            "plugin.discovery": "service_load",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false",
            "offset.storage.file.filename": os.path.join(self.path, "offsets"),
            "offset.flush.interval.ms": 1000,
            "connector.client.config.override.policy": "All",
            **(worker or {}),
        }
        self._files = []
        for part, settings in (("worker", worker), ("connector", connector)):
            path = os.path.join(self.path, part + ".properties")
            with open(path, "w") as out:
                out.writelines("%s=%s\n" % item for item in settings.items())
            self._files.append(path)

    def start(self):
        self._launch([*JAVA, "-Xmx1g", "-Dlog4j2.level=WARN", "-cp", archives("connect") + "/*",
                      "org.apache.kafka.connect.cli.ConnectStandalone", *self._files])
        self._wait_until(lambda: ask(self.port, "GET", "/connectors")[0] == 200)
        return self


class OpenSearch(Server):
    def __init__(self, directory, heap="1g"):
        super().__init__(directory, "opensearch")
        self._heap = heap
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        os.makedirs(os.path.join(self.path, "config"))

    def start(self):
        node = os.path.join(REPOSITORY, "engine", "testing", "servers", "OpenSearchNode.java")
        settings = {
            "path.data": self.path + "/data", "path.logs": self.path + "/logs",
            "cluster.name": "bench", "node.name": "bench", "discovery.type": "single-node",
            "network.host": "127.0.0.1", "http.port": self.port, "transport.port": free_port(),
            "cluster.routing.allocation.disk.threshold_enabled": "false",
        }
        self._launch([*JAVA, "-Xms" + self._heap, "-Xmx" + self._heap, "-cp",
                      archives("opensearch") + "/*", node, self.path,
                      *("%s=%s" % item for item in settings.items())])
        self._wait_until(lambda: ask(
            self.port, "GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")[0] == 200)
        return self

    def json(self, method, path, body=None):
        code, answer = ask(self.port, method, path,
                           None if body is None else json.dumps(body).encode())
        if code >= 300:
            raise ServerError("%s %s: %d %s" % (method, path, code, answer[:500]))
        return json.loads(answer)
