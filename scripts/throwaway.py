"""Throw-away PostgreSQL clusters and a small SQL session, for the scripts beside this file.

A Cluster owns its directory and its postmaster: both are gone after stop(). It never runs as root
(root's calls go through the user `postgres`), has a port of its own on 127.0.0.1 and no password.
"""

import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

BIN = os.environ.get("PGFLOW_PG_BIN", "/usr/lib/postgresql/15/bin")


def server_identity():
    """Keyword arguments for subprocess that make the child run as a user who may run PostgreSQL."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def end_on_signals():
    """SIGTERM and SIGHUP end it like Ctrl-C, by an exception: the servers are stopped."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class SqlError(Exception):
    pass


class Session:
    """One connection, simple protocol, trust authentication. query() gives rows of text."""

    def __init__(self, port, database, user="postgres"):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(None)
        self._buffer = b""
        parameters = b"".join(s.encode() + b"\0" for s in ("user", user, "database", database))
        body = struct.pack("!i", 196608) + parameters + b"\0"
        self._socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self._collect()

    def query(self, sql):
        body = sql.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        return self._collect()

    def value(self, sql):
        rows = self.query(sql)
        return rows[0][0] if rows else None

    def close(self):
        try:
            self._socket.sendall(b"X\0\0\0\4")
        except OSError:
            pass
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _take(self, size):
        while len(self._buffer) < size:
            piece = self._socket.recv(65536)
            if not piece:
                raise SqlError("the server closed the connection")
            self._buffer += piece
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _collect(self):
        rows, error = [], None
        while True:
            kind, size = struct.unpack("!ci", self._take(5))
            body = self._take(size - 4)
            if kind == b"D":
                rows.append(self._row(body))
            elif kind == b"E":
                fields = {f[:1]: f[1:].decode() for f in body.split(b"\0") if f}
                error = SqlError(fields.get(b"M", "?") + " " + fields.get(b"D", ""))
                if fields.get(b"S") == "FATAL":
                    raise error
            elif kind == b"R" and struct.unpack("!i", body[:4])[0] != 0:
                raise SqlError("the server wants a password")
            elif kind == b"Z":
                if error:
                    raise error
                return rows

    @staticmethod
    def _row(body):
        values, at = [], 2
        for _ in range(struct.unpack("!h", body[:2])[0]):
            (size,) = struct.unpack("!i", body[at : at + 4])
            at += 4
            values.append(None if size < 0 else body[at : at + size].decode())
            at += max(size, 0)
        return values


class Cluster:
    """One PostgreSQL server in `directory`/`name`. Start it with start(), end it with stop()."""

    def __init__(self, directory, name, settings=None, binaries=BIN):
        self.name = name
        self._bin = binaries
        self.port = free_port()
        self.path = os.path.join(directory, name)
        self.log_path = os.path.join(directory, name + ".log")
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "wal_level": "logical",
            "max_replication_slots": 32,
            "max_wal_senders": 32,
            "max_worker_processes": 24,
            "max_logical_replication_workers": 12,
            "max_sync_workers_per_subscription": 4,
            **(settings or {}),
        }
        self._process = None

    def url(self, database="postgres"):
        return "postgresql://postgres@127.0.0.1:%d/%s" % (self.port, database)

    def session(self, database="postgres"):
        return Session(self.port, database)

    def start(self):
        os.makedirs(self.path, mode=0o700)
        identity = server_identity()
        if identity:
            os.chown(self.path, identity["user"], identity["group"])
        subprocess.run(
            [self._bin + "/initdb", "-D", self.path, "-U", "postgres", "--auth=trust", "-E", "UTF8",
             "--locale=C.UTF-8"],
            check=True, cwd="/", stdout=subprocess.DEVNULL, **identity,
        )
        with open(os.path.join(self.path, "postgresql.conf"), "a") as conf:
            for key, setting in self._settings.items():
                conf.write("%s = '%s'\n" % (key, setting))
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [self._bin + "/postgres", "-D", self.path],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **identity,
            )
        self.wait_until_up()
        return self

    def wait_until_up(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                self.session().close()
                return
            except (OSError, SqlError) as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    with open(self.log_path) as log:
                        raise SystemExit("server %s did not start: %s\n%s" % (
                            self.name, error, log.read()))
                time.sleep(0.1)

    def stop(self):
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # Fast shutdown: ends the sessions.
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
        self._process = None
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, program, *arguments, database=None, env=None, **options):
        """Runs a client program of PostgreSQL (psql, pgbench, ...) against this server."""
        command = [BIN + "/" + program if os.path.exists(BIN + "/" + program) else program]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", *arguments]
        if database:
            command.append(database)
        options.setdefault("check", True)
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(command, env={**os.environ, **(env or {})}, **options)
