#!/usr/bin/env bash
# Expected: curl --retry sends the same again, or gives up where it cannot: what came out of a pipe is gone after one attempt.
# Seen (curl 7.88.1, Debian 12): with -T - (and -T <(command)) the second attempt uploads an empty body, which a server takes: exit
# code 0, also with --fail, and no word of it. A file (-T file) and what curl reads into memory first (-d @-, --json @-) are sent
# again in full. What the manual says of --retry and of -T does not warn of it.
# For Waybill: `pg_dump | curl --fail --retry 5 -T -` leaves an empty backup behind after one 503, and the job is green; so does
# `waybill track export | curl -T -`. Write a file first, or leave --retry away. Calls of the API with -d @- are safe.
# Needs: Debian's curl and python3.
set -uo pipefail
command -v curl python3 >/dev/null || { echo "needs curl and python3" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >busy.py <<'PY'
"""Answers 503 to every first request for a path, and 200 to the next; writes down how many bytes each brought."""
import http.server
import os


class Busy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = set()

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers["Content-Length"]))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def answer(self):
        size = len(self.body())
        with open(self.path.split("/")[1], "a", encoding="ascii") as log:
            print(size, file=log)
        self.send_response(200 if self.path in self.seen else 503)
        self.seen.add(self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
with open("port.new", "w", encoding="ascii") as file:
    print(server.server_port, file=file)
os.rename("port.new", "port")
server.serve_forever()
PY
python3 busy.py &
server=$!
trap 'kill "$server"; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT
for _ in $(seq 100); do [[ -f port ]] && break; sleep 0.05; done
port=$(<port) || exit 2
failed=0
expect() { # NAME WANTED ARGUMENTS...: bytes of both attempts and the exit code of an upload of seven bytes
  local name=$1 wanted=$2 seen
  shift 2
  printf 'backup\n' | curl -s --noproxy '*' --fail --retry 1 --retry-delay 1 "$@" "http://127.0.0.1:$port/$name"
  seen="$(paste -sd' ' "$name"), exit code $?"
  printf '%-12s %s\n' "$name" "$seen"
  [[ $seen == "$wanted" ]] || failed=1
}
printf 'backup\n' >file
curl --version | head -n 1
expect upload-pipe "7 0, exit code 0" -T -
expect upload-sub "7 0, exit code 0" -T <(printf 'backup\n')
expect upload-file "7 7, exit code 0" -T file
expect data-pipe "7 7, exit code 0" --data-binary @-
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
