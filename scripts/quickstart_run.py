"""What scripts/quickstart does after the build: servers, sample, pipeline, traffic, verdict."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from throwaway import BIN, Cluster, end_on_signals, free_port

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLE = os.path.join(REPOSITORY, "examples", "quickstart")
PGFLOW = os.path.join(REPOSITORY, "build", "release", "cli", "pgflow")
PIPELINE = os.path.join(EXAMPLE, "pipeline.yaml")
SLOT = "pgflow_quickstart"
TABLES = ("customers", "products", "orders", "order_items", "page_views")


class Failure(Exception):
    pass


def say(text):
    print("quickstart: " + text, flush=True)


class Quickstart:
    """Owns the servers and the programs; close() ends them all, by their process ids."""

    def __init__(self, options):
        self._options = options
        self._directory = tempfile.mkdtemp(prefix="pgflow_quickstart_")
        os.chmod(self._directory, 0o755)
        self._source = Cluster(self._directory, "source")
        self._target = Cluster(self._directory, "target")
        self._pgflow = None
        self._traffic = None
        self._admin = "127.0.0.1:%d" % free_port()

    def run(self):
        self._start_servers()
        self._start_pgflow()
        self._start_traffic()
        self._watch(self._options.seconds)
        self._stop_traffic()
        self._wait_until_caught_up()
        self._compare()
        if self._options.keep:
            self._linger()
        self._stop_pgflow()
        self._print_next()

    def close(self):
        for program in (self._traffic, self._pgflow):
            if program is not None and program.poll() is None:
                program.kill()
                program.wait()
        self._source.stop()
        self._target.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _start_servers(self):
        say("starting two private PostgreSQL servers in " + self._directory)
        for cluster in (self._source, self._target):
            cluster.start()
            with cluster.session() as session:
                session.query("CREATE DATABASE shop")
        say("loading the sample shop (520,000 rows) into the source")
        self._source.run("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f",
                         os.path.join(EXAMPLE, "schema.sql"), database="shop",
                         stdout=subprocess.DEVNULL)

    def _environment(self):
        return {
            "SOURCE_URL": self._source.url("shop"),
            "TARGET_URL": self._target.url("shop"),
            "ADMIN_ADDRESS": self._admin,
        }

    def _start_pgflow(self):
        say("pgflow run examples/quickstart/pipeline.yaml")
        self._pgflow = subprocess.Popen(
            [PGFLOW, "run", PIPELINE], cwd=self._directory, stdin=subprocess.DEVNULL,
            env={**os.environ, **self._environment()})

    def _start_traffic(self):
        log = open(os.path.join(self._directory, "traffic.log"), "wb")
        with log:
            self._traffic = subprocess.Popen(
                [BIN + "/pgbench", "-n", "-h", "127.0.0.1", "-p", str(self._source.port), "-U",
                 "postgres", "-f", os.path.join(EXAMPLE, "traffic.sql"), "-c", "2", "-R", "200",
                 "-T", "100000", "shop"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _watch(self, seconds):
        """Lets it run; ends early only when one of the programs does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._require_running()
            time.sleep(0.2)

    def _require_running(self):
        if self._pgflow.poll() is not None:
            raise Failure("pgflow ended with exit code %d" % self._pgflow.returncode)
        if self._traffic is not None and self._traffic.poll() is not None:
            with open(os.path.join(self._directory, "traffic.log")) as log:
                raise Failure("the traffic ended early:\n" + log.read())

    def _stop_traffic(self):
        self._traffic.send_signal(signal.SIGTERM)
        self._traffic.wait()
        self._traffic = None
        # The sessions of the traffic end a moment after it does: their last commits count.
        with self._source.session("shop") as session:
            while session.value("SELECT count(*) FROM pg_stat_activity"
                                " WHERE application_name = 'pgbench'") != "0":
                time.sleep(0.05)

    def _wait_until_caught_up(self):
        with self._source.session("shop") as session:
            end = session.value("SELECT pg_current_wal_insert_lsn()")
            say("traffic stopped at %s; waiting for the target" % end)
            started = time.monotonic()
            while session.value("SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots"
                                " WHERE slot_name = '%s'" % (end, SLOT)) != "t":
                self._require_running()
                if time.monotonic() - started > 300:
                    raise Failure("the target did not catch up within 300 s")
                time.sleep(0.05)
            say("caught up after %.1f s" % (time.monotonic() - started))

    def _compare(self):
        different = []
        with self._source.session("shop") as ours, self._target.session("shop") as theirs:
            for table in TABLES:
                sql = ("SELECT count(*),"
                       " md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\"))"
                       " FROM public.%s t" % table)
                source, target = ours.query(sql)[0], theirs.query(sql)[0]
                equal = source == target
                print("  %-12s %8s rows  %s" % (
                    table, source[0], "equal" if equal else "DIFFERENT: target has " + target[0]))
                if not equal:
                    different.append(table)
        if different:
            raise Failure("different: " + ", ".join(different))

    def _linger(self):
        self._start_traffic()
        exports = " ".join("%s=%s" % item for item in self._environment().items())
        say("everything keeps running, traffic too; Ctrl-C ends it. In another terminal:")
        print("  export " + exports)
        print("  %s status %s" % (PGFLOW, PIPELINE))
        print("  psql $TARGET_URL -c 'SELECT count(*) FROM orders'")
        print("  curl http://%s/metrics" % self._admin, flush=True)
        try:
            while True:
                self._watch(3600)
        except KeyboardInterrupt:
            self._stop_traffic()

    def _stop_pgflow(self):
        if self._pgflow.poll() is None:
            self._pgflow.send_signal(signal.SIGINT)
        if self._pgflow.wait(timeout=60) != 0:
            raise Failure("pgflow ended with exit code %d" % self._pgflow.returncode)

    @staticmethod
    def _print_next():
        say("both sides are equal")
        print("""
What to try next:
  scripts/quickstart --keep          leave it running; look around, kill -9 pgflow, start it again
  examples/quickstart/pipeline.yaml  put your own URLs in: README.md, "a five-minute migration"
  build/release/cli/pgflow list      what there is to build a pipeline from
  scripts/test, scripts/bench        the tests; how fast it is beside its peers""")


def main():
    parser = argparse.ArgumentParser(prog="scripts/quickstart")
    parser.add_argument("--seconds", type=float, default=20, help="how long the traffic runs")
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    end_on_signals()
    quickstart = Quickstart(parser.parse_args())
    try:
        quickstart.run()
        return 0
    except Failure as failure:
        say("FAILED: %s" % failure)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        quickstart.close()


if __name__ == "__main__":
    sys.exit(main())
