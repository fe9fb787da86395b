"""What the `run` programs of the examples share: private servers, pgflow, waiting, and the end.

A Demonstration owns a scratch directory, a source server and all programs that it starts; close()
ends them by their process ids and removes the directory."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

EXAMPLES = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(EXAMPLES)
sys.path.insert(0, os.path.join(ROOT, "scripts"))
sys.dont_write_bytecode = True

from throwaway import Cluster, SqlError, end_on_signals, free_port  # noqa: E402
from throwaway_servers import ServerError  # noqa: E402

PGFLOW = os.environ.get("PGFLOW", os.path.join(ROOT, "build", "release", "cli", "pgflow"))
PATIENCE_SECONDS = 90


class Failure(Exception):
    pass


class Demonstration:
    """Subclasses set `name` (the example's folder) and write steps()."""

    name = ""

    def __init__(self):
        if not os.path.exists(PGFLOW):
            raise Failure("%s is not there: run scripts/quickstart first" % PGFLOW)
        self.folder = os.path.join(EXAMPLES, self.name)
        self.directory = tempfile.mkdtemp(prefix="pgflow_%s_" % self.name)
        os.chmod(self.directory, 0o755)
        self.source = Cluster(self.directory, "source")
        self.servers = [self.source]
        self.programs = []
        self.environment = {"ADMIN_ADDRESS": "127.0.0.1:%d" % free_port()}

    def steps(self):
        raise NotImplementedError

    def close(self):
        for program in self.programs:
            if program.poll() is None:
                program.kill()
                program.wait()
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def say(self, text):
        print("%s: %s" % (self.name, text), flush=True)

    def start_source(self):
        self.say("starting private servers in " + self.directory)
        self.source.start()
        self.environment["SOURCE_URL"] = self.source.url()
        with open(os.path.join(self.folder, "schema.sql")) as schema:
            self.change(schema.read())

    def add_server(self, server):
        self.servers.append(server)
        return server.start()

    def start(self, command, log_name):
        with open(os.path.join(self.directory, log_name), "ab") as log:
            program = subprocess.Popen(
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environment})
        self.programs.append(program)
        return program

    def start_pgflow(self, *arguments):
        self.say("pgflow " + " ".join(
            os.path.relpath(a, ROOT) if a.startswith(ROOT) else a for a in arguments))
        return self.start([PGFLOW, *arguments], "pgflow.log")

    def stop_pgflow(self, pgflow):
        pgflow.send_signal(signal.SIGINT)
        if pgflow.wait(timeout=PATIENCE_SECONDS) != 0:
            raise Failure("pgflow ended with exit code %d:\n%s" % (pgflow.returncode, self.log()))

    def change(self, *statements):
        with self.source.session() as session:
            for statement in statements:
                session.query(statement)

    def rows(self, query, cluster=None):
        with (cluster or self.source).session() as session:
            return session.query(query)

    def log(self):
        with open(os.path.join(self.directory, "pgflow.log"), errors="replace") as log:
            return log.read()[-3000:]

    def wait(self, what, pgflow, condition):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if condition():
                    return
            except (OSError, ServerError, SqlError, KeyError):
                pass  # Not there yet, or away.
            if pgflow.poll() is not None or time.monotonic() > deadline:
                raise Failure("%s did not arrive:\n%s" % (what, self.log()))
            time.sleep(0.05)


def run(kind):
    """The whole of a `run` program: gives its exit code."""
    end_on_signals()
    demonstration = None
    try:
        demonstration = kind()
        demonstration.steps()
        return 0
    except (Failure, ServerError, SqlError) as failure:
        print("%s: FAILED: %s" % (kind.name, failure), flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if demonstration is not None:
            demonstration.close()
