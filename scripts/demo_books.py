"""Compares the orders, as waybill-order tells them, with what the sandbox's log says was charged and refunded.

usage: demo_books.py ORDERS.json BOOKS.json ORDER_ID=STATUS...     (JSON: one object a line)
"""

import json
import sys


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def faults_of(order, charges, charged, refunded, status):
    amount = int(order["amount"]["minor_units"])
    if order["status"] != status:
        yield f"is {order['status']}, not {status}"
    if charges > 1:
        yield f"was charged {charges} times"
    if status in ("CONFIRMED", "COMPLETED") and charged - refunded != amount:
        yield f"keeps {charged - refunded} instead of {amount}"
    if status in ("FAILED", "CANCELLED") and charged != refunded:
        yield f"was charged {charged}, refunded {refunded}"
    if status == "CONFIRMED" and not order["driver_id"]:
        yield "has no driver"


def main():
    orders = {order["order_id"]: order for order in lines(sys.argv[1])}
    expected = dict(argument.split("=") for argument in sys.argv[3:])
    entries = {}
    for entry in lines(sys.argv[2]):
        entries.setdefault(entry["idempotency_key"].split("/")[0], []).append(entry)

    faults = [f"order {order_id} is not in the list" for order_id in expected.keys() - orders.keys()]
    faults += [f"order {order_id} was made by nobody" for order_id in orders.keys() - expected.keys()]
    faults += [f"the gateway charged {order_id}, which is no order" for order_id in entries.keys() - orders.keys()]
    print(f"{'order':36}  {'status':9}  {'amount':>6}  {'charged':>7}  {'refunded':>8}  {'kept':>6}  driver")
    for order_id in sorted(expected.keys() & orders.keys()):
        order, books = orders[order_id], entries.get(order_id, [])
        charges, charged, refunded = (
            sum(int(entry[name]) for entry in books) for name in ("charges", "charged_minor", "refunded_minor")
        )
        amount = int(order["amount"]["minor_units"])
        print(
            f"{order_id}  {order['status']:9}  {amount:6}  {charged:7}  {refunded:8}  {charged - refunded:6}  {order['driver_id']}"
        )
        faults += [f"order {order_id} {fault}" for fault in faults_of(order, charges, charged, refunded, expected[order_id])]
    for fault in faults:
        print(f"FAULT: {fault}")
    if not faults:
        print("They balance: what was delivered is paid once, what was turned back is refunded (in cents).")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
