"""A small OpenAI-compatible server for tests: true protocol, deterministic answers, faults on demand.

Run as a program; prints its port, then serves until killed. A document asks for a fault by a word such as
``FAULT-429`` in its text; ``ONCE`` after it makes the fault pass on the next try. ``SHOW-FIELDS`` is answered with the
fields of the request, ``SAY(...)`` with what it holds.

    python openai_server.py [--key KEY] [--no-list] [--fail-list] [--no-tokenize] [--no-json] [--port PORT]
                            [--die-after ANSWERS] [--fail STATUS] [--delay SECONDS]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "tiny-instruct"
KEY: str | None = None
LISTS = True
FAIL_LIST = False
COUNTS = True
STRUCTURES = True
DIE_AFTER: int | None = None
FAIL: int | None = None
DELAY = 0.0
seen: Counter[str] = Counter()
requests = 0
under_way = 0
most_under_way = 0
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        if self.path == "/v1/models" and FAIL_LIST:
            self._error(500, "no list")
        elif self.path == "/v1/models" and LISTS:
            self._json(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        elif self.path == "/most_under_way":
            self._json(200, {"most_under_way": most_under_way, "requests": requests})
        else:
            self._error(404, "no such page")

    def do_POST(self) -> None:
        global requests, under_way, most_under_way
        with lock:
            requests += 1
            under_way += 1
            most_under_way = max(most_under_way, under_way)
            if DIE_AFTER is not None and requests > DIE_AFTER:
                os._exit(1)  # as a process does that runs out of memory: open connections are reset
        try:
            time.sleep(DELAY)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            given = self.headers.get("Authorization", "")
            if KEY and given != f"Bearer {KEY}":
                self._error(401, f"bad key {given}")
            elif self.path == "/tokenize" and COUNTS:
                words = json.loads(body)["prompt"].split()
                self._json(200, {"count": len(words), "max_model_len": 4096, "tokens": list(range(len(words)))})
            elif self.path != "/v1/chat/completions":
                self._error(404, "no such page")
            elif FAIL is not None:
                self._error(FAIL, "always so")
            else:
                self._complete(json.loads(body))
        finally:
            with lock:
                under_way -= 1

    def _complete(self, request: dict[str, Any]) -> None:
        if request["model"] != MODEL:
            self._error(404, f"The model `{request['model']}` does not exist")
            return
        content = request["messages"][-1]["content"]
        fault = re.search(r"FAULT-(\w+?)(-ONCE)?\b", content.rpartition("Answer:")[2])
        if fault:
            with lock:
                seen[fault.group()] += 1
            if not fault.group(2) or seen[fault.group()] == 1:
                self._fault(fault.group(1))
                return
        self._answer(content, request)

    def _answer(self, content: str, request: dict[str, Any], text: str | None = None, reason: str = "stop") -> None:
        words = content.rpartition("Answer:")[2].split()
        said = re.search(r"SAY\((.*)\)", content, re.DOTALL)
        answer = f'Instruction: "What does a text say that begins with {words[0]}?"' if text is None else text
        if said:
            answer = said.group(1)
        elif "SHOW-FIELDS" in content:
            answer = json.dumps({name: value for name, value in request.items() if name != "messages"})
        elif "response_format" in request and STRUCTURES:
            answer = json.dumps({"instruction": f"What is {words[0]}?"})
        usage = {"prompt_tokens": len(content.split()), "completion_tokens": len(answer.split()), "total_tokens": 0}
        message = {"role": "assistant", "content": answer}
        self._json(
            200,
            {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": request.get("model", MODEL),
                "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                "usage": usage,
            },
        )

    def _fault(self, name: str) -> None:
        match name:
            case "429":
                self._error(429, "slow down", {"Retry-After": "1"})
            case "echo":
                self._error(400, f"not to my liking, you sent {self.headers.get('Authorization')}")
            case "500":
                self._error(500, "out of memory")
            case "slow":
                time.sleep(3)
                self._answer("Answer: late", {})
            case "pause":
                time.sleep(0.3)
                self._answer("Answer: rested", {})
            case "drop":
                self.close_connection = True
                self.connection.close()
            case "half":
                whole = b'{"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assi'
                self._send(200, whole, "application/json", length=1_000)
                self.close_connection = True
                self.connection.close()
            case "gateway":
                self._error(502, "bad gateway")
            case "busy":
                self._error(503, "loading", {"Retry-After": "1"})
            case "quota":
                self._error(429, "no more today", {"Retry-After": "86400"})
            case "json":
                self._send(200, b'{"choices": [{"mess', "application/json")
            case "html":
                self._send(200, b"<html>Welcome to nginx</html>", "text/html")
            case "nochoice":
                self._json(200, {"id": "x", "object": "chat.completion", "created": 0, "model": MODEL, "choices": []})
            case "empty":
                self._answer("Answer: x", {}, text=" \n")
            case "refuse":
                self._answer("Answer: x", {}, text="I'm sorry, but I can't help with that.")
            case "cut":
                self._answer("Answer: x", {}, text="Write a long and", reason="length")
            case "null":
                message = {"role": "assistant", "content": None}
                choice = {"index": 0, "message": message, "finish_reason": "content_filter"}
                self._json(
                    200, {"id": "x", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice]}
                )

    def _error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self._json(status, {"error": {"message": message, "type": "test", "code": None}}, headers)

    def _json(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), "application/json", headers)

    def _send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length or len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def main() -> None:
    global KEY, LISTS, FAIL_LIST, COUNTS, STRUCTURES, DIE_AFTER, FAIL, DELAY
    parser = argparse.ArgumentParser()
    parser.add_argument("--key")
    parser.add_argument("--no-list", action="store_true")
    parser.add_argument("--fail-list", action="store_true")
    parser.add_argument("--no-tokenize", action="store_true")
    parser.add_argument("--no-json", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--fail", type=int)
    parser.add_argument("--delay", type=float, default=0.0)
    arguments = parser.parse_args()
    KEY, LISTS, COUNTS = arguments.key, not arguments.no_list, not arguments.no_tokenize
    FAIL_LIST, STRUCTURES = arguments.fail_list, not arguments.no_json
    DIE_AFTER, FAIL, DELAY = arguments.die_after, arguments.fail, arguments.delay
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
