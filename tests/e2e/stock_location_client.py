"""A client that is not ours, as stock_client.py, for positions: streams batches, asks where drivers are, and watches them
move, knowing nothing but an address and the names of the service and its methods. Prints what it is told as JSON lines.

    stock_location_client.py HOST:PORT
"""
import datetime
import json
import sys

import grpc
from google.protobuf import json_format

from stock_client import Client, Reflection, show

SERVICE = "waybill.location.v1.LocationService"


class LocationClient(Client):
    def stream(self, name, requests, **how):
        method = self._service.methods_by_name[name]
        request_type = self._messages.GetPrototype(method.input_type)
        stub = self._channel.stream_stream(
            f"/{self._service.full_name}/{name}", request_serializer=request_type.SerializeToString,
            response_deserializer=self._messages.GetPrototype(method.output_type).FromString)
        return stub((json_format.ParseDict(request, request_type()) for request in requests), timeout=20, **how)


def point(driver, second, **more):
    """The `second` counts from a minute ago on."""
    at = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - datetime.timedelta(seconds=60)
    at += datetime.timedelta(seconds=second)
    return {"driver_id": driver, "latitude": 52.52 + 0.0001 * second, "longitude": 13.4,
            "recorded_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "speed_mps": 11.5, **more}


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
        reflection = Reflection(channel)
        print(json.dumps({"what": "services", "services": reflection.services()}), flush=True)
        locations = LocationClient(channel, SERVICE, reflection.files_of(SERVICE))

        watch = locations.call("WatchLocations", {"driver_ids": ["stock-1"], "resume_after": "0"})
        batches = [{"sequence": 1, "points": [point("stock-1", i) for i in range(5)]},
                   {"sequence": 2, "points": [point("stock-2", 0), point("stock-2", 1, latitude=95.0)]},
                   {"sequence": 9, "points": [point("stock-1", i) for i in range(5, 10)]}]
        for ack in locations.stream("StreamLocations", iter(batches)):
            show("ack", ack)

        seen = 0
        for moved in watch:
            for event in moved.events:
                show("event", event)
                seen += 1
            if seen >= 10:
                break
        watch.cancel()

        show("driver", locations.call("GetDriver", {"driver_id": "stock-1"})[0])
        show("near", locations.call("NearbyDrivers", {"latitude": 52.52, "longitude": 13.4, "radius_m": 500})[0])
        token = ""
        while True:
            page, _ = locations.call("GetTrack", {"driver_id": "stock-1", "page_size": 4, "page_token": token})
            show("page", page)
            token = page.next_page_token
            if not token:
                break
        try:
            locations.call("GetDriver", {"driver_id": "nobody"})
        except grpc.RpcError as error:
            print(json.dumps({"what": "unknown", "code": error.code().name}), flush=True)


if __name__ == "__main__":
    main()
