"""A client that is not ours: knows an address and the names of the service and its methods, and asks the server for
everything else by reflection. Creates, watches and reads one order, and prints each as a JSON line.

    stock_client.py HOST:PORT
"""
import json
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

SERVICE = "waybill.order.v1.OrderService"
REFLECTION = "grpc.reflection.v1alpha"


def reflection_messages():
    """The few fields of the reflection protocol that are needed here; field numbers are the public ones."""
    file = descriptor_pb2.FileDescriptorProto(name="reflection.proto", package=REFLECTION, syntax="proto3")
    string, message, data = 9, 11, 12

    def add(name, *fields):
        declared = file.message_type.add(name=name)
        for field, number, kind, repeated, type_name in fields:
            declared.field.add(name=field, number=number, type=kind, label=3 if repeated else 1, type_name=type_name)

    add("ServerReflectionRequest", ("file_by_filename", 3, string, False, None),
        ("file_containing_symbol", 4, string, False, None), ("list_services", 7, string, False, None))
    add("FileDescriptorResponse", ("file_descriptor_proto", 1, data, True, None))
    add("ServiceResponse", ("name", 1, string, False, None))
    add("ListServiceResponse", ("service", 1, message, True, f".{REFLECTION}.ServiceResponse"))
    add("ErrorResponse", ("error_code", 1, 5, False, None), ("error_message", 2, string, False, None))
    add("ServerReflectionResponse",
        ("file_descriptor_response", 4, message, False, f".{REFLECTION}.FileDescriptorResponse"),
        ("list_services_response", 6, message, False, f".{REFLECTION}.ListServiceResponse"),
        ("error_response", 7, message, False, f".{REFLECTION}.ErrorResponse"))
    return message_factory.GetMessages([file])


class Reflection:
    def __init__(self, channel):
        messages = reflection_messages()
        self._request = messages[f"{REFLECTION}.ServerReflectionRequest"]
        self._call = channel.stream_stream(
            f"/{REFLECTION}.ServerReflection/ServerReflectionInfo",
            request_serializer=self._request.SerializeToString,
            response_deserializer=messages[f"{REFLECTION}.ServerReflectionResponse"].FromString)

    def ask(self, **question):
        answer = next(iter(self._call(iter([self._request(**question)]), timeout=10)))
        if answer.HasField("error_response"):
            raise RuntimeError(f"{question}: {answer.error_response.error_message}")
        return answer

    def services(self):
        # An empty string would not be sent at all.
        return sorted(service.name for service in self.ask(list_services="*").list_services_response.service)

    def files_of(self, symbol):
        """Every file `symbol` needs, those it imports before it."""
        known, ordered = {}, []

        def take(answer):
            for data in answer.file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(data)
                known[file.name] = file
            return descriptor_pb2.FileDescriptorProto.FromString(
                answer.file_descriptor_response.file_descriptor_proto[0])

        def order(file):
            if file.name in (done.name for done in ordered):
                return
            for name in file.dependency:
                if name not in known:
                    take(self.ask(file_by_filename=name))
                order(known[name])
            ordered.append(file)

        order(take(self.ask(file_containing_symbol=symbol)))
        return ordered


class Client:
    """The methods of one service, called by name with plain dictionaries."""

    def __init__(self, channel, service, files):
        self._channel = channel
        pool = descriptor_pool.DescriptorPool()
        for file in files:
            pool.Add(file)
        self._service = pool.FindServiceByName(service)
        self._messages = message_factory.MessageFactory(pool)

    def call(self, name, request, **how):
        method = self._service.methods_by_name[name]
        declared = descriptor_pb2.MethodDescriptorProto()
        method.CopyToProto(declared)
        kind = self._channel.unary_stream if declared.server_streaming else self._channel.unary_unary
        request_type = self._messages.GetPrototype(method.input_type)
        stub = kind(f"/{self._service.full_name}/{name}", request_serializer=request_type.SerializeToString,
                    response_deserializer=self._messages.GetPrototype(method.output_type).FromString)
        message = json_format.ParseDict(request, request_type())
        if declared.server_streaming:
            return stub(message, timeout=20, **how)
        return stub.with_call(message, timeout=20, **how)


def show(what, message, **more):
    fields = json_format.MessageToDict(message, preserving_proto_field_name=True)
    print(json.dumps({"what": what, **more, **fields}), flush=True)


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
        reflection = Reflection(channel)
        print(json.dumps({"what": "services", "services": reflection.services()}), flush=True)
        orders = Client(channel, SERVICE, reflection.files_of(SERVICE))

        request = {"idempotency_key": "stock-client-1", "user_id": "stock", "amount": {"minor_units": 1250,
                   "currency": "EUR"}, "pickup": {"latitude": 52.52, "longitude": 13.4}, "metadata": {"shop": "ours"}}
        metadata = (("waybill-client", "stock"),)
        for what in ("created", "repeated"):
            order, call = orders.call("CreateOrder", request, metadata=metadata)
            show(what, order, replayed=dict(call.initial_metadata()).get("idempotency-replayed", "false"))
        # A settled order: reading it is over when the watch has shown what there was.
        order_id = {"order_id": order.order_id}
        orders.call("CompleteOrder", order_id)
        for transition in orders.call("WatchOrder", order_id):
            show("transition", transition)
        order, _ = orders.call("GetOrder", order_id)
        show("read", order)

        request["amount"]["minor_units"] = 0
        try:
            orders.call("CreateOrder", request, metadata=metadata)
        except grpc.RpcError as error:
            print(json.dumps({"what": "refused", "code": error.code().name, "details": error.details()}), flush=True)


if __name__ == "__main__":
    main()
