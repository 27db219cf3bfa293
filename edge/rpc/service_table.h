// A proto service's methods, for gRPC: what generated AsyncService classes do, from descriptors. Only registered
// methods are added, so that gRPC answers UNIMPLEMENTED to the rest, and requests arrive as bytes (see request.h).
#pragma once

#include <deque>
#include <string>

#include "edge/rpc/tag.h"
#include "grpcpp/impl/rpc_service_method.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/support/byte_buffer.h"

namespace waybill::rpc {

class ServiceTable final : public grpc::Service {
 public:
  // `path`: "/package.Service/Method". Returns the method's index.
  int Add(const std::string& path, grpc::internal::RpcMethod::RpcType type) {
    paths_.push_back(path);  // gRPC keeps the pointer
    AddMethod(new grpc::internal::RpcServiceMethod(paths_.back().c_str(), type, nullptr));
    int index = static_cast<int>(paths_.size()) - 1;
    MarkMethodAsync(index);
    return index;
  }

  void RequestUnary(int index, grpc::ServerContext* context, grpc::ByteBuffer* payload,
                    grpc::internal::ServerAsyncStreamingInterface* stream, grpc::ServerCompletionQueue* queue,
                    Tag* tag) {
    RequestAsyncUnary(index, context, payload, stream, queue, queue, tag);
  }
  void RequestServerStream(int index, grpc::ServerContext* context, grpc::ByteBuffer* payload,
                           grpc::internal::ServerAsyncStreamingInterface* stream, grpc::ServerCompletionQueue* queue,
                           Tag* tag) {
    RequestAsyncServerStreaming(index, context, payload, stream, queue, queue, tag);
  }
  void RequestBidiStream(int index, grpc::ServerContext* context, grpc::internal::ServerAsyncStreamingInterface* stream,
                         grpc::ServerCompletionQueue* queue, Tag* tag) {
    RequestAsyncBidiStreaming(index, context, stream, queue, queue, tag);
  }

 private:
  std::deque<std::string> paths_;
};

}  // namespace waybill::rpc
