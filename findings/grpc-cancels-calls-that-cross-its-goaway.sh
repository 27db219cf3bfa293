#!/usr/bin/env bash
# Expected: no call fails when one of two servers shuts down in an orderly way. A graceful GOAWAY names 2^31-1 as the last stream,
# so that what a client has sent before it hears of it is still served; what comes too late is tried elsewhere by the client.
# Seen (libgrpc++ 1.51.1 and python3-grpcio 1.51.1, Debian 12): Server::Shutdown sends just that GOAWAY, but ends with a bare
# CANCELLED (details "CANCELLED", no metadata) each call that arrives after it has begun: with 16 callers 10 ms away 15 or 16
# calls a shutdown, on loopback 3 or 4, in every one of them. None of these calls has reached the service, but nothing tells
# the client so: CANCELLED is not UNAVAILABLE, and the usual retries of UNAVAILABLE do not see it. Retries of CANCELLED do. The
# same GOAWAY sent for a connection's age (GRPC_ARG_MAX_CONNECTION_AGE_MS) costs no call at all. gRPC's own issue 24237
# asks for a period of grace.
# For Waybill: a client that is sent away by a draining replica has to repeat a bare CANCELLED, with the same key, as the
# command line does; docs/errors.md says so ("A failure without a reason").
# Needs: Debian's g++, pkg-config, libgrpc++-dev and python3-grpcio.
set -uo pipefail
pkg-config --exists grpc++ 2>/dev/null && /usr/bin/python3 -c 'import grpc' 2>/dev/null ||
  { echo "needs libgrpc++-dev and python3-grpcio" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
# Echoes until a line comes on standard input; then Shutdown with 5 s for what runs. Prints its port, then how many calls it served.
# An argument is the age in ms at which it sends a connection away by itself.
cat >server.cc <<'CC'
#include <atomic>
#include <chrono>
#include <iostream>
#include <string>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

std::atomic<int> served{0};

struct Echo final : grpc::ServerGenericBidiReactor {
  Echo() { StartRead(&message); }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no message"));
    ++served;
    StartWriteAndFinish(&message, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override { delete this; }
  grpc::ByteBuffer message;
};

struct Service final : grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override { return new Echo; }
};

int main(int argc, char** argv) {
  Service service;
  int port = 0;
  grpc::ServerBuilder builder;
  if (argc > 1) builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, std::stoi(argv[1]));
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  auto server = builder.BuildAndStart();
  std::cout << port << std::endl;
  std::string line;
  std::getline(std::cin, line);
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
  server->Wait();
  std::cout << served << std::endl;
}
CC
cat >client.py <<'PY'
import collections
import socket
import subprocess
import sys
import threading
import time

import grpc

ROUNDS, CALLERS = 6, 16


class Server:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(["./server", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        """How many calls it has served."""
        self.process.stdin.write("\n")
        self.process.stdin.close()
        served = int(self.process.stdout.readline())
        self.process.wait()
        return served


class Wire:
    """Forwards one connection to a port, each way late by some seconds, as to another zone."""

    def __init__(self, port, seconds):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.there, self.seconds = port, seconds
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        here, _ = self.listener.accept()
        self.listener.close()
        there = socket.create_connection(("127.0.0.1", self.there))
        for one, other in ((here, there), (there, here)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            queue, ready = collections.deque(), threading.Semaphore(0)
            threading.Thread(target=self.read, args=(one, queue, ready), daemon=True).start()
            threading.Thread(target=self.write, args=(other, queue, ready), daemon=True).start()

    def read(self, one, queue, ready):
        data = b"first"
        while data:
            try:
                data = one.recv(65536)
            except OSError:
                data = b""
            queue.append((time.monotonic() + self.seconds, data))
            ready.release()

    def write(self, other, queue, ready):
        while True:
            ready.acquire()
            due, data = queue.popleft()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not data:
                    return other.shutdown(socket.SHUT_WR)
                other.sendall(data)
            except OSError:
                return


def calls_while_one_of_two_goes(late, options, by_age, backup):
    """Calls without a pause; what became of each, and how many the first server has served."""
    server = Server("300") if by_age else Server()
    port = Wire(server.port, late).port if late else server.port
    channel = grpc.insecure_channel(f"ipv4:127.0.0.1:{port},127.0.0.1:{backup.port}",
                                    [("grpc.use_local_subchannel_pool", 1)] + options)
    call = channel.unary_unary("/finding.Echo/Echo")
    ended = threading.Event()
    results = [collections.Counter() for _ in range(CALLERS)]

    def caller(counts):
        while not ended.is_set():
            try:
                call(b"hello", timeout=10)
                counts["OK"] += 1
            except grpc.RpcError as error:
                metadata = len(error.initial_metadata()) + len(error.trailing_metadata())
                counts[f"{error.code().name}, details {error.details()!r}, {metadata} metadata"] += 1

    callers = [threading.Thread(target=caller, args=(counts,)) for counts in results]
    for each in callers:
        each.start()
    if by_age:
        time.sleep(0.6)
    else:
        time.sleep(0.3)
        served = server.stop()
        time.sleep(0.3)
    ended.set()
    for each in callers:
        each.join()
    channel.close()
    return sum(results, collections.Counter()), server.stop() if by_age else served


def retries_of(code):
    return [("grpc.service_config", """{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3,
        "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2, "retryableStatusCodes": ["%s"]}}]}""" % code)]


def main():
    bare = "CANCELLED, details 'CANCELLED', 0 metadata"
    print("python3-grpcio", grpc.__version__)
    as_written = True
    for name, late, options, by_age, fails in (
            ("Shutdown, on loopback", 0, [], False, True),
            ("Shutdown, 10 ms away", 0.01, [], False, True),
            ("the same with retries of UNAVAILABLE", 0.01, retries_of("UNAVAILABLE"), False, True),
            ("the same with retries of CANCELLED", 0.01, retries_of("CANCELLED"), False, False),
            ("sent away for its age, 10 ms away", 0.01, [], True, False)):
        backup, total, hit, served = Server(), collections.Counter(), 0, 0
        for _ in range(ROUNDS):
            counts, by_first = calls_while_one_of_two_goes(late, options, by_age, backup)
            total += counts
            served += by_first
            hit += len(counts) > 1
        served += backup.stop()
        print(f"{name}: in {hit} of {ROUNDS} rounds calls failed; {total['OK']} OK, {served} served; "
              + (", ".join(f"{n} × {what}" for what, n in total.items() if what != "OK") or "no failure"))
        as_written &= set(total) == ({"OK", bare} if fails else {"OK"}) and served == total["OK"]
        as_written &= hit == (ROUNDS if late else hit) or not fails
    print("still so" if as_written else "this has changed")
    return 0 if as_written else 1


sys.exit(main())
PY
pkg-config --modversion grpc++ | sed 's/^/libgrpc++ /'
# shellcheck disable=SC2046
g++ -std=c++20 -O1 server.cc $(pkg-config --cflags --libs grpc++) -o server || exit 2
/usr/bin/python3 client.py
