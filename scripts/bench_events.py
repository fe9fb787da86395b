"""Rows of the benchmark for search indices, webhooks and masked copies."""

import http.client
import json
import socket
import statistics
import subprocess
import threading
import time

from bench_context import BenchError
from bench_rows import INCLUDE, Row, figures, wait_for_slot
from throwaway import free_port
from throwaway_servers import OpenSearch


def pipeline(context, name, *, database, mode, tables, sink, transformers=()):
    """Writes a pipeline file with any sink; returns its path."""
    source = {"url": context.source.url(database), "mode": mode, "tables": {"include": tables},
              "replication": {"slot": name, "publication": name},
              "snapshot": {"workers": context.options.workers}}
    path = context.path(name + ".yaml")
    with open(path, "w") as out:
        json.dump({"name": name, "source": {"postgres": source},
                   "transformers": list(transformers), "sinks": [sink],
                   "state": {"directory": context.path(name + "_state")},
                   "admin": {"listen": "127.0.0.1:%d" % free_port()}}, out, indent=1)
    return path


class SearchRow(Row):
    """A snapshot into an index, beside a loader that has the same documents in memory."""

    name = "search"
    part = "events"
    contenders = ("pgflow", "loader")
    limits = (("pgflow", ("loader",), 1 / 0.9),)
    bulk_bytes = 4 << 20
    _node = None

    @property
    def title(self):
        return "snapshot of %d rows to OpenSearch" % self.context.options.documents

    def prepare(self):
        c = self.context
        self._node = OpenSearch(c.path(c.unique(self.name))).start()
        c.fresh_database(c.source, "search")
        c.sql(c.source, "search", [
            "CREATE TABLE products (id bigint PRIMARY KEY, name text, description text,"
            " price numeric(10,2), stock int, rating float8, available bool, added timestamptz,"
            " sku uuid)",
            "INSERT INTO products SELECT n, 'product number ' || n, repeat('a fine thing ', 8),"
            " n / 100.0, n %% 1000, n / 7.0, n %% 3 = 0, now(), md5(n::text)::uuid"
            " FROM generate_series(1, %d) n" % c.options.documents,
            "VACUUM ANALYZE products"])
        self._bulks = None
        # The node's machine code is made by running it.
        self.measure_pgflow()
        self.measure_loader()

    def finish(self):
        if self._node is not None:
            self._node.stop()

    def _count(self, index):
        return self._node.json("GET", "/%s/_count" % index)["count"]

    def measure_pgflow(self):
        c = self.context
        name = c.unique("bench_search")
        path = pipeline(c, name, database="search", mode="snapshot", tables=["public.products"],
                        sink={"opensearch": {"url": self._node.url, "index": name}})
        run = c.pgflow("snapshot", path).require_success()
        if self._count(name) != c.options.documents:
            raise BenchError("the index has %d documents" % self._count(name))
        if self._bulks is None:
            self._prepare_loader(name)
        self._node.json("DELETE", "/%s-*" % name)
        c.pgflow("destroy", path).wait()
        return figures(run, run.wall_s)

    def _prepare_loader(self, index):
        """The documents as the index has them."""
        self._definition = next(iter(self._node.json("GET", "/" + index).values()))
        self._bulks, lines, size = [], [], 0
        page = self._node.json("POST", "/%s/_search?scroll=5m" % index,
                               {"size": 10000, "sort": ["_doc"]})
        while page["hits"]["hits"]:
            for hit in page["hits"]["hits"]:
                line = '{"index":{"_id":"%s"}}\n%s\n' % (
                    hit["_id"], json.dumps(hit["_source"], separators=(",", ":")))
                lines.append(line)
                size += len(line)
                if size >= self.bulk_bytes:
                    self._bulks.append("".join(lines).encode())
                    lines, size = [], 0
            page = self._node.json("POST", "/_search/scroll",
                                   {"scroll": "5m", "scroll_id": page["_scroll_id"]})
        if lines:
            self._bulks.append("".join(lines).encode())

    def measure_loader(self):
        c = self.context
        index = c.unique("bench_loader")
        self._node.json("PUT", "/" + index, {
            "mappings": self._definition["mappings"],
            "settings": {"number_of_replicas": 0, "refresh_interval": "-1"}})
        waiting = list(self._bulks)
        failures = []

        def post():
            connection = http.client.HTTPConnection("127.0.0.1", self._node.port)
            while waiting:
                bulk = waiting.pop()
                connection.request("POST", "/%s/_bulk" % index, bulk,
                                   {"Content-Type": "application/x-ndjson"})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 429:  # No room just now.
                    waiting.append(bulk)
                    time.sleep(0.1)
                elif answer.status != 200 or b'"errors":true' in text:
                    failures.append(answer.status)

        started = time.monotonic()
        threads = [threading.Thread(target=post) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._node.json("POST", "/%s/_refresh" % index)
        wall_s = time.monotonic() - started
        if failures or self._count(index) != c.options.documents:
            raise BenchError("the loader's index has %d documents" % self._count(index))
        self._node.json("DELETE", "/" + index)
        return {"wall_s": wall_s}


def percentiles(seconds):
    milliseconds = sorted(s * 1000 for s in seconds)
    last = len(milliseconds) - 1
    return {"p50_ms": statistics.median(milliseconds), "p99_ms": milliseconds[last * 99 // 100]}


class PacedRow(Row):
    """One commit at a time into a running pipeline; a subclass sees it arrive."""

    part = "events"
    contenders = ("pgflow",)
    shown = ("p50_ms", "p99_ms")
    warm_up = 100

    def _sink(self, name):
        raise NotImplementedError

    def _wait_for(self, number):
        raise NotImplementedError

    def _open(self):
        c = self.context
        c.fresh_database(c.source, self.name)
        c.sql(c.source, self.name, ["CREATE TABLE latency (id bigint PRIMARY KEY, note text)"])

    def measure_pgflow(self):
        c = self.context
        self._open()
        name = c.unique("bench_" + self.name)
        path = pipeline(c, name, database=self.name, mode="stream", tables=["public.latency"],
                        sink=self._sink(name))
        c.pgflow("init", path).require_success()
        run = c.pgflow("run", path)
        waits = []
        try:
            wait_for_slot(c, name, run)
            with c.source.session(self.name) as session:
                for number in range(self.warm_up + c.options.event_commits):
                    session.query("INSERT INTO latency VALUES (%d, 'one at a time')" % number)
                    committed = time.monotonic()
                    arrived = self._wait_for(number)
                    if number >= self.warm_up:
                        waits.append(arrived - committed)
                    time.sleep(0.02)
        finally:
            run.stop()
            c.pgflow("destroy", path).wait()
        return {**percentiles(waits), "peak_mib": run.peak_mib, "cpu_s": run.cpu_s}


class SearchLatencyRow(PacedRow):
    name = "search_latency"
    title = "one row at a time, commit to searchable (ms)"
    _node = None
    latency_limits = (("pgflow", "p50_ms", 40), ("pgflow", "p99_ms", 100))

    def prepare(self):
        c = self.context
        self._node = OpenSearch(c.path(c.unique(self.name))).start()
        # One for all questions: what is measured is not the making of connections.
        self._questions = http.client.HTTPConnection("127.0.0.1", self._node.port, timeout=60)

    def finish(self):
        if self._node is not None:
            self._questions.close()
            self._node.stop()

    def _sink(self, name):
        self._index = name
        return {"opensearch": {"url": self._node.url, "index": name}}

    def _wait_for(self, number):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self._questions.request("GET", "/%s/_count?q=id:%d" % (self._index, number))
            answer = self._questions.getresponse()
            body = answer.read()
            if answer.status == 200 and json.loads(body)["count"] == 1:
                return time.monotonic()
            time.sleep(0.001)
        raise BenchError("row %d was not found" % number)


class Receiver:
    """Answers every POST with 204 and hands its body to `take`; connections stay open."""

    def __init__(self, take):
        self._take = take
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = connection.makefile("rb")
        while True:
            size, line = 0, stream.readline()
            if not line:
                return
            while line not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
                if line.lower().startswith(b"expect:"):
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                line = stream.readline()
            self._take(stream.read(size))
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def stop(self):
        self._listener.close()


class WebhookLatencyRow(PacedRow):
    name = "webhook_latency"
    title = "one row at a time, commit to webhook received (ms)"
    _receiver = None
    latency_limits = (("pgflow", "p50_ms", 3), ("pgflow", "p99_ms", 15))

    def prepare(self):
        self._arrivals = {}
        self._news = threading.Condition()
        self._receiver = Receiver(self._take)

    def finish(self):
        if self._receiver is not None:
            self._receiver.stop()

    def _take(self, body):
        now = time.monotonic()
        with self._news:
            self._arrivals[json.loads(body)["after"]["id"]] = now
            self._news.notify()

    def _sink(self, name):
        self._arrivals.clear()
        return {"webhook": {"url": "http://127.0.0.1:%d/" % self._receiver.port,
                            "private_addresses": "allow"}}

    def _wait_for(self, number):
        with self._news:
            if not self._news.wait_for(lambda: number in self._arrivals, timeout=60):
                raise BenchError("row %d was not posted" % number)
            return self._arrivals[number]


class WebhookRateRow(Row):
    name = "webhook"
    part = "events"
    _receiver = None
    contenders = ("pgflow",)
    shown = ("wall_s", "events_s")
    least_rates = (("pgflow", 20000),)

    @property
    def title(self):
        return "backlog of %d rows to a webhook, 500 events a request" % self._rows

    @property
    def _rows(self):
        return self.context.options.documents

    def prepare(self):
        self._events = 0
        self._receiver = Receiver(self._take)

    def finish(self):
        if self._receiver is not None:
            self._receiver.stop()

    def _take(self, body):
        self._events += body.count(b'"position":')

    def measure_pgflow(self):
        c = self.context
        c.fresh_database(c.source, "webhook")
        c.sql(c.source, "webhook", ["CREATE TABLE rows (id bigint PRIMARY KEY, note text)"])
        name = c.unique("bench_webhook")
        path = pipeline(c, name, database="webhook", mode="stream", tables=["public.rows"],
                        sink={"webhook": {"url": "http://127.0.0.1:%d/" % self._receiver.port,
                                          "private_addresses": "allow",
                                          "secrets": ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"],
                                          "batch": {"events": 500}}})
        c.pgflow("init", path).require_success()
        c.sql(c.source, "webhook", ["INSERT INTO rows SELECT n, 'note number ' || n"
                                    " FROM generate_series(1, %d) n" % self._rows])
        self._events = 0
        run = c.pgflow("run", path, "--until-current").require_success()
        c.pgflow("destroy", path).wait()
        if self._events != self._rows:
            raise BenchError("%d events of %d arrived" % (self._events, self._rows))
        return {**figures(run, run.wall_s), "events_s": self._rows / run.wall_s}


class MaskRow(Row):
    """The snapshot with three masked columns, and without."""

    name = "mask"
    part = "events"
    contenders = ("masked", "plain")
    limits = (("masked", ("plain",), 1.5),)

    @property
    def title(self):
        return "snapshot, pgbench scale %d, three columns masked" % self.context.options.scale

    def prepare(self):
        c = self.context
        c.fresh_database(c.source, "mask")
        c.source.run("pgbench", "-i", "-q", "-s", str(c.options.scale), database="mask",
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _measure(self, transformers):
        c = self.context
        c.fresh_database(c.target, "mask")
        c.settle()
        name = c.unique("bench_mask")
        path = pipeline(c, name, database="mask", mode="snapshot", tables=INCLUDE,
                        sink={"postgres": {"url": c.target.url("mask"), "create_schema": True}},
                        transformers=transformers)
        run = c.pgflow("snapshot", path).require_success()
        c.pgflow("destroy", path).wait()
        c.drop_database(c.target, "mask")
        return figures(run, run.wall_s)

    def measure_plain(self):
        return self._measure([])

    def measure_masked(self):
        rules = [{"table": "public.pgbench_accounts", "column": column, **how} for column, how in (
            ("bid", {"with": "integer", "min": "1", "max": "1000"}),
            ("abalance", {"with": "integer", "min": "0", "max": "100000"}),
            ("filler", {"with": "string", "length": 32}))]
        return self._measure([{"mask": {"key": "sixteen characters or more", "rules": rules}}])


EVENT_ROWS = (SearchRow, SearchLatencyRow, WebhookRateRow, WebhookLatencyRow, MaskRow)
