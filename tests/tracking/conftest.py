"""A W&B server on the loopback interface that understands what a run's start, log lines, files and resume need."""

import gzip
import json
import re
import subprocess
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import wandb

API_KEY = "0123456789abcdef" * 2 + "01234567"


class LoopbackWandb:
    """Runs by id, with their config, history rows and finish state; files by name."""

    def __init__(self):
        self.runs, self.files, self.lock = {}, {}, threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self._answer({})

            def do_PUT(self):
                with owner.lock:
                    owner.files[urllib.parse.unquote(self.path.removeprefix("/upload/"))] = self._body()
                self._answer({})

            def do_POST(self):
                message = json.loads(self._body() or b"{}")
                with owner.lock:
                    if self.path.startswith("/graphql"):
                        data = owner.query(message["query"], message.get("variables") or {})
                        self._answer({"data": data} if data else {"data": None, "errors": [{"message": "unknown"}]})
                    else:
                        owner.stream(urllib.parse.urlparse(self.path).path.split("/")[4], message)
                        self._answer({"exitcode": None, "limits": {}})

            def log_message(self, *args):
                pass

            def _body(self):
                if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                    chunks = []
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        chunks.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(chunks)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

            def _answer(self, message):
                body = json.dumps(message).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # Clients that hang up are part of these tests.

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def query(self, text, variables):
        if "upsertBucket" in text:
            run = self.runs.setdefault(variables["name"], {"config": {}, "history": [], "summary": {}, "starts": 0})
            run["starts"] += 1 if variables.get("config") else 0
            for theirs in ("displayName", "groupName", "jobType", "tags", "project", "entity"):
                run[theirs] = variables.get(theirs) or run.get(theirs)
            if variables.get("config"):
                run["config"] = json.loads(variables["config"])
            return {"upsertBucket": {"bucket": self._bucket(variables["name"]), "inserted": run["starts"] == 1}}
        if "createRunFiles" in text:
            run = variables["run"]
            files = [
                {"name": f, "uploadUrl": f"{self.url}/upload/{run}/{urllib.parse.quote(f)}"} for f in variables["files"]
            ]
            return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": files}}
        if re.search(r"query\s+RunResumeStatus", text):
            bucket = self._bucket(variables["name"]) if variables["name"] in self.runs else None
            project = {"id": "p", "name": variables.get("project"), "entity": {"id": "e", "name": "lab"}}
            return {"model": {"bucket": bucket, **project}}
        if "viewer" in text:
            viewer = {"id": "u", "entity": "lab", "username": "ada", "admin": False, "flags": "{}", "email": "ada@lab"}
            teams = {"edges": [{"node": {"name": "lab"}}]}
            return {"viewer": {**viewer, "name": "Ada", "teams": teams, "apiKeys": {"edges": []}}, **self._info()}
        return self._info() if "serverInfo" in text else None

    def stream(self, run_id, message):
        run = self.runs[run_id]
        for name, content in message.get("files", {}).items():
            rows = [json.loads(line) for line in content["content"]] if name.endswith((".json", ".jsonl")) else []
            if name == "wandb-history.jsonl":
                run["history"] += rows
            elif name == "wandb-summary.json":
                run["summary"] = rows[-1]
        if message.get("complete"):
            run["exit_code"] = message.get("exitcode")

    @staticmethod
    def _info():
        versions = {"cliVersionInfo": {"max_cli_version": "99.0.0"}, "latestLocalVersionInfo": None, "features": []}
        return {"serverInfo": versions}

    def _bucket(self, name):
        run = self.runs[name]
        rows = run["history"]
        return {
            "id": name,
            "name": name,
            "displayName": run.get("displayName") or name,
            "description": None,
            "config": json.dumps(run["config"]),
            "summaryMetrics": json.dumps(run["summary"]),
            "wandbConfig": '{"t": 1}',
            "sweepName": None,
            "tags": run.get("tags") or [],
            "historyLineCount": len(rows),
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
            "eventsTail": "[]",
            "project": {"id": "p", "name": run["project"], "entity": {"id": "e", "name": "lab"}},
        }


@pytest.fixture
def clean_wandb(tmp_path, monkeypatch):
    """W&B as on a fresh machine: no account, no settings, no environment variables; nothing left behind."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_RUN_ID", "WANDB_PROJECT", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("HOME", home), ("WANDB_CONFIG_DIR", home / "config"), ("WANDB_CACHE_DIR", home / "cache")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("WANDB_DATA_DIR", str(home / "data"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb.teardown()
    yield monkeypatch
    wandb.teardown()


@pytest.fixture
def wandb_server(clean_wandb):
    """A loopback server and an account for it."""
    server = LoopbackWandb()
    clean_wandb.setenv("WANDB_BASE_URL", server.url)
    clean_wandb.setenv("WANDB_API_KEY", API_KEY)
    yield server
    server.stop()


@pytest.fixture
def read_offline():
    """Reads an offline run folder back with W&B's own reader: a list of (record type, record)."""

    def read(run_dir: Path) -> list[tuple[str, dict]]:
        command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(run_dir)]
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        records = [json.loads(line) for line in output.splitlines()]
        return [(record["type"], record.get(record["type"], {})) for record in records]

    return read
