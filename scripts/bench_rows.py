"""The rows of the benchmark: each has contenders, and one method that measures one of them."""

import os
import subprocess
import threading
import time

from bench_context import REPOSITORY, BenchError, client

PGBENCH_TABLES = ["pgbench_accounts", "pgbench_branches", "pgbench_history", "pgbench_tellers"]
PGBENCH_KEYS = {
    "pgbench_accounts": "aid",
    "pgbench_branches": "bid",
    "pgbench_tellers": "tid",
}
INCLUDE = ["public." + t for t in PGBENCH_TABLES]


class Row:
    """prepare() once; begin_round() and then measure() for each contender, in turns, each round."""

    name = ""
    title = ""
    part = "databases"  # Of docs/performance.md.
    contenders = ()
    shown = ("wall_s",)
    # (contender, peers: the best of them counts, limit of the ratio of the walls)
    limits = ()
    latency_limits = ()  # (contender, figure, below so many milliseconds)
    rate_limits = ()  # (contender, peer, so many times its events/s)
    least_rates = ()  # (contender, events/s)

    def __init__(self, context):
        self.context = context

    def prepare(self):
        pass

    def begin_round(self, contenders):
        pass

    def end_round(self):
        pass

    def finish(self):
        """Stops what prepare() started, also after a failure."""

    def measure(self, contender):
        """Gives a dict: `wall_s` (or another figure), `peak_mib` and `cpu_s` for pgflow."""
        return getattr(self, "measure_" + contender)()


def pgbench_checksum(context, cluster, database):
    with cluster.session(database) as session:
        return session.query(
            "SELECT (SELECT row(count(*), sum(aid::bigint), sum(abalance::bigint))"
            "  FROM pgbench_accounts),"
            " (SELECT row(count(*), sum(bbalance::bigint)) FROM pgbench_branches),"
            " (SELECT row(count(*), sum(tbalance::bigint)) FROM pgbench_tellers),"
            " (SELECT row(count(*), sum(delta::bigint)) FROM pgbench_history)"
        )


def require_equal(context, source_database, target_database, who):
    ours = pgbench_checksum(context, context.source, source_database)
    theirs = pgbench_checksum(context, context.target, target_database)
    if ours != theirs:
        raise BenchError("%s: source has %s, target has %s" % (who, ours, theirs))


def figures(run, wall_s):
    return {"wall_s": wall_s, "peak_mib": run.peak_mib, "cpu_s": run.cpu_s}


