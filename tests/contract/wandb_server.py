"""A loopback server that satisfies an online wandb run and remembers what was uploaded to it.

It answers the few GraphQL queries that a run needs by the name of the field that they ask for, and every other POST as
the file stream does. What it remembers: the rows of the stream's own `wandb-history.jsonl`, and the names of all files
that were announced or put.
"""

import gzip
import json
import re
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "0" * 40
RUN = {
    "id": "UnVuOjE=",
    "name": "r1",
    "displayName": "r1",
    "description": "",
    "config": "{}",
    "sweepName": None,
    "historyLineCount": 0,
    "project": {"id": "UHJvamVjdDox", "name": "p", "entity": {"id": "RW50aXR5OjE=", "name": "e"}},
}
VIEWER = {
    "id": "VXNlcjox",
    "username": "u",
    "email": "u@example.com",
    "admin": False,
    "entity": "e",
    "flags": "{}",
    "teams": {"edges": [{"node": {"name": "e"}}]},
}


class Uploaded:
    """What arrived, for the test to look at."""

    def __init__(self) -> None:
        self.rows: list[dict] = []
        self.files: set[str] = set()
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.body()
        if self.path.endswith("/graphql"):
            query = json.loads(body)
            self.reply({"data": self.answer(query.get("query", ""), query.get("variables") or {})})
            return
        try:
            stream = json.loads(body or b"{}")
        except ValueError:
            stream = {}
        for name, part in (stream.get("files") or {}).items():
            self.server.uploaded.files.add("stream:" + name)
            if name == "wandb-history.jsonl":
                self.server.uploaded.rows.extend(json.loads(line) for line in part["content"])
        self.reply({"exitcode": None, "limits": {}})

    def do_PUT(self) -> None:
        self.body()
        self.server.uploaded.files.add("put:" + self.path.partition("/storage/")[2])
        self.reply({})

    def do_GET(self) -> None:
        self.reply({})

    def answer(self, query: str, variables: dict) -> dict:
        if "createRunFiles" in query:
            names = variables.get("files") or []
            self.server.uploaded.files.update("announced:" + name for name in names)
            url = self.server.uploaded.url
            files = [{"name": name, "uploadUrl": f"{url}/storage/{name}"} for name in names]
            return {"createRunFiles": {"runID": RUN["id"], "uploadHeaders": [], "files": files}}
        if "upsertBucket" in query:
            return {"upsertBucket": {"bucket": RUN, "inserted": True}}
        if "uploadUrls" in query or re.search(r"\bfiles\(names", query):
            names = variables.get("files") or []
            self.server.uploaded.files.update("announced:" + name for name in names)
            url = self.server.uploaded.url
            edges = [{"node": {"name": n, "url": f"{url}/storage/{n}", "updatedAt": None}} for n in names]
            files = {"uploadHeaders": [], "edges": edges}
            return {"model": {"bucket": {"id": RUN["id"], "files": files}}}
        return {
            "viewer": VIEWER,
            "model": None,
            "project": None,
            "serverInfo": {"features": []},
            "__type": {"fields": []},
        }

    def body(self) -> bytes:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw

    def reply(self, value: dict) -> None:
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def handle(self) -> None:
        with suppress(ConnectionError):  # wandb's processes end without a good-bye
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def wandb_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.uploaded = Uploaded()
    server.uploaded.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.uploaded
    finally:
        server.shutdown()
        server.server_close()
