#!/usr/bin/env bash
# Expected: a gRPC server that is not to share its port (GRPC_ARG_ALLOW_REUSEPORT 0) does not start when another process
# listens on the address that it was given.
# Seen (libgrpc++ 1.51.1, Debian 12): it starts when at least one of the name's addresses is free. On localhost:PORT, with
# 127.0.0.1:PORT taken, it listens on [::1] alone; on [::]:PORT, with [::1]:PORT taken, on 0.0.0.0 alone. BuildAndStart gives
# a server, the port is the one that was asked for, and nothing is printed. Whoever connects by the other address talks to the
# other process. On 127.0.0.1:PORT, and on [::]:PORT with 127.0.0.1:PORT taken, it is refused as expected.
# For Waybill: it looks up the addresses of a name itself, listens on each, and refuses to start when one of them is taken
# (edge/rpc/listen_addresses.h).
# Needs: Debian's g++, pkg-config, libgrpc++-dev and python3; a localhost that is 127.0.0.1 and ::1, or root's right to make it so.
set -uo pipefail
pkg-config --exists grpc++ 2>/dev/null || { echo "needs libgrpc++-dev" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >server.cc <<'CC'
#include <iostream>
#include <string>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

// Serves on the address until its standard input ends.
int main(int, char** argv) {
  grpc::CallbackGenericService service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  auto server = builder.BuildAndStart();
  std::cout << (server != nullptr ? "starts" : "refused") << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
}
CC
cat >taken.py <<'PY'
import socket
import subprocess
import sys


def listener(address):
    taken = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if ":" in address:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    taken.bind((address, 0))
    taken.listen()
    return taken


def who_answers(address, port, taken):
    with socket.create_connection((address, port), timeout=5) as there:
        taken.setblocking(False)
        try:
            accepted, peer = taken.accept()
            accepted.close()
            return "the other process"
        except BlockingIOError:
            return "the server"


as_written = True
for host, other, wanted in (
        ("127.0.0.1", "127.0.0.1", "refused"), ("[::]", "127.0.0.1", "refused"),
        ("localhost", "127.0.0.1", "starts; at 127.0.0.1 answers the other process, at ::1 the server"),
        ("[::]", "::1", "starts; at 127.0.0.1 answers the server, at ::1 the other process")):
    with listener(other) as taken:
        port = taken.getsockname()[1]
        server = subprocess.Popen(["./server", f"{host}:{port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        seen = server.stdout.readline().strip()
        if seen == "starts":
            seen += "; at " + ", at ".join(
                f"{address} {'answers ' if address == '127.0.0.1' else ''}{who_answers(address, port, taken)}"
                for address in ("127.0.0.1", "::1"))
        _, errors = server.communicate("")
        if seen.startswith("starts") and errors:
            seen += "; it prints " + errors
        print(f"{host}:PORT, {other} taken: {seen}")
        as_written &= seen == wanted
print("still so" if as_written else "this has changed")
sys.exit(0 if as_written else 1)
PY
pkg-config --modversion grpc++ | sed 's/^/libgrpc++ /'
# shellcheck disable=SC2046
g++ -std=c++20 -O0 server.cc $(pkg-config --cflags --libs grpc++) -o server || exit 2
if python3 -c 'import socket; exit({"127.0.0.1", "::1"} != {a[4][0] for a in socket.getaddrinfo("localhost", 1)})'; then
  python3 taken.py
else
  printf '127.0.0.1 localhost\n::1 localhost\n' >hosts
  unshare --mount bash -c 'mount --bind hosts /etc/hosts' 2>/dev/null ||
    { echo "needs a localhost that is 127.0.0.1 and ::1" >&2; exit 2; }
  unshare --mount bash -c 'mount --bind hosts /etc/hosts && exec python3 taken.py'
fi