class SnapshotRow(Row):
    name = "snapshot"
    contenders = ("pgflow", "pgcopydb", "native", "pipe")
    limits = (("pgflow", ("pgcopydb", "native"), 0.9),)

    @property
    def title(self):
        return "snapshot, pgbench scale %d, primary keys included" % self.context.options.scale

    def prepare(self):
        c = self.context
        c.fresh_database(c.source, "snapshot")
        c.source.run("pgbench", "-i", "-q", "-s", str(c.options.scale), database="snapshot",
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        c.sql(c.source, "snapshot",
              ["CREATE PUBLICATION native FOR TABLE " + ", ".join(PGBENCH_TABLES)])
        self._schema = c.source.run("pg_dump", "-s", "-t", "pgbench_*", database="snapshot",
                                    capture_output=True, text=True).stdout

    def measure(self, contender):
        c = self.context
        c.fresh_database(c.target, "snapshot")
        c.settle()
        try:
            figure = super().measure(contender)
            require_equal(c, "snapshot", "snapshot", contender)
            return figure
        finally:
            c.drop_database(c.target, "snapshot")

    def measure_pgflow(self):
        c = self.context
        name = c.unique("bench_snapshot")
        path, _ = c.pgflow_pipeline(name, database="snapshot", mode="snapshot", tables=INCLUDE,
                                    sink="snapshot", create_schema=True)
        run = c.pgflow("snapshot", path).require_success()
        c.pgflow("destroy", path).wait()
        return figures(run, run.wall_s)

    def measure_pgcopydb(self):
        c = self.context
        run = c.start_program("pgcopydb", [
            "pgcopydb", "clone", "--source", c.source.url("snapshot"), "--target",
            c.target.url("snapshot"), "--dir", c.path(c.unique("pgcopydb_work")), "--table-jobs",
            str(c.options.workers), "--index-jobs", "4", "--skip-large-objects",
            "--skip-extensions", "--no-owner", "--no-acl",
        ]).require_success()
        return {"wall_s": run.wall_s}

    def _create_schema(self, with_keys):
        schema = self._schema.replace("CREATE PUBLICATION", "-- CREATE PUBLICATION")
        c = self.context
        c.target.run("psql", "-qX", "-v", "ON_ERROR_STOP=1", database="snapshot", stdin=None,
                     input=schema, text=True, stdout=subprocess.DEVNULL)
        if not with_keys:
            c.sql(c.target, "snapshot",
                  ["ALTER TABLE %s DROP CONSTRAINT %s_pkey" % (t, t) for t in PGBENCH_KEYS])

    def measure_native(self):
        c = self.context
        self._create_schema(with_keys=True)
        with c.target.session("snapshot") as session:
            started = time.monotonic()
            session.query(
                "CREATE SUBSCRIPTION native CONNECTION '%s' PUBLICATION native"
                " WITH (binary = true, streaming = on)" % c.source.url("snapshot"))
            c.wait_until(
                session, "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'", "0",
                pause_s=0.02)
            wall_s = time.monotonic() - started
            session.query("DROP SUBSCRIPTION native")
        return {"wall_s": wall_s}

    def measure_pipe(self):
        """The floor for one stream: psql to psql in binary, then the keys."""
        c = self.context
        self._create_schema(with_keys=False)
        started = time.monotonic()
        for table in PGBENCH_TABLES:
            psql = [client("psql"), "-qXAt", "-v", "ON_ERROR_STOP=1"]
            reader = subprocess.Popen(
                [*psql, c.source.url("snapshot"), "-c",
                 "COPY %s TO STDOUT (FORMAT binary)" % table],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            subprocess.run(
                [*psql, c.target.url("snapshot"), "-c",
                 "COPY %s FROM STDIN (FORMAT binary)" % table],
                stdin=reader.stdout, check=True)
            if reader.wait() != 0:
                raise BenchError("COPY of %s failed" % table)
        for table, key in PGBENCH_KEYS.items():
            c.sql(c.target, "snapshot", ["ALTER TABLE %s ADD PRIMARY KEY (%s)" % (table, key)])
        return {"wall_s": time.monotonic() - started}


class BacklogRow(Row):
    """One pgbench run a round; every contender has its own slot, made before it, and reads the same
    WAL. The targets are copies of one template, equal to the source when the slots are made."""

    name = "backlog"
    contenders = ("pgflow", "native", "blackhole", "recvlogical")
    limits = (("pgflow", ("native",), 0.5), ("blackhole", ("recvlogical",), 1.5))

    @property
    def title(self):
        return "backlog of %d pgbench transactions" % self.context.options.transactions

    def prepare(self):
        c = self.context
        c.fresh_database(c.source, "backlog")
        c.fresh_database(c.target, "backlog_template")
        for cluster, database in ((c.source, "backlog"), (c.target, "backlog_template")):
            cluster.run("pgbench", "-i", "-q", "-s", str(c.options.backlog_scale),
                        database=database, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            c.sql(cluster, database, ["CREATE TABLE marker (id bigint PRIMARY KEY)"])
        c.sql(c.source, "backlog", ["CREATE PUBLICATION native FOR TABLE marker, "
                                    + ", ".join(PGBENCH_TABLES)])
        self._round = 0
        self._pipelines = {}
        self._wanted = ()

    def begin_round(self, contenders):
        c = self.context
        self._wanted = contenders
        self._round += 1
        if self._round == 1:
            self._make_slots(contenders)
        c.settle()
        clients = 4
        started = time.monotonic()
        c.source.run("pgbench", "-n", "-c", str(clients), "-j", "2", "-M", "prepared", "-t",
                     str(c.options.transactions // clients), database="backlog",
                     env={"PGOPTIONS": "-c synchronous_commit=off"},
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with c.source.session("backlog") as session:
            session.query("INSERT INTO marker VALUES (%d)" % self._round)
            self._end_lsn = session.value("SELECT pg_current_wal_insert_lsn()")
        c.say("  backlog written in %.1f s" % (time.monotonic() - started))

    def _make_slots(self, contenders):
        c = self.context
        for contender in contenders:
            if contender in ("pgflow", "native"):
                c.fresh_database(c.target, "backlog_" + contender, template="backlog_template")
            if contender in ("pgflow", "blackhole"):
                sink = "blackhole" if contender == "blackhole" else "backlog_pgflow"
                path, _ = c.pgflow_pipeline("bench_backlog_" + contender, database="backlog",
                                            mode="stream", tables=INCLUDE + ["public.marker"],
                                            sink=sink)
                c.pgflow("init", path).require_success()
                self._pipelines[contender] = path
            elif contender == "native":
                c.sql(c.target, "backlog_native", [
                    "CREATE SUBSCRIPTION native_backlog CONNECTION '%s' PUBLICATION native WITH"
                    " (binary = true, streaming = on, copy_data = false, enabled = false,"
                    " create_slot = true)" % c.source.url("backlog"),
                    # Tables join a subscription when it is enabled; without copy they are ready.
                ])
            else:
                c.sql(c.source, "backlog",
                      ["SELECT pg_create_logical_replication_slot('recvlogical', 'pgoutput')"])

    def measure(self, contender):
        c = self.context
        c.settle()
        figure = super().measure(contender)
        if contender in ("pgflow", "native"):
            require_equal(c, "backlog", "backlog_" + contender, contender)
            for table in PGBENCH_TABLES:
                c.sql(c.target, "backlog_" + contender, ["VACUUM " + table])
        return figure

    def end_round(self):
        self.context.sql(self.context.source, "backlog", ["VACUUM " + t for t in PGBENCH_TABLES])

    def _wait_for_marker(self, session, run=None):
        self.context.wait_until(session, "SELECT count(*) FROM marker WHERE id = %d" % self._round,
                                "1", run=run)

    def measure_pgflow(self):
        c = self.context
        with c.target.session("backlog_pgflow") as session:
            run = c.pgflow("run", self._pipelines["pgflow"], "--until-current")
            self._wait_for_marker(session, run)
            wall_s = time.monotonic() - run.started
        run.require_success()
        return {**figures(run, wall_s), "exit_s": run.wall_s}

    def measure_native(self):
        with self.context.target.session("backlog_native") as session:
            started = time.monotonic()
            session.query("ALTER SUBSCRIPTION native_backlog ENABLE")
            self._wait_for_marker(session)
            wall_s = time.monotonic() - started
            self._wait_for_confirmed("native_backlog")
            session.query("ALTER SUBSCRIPTION native_backlog DISABLE")
        return {"wall_s": wall_s}

    def _wait_for_confirmed(self, slot):
        with self.context.source.session("backlog") as session:
            self.context.wait_until(
                session, "SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots"
                " WHERE slot_name = '%s'" % (self._end_lsn, slot), "t")

    def measure_blackhole(self):
        run = self.context.pgflow("run", self._pipelines["blackhole"], "--until-current")
        run.require_success()
        return figures(run, run.wall_s)

    def measure_recvlogical(self):
        c = self.context
        run = c.start_program("recvlogical", [
            client("pg_recvlogical"), "-d", c.source.url("backlog"), "-S", "recvlogical", "--start",
            "--endpos", self._end_lsn, "-f", "/dev/null", "--no-loop", "-F", "0", "-o",
            "proto_version=3", "-o", "publication_names=native", "-o", "binary=true", "-o",
            "streaming=on", "-o", "messages=true",
        ]).require_success()
        return {"wall_s": run.wall_s}


class LargeRow(Row):
    """One transaction of many rows, into a consumer that is running and idle."""

    name = "large"
    contenders = ("pgflow", "native")
    limits = (("pgflow", ("native",), 0.8),)

    @property
    def title(self):
        return "one transaction of %d rows, from its start to its rows on the target" % (
            self.context.options.rows_large)

    def prepare(self):
        c = self.context
        for cluster in (c.source, c.target):
            c.fresh_database(cluster, "large")
            c.sql(cluster, "large", [
                "CREATE TABLE large (id bigint PRIMARY KEY, customer int, note text,"
                " at timestamptz)"
            ])
        c.sql(c.source, "large", ["CREATE PUBLICATION native FOR TABLE large"])

    def measure(self, contender):
        c = self.context
        for cluster in (c.source, c.target):
            c.sql(cluster, "large", ["TRUNCATE large"])
        c.settle()
        figure = super().measure(contender)
        with c.source.session("large") as ours, c.target.session("large") as theirs:
            sql = ("SELECT row(count(*), sum(id), sum(customer), max(at), sum(length(note)))"
                   " FROM large")
            if ours.value(sql) != theirs.value(sql):
                raise BenchError("%s: the large transaction differs" % contender)
        return figure

    def _transact(self, slot, run=None, admin_port=None):
        c = self.context
        seen = {}
        stop = threading.Event()
        started = time.monotonic()

        def watch():
            while not stop.is_set() and "first" not in seen:
                status = c.admin_status(admin_port)
                if status and int(status.get("open_transactions", 0)) > 0:
                    seen["first"] = time.monotonic() - started
                time.sleep(0.01)

        watcher = threading.Thread(target=watch) if admin_port else None
        with c.source.session("large") as source, c.target.session("large") as target:
            started = time.monotonic()
            if watcher:
                watcher.start()
            source.query(
                "INSERT INTO large"
                " SELECT n, n %% 1000, 'note number ' || n || repeat('x', 40), now()"
                " FROM generate_series(1, %d) n" % c.options.rows_large)
            commit_s = time.monotonic() - started
            # The highest key tells it all: the transaction becomes visible at once.
            last = "SELECT count(*) FROM large WHERE id = %d" % c.options.rows_large
            c.wait_until(target, last, "1", run=run)
            wall_s = time.monotonic() - started
            stop.set()
            if watcher:
                watcher.join()
            time.sleep(0.5)  # The slot's statistics are reported at the end of the transaction.
            spill, streamed = source.query(
                "SELECT spill_txns, stream_txns FROM pg_stat_replication_slots"
                " WHERE slot_name = '%s'" % slot)[0]
        return {"wall_s": wall_s, "commit_s": commit_s, "after_commit_s": wall_s - commit_s,
                "spill_txns": int(spill), "stream_txns": int(streamed),
                "first_row_s": seen.get("first")}

    def measure_native(self):
        c = self.context
        with c.target.session("large") as session:
            session.query("CREATE SUBSCRIPTION native_large CONNECTION '%s' PUBLICATION native WITH"
                          " (binary = true, streaming = on, copy_data = false)"
                          % c.source.url("large"))
            try:
                time.sleep(2)
                return self._transact("native_large")
            finally:
                session.query("DROP SUBSCRIPTION native_large")

    def measure_pgflow(self):
        c = self.context
        name = c.unique("bench_large")
        path, admin_port = c.pgflow_pipeline(name, database="large", mode="stream",
                                             tables=["public.large"], sink="large")
        c.pgflow("init", path).require_success()
        run = c.pgflow("run", path)
        try:
            wait_for_slot(c, name, run)
            time.sleep(1)
            figure = self._transact(name, run, admin_port)
        finally:
            run.stop()
            c.pgflow("destroy", path).wait()
        return {**figure, "peak_mib": run.peak_mib, "cpu_s": run.cpu_s}


def wait_for_slot(context, slot, run):
    with context.source.session() as session:
        context.wait_until(session, "SELECT active FROM pg_replication_slots WHERE slot_name = '%s'"
                           % slot, "t", timeout_s=60, run=run)


class LatencyRow(Row):
    """One row at a time, from the return of COMMIT on the source to the row seen on the target."""

    name = "latency"
    contenders = ("pgflow", "native")
    shown = ("p50_ms", "p99_ms")
    latency_limits = (("pgflow", "p50_ms", 0.6), ("pgflow", "p99_ms", 2))

    @property
    def title(self):
        return "one row at a time, idle system, commit to visible (ms)"

    def prepare(self):
        c = self.context
        self._program = os.path.join(c.options.build_directory, "tests", "benchmark",
                                     "commit_latency")
        if not os.path.exists(self._program):
            raise BenchError("%s is missing: build the target commit_latency" % self._program)
        for cluster in (c.source, c.target):
            c.fresh_database(cluster, "latency")
            c.sql(cluster, "latency", ["CREATE TABLE latency (id bigint PRIMARY KEY, note text)"])
        c.sql(c.source, "latency", ["CREATE PUBLICATION native FOR TABLE latency"])

    def measure(self, contender):
        c = self.context
        for cluster in (c.source, c.target):
            c.sql(cluster, "latency", ["TRUNCATE latency"])
        c.settle()
        return super().measure(contender)

    def _measure_commits(self):
        c = self.context
        answer = subprocess.run(
            [self._program, c.source.url("latency"), c.target.url("latency"),
             str(c.options.commits)], capture_output=True, text=True, timeout=600)
        if answer.returncode != 0:
            raise BenchError(answer.stderr.strip())
        p50, p99 = (float(word) for word in answer.stdout.split()[:2])
        return {"p50_ms": p50, "p99_ms": p99}

    def measure_native(self):
        c = self.context
        with c.target.session("latency") as session:
            session.query("CREATE SUBSCRIPTION native_latency CONNECTION '%s' PUBLICATION native"
                          " WITH (binary = true, streaming = on, copy_data = false)"
                          % c.source.url("latency"))
            try:
                time.sleep(2)
                return self._measure_commits()
            finally:
                session.query("DROP SUBSCRIPTION native_latency")

    def measure_pgflow(self):
        c = self.context
        name = c.unique("bench_latency")
        path, _ = c.pgflow_pipeline(name, database="latency", mode="stream",
                                    tables=["public.latency"], sink="latency")
        c.pgflow("init", path).require_success()
        run = c.pgflow("run", path)
        try:
            wait_for_slot(c, name, run)
            time.sleep(1)
            figure = self._measure_commits()
        finally:
            run.stop()
            c.pgflow("destroy", path).wait()
        return {**figure, "peak_mib": run.peak_mib, "cpu_s": run.cpu_s}


ROWS = (SnapshotRow, BacklogRow, LargeRow, LatencyRow)
