"""What differs between two databases: definitions, as pg_dump writes them, and rows."""

import collections
import re
import subprocess

from throwaway import SqlError

# Of ours, or of one server alone.
IGNORED = ("SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict",
           "CREATE EVENT TRIGGER pgflow_", "ALTER EVENT TRIGGER pgflow_",
           "COMMENT ON EVENT TRIGGER pgflow_", "   EXECUTE FUNCTION pgflow.")
# Privileges on what came with the server.
OF_THE_CATALOG = re.compile(r"(GRANT|REVOKE) .* ON \w+ (pg_catalog|information_schema)\.")
TABLES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p'
AND n.nspname !~ '^(pg_|information_schema$|pgflow$)' ORDER BY 1"""
SHOWN = 200


def definitions(cluster, database):
    """The schema without statements that say nothing about it; or why there is none."""
    done = cluster.run(
        "pg_dump", "-s", "--no-publications", "--no-subscriptions", "-N", "pgflow",
        database=database, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        return ["pg_dump: " + done.stderr.decode(errors="replace")]
    lines = [line for line in done.stdout.decode(errors="replace").split("\n")
             if not line.startswith("--") and not line.startswith(IGNORED)
             and not OF_THE_CATALOG.match(line)]
    return [block.strip() for block in "\n".join(lines).split("\n\n") if block.strip()]


def definition_differences(source, target, database):
    ours, theirs = (collections.Counter(definitions(cluster, database))
                    for cluster in (source, target))
    lines = []
    for where, only in (("source", ours - theirs), ("target", theirs - ours)):
        lines += ["only in the %s: %s" % (where, block) for block in list(only)[:SHOWN]]
    return lines


def content(session, table):
    try:
        return session.query(
            "SELECT count(*), md5(string_agg(whole_row::text, E'\\n' ORDER BY whole_row::text "
            "COLLATE \"C\")) FROM ONLY %s whole_row" % table)[0]
    except SqlError as error:
        return ["error", str(error)]


def row_differences(ours, theirs):
    for session in (ours, theirs):
        session.query("SET search_path = pg_catalog; SET row_security = off")
    lines = []
    for (table,) in ours.query(TABLES):
        here, there = content(ours, table), content(theirs, table)
        if here != there:
            lines.append("rows of %s: %s in the source, %s in the target%s" % (
                table, here[0], there[0], ": " + there[1] if there[0] == "error" else ""))
    return lines
