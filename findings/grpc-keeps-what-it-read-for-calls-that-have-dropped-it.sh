#!/usr/bin/env bash
# Expected: a server whose handlers wait and have dropped their requests' bytes holds a little for each call that waits, however
# large the requests were, and whether or not they came at once.
# Guessed: nothing of them is held.
# Seen (gRPC 1.51.1): so it is when 150 calls with 1 MiB each come one after the other on a connection. When they come together,
# some 10 to 40 of the 150 MiB stay in use until the calls end, seconds later. It is as if each piece that gRPC has read were kept
# while the headers of any call in it are; with requests of 10 bytes there is no difference.
# For Waybill: calls that wait (reads for a worker, watches, orders for their commit) count by what they keep, and that is small;
# besides, a client that sends large messages at once can make gRPC hold a part of what it sent, up to the messages' limit for each
# call. The tests of what waiting calls keep begin them one after the other.
# Needs: Debian 12's python3-grpcio (1.51.1).
set -uo pipefail
python=/usr/bin/python3
"$python" -c 'import grpc' 2>/dev/null || { echo "needs python3-grpcio" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >server.py <<'PY'
import ctypes, gc, sys, threading
from concurrent import futures
import grpc

calls = int(sys.argv[1])
arrived, release = threading.Semaphore(0), threading.Event()


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        def unary(size, context):  # of the request only its size is left
            arrived.release()
            release.wait(60)
            return b""
        return grpc.unary_unary_rpc_method_handler(unary, request_deserializer=len, response_serializer=bytes)


class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]


libc = ctypes.CDLL("libc.so.6")
libc.mallinfo2.restype = Info


def in_use():
    gc.collect()
    info = libc.mallinfo2()
    return info.uordblks + info.hblkhd


server = grpc.server(futures.ThreadPoolExecutor(calls + 4))
server.add_generic_rpc_handlers((Handler(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
before = in_use()
print(port, flush=True)
sys.stdin.readline()
for _ in range(calls):
    arrived.acquire(timeout=60)
threading.Event().wait(2)  # whatever is still to be freed
print((in_use() - before) // 1024, flush=True)
sys.stdin.readline()
release.set()
server.stop(5).wait()
PY
cat >client.py <<'PY'
import subprocess, sys, time
import grpc

calls, size, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
server = subprocess.Popen([sys.executable, "server.py", str(calls)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
with grpc.insecure_channel("127.0.0.1:" + server.stdout.readline().strip()) as channel:
    call = channel.unary_unary("/a.B/C", request_serializer=bytes, response_deserializer=bytes)
    pending = []
    for _ in range(calls):
        pending.append(call.future(b"x" * size, timeout=90))
        time.sleep(pause)
    print("count", file=server.stdin, flush=True)
    print(server.stdout.readline().strip())
    print("go", file=server.stdin, flush=True)
    for one in pending:
        one.result()
server.wait()
PY
echo "gRPC $("$python" -c 'import grpc; print(grpc.__version__)')"
measure() { "$python" client.py 150 "$1" "$2" || { echo "this has changed" >&2; exit 1; }; }
small=$(measure 10 0) apart=$(measure 1048000 0.05) together=0
for ((round = 0; round < 8 && together < small + 8192; ++round)); do  # how much is kept depends on how it is read
  seen=$(measure 1048000 0)
  ((seen > together)) && together=$seen
done
echo "150 calls wait; in use more than before: $small KiB with 10 bytes each; with 1 MiB each $together KiB when sent together, $apart KiB one after the other"
if ((together > small + 8192 && apart < small + 3072)); then echo "still so"; else echo "this has changed"; exit 1; fi
