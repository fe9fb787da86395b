"""The row of the benchmark for several appliers that share what is in Kafka."""

import json
import subprocess
import time

from bench_context import BenchError
from bench_events import pipeline
from bench_rows import PGBENCH_TABLES, Row
from throwaway import free_port
from throwaway_servers import Kafka

PARTITIONS = 4


class AppliersRow(Row):
    """From their start until the target equals the source; the topics are written before."""

    name = "kafka_appliers"
    part = "events"
    contenders = ("one", "two", "four")
    shown = ("wall_s", "events_s")
    database = "kafka_appliers"
    patience_s = 300
    _kafka = None

    @property
    def title(self):
        return "%d pgbench changes from Kafka to Postgres, by 1, 2 and 4 appliers" % (
            4 * self.context.options.transactions)

    def prepare(self):
        c = self.context
        self._kafka = Kafka(c.path(c.unique(self.name))).start()
        for cluster in (c.source, c.target):
            c.fresh_database(cluster, self.database)
            cluster.run("pgbench", "-i", "-q", "-s", str(c.options.backlog_scale),
                        database=self.database, stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL)
        sink = {"brokers": [self._kafka.brokers], "prefix": "log", "partitions": PARTITIONS,
                "encoding": {"relations": True}}
        writer = pipeline(c, "bench_" + self.name, database=self.database, mode="stream",
                          tables=["public." + table for table in PGBENCH_TABLES],
                          sink={"kafka": sink})
        c.pgflow("init", writer).require_success()
        clients = 4
        c.source.run("pgbench", "-n", "-c", str(clients), "-j", "2", "-M", "prepared", "-t",
                     str(c.options.transactions // clients), database=self.database,
                     env={"PGOPTIONS": "-c synchronous_commit=off"},
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        c.pgflow("run", writer, "--until-current").require_success()
        c.pgflow("destroy", writer).wait()
        with c.source.session(self.database) as session:
            self._expected = self._contents(session)

    def finish(self):
        if self._kafka is not None:
            self._kafka.stop()

    @staticmethod
    def _contents(session):
        """Equal when all changes are there; what is quick to count comes first."""
        return [session.value(query) for query in (
            "SELECT sum(tbalance) FROM pgbench_tellers",
            "SELECT sum(bbalance) FROM pgbench_branches",
            "SELECT count(*) || ' ' || coalesce(sum(delta), 0) FROM pgbench_history",
            "SELECT sum(abalance) FROM pgbench_accounts")]

    def _file(self, group, database, number):
        c = self.context
        path = c.path("%s_%d.yaml" % (group, number))
        with open(path, "w") as out:
            json.dump({"name": group,
                       "source": {"kafka": {"brokers": [self._kafka.brokers],
                                            "topics": ["^log[.]public[.].*"]}},
                       "sinks": [{"postgres": {"url": c.target.url(database)}}],
                       "state": {"directory": c.path("%s_%d" % (group, number))},
                       "admin": {"listen": "127.0.0.1:%d" % free_port()}}, out, indent=1)
        return path

    def _apply(self, count):
        c = self.context
        group = c.unique("bench_appliers")
        c.fresh_database(c.target, group, self.database)
        c.settle()
        started = time.monotonic()
        runs = [c.pgflow("run", self._file(group, group, i)) for i in range(count)]
        try:
            with c.target.session(group) as session:
                while self._contents(session) != self._expected:
                    if time.monotonic() - started > self.patience_s:
                        raise BenchError("%d appliers did not end:\n%s" % (count, runs[0].tail()))
                    time.sleep(0.1)
            wall_s = time.monotonic() - started
        finally:
            for run in runs:
                run.stop()
        c.drop_database(c.target, group)
        return {"wall_s": wall_s, "events_s": 4 * c.options.transactions / wall_s,
                "peak_mib": max(run.peak_mib for run in runs),
                "cpu_s": sum(run.cpu_s for run in runs)}

    def measure_one(self):
        return self._apply(1)

    def measure_two(self):
        return self._apply(2)

    def measure_four(self):
        return self._apply(4)
