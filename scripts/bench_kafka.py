"""Rows of the benchmark for Kafka, beside Debezium and a plain producer."""

import os
import subprocess
import time

from bench_context import BenchError, client
from bench_events import pipeline
from bench_rows import PGBENCH_TABLES, Row, figures, wait_for_slot
from throwaway_servers import Connect, Kafka

MESSAGES_IN_A_TRANSACTION = 10000  # Of the plain producer.


def probe(context, *arguments):
    """Runs kafka_probe; gives the numbers that it prints."""
    program = os.path.join(context.options.build_directory, "tests", "benchmark", "kafka_probe")
    answer = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, timeout=900)
    if answer.returncode != 0:
        raise BenchError(answer.stderr.strip() or program + " failed")
    return [float(word) for word in answer.stdout.split()]


def warm_broker(context, name):
    """A broker that has had a transaction: the first one on a new broker takes seconds."""
    kafka = Kafka(context.path(context.unique(name))).start()
    probe(context, "warm_up", kafka.brokers)
    return kafka


def connector(context, database, name, slot):
    """Debezium as its users tune it for throughput; latency needs the short poll."""
    return {
        "name": name, "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": 1, "topic.prefix": name, "database.hostname": "127.0.0.1",
        "database.port": context.source.port, "database.user": "postgres",
        "database.password": "postgres", "database.dbname": database, "plugin.name": "pgoutput",
        "slot.name": slot, "publication.name": "native", "publication.autocreate.mode": "disabled",
        "snapshot.mode": "no_data", "poll.interval.ms": 5, "max.batch.size": 20480,
        "max.queue.size": 81920, "tombstones.on.delete": "true",
        "producer.override.compression.type": "lz4", "producer.override.linger.ms": 5,
        "producer.override.batch.size": 1000000, "producer.override.buffer.memory": 134217728,
    }


class KafkaRow(Row):
    """What the two backlog rows share: one slot each, fresh topics each round."""

    part = "events"
    contenders = ("pgflow", "debezium", "producer", "recvlogical")
    shown = ("wall_s", "events_s", "mb_s")
    rate_limits = (("pgflow", "debezium", 4), ("pgflow", "producer", 0.8))
    limits = (("pgflow", ("recvlogical",), 1 / 0.85),)
    database = ""
    tables = ()
    _kafka = None

    def prepare(self):
        self._kafka = warm_broker(self.context, self.name)
        self._round = 0
        self._slots_made = False

    def finish(self):
        if self._kafka is not None:
            self._kafka.stop()

    def _write(self):
        raise NotImplementedError

    def begin_round(self, contenders):
        c = self.context
        self._round += 1
        if not self._slots_made:
            self._slots_made = True
            for slot in ("bench_debezium", "bench_recv"):
                c.sql(c.source, self.database, [
                    "SELECT pg_create_logical_replication_slot('%s_%s', 'pgoutput')"
                    % (slot, self.name)])
            c.pgflow("init", self._file()).require_success()
        self._written = self._write()
        self._last_lsn = self._lsn()
        c.sql(c.source, self.database, ["VACUUM " + table for table in self.tables])
        self._end_lsn = self._lsn()
        c.settle()

    def _lsn(self):
        with self.context.source.session(self.database) as session:
            return session.value("SELECT pg_current_wal_insert_lsn()")

    def _file(self):
        sink = {"brokers": [self._kafka.brokers], "prefix": "pgflow%d" % self._round,
                "encoding": {"format": "debezium"}}
        return pipeline(self.context, "bench_" + self.name, database=self.database, mode="stream",
                        tables=["public." + t for t in self.tables], sink={"kafka": sink})

    def _topics(self, prefix):
        return ["%s.public.%s" % (prefix, table) for table in self.tables]

    def _span(self, prefix, deadline=0):
        """Waits until all is there, or `deadline`; topics appear with their first message."""
        while True:
            try:
                found, size, seconds = probe(self.context, "span", self._kafka.brokers,
                                             self._written, *self._topics(prefix))
                break
            except BenchError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        if found != self._written:
            raise BenchError("%s: %d messages of %d" % (prefix, found, self._written))
        return {"events_s": found / seconds, "mb_s": size / seconds / 1e6}

    def measure_pgflow(self):
        run = self.context.pgflow("run", self._file(), "--until-current").require_success()
        return {**figures(run, run.wall_s), **self._span("pgflow%d" % self._round)}

    def measure_debezium(self):
        c = self.context
        name = "debezium%d" % self._round
        slot = "bench_debezium_" + self.name
        started = time.monotonic()
        server = Connect(self._kafka.path, name, self._kafka.brokers,
                         connector(c, self.database, name, slot)).start()
        try:
            # Counting what is in the topics would take the time of who fills them.
            with c.source.session(self.database) as session:
                c.wait_until(session, "SELECT pg_wal_lsn_diff('%s', confirmed_flush_lsn) < 100000"
                             " FROM pg_replication_slots WHERE slot_name = '%s'"
                             % (self._last_lsn, slot), "t", pause_s=0.2)
            figure = self._span(name, time.monotonic() + 60)
            wall_s = time.monotonic() - started
        finally:
            server.stop()
        # It confirms what it has sent, not the vacuum behind it.
        c.sql(c.source, self.database, ["SELECT pg_replication_slot_advance('%s', '%s')"
                                        % (slot, self._end_lsn)])
        return {"wall_s": wall_s, **figure}

    def measure_producer(self):
        """The same bytes from memory, with the sink's settings."""
        count, size, seconds = probe(
            self.context, "copy", self._kafka.brokers, "plain%d" % self._round,
            MESSAGES_IN_A_TRANSACTION, *self._topics("pgflow1"))
        return {"wall_s": seconds, "events_s": count / seconds, "mb_s": size / seconds / 1e6}

    def measure_recvlogical(self):
        c = self.context
        run = c.start_program("recvlogical", [
            client("pg_recvlogical"), "-d", c.source.url(self.database), "-S",
            "bench_recv_" + self.name, "--start", "--endpos", self._end_lsn, "-f", "/dev/null",
            "--no-loop", "-F", "0", "-o", "proto_version=3", "-o", "publication_names=native",
            "-o", "binary=true", "-o", "streaming=on"]).require_success()
        return {"wall_s": run.wall_s, "events_s": self._written / run.wall_s}


