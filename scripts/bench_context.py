"""What every row of the benchmark shares: the two servers, the timed programs, the measurements."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

from throwaway import BIN, Cluster, free_port

SERVER_SETTINGS = {  # The same on both sides.
    "fsync": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "maintenance_work_mem": "256MB",
    "autovacuum": "off",  # Each row vacuums when its time is not being measured.
    "wal_sender_timeout": "60s",
    "max_locks_per_transaction": 256,  # pg_dump, which pgcopydb runs, locks all tables at once.
}
REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Run:
    """A running program: its peak memory (VmHWM) is polled, its CPU time taken when it ends."""

    def __init__(self, command, log_path):
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.started = time.monotonic()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/tmp",
                start_new_session=True,  # pgcopydb, when it fails, ends its process group.
            )
        self.command = command
        self.peak_mib = 0.0
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self._poller = threading.Thread(target=self._poll_memory)
        self._poller.start()

    def _poll_memory(self):
        while self._process.returncode is None:
            try:
                with open("/proc/%d/status" % self._process.pid) as status:
                    for line in status:
                        if line.startswith("VmHWM:"):
                            self.peak_mib = max(self.peak_mib, int(line.split()[1]) / 1024)
            except (OSError, ValueError):
                pass
            time.sleep(0.02)

    @property
    def running(self):
        """A program that ended and was not waited for is a zombie: not running."""
        try:
            with open("/proc/%d/stat" % self._process.pid) as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def wait(self, timeout_s=900):
        deadline = time.monotonic() + timeout_s
        while True:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self._signal(signal.SIGKILL)  # Shows as exit code -9.
            time.sleep(0.002)
        self.wall_s = time.monotonic() - self.started
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._poller.join()
        return self._process.returncode

    def require_success(self, timeout_s=900):
        code = self.wait(timeout_s)
        if code != 0:
            raise BenchError("%s: exit code %d\n%s" % (" ".join(self.command), code, self.tail()))
        return self

    def stop(self):
        """Ends it the way a user would: Ctrl-C, and a second one when it does not go."""
        self._signal(signal.SIGINT)
        return self.wait(timeout_s=30)

    def kill(self):
        if self._process.returncode is None:
            self._signal(signal.SIGKILL)
            self.wait()

    def _signal(self, number):
        """Popen's own way reaps a process that has ended, and leaves nothing to wait for."""
        os.kill(self._process.pid, number)

    def tail(self, lines=30):
        with open(self.log_path, errors="replace") as log:
            return "".join(log.readlines()[-lines:])


class BenchError(Exception):
    pass


class Context:
    """The servers, a scratch directory and the options of this invocation."""

    def __init__(self, directory, options):
        self.directory = directory
        self.options = options
        self.source = Cluster(directory, "source", SERVER_SETTINGS)
        self.target = Cluster(directory, "target", SERVER_SETTINGS)
        self.counter = 0
        self.runs = []

    def start(self):
        self.source.start()
        self.target.start()

    def stop(self, keep_logs=False):
        for run in self.runs:
            run.kill()
        for cluster in (self.source, self.target):
            cluster.stop()
        if keep_logs:
            self.say("logs: " + self.directory)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def say(self, text):
        print(text, flush=True)

    def unique(self, stem):
        self.counter += 1
        return "%s_%d" % (stem, self.counter)

    def path(self, name):
        return os.path.join(self.directory, name)

    def start_program(self, name, command):
        run = Run(command, self.path(self.unique(name) + ".log"))
        self.runs.append(run)
        return run

    def settle(self):
        """Leaves no dirty pages of one contender for the next to write."""
        for cluster in (self.source, self.target):
            with cluster.session() as session:
                session.query("CHECKPOINT")
        os.sync()

    def fresh_database(self, cluster, name, template=None):
        with cluster.session() as session:
            session.query('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % name)
            clause = ' TEMPLATE "%s"' % template if template else ""
            session.query('CREATE DATABASE "%s"%s' % (name, clause))

    def drop_database(self, cluster, name):
        with cluster.session() as session:
            session.query('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % name)

    def sql(self, cluster, database, statements):
        with cluster.session(database) as session:
            for statement in statements:
                session.query(statement)

    # --- pgflow ---

    def pgflow_pipeline(self, name, *, database, mode, tables, sink, create_schema=False,
                        ddl=False):
        """Writes a pipeline file; returns its path and its admin port."""
        admin_port = free_port()
        target = (
            {"blackhole": {}}
            if sink == "blackhole"
            else {"postgres": {"url": self.target.url(sink), "create_schema": create_schema}}
        )
        pipeline = {  # JSON is YAML.
            "name": name,
            "source": {
                "postgres": {
                    "url": self.source.url(database),
                    "mode": mode,
                    "tables": {"include": tables},
                    "replication": {"slot": name, "publication": name, "ddl": ddl},
                    "snapshot": {"workers": self.options.workers},
                }
            },
            "sinks": [target],
            "state": {"directory": self.path(name + "_state")},
            "admin": {"listen": "127.0.0.1:%d" % admin_port},
        }
        path = self.path(name + ".yaml")
        with open(path, "w") as out:
            json.dump(pipeline, out, indent=1)
        return path, admin_port

    def pgflow(self, *arguments):
        return self.start_program("pgflow_" + arguments[0], [self.options.pgflow, *arguments])

    # --- waiting ---

    @staticmethod
    def wait_until(session, sql, expected, timeout_s=600, pause_s=0.005, run=None):
        deadline = time.monotonic() + timeout_s
        while session.value(sql) != expected:
            if run is not None and not run.running:
                raise BenchError("the program ended early\n" + run.tail())
            if time.monotonic() > deadline:
                raise BenchError("timed out waiting for: " + sql)
            time.sleep(pause_s)

    @staticmethod
    def admin_status(port):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/status" % port, timeout=1) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None


def client(program):
    path = BIN + "/" + program
    return path if os.path.exists(path) else program
