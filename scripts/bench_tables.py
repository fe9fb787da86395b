"""The row of the benchmark that has many small tables instead of large ones."""

import subprocess
import time

from bench_context import BenchError
from bench_rows import Row, figures

DATABASE = "tables"
ROWS_PER_TABLE = 10
AT_ONCE = 500  # Tables made in one transaction of the set-up: each needs locks.


def table_sql(number):
    return (
        "CREATE TABLE t%d (id serial PRIMARY KEY, customer int NOT NULL, name text,"
        " amount numeric(12,2) DEFAULT 0, at timestamptz DEFAULT now());"
        "INSERT INTO t%d (customer, name, amount)"
        " SELECT n, 'name ' || n, n * 1.5 FROM generate_series(1, %d) n;"
        % (number, number, ROWS_PER_TABLE)
    )


class TablesRow(Row):
    """From the start of a contender to the end of its copy. pgflow and pgcopydb make the schema,
    pgflow also follows DDL from then on; for native replication the schema is there before."""

    name = "tables"
    contenders = ("pgflow", "pgcopydb", "native")
    limits = (("pgflow", ("pgcopydb", "native"), 1.0),)

    @property
    def title(self):
        return "%d tables of %d rows, ddl: true" % (self.context.options.tables, ROWS_PER_TABLE)

    def prepare(self):
        c = self.context
        c.fresh_database(c.source, DATABASE)
        with c.source.session(DATABASE) as session:
            for first in range(0, c.options.tables, AT_ONCE):
                last = min(first + AT_ONCE, c.options.tables)
                session.query("".join(table_sql(n) for n in range(first, last)))
            session.query("ANALYZE")
            session.query("CREATE PUBLICATION native FOR ALL TABLES")
        self._schema = c.source.run("pg_dump", "-s", "--no-publications", database=DATABASE,
                                    capture_output=True, text=True).stdout

    def measure(self, contender):
        c = self.context
        c.fresh_database(c.target, DATABASE)
        c.settle()
        try:
            figure = super().measure(contender)
            self._require_equal(contender)
            return figure
        finally:
            c.drop_database(c.target, DATABASE)

    def _require_equal(self, contender):
        c = self.context
        ours = "SELECT count(*), sum(id), sum(amount) FROM t%d"
        with c.source.session(DATABASE) as source, c.target.session(DATABASE) as target:
            for number in range(0, c.options.tables, max(1, c.options.tables // 100)):
                if source.query(ours % number) != target.query(ours % number):
                    raise BenchError("%s: table t%d differs" % (contender, number))
            keys = ("SELECT count(*) FROM pg_index"
                    " WHERE indisprimary AND indrelid::regclass::text ~ '^t[0-9]'")
            if source.value(keys) != target.value(keys):
                raise BenchError("%s: primary keys are missing" % contender)

    def measure_pgflow(self):
        c = self.context
        name = c.unique("bench_tables")
        path, _ = c.pgflow_pipeline(name, database=DATABASE, mode="snapshot_and_stream",
                                    tables=["public.*"], sink=DATABASE, create_schema=True,
                                    ddl=True)
        try:
            run = c.pgflow("run", path, "--until-current").require_success()
        finally:
            c.pgflow("destroy", path).wait()
        return figures(run, run.wall_s)

    def measure_pgcopydb(self):
        c = self.context
        run = c.start_program("pgcopydb", [
            "pgcopydb", "clone", "--source", c.source.url(DATABASE), "--target",
            c.target.url(DATABASE), "--dir", c.path(c.unique("pgcopydb_work")), "--table-jobs",
            str(c.options.workers), "--index-jobs", "4", "--skip-large-objects",
            "--skip-extensions", "--no-owner", "--no-acl",
        ]).require_success()
        return {"wall_s": run.wall_s}

    def measure_native(self):
        c = self.context
        c.target.run("psql", "-qX", "-v", "ON_ERROR_STOP=1", database=DATABASE, stdin=None,
                     input=self._schema, text=True, stdout=subprocess.DEVNULL)
        with c.target.session(DATABASE) as session:
            started = time.monotonic()
            session.query(
                "CREATE SUBSCRIPTION native CONNECTION '%s' PUBLICATION native"
                " WITH (binary = true, streaming = on)" % c.source.url(DATABASE))
            try:
                c.wait_until(
                    session,
                    "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'", "0",
                    timeout_s=1200, pause_s=0.2)
                wall_s = time.monotonic() - started
            finally:
                session.query("DROP SUBSCRIPTION native")
        return {"wall_s": wall_s}


ROWS = (TablesRow,)
