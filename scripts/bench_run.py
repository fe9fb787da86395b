"""Measures pgflow and its peers in turns, on private servers of this machine."""

import argparse
import json
import os
import sys
import tempfile

import bench_report
from bench_appliers import AppliersRow
from bench_context import REPOSITORY, BenchError, Context
from bench_events import EVENT_ROWS
from bench_kafka import KAFKA_ROWS
from bench_rows import ROWS as DATABASE_ROWS
from bench_tables import ROWS as TABLES_ROWS
from throwaway import end_on_signals
from throwaway_servers import ServerError

ROWS = DATABASE_ROWS + TABLES_ROWS + KAFKA_ROWS + (AppliersRow,) + EVENT_ROWS
FAILURES = (BenchError, ServerError, OSError)


def parse():
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW",
                        help="one of %s; none: all" % ", ".join(names))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="contenders, comma-separated (pgflow,native)")
    parser.add_argument("--scale", type=int, default=50, help="pgbench scale of the snapshot")
    parser.add_argument("--backlog-scale", type=int, default=10)
    parser.add_argument("--transactions", type=int, default=100000, help="of the backlog")
    parser.add_argument("--rows-large", dest="rows_large", type=int, default=500000)
    parser.add_argument("--tables", type=int, default=10000, help="of the row of many tables")
    parser.add_argument("--commits", type=int, default=2000, help="of the latency row")
    parser.add_argument("--rows-wide", dest="rows_wide", type=int, default=1000000,
                        help="of the backlog of wide rows to Kafka")
    parser.add_argument("--documents", type=int, default=500000,
                        help="of the snapshot to OpenSearch, and of the backlog to a webhook")
    parser.add_argument("--event-commits", dest="event_commits", type=int, default=500,
                        help="of the latency rows of Kafka, OpenSearch and webhook")
    parser.add_argument("--workers", type=int, default=4, help="snapshot workers, pgcopydb's too")
    parser.add_argument("--build-directory", default=os.path.join(REPOSITORY, "build", "release"))
    parser.add_argument("--json", help="write every single measurement to this file")
    parser.add_argument("--write-docs", action="store_true",
                        help="put the table into docs/performance.md")
    parser.add_argument("--keep", action="store_true", help="keep the scratch directory (logs)")
    options = parser.parse_args()
    options.build_directory = os.path.abspath(options.build_directory)
    options.pgflow = os.path.join(options.build_directory, "cli", "pgflow")
    if not os.path.exists(options.pgflow):
        parser.error("%s is missing: scripts/bench builds it" % options.pgflow)
    for name in options.rows:
        if name not in names:
            parser.error("no row %s; there are: %s" % (name, ", ".join(names)))
    return options


def contenders_of(row, options):
    wanted = options.only.split(",") if options.only else row.contenders
    return [c for c in row.contenders if c in wanted]


def measure_row(row, context):
    contenders = contenders_of(row, context.options)
    if not contenders:
        return []
    context.say("== %s: %s" % (row.name, row.title))
    row.prepare()
    rounds = []
    for number in range(context.options.rounds):
        turn = contenders[number % len(contenders):] + contenders[: number % len(contenders)]
        row.begin_round(contenders)
        figures = {}
        for contender in turn:
            try:
                figures[contender] = row.measure(contender)
            except FAILURES as error:
                context.say("  round %d  %-12s FAILED: %s" % (number + 1, contender, error))
                context.failures += 1
                continue
            shown = "  ".join(
                "%s %.3f" % (k, v) for k, v in figures[contender].items() if v is not None)
            context.say("  round %d  %-12s %s" % (number + 1, contender, shown))
        row.end_round()
        rounds.append(figures)
    return rounds


def main():
    options = parse()
    end_on_signals()
    directory = tempfile.mkdtemp(prefix="pgflow_bench_")
    os.chmod(directory, 0o755)
    context = Context(directory, options)
    context.failures = 0
    rows = [row(context) for row in ROWS if not options.rows or row.name in options.rows]
    results = {}
    try:
        context.start()
        for row in rows:
            try:
                results[row.name] = measure_row(row, context)
            except FAILURES as error:
                context.say("%s: %s" % (row.name, error))
                context.failures += 1
            finally:
                row.finish()
    finally:
        context.stop(keep_logs=options.keep)
    text = bench_report.report(rows, results)
    print("\n" + text)
    if options.json:
        with open(options.json, "w") as out:
            json.dump(results, out, indent=1)
    if options.write_docs:
        bench_report.write_into(os.path.join(REPOSITORY, "docs", "performance.md"), rows,
                                results)
    return 1 if context.failures else 0


if __name__ == "__main__":
    sys.exit(main())
