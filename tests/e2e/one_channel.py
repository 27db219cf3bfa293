"""A client that is not ours, with one channel to several replicas, as gRPC's defaults make it (pick_first, no retries).
Creates twenty orders a second until SIGTERM, and prints what became of each: "OK", or "failed" and the code.

    one_channel.py ipv4:HOST:PORT,HOST:PORT
"""
import signal
import sys
import threading

import grpc


def field(number, value):
    return bytes([number << 3 | 2, len(value)]) + value


def create_order(key):
    money = b"\x08\xe2\x09" + field(2, b"EUR")  # 1250
    place = b"\x09" + b"\xc3\xf5\x28\x5c\x8f\x42\x4a\x40" + b"\x11" + b"\xcd\xcc\xcc\xcc\xcc\xcc\x2a\x40"  # 52.52, 13.4
    return field(1, key.encode()) + field(2, b"stock") + field(3, money) + field(4, place)


def main():
    channel = grpc.insecure_channel(sys.argv[1])
    create = channel.unary_unary("/waybill.order.v1.OrderService/CreateOrder")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    calls = []
    while not ended.wait(0.05):
        call = create.future(create_order(f"python-{len(calls)}"), timeout=20)
        call.add_done_callback(lambda done: print(
            "OK" if done.exception() is None else f"failed {done.code().name} {done.details()}", flush=True))
        calls.append(call)
    for call in calls:
        call.exception()
    print(f"made {len(calls)}", flush=True)


if __name__ == "__main__":
    main()
