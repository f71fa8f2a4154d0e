"""A stand-in for the Hugging Face Hub: as much of its API as a data set's files take, to be listed, read and uploaded.

Uploaded files are taken as plain ones, in the commit itself. The real Hub has large ones sent to its storage first.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from threading import Thread
from urllib.parse import unquote, urlparse

COMMIT = "a" * 40


class HubServer:
    """Serves data sets from memory; ``files`` holds contents by ``organisation/name/path``."""

    def __init__(self, files: dict[str, bytes], gated: tuple[str, ...] = ()) -> None:
        self.files, self.gated = files, gated
        self.asked: list[str] = []
        self.repositories: dict[str, dict[str, object]] = {}
        """What uploads have created: how, by name."""
        self.commits: list[tuple[str, list[str], list[str]]] = []
        """Of uploads: message, files added, files deleted."""
        self.refuses: str | None = None
        """What is wrong with every card, if anything."""
        self.broken_after: int | None = None
        """After so many commits the server fails."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub.asked.append(f"{self.command} {self.path}")
                hub.answer(self)

            do_HEAD = do_POST = do_GET  # noqa: N815

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0)).decode()
        path = unquote(urlparse(request.path).path)
        if request.command == "POST" and (answered := self.upload(request, path, body)) is not None:
            return self.send(request, *answered)
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/[^/]+)?", path):
            return self.described(request, found[1])
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/[^/]+/?(.*)", path):
            inside = [each for each in self.entries(found[1]) if each["path"].startswith(f"{found[2]}/".lstrip("/"))]
            is_there = inside or (found[1] in self.repositories and not found[2])
            return self.send(request, inside) if is_there else self.missing(request, "EntryNotFound")
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/paths-info/[^/]+", path):
            asked = json.loads(body)["paths"] if body.startswith("{") else []
            return self.send(request, [each for each in self.entries(found[1]) if each["path"] in asked])
        if found := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            return self.content(request, f"{found[1]}/{found[2]}")
        return self.missing(request, "RepoNotFound")

    def upload(self, request, path, body):
        """Answer what an upload asks; None for anything else."""
        if path == "/api/validate-yaml":
            return ({"errors": [{"message": self.refuses}]}, 400) if self.refuses else ({"errors": [], "warnings": []},)
        if request.headers.get("Authorization") != "Bearer right" and ("/repos/" in path or "/commit/" in path):
            return {"error": "Invalid username or password."}, 401
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.repositories:
                return {"error": "You already created this dataset repo", "url": f"{self.address}/datasets/{name}"}, 409
            self.repositories[name] = asked
            return ({"url": f"{self.address}/datasets/{name}", "name": name},)
        if re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/preupload/[^/]+", path):
            files = json.loads(body)["files"]
            return ({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]},)
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/commit/[^/]+", path):
            if self.broken_after is not None and len(self.commits) >= self.broken_after:
                return {"error": "out of order"}, 400
            return (self.commit(found[1], [json.loads(line) for line in body.splitlines()]),)
        return None

    def commit(self, name, operations):
        message, added, deleted = "", [], []
        for each in operations:
            value = each["value"]
            if each["key"] == "header":
                message = value["summary"]
            elif each["key"] == "file":
                self.files[f"{name}/{value['path']}"] = base64.b64decode(value["content"])
                added.append(value["path"])
            elif each["key"] == "deletedFile":
                del self.files[f"{name}/{value['path']}"]
                deleted.append(value["path"])
        self.commits.append((message, added, deleted))
        return {"commitUrl": f"{self.address}/datasets/{name}/commit/{COMMIT}", "commitOid": COMMIT, "success": True}

    def described(self, request, name):
        if name not in self.repositories and not any(path.startswith(f"{name}/") for path in self.files):
            return self.missing(request, "RepoNotFound")
        return self.send(request, {"id": name, "sha": COMMIT, "private": False, "gated": False, "tags": []})

    def entries(self, name):
        files = {
            path.removeprefix(f"{name}/"): data for path, data in self.files.items() if path.startswith(f"{name}/")
        }
        folders = {str(folder) for path in files for folder in PurePosixPath(path).parents} - {"."}
        return [{"type": "directory", "path": folder, "oid": "0" * 40, "size": 0} for folder in sorted(folders)] + [
            {"type": "file", "path": path, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}
            for path, data in sorted(files.items())
        ]

    def content(self, request, path):
        if path not in self.files:
            return self.missing(request, "EntryNotFound")
        if path.startswith(self.gated) and self.gated and "Authorization" not in request.headers:
            return self.send(request, {"error": "gated"}, 401, {"X-Error-Code": "GatedRepo"})
        data = self.files[path]
        headers = {"ETag": hashlib.sha1(data).hexdigest(), "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range") or "")
        if asked:
            start, end = int(asked[1]), int(asked[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{min(end, len(data) - 1)}/{len(data)}"
            return self.send(request, data[start : end + 1], 206, headers)
        return self.send(request, data, 200, headers)

    def missing(self, request, code):
        self.send(request, {"error": "not found"}, 404, {"X-Error-Code": code})

    def send(self, request, content, status=200, headers=()):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        request.send_response(status)
        for name, value in dict(headers).items():
            request.send_header(name, value)
        request.send_header("Content-Type", "application/octet-stream" if data is content else "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data)
