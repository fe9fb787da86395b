"""What scripts/test-regress does when all is built and fetched: servers, files, verdicts.

Every file has a fresh database on both servers, made from a template in which the tests' common
tables are, and a fresh pipeline: one file's fault hides none of the others'."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from regress_compare import definition_differences, row_differences
from throwaway import BIN, Cluster, SqlError, end_on_signals, server_identity

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KNOWN = os.path.join(REPOSITORY, "tests", "conformance", "regress_differences.txt")
RESULTS = os.path.join(REPOSITORY, "tests", "conformance", "regress_results.txt")
DATABASE = "regression"  # Some files name it.
TEMPLATE = "regress_template"
SETTINGS = {
    "fsync": "off",
    "max_prepared_transactions": 10,
    "max_locks_per_transaction": 256,
    "max_wal_size": "4GB",
    "log_min_messages": "error",
}
SESSION = {  # Of the tests' own driver.
    "PGTZ": "PST8PDT",
    "PGDATESTYLE": "Postgres, MDY",
    "PGOPTIONS": "-c intervalstyle=postgres_verbose",
}
DATABASE_SETTINGS = {"lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C",
                     "bytea_output": "hex", "timezone_abbreviations": "Default"}
# Files that use what others make: the schedule's comments.
NEEDS = {
    "multirangetypes": ["rangetypes"],
    "geometry": ["point", "lseg", "line", "box", "path", "polygon", "circle"],
    "horology": ["date", "time", "timetz", "timestamp", "timestamptz", "interval"],
    "aggregates": ["create_aggregate"],
    "join": ["create_misc"],
    "select_parallel": ["create_misc"],
    "with": ["create_misc"],
    "psql": ["create_am"],
    "select_views": ["create_view"],
}
FILE_TIMEOUT_S, CATCH_UP_TIMEOUT_S = 180, 120
NO_TESTS = 77  # The exit code; tests/conformance/CMakeLists.txt takes it for skipped.
# Roles belong to the server, and are nobody's to replicate: the target has them from the start.
ROLES = re.compile(
    r"^\s*((?:CREATE (?:ROLE|USER|GROUP)(?! MAPPING)\b[^;]*|ALTER (?:ROLE|USER|GROUP)"
    r"(?! MAPPING)(?![^;]*\b(?:RENAME|RESET|SET)\b)[^;]*|GRANT (?![^;]*\bON\b)[^;]*);)",
    re.MULTILINE | re.IGNORECASE)


def schedule(regress):
    with open(os.path.join(regress, "parallel_schedule")) as lines:
        return [name for line in lines if line.startswith("test:") for name in line.split()[1:]]


def known_differences(version):
    """File -> reason, of "file: reason" lines, and "file version: reason", which go before."""
    known = {}
    with open(KNOWN) as lines:
        for line in lines:
            if ":" in line and not line.startswith("#"):
                name, reason = line.split(":", 1)
                known[name.strip()] = reason.strip()
    own = " %d" % version
    return {**known, **{name.removesuffix(own): reason for name, reason in known.items()
                        if name.endswith(own)}}


class Verdict:
    def __init__(self, name, word, lines, seconds):
        self.name, self.word, self.lines, self.seconds = name, word, lines, seconds

    @property
    def equal(self):
        return self.word == "equal"


class Regress:
    """Owns the servers and the program; close() ends them all, by their process ids."""

    def __init__(self, options):
        self._options = options
        self._directory = tempfile.mkdtemp(prefix="pgflow_regress_")
        os.chmod(self._directory, 0o755)
        os.makedirs(options.out, exist_ok=True)
        self._tablespace = os.path.join(self._directory, "testtablespace")
        os.mkdir(self._tablespace)
        identity = server_identity()
        if identity:
            os.chown(self._tablespace, identity["user"], identity["group"])
        self._source = Cluster(self._directory, "source", SETTINGS)
        self._target = Cluster(self._directory, "target", SETTINGS)
        self._pgflow = None

    def close(self):
        self._stop_pgflow()
        self._source.stop()
        self._target.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start(self):
        for cluster in (self._source, self._target):
            cluster.start()
            with cluster.session() as session:
                session.query("CREATE DATABASE " + TEMPLATE)
                for key, setting in DATABASE_SETTINGS.items():
                    session.query("ALTER DATABASE %s SET %s = '%s'" % (TEMPLATE, key, setting))
            with cluster.session(TEMPLATE) as session:
                session.query("CREATE TABLE pgflow_end (id int PRIMARY KEY)")
            self._psql(cluster, "test_setup", database=TEMPLATE)
            with cluster.session(TEMPLATE) as session:
                session.query(
                    "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid FROM pg_class WHERE "
                    "relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname "
                    "<> 'pgflow_end' LOOP EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', "
                    "t); END LOOP; END $$")

    def run(self, name, files=None):
        """One file with those that it needs; or several, one behind the other, under that name."""
        started = time.monotonic()
        for cluster in (self._source, self._target):
            self._make_database(cluster)
        if files is None:
            files = [*NEEDS.get(name, ()), name]
        self._mirror_roles(files)
        self._start_pgflow(name)
        try:
            word, lines = self._run_files(files)
        finally:
            code = self._stop_pgflow()
            with open(os.path.join(self._options.out, name + ".log"), "wb") as log, \
                    open(self._log_path(name), "rb") as all_lines:
                log.write(all_lines.read())
        if code != 0 and word == "equal":
            word, lines = "stopped", ["in the end: %s: %s" % (code, self._tail(20).strip())]
        return Verdict(name, word, lines, time.monotonic() - started)

    def _run_files(self, files):
        cut = ["%s.sql did not end within %d s" % (each, FILE_TIMEOUT_S)
               for each in files if not self._psql(self._source, each)]
        stopped = self._catch_up()
        if stopped:
            return stopped
        lines = definition_differences(self._source, self._target, DATABASE)
        with self._source.session(DATABASE) as ours, self._target.session(DATABASE) as theirs:
            lines += row_differences(ours, theirs)
        return ("differs" if lines or cut else "equal"), cut + lines

    def _psql(self, cluster, name, database=DATABASE):
        """False: it took too long, and was ended. A command that ends the server is passed over."""
        build = self._places()["PG_ABS_BUILDDIR"]
        os.makedirs(build + "/results", exist_ok=True)
        for path in (build, build + "/results"):
            os.chmod(path, 0o777)
        environment = {**SESSION, **self._places()}
        script = self._script(name)
        output = os.path.join(self._options.out, name + ".out")
        deadline = time.monotonic() + FILE_TIMEOUT_S
        with open(output, "wb") as out:
            while script:
                try:
                    cluster.run("psql", "-X", "-a", "-q", "-f", script, database=database,
                                env=environment, check=False, cwd=build, stdout=out, stderr=out,
                                timeout=max(deadline - time.monotonic(), 1))
                except subprocess.TimeoutExpired:
                    out.write(b"\nended: it took too long\n")
                    return False
                script = self._behind_a_crash(cluster, script, output)
        return True

    def _places(self):
        return {"PG_ABS_SRCDIR": self._options.regress, "PG_LIBDIR": self._options.regress,
                "PG_ABS_BUILDDIR": os.path.join(self._directory, "results"), "PG_DLSUFFIX": ".so"}

    def _script(self, name):
        """Before version 15 some files are templates, and the common tables are made by many of
        them: there those of version 15 stand for them."""
        script = os.path.join(self._options.regress, "sql", name + ".sql")
        if os.path.exists(script):
            return script
        if name == "test_setup":
            return os.path.join(where_tests_are(15), "sql", name + ".sql")
        with open(os.path.join(self._options.regress, "input", name + ".source"),
                  errors="surrogateescape") as template:
            text = template.read()
        for key, value in self._places().items():
            key = key.removeprefix("PG_")
            text = text.replace("@%s@" % (key if key == "DLSUFFIX" else key.lower()), value)
        text = text.replace("@testtablespace@", self._tablespace)
        script = os.path.join(self._directory, name + ".sql")
        with open(script, "w", errors="surrogateescape") as out:
            out.write(text)
        return script

    def _behind_a_crash(self, cluster, script, output):
        """A script of what is behind the line at which psql lost the server; None: it did not."""
        with open(output, errors="replace") as lines:
            lost = re.search(r":(\d+): error: connection to server was lost\s*$", lines.read())
        if not lost:
            return None
        cluster.wait_until_up()
        rest = os.path.join(self._directory, "rest_%d.sql" % time.monotonic_ns())
        with open(script, errors="surrogateescape") as whole, \
                open(rest, "w", errors="surrogateescape") as out:
            out.writelines(whole.readlines()[int(lost.group(1)):])
        return rest

    def _make_database(self, cluster):
        with cluster.session() as session:
            for (prepared,) in session.query("SELECT gid FROM pg_prepared_xacts"):
                with cluster.session(DATABASE) as there:
                    there.query("ROLLBACK PREPARED '%s'" % prepared)
            session.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                          "'%s'" % DATABASE)
            for (slot,) in session.query(
                    "SELECT slot_name FROM pg_replication_slots WHERE database = '%s'" % DATABASE):
                session.query("SELECT pg_drop_replication_slot('%s')" % slot)
            session.query("DROP DATABASE IF EXISTS %s WITH (FORCE)" % DATABASE)
            for (role,) in session.query(
                    "SELECT quote_ident(rolname) FROM pg_roles WHERE oid >= 16384"):
                try:
                    session.query("DROP ROLE " + role)
                except SqlError:
                    pass  # The template's.
            session.query("CREATE DATABASE %s TEMPLATE %s" % (DATABASE, TEMPLATE))
            for key, setting in DATABASE_SETTINGS.items():
                session.query("ALTER DATABASE %s SET %s = '%s'" % (DATABASE, key, setting))

    def _mirror_roles(self, files):
        with self._target.session(DATABASE) as session:
            for each in files:
                with open(self._script(each), errors="replace") as text:
                    for statement in ROLES.findall(text.read()):
                        try:
                            session.query(statement)
                        except SqlError:
                            pass  # Some are there to fail.

    def _log_path(self, name):
        return os.path.join(self._directory, name + ".log")

    def _start_pgflow(self, name):
        state = os.path.join(self._directory, "state_" + name)
        pipeline = os.path.join(self._directory, name + ".yaml")
        with open(pipeline, "w") as out:
            out.write(
                "name: regress\nsource:\n  postgres:\n    url: \"%s\"\n    mode: stream\n"
                "    replication: {ddl: true}\nsinks:\n  - postgres:\n      url: \"%s\"\n"
                "      ddl_trusts_source: %s\nstate: {directory: \"%s\"}\n" % (
                    self._source.url(DATABASE), self._target.url(DATABASE),
                    "false" if self._options.no_trust else "true", state))
        with open(self._log_path(name), "wb") as log:
            self._pgflow = subprocess.Popen(
                [self._options.pgflow, "run", pipeline], cwd=self._directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._name = name
        deadline = time.monotonic() + 120
        with self._source.session(DATABASE) as session:
            while session.value("SELECT count(*) FROM pg_replication_slots WHERE active AND "
                                "database = '%s'" % DATABASE) != "1":
                if self._pgflow.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("pgflow did not start for %s:\n%s" % (name, self._tail()))
                time.sleep(0.05)

    def _tail(self, lines=5):
        with open(self._log_path(self._name), errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def _catch_up(self):
        """Waits for the target; the verdict when it never gets there."""
        with self._source.session(DATABASE) as session:
            session.query("INSERT INTO public.pgflow_end VALUES (1)")
        deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
        with self._target.session(DATABASE) as session:
            while session.value("SELECT count(*) FROM public.pgflow_end") != "1":
                if self._pgflow.poll() is not None:
                    return "stopped", [self._tail(1).strip()]
                if time.monotonic() > deadline:
                    return "hangs", [self._tail(1).strip()]
                time.sleep(0.05)
        return None

    def _stop_pgflow(self):
        """Gives its exit code; None: it had to be killed."""
        if self._pgflow is None:
            return None
        code = None
        if self._pgflow.poll() is None:
            self._pgflow.send_signal(signal.SIGTERM)
        try:
            code = self._pgflow.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._pgflow.kill()
            self._pgflow.wait()
        self._pgflow = None
        return code


def record(version, verdicts, order):
    """Puts them in the place of what RESULTS has of these files of this version."""
    with open(RESULTS) as text:
        lines = text.readlines()
    words = {}
    for line in lines:
        if line.startswith("%d " % version):
            _, name, words[name] = line.split()
    words.update((v.name, v.word) for v in verdicts)
    with open(RESULTS, "w") as out:
        out.writelines(line for line in lines if not line.startswith("%d " % version))
        out.writelines("%d %s %s\n" % (version, name, words[name])
                       for name in order if name in words)


def report(verdict, known, out):
    note = " (known: %s)" % known[verdict.name] if verdict.name in known else ""
    line = "%-24s %-8s %5.1f s%s" % (verdict.name, verdict.word, verdict.seconds,
                                     "" if verdict.equal else note)
    print(line, flush=True)
    for detail in verdict.lines[:4]:
        print("    " + detail[:400].replace("\n", "\n    "), flush=True)
    with open(os.path.join(out, verdict.name + ".differences"), "w") as file:
        file.write("\n\n".join(verdict.lines))
    with open(os.path.join(out, "table.txt"), "a") as table:
        table.write(line + "\n")


def where_tests_are(version):
    where = subprocess.run(
        [os.path.join(REPOSITORY, "scripts", "install-regress"), "--where", str(version)],
        check=True, capture_output=True, text=True)
    return where.stdout.strip()


def find_tests(options):
    """Fills in the version and the directory of the tests, and takes clients as new as those."""
    told = options.version is not None
    if not told:
        words = subprocess.run([BIN + "/postgres", "--version"], check=True, capture_output=True,
                               text=True).stdout.split()
        options.version = int(words[2].split(".")[0])
    where = subprocess.run(
        [os.path.join(REPOSITORY, "scripts", "install-regress"), "--where", str(options.version)],
        capture_output=True, text=True)
    options.regress = where.stdout.strip()
    if where.returncode != 0 or not os.path.isdir(options.regress):
        print("test-regress: no tests of PostgreSQL %d here: %s" % (
            options.version, where.stderr.strip() or "run scripts/install-regress"))
        sys.exit(1 if told or "PGFLOW_PG_BIN" not in os.environ else NO_TESTS)
    client = os.path.join(options.regress, "client", "bin")
    if os.path.isdir(client):
        os.environ["PATH"] = client + os.pathsep + os.environ["PATH"]


def main():
    parser = argparse.ArgumentParser(prog="scripts/test-regress")
    parser.add_argument("files", nargs="*", help="names without .sql; none: the whole schedule")
    parser.add_argument("--version", type=int, help="of the tests; otherwise the servers'")
    parser.add_argument("--pgflow", required=True, help="the program")
    parser.add_argument("--out", help="where verdicts, differences and outputs are written")
    parser.add_argument("--no-trust", action="store_true",
                        help="without ddl_trusts_source: programs of ordinary users stay out")
    parser.add_argument("--together", action="store_true",
                        help="the files one behind the other in one database, compared in the end")
    parser.add_argument("--record", action="store_true",
                        help="write the verdicts to tests/conformance/regress_results.txt")
    options = parser.parse_args()
    find_tests(options)
    options.out = os.path.abspath(
        options.out or os.path.join(REPOSITORY, "build", "regress-%d" % options.version))
    options.pgflow = os.path.abspath(options.pgflow)
    known = known_differences(options.version)
    end_on_signals()
    regress = Regress(options)
    verdicts = []
    try:
        regress.start()
        names = options.files or schedule(options.regress)
        if options.together:  # Not every version has each.
            names = [name for name in names if os.path.exists(
                os.path.join(options.regress, "sql", name + ".sql"))]
        for name in ["together"] if options.together else names:
            verdicts.append(regress.run(name, names if options.together else None))
            report(verdicts[-1], known, options.out)
    except KeyboardInterrupt:
        return 130
    finally:
        regress.close()
    if options.record:
        record(options.version, verdicts, schedule(options.regress))
    equal = sum(v.equal for v in verdicts)
    unexplained = [v.name for v in verdicts if not v.equal and v.name not in known]
    print("test-regress: PostgreSQL %d: %d of %d files equal%s" % (
        options.version, equal, len(verdicts),
        "; not explained: " + " ".join(unexplained) if unexplained else ""))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
