"""Turns the measurements of all rounds into tables: min, median, max, and ratios by round."""

import os
import statistics
import subprocess

NAMES = {"wall_s": "wall, s", "p50_ms": "p50, ms", "p99_ms": "p99, ms", "events_s": "events/s",
         "mb_s": "MB/s"}
DIGITS = {"p50_ms": 3, "p99_ms": 3, "events_s": 0, "mb_s": 1}
BEGIN, END = "<!-- bench %s:begin -->", "<!-- bench %s:end -->"


def spread(values, digits=2):
    values = [v for v in values if v is not None]
    if not values:
        return "-"
    return "%.*f / %.*f / %.*f" % (
        digits, min(values), digits, statistics.median(values), digits, max(values))


def column(rounds, contender, key):
    taken = [r[contender].get(key) for r in rounds if contender in r]
    return [figure for figure in taken if figure is not None]


def ratios(rounds, ours, peers, key="wall_s"):
    result = []
    for r in rounds:
        best = [r[p][key] for p in peers if p in r and key in r[p]]
        if ours in r and key in r[ours] and best:
            result.append(r[ours][key] / min(best))
    return result


def table(header, lines):
    out = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    out += ["| " + " | ".join(line) + " |" for line in lines]
    return out


def row_report(row, rounds):
    out = ["", "**%s** (%d rounds; min / median / max)" % (row.title, len(rounds)), ""]
    keys = row.shown
    lines = []
    for contender in row.contenders:
        if not any(contender in r for r in rounds):
            continue
        line = [contender]
        line += [spread(column(rounds, contender, k), DIGITS.get(k, 2)) for k in keys]
        line.append(spread(column(rounds, contender, "peak_mib"), 0))
        line.append(spread(column(rounds, contender, "cpu_s")))
        lines.append(line)
    out += table(["", *[NAMES[k] for k in keys], "peak RSS, MiB", "own CPU, s"], lines)
    out += row_ratios(row, rounds)
    if row.name == "large":
        out += large_details(row, rounds)
    return out


def row_ratios(row, rounds):
    lines = limit_lines(row, rounds)
    if not lines:
        return []
    return [""] + table(["ratio (per round)", "min / median / max", "must be", ""], lines)


def limit_lines(row, rounds):
    lines = []
    for ours, peers, limit in row.limits:
        measured = ratios(rounds, ours, peers)
        if not measured:
            continue
        verdict = "reached" if statistics.median(measured) <= limit else "MISSED"
        lines.append([ours + " / " + (" or ".join(peers)), spread(measured), "<= %.3g" % limit,
                      verdict])
    for contender, key, limit in row.latency_limits:
        measured = column(rounds, contender, key)
        if measured:
            verdict = "reached" if statistics.median(measured) < limit else "MISSED"
            lines.append([contender + " " + key, spread(measured, 3), "< %g" % limit, verdict])
    for ours, peer, least in row.rate_limits:
        measured = ratios(rounds, ours, (peer,), "events_s")
        if measured:
            verdict = "reached" if statistics.median(measured) >= least else "MISSED"
            lines.append(["events/s, %s / %s" % (ours, peer), spread(measured), ">= %g" % least,
                          verdict])
    for contender, least in row.least_rates:
        measured = column(rounds, contender, "events_s")
        if measured:
            verdict = "reached" if statistics.median(measured) >= least else "MISSED"
            lines.append([contender + " events/s", spread(measured, 0), ">= %d" % least, verdict])
    peaks = [p for c in row.contenders for p in column(rounds, c, "peak_mib")]
    if peaks:
        verdict = "reached" if max(peaks) < 256 else "MISSED"
        lines.append(["peak RSS of pgflow, MiB", spread(peaks, 0), "< 256", verdict])
    return lines


def large_details(row, rounds):
    lines = []
    for contender in row.contenders:
        if any(contender in r for r in rounds):
            lines.append([contender] + [
                spread(column(rounds, contender, key), digits) for key, digits in (
                    ("commit_s", 2), ("after_commit_s", 2), ("first_row_s", 2), ("spill_txns", 0),
                    ("stream_txns", 0))])
    return [""] + table(["", "start to commit, s", "commit to visible, s", "first row received, s",
                         "publisher spills", "publisher streams"], lines)


def machine():
    with open("/proc/cpuinfo") as cpu:
        models = [line.split(":")[1].strip() for line in cpu if line.startswith("model name")]
    version = subprocess.run(["/usr/lib/postgresql/15/bin/postgres", "--version"],
                             capture_output=True, text=True).stdout.strip()
    return "%d x %s, %s on both sides, fsync on, TCP on 127.0.0.1" % (
        os.cpu_count(), models[0] if models else "?", version)


def report(rows, results):
    out = ["Machine: " + machine() + "."]
    for row in rows:
        if results.get(row.name):
            out += row_report(row, results[row.name])
    return "\n".join(out) + "\n"


def write_into(path, rows, results):
    """Replaces those parts of a Markdown page, between markers, of which rows were measured."""
    with open(path) as page:
        content = page.read()
    for part in dict.fromkeys(row.part for row in rows if results.get(row.name)):
        begin, end = BEGIN % part, END % part
        head, rest = content.split(begin, 1)
        tail = rest.split(end, 1)[1]
        text = report([row for row in rows if row.part == part], results)
        content = head + begin + "\n" + text + end + tail
    with open(path, "w") as page:
        page.write(content)
