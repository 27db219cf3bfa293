"""Receives webhooks as somebody else's server does, and prints a line of JSON for each.

usage: webhook_receiver.py PORT SECRETS [CERTIFICATE KEY]

SECRETS is a file with a secret a line; a request has to be signed with the first of them that there are. What is answered
stands in the path: /status/503, /status/503-once (the first request alone), /slow/SECONDS, anything else: 200.
"""
import base64
import hashlib
import hmac
import http.server
import json
import ssl
import sys
import threading
import time

port, secrets_file = int(sys.argv[1]), sys.argv[2]
failed_once = set()
lock = threading.Lock()


def signed_by(headers, body):
    """Which of the secrets have signed it, by their lines."""
    with open(secrets_file, encoding="ascii") as lines:
        secrets = [line.strip() for line in lines if line.strip()]
    signed = "{}.{}.".format(headers["webhook-id"], headers["webhook-timestamp"]).encode() + body
    given = [value.split(",", 1)[1] for value in headers["webhook-signature"].split(" ") if value.startswith("v1,")]
    good = []
    for line, secret in enumerate(secrets):
        key = base64.b64decode(secret[len("whsec_"):])
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if any(hmac.compare_digest(expected, value) for value in given):
            good.append(line)
    return good


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status, what = 200, self.path.strip("/").split("/")
        if what[0] == "status":
            status = int(what[1].split("-")[0])
            if what[1].endswith("-once"):
                with lock:
                    if self.path in failed_once:
                        status = 200
                    failed_once.add(self.path)
        line = {
            "path": self.path,
            "id": self.headers["webhook-id"],
            "type": json.loads(body)["type"],
            "signed_by": signed_by(self.headers, body),
            "status": status,
            "skew": abs(time.time() - int(self.headers["webhook-timestamp"])),
            "body": json.loads(body),
        }
        with lock:
            print("received " + json.dumps(line), flush=True)
        if what[0] == "slow":
            time.sleep(float(what[1]))
        self.send_response(status)
        if status == 429:
            self.send_header("retry-after", "3600")
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


server = Server(("127.0.0.1", port), Receiver)
if len(sys.argv) > 4:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening", flush=True)
server.serve_forever()
