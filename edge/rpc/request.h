// Reading a request off the wire. gRPC's own deserialising answers INTERNAL to a client's malformed bytes; here the
// client is told INVALID_ARGUMENT and, for text that is not UTF-8, which field it is.
#pragma once

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace waybill::rpc {

// INVALID_ARGUMENT, reason MALFORMED_REQUEST, when `payload` is not a valid message of this type.
absl::Status ParseRequest(grpc::ByteBuffer& payload, google::protobuf::Message& request);

}  // namespace waybill::rpc
