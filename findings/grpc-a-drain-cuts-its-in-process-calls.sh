#!/usr/bin/env bash
# Expected: Server::Shutdown with a deadline lets calls that are under way go on until then, whatever channel they came by.
# Seen (libgrpc++ 1.51.1, Debian 12): by TCP they do, and are answered. Of a channel that Server::InProcessChannel made, a call under
# way ends at once, while its handler is still at work, with UNAVAILABLE and the words "Transport closed"; what the handler answers is lost.
# The documentation of Shutdown and of InProcessChannel says nothing of it.
# For Waybill: the server behind its HTTP port, whose calls come within the process, is one of its own, which is not shut down before
# its calls have ended (edge/connect/server.h, edge/rpc/server.h).
# Needs: Debian's g++, pkg-config and libgrpc++-dev.
set -uo pipefail
pkg-config --exists grpc++ 2>/dev/null || { echo "needs libgrpc++-dev" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >drain.cc <<'CC'
#include <chrono>
#include <future>
#include <iostream>
#include <string>
#include <thread>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

// Answers each call when it is told to.
class Held : public grpc::CallbackGenericService {
 public:
  struct Reactor : grpc::ServerGenericBidiReactor {
    explicit Reactor(Held& held) : held_(held) { StartRead(&request_); }
    void OnReadDone(bool) override {
      held_.arrived.set_value();
      waiter_ = std::thread([this] {
        held_.answer.wait();
        answer_ = request_;
        StartWriteAndFinish(&answer_, {}, grpc::Status::OK);
      });
    }
    void OnDone() override {
      waiter_.detach();
      delete this;
    }
    Held& held_;
    grpc::ByteBuffer request_, answer_;
    std::thread waiter_;
  };
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override { return new Reactor(*this); }

  std::promise<void> arrived;
  std::shared_future<void> answer;
};

int main(int, char** argv) {
  const bool in_process = std::string(argv[1]) == "in-process";
  Held service;
  std::promise<void> let_go;
  service.answer = let_go.get_future().share();
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  auto server = builder.BuildAndStart();
  auto channel = in_process ? server->InProcessChannel({})
                            : grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials());
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const grpc::Slice text("hello");
  grpc::ByteBuffer request(&text, 1), response;
  grpc::Status status;
  auto call = stub.PrepareUnaryCall(&context, "/a.B/C", request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  service.arrived.get_future().wait();
  std::thread drain([&] { server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(20)); });
  // Has the call ended although nobody answered it?
  void* tag;
  bool ok;
  const bool ended = queue.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + std::chrono::seconds(2)) ==
                     grpc::CompletionQueue::GOT_EVENT;
  let_go.set_value();
  if (!ended) queue.Next(&tag, &ok);
  std::cout << (ended ? "ends before its answer: " : "waits for its answer: ") << (status.ok() ? "OK" : status.error_message()) << std::endl;
  drain.join();
  queue.Shutdown();
}
CC
# shellcheck disable=SC2046
g++ -std=c++17 -O1 drain.cc -o drain $(pkg-config --cflags --libs grpc++) || exit 2
pkg-config --modversion grpc++
seen=$(for by in tcp in-process; do echo "$by: $(./drain "$by" 2>/dev/null)"; done)
echo "$seen"
wanted='tcp: waits for its answer: OK
in-process: ends before its answer: Transport closed'
[[ $seen == "$wanted" ]] || { echo "this is no longer as written" >&2; exit 1; }