class KafkaBacklogRow(KafkaRow):
    name = "kafka_backlog"
    database = "kafka_backlog"
    tables = tuple(PGBENCH_TABLES)

    @property
    def title(self):
        return "backlog of %d pgbench changes to Kafka, Debezium's envelope, transactional" % (
            4 * self.context.options.transactions)

    def prepare(self):
        super().prepare()
        c = self.context
        c.fresh_database(c.source, self.database)
        c.source.run("pgbench", "-i", "-q", "-s", str(c.options.backlog_scale),
                     database=self.database, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        c.sql(c.source, self.database,
              ["CREATE PUBLICATION native FOR TABLE " + ", ".join(self.tables)])

    def _write(self):
        c = self.context
        clients = 4
        transactions = c.options.transactions // clients * clients
        c.source.run("pgbench", "-n", "-c", str(clients), "-j", "2", "-M", "prepared", "-t",
                     str(transactions // clients), database=self.database,
                     env={"PGOPTIONS": "-c synchronous_commit=off"},
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return 4 * transactions


class KafkaWideRow(KafkaRow):
    name = "kafka_wide"
    database = "kafka_wide"
    tables = ("wide",)

    @property
    def title(self):
        return "backlog of %d wide rows to Kafka, Debezium's envelope, transactional" % (
            self.context.options.rows_wide)

    def prepare(self):
        super().prepare()
        c = self.context
        c.fresh_database(c.source, self.database)
        c.sql(c.source, self.database, [
            "CREATE TABLE wide (id bigint PRIMARY KEY, customer int, ordered timestamptz,"
            " due date, amount numeric(12,2), rate float8, paid bool, reference uuid,"
            " title text, street text, city text, country text, email text, note text, tags text,"
            " a int, b int, c bigint, d bigint, e text)",
            "CREATE PUBLICATION native FOR TABLE wide"])

    def _write(self):
        c = self.context
        rows, pieces = c.options.rows_wide, 20
        first = self._round * rows  # Each round has keys of its own.
        # The last transaction is small: Debezium confirms one when it sees the next.
        ends = [(rows - 1) * piece // pieces for piece in range(pieces + 1)] + [rows]
        for begin, end in zip(ends, ends[1:]):
            c.sql(c.source, self.database, [
                "INSERT INTO wide SELECT n, n %% 10000, now(), '2026-01-01', n / 100.0, n / 7.0,"
                " n %% 2 = 0, md5(n::text)::uuid, 'order number ' || n, n || ' Long Street',"
                " 'Springfield', 'Utopia', 'customer' || n || '@example.com',"
                " repeat('all is well ', 20), 'one,two,three', n, n, n, n, md5(n::text)"
                " FROM generate_series(%d, %d) n" % (
                    first + begin + 1, first + end)])
        return rows


class KafkaLatencyRow(Row):
    """From the return of COMMIT to the consumer that has the row, one at a time."""

    name = "kafka_latency"
    part = "events"
    title = "one row at a time, commit to Kafka consumer (ms)"
    _kafka = None
    contenders = ("idempotent", "transactional", "debezium")
    shown = ("p50_ms", "p99_ms")
    latency_limits = (("idempotent", "p50_ms", 4), ("idempotent", "p99_ms", 20),
                      ("transactional", "p50_ms", 30))

    def prepare(self):
        c = self.context
        self._kafka = warm_broker(c, self.name)
        c.fresh_database(c.source, "kafka_latency")
        c.sql(c.source, "kafka_latency", [
            "CREATE TABLE latency (id bigint PRIMARY KEY, note text)",
            "CREATE PUBLICATION native FOR TABLE latency"])

    def finish(self):
        if self._kafka is not None:
            self._kafka.stop()

    def _commits(self, topic):
        c = self.context
        p50, p99, _ = probe(c, "latency", c.source.url("kafka_latency"), self._kafka.brokers, topic,
                            c.options.event_commits)
        return {"p50_ms": p50, "p99_ms": p99}

    def measure(self, contender):
        self.context.sql(self.context.source, "kafka_latency", ["DELETE FROM latency"])
        self.context.settle()
        return super().measure(contender)

    def _first_row(self, topic):
        """Topics appear with their first message."""
        self.context.sql(self.context.source, "kafka_latency",
                         ["INSERT INTO latency VALUES (-1, 'first')"])
        probe(self.context, "span", self._kafka.brokers, 1, topic)

    def _measure_pgflow(self, transactional):
        c = self.context
        name = c.unique("bench_kafka_latency")
        path = pipeline(c, name, database="kafka_latency", mode="stream",
                        tables=["public.latency"],
                        sink={"kafka": {"brokers": [self._kafka.brokers],
                                        "transactional": transactional}})
        c.pgflow("init", path).require_success()
        run = c.pgflow("run", path)
        try:
            wait_for_slot(c, name, run)
            topic = name + ".public.latency"
            self._first_row(topic)
            figure = self._commits(topic)
        finally:
            run.stop()
            c.pgflow("destroy", path).wait()
        return {**figure, "peak_mib": run.peak_mib, "cpu_s": run.cpu_s}

    def measure_idempotent(self):
        return self._measure_pgflow(False)

    def measure_transactional(self):
        return self._measure_pgflow(True)

    def measure_debezium(self):
        c = self.context
        name = c.unique("debezium_latency")
        with c.source.session("kafka_latency") as session:
            session.query("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')" % name)
        settings = {**connector(c, "kafka_latency", name, name), "poll.interval.ms": 1,
                    "producer.override.linger.ms": 0}
        server = Connect(self._kafka.path, name, self._kafka.brokers, settings).start()
        try:
            topic = name + ".public.latency"
            with c.source.session() as session:
                c.wait_until(session, "SELECT active FROM pg_replication_slots"
                             " WHERE slot_name = '%s'" % name, "t", timeout_s=60)
            self._first_row(topic)
            return self._commits(topic)
        finally:
            server.stop()
            c.sql(c.source, "kafka_latency", ["SELECT pg_drop_replication_slot('%s')" % name])


KAFKA_ROWS = (KafkaBacklogRow, KafkaWideRow, KafkaLatencyRow)
