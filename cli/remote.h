// Calls to Waybill's services, as the commands make them: blocking, with a deadline, repeated where a retry helps.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/context.h"
#include "edge/rpc/client.h"
#include "edge/rpc/deadline.h"
#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "google/protobuf/message.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/json_util.h"
#include "grpcpp/client_context.h"

namespace waybill::cli {

inline void Prepare(grpc::ClientContext& call, const Context& context, SteadyTime deadline) {
  if (!context.client.empty()) call.AddMetadata("waybill-client", context.client);
  if (!context.key.empty()) call.AddMetadata("authorization", fmt::format("Bearer {}", context.key));
  call.set_deadline(rpc::ToGrpcDeadline(deadline));
}

inline bool Mentions(const absl::Status& status, std::string_view what) {
  return std::string(status.message()).find(what) != std::string::npos;
}

// What to do when a call fails for a reason that is not in Waybill's table.
inline std::string HintFor(const absl::Status& status, const std::string& target, std::string_view option) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      if (Mentions(status, "certificate verify failed")) {
        return fmt::format("No CA that is believed here vouches for {}: name its CA with --tls-ca.", target);
      }
      if (Mentions(status, "is not in peer certificate")) {
        return fmt::format("The certificate of {} is for another name: say that one with {}.", target, option);
      }
      if (Mentions(status, "wrong version number")) return fmt::format("There is no TLS at {}.", target);
      if (Mentions(status, "Socket closed")) {
        return fmt::format("{} hung up: does it want TLS (--tls-ca), or a certificate (--tls-certificate)?", target);
      }
      return fmt::format("Is the service running at {}? Say where with {}.", target, option);
    case absl::StatusCode::kDeadlineExceeded:
      return "Give it more time with --timeout.";
    case absl::StatusCode::kUnimplemented:
      return fmt::format("The service at {} does not know this call: another service, or an older version.", target);
    default:
      return "";
  }
}

// Tells of a call that failed, with what to do next, and answers the command's exit code.
inline ExitCode FailServer(const Context& context, const absl::Status& status) {
  return context.Fail(status, HintFor(status, context.server, "--server or WAYBILL_SERVER"));
}
inline ExitCode FailIngest(const Context& context, const absl::Status& status) {
  return context.Fail(status, HintFor(status, context.ingest, "--ingest or WAYBILL_INGEST"));
}
inline ExitCode FailSandbox(const Context& context, const absl::Status& status) {
  return context.Fail(status, HintFor(status, context.sandbox, "--sandbox or WAYBILL_SANDBOX"));
}

// Calls a method of `Service` at `target`. Every try has a connection of its own: gRPC's threads do not drive a broken
// one back to life while this one sleeps between tries. `answered` sees the call when it succeeded, for its metadata.
// `unbounded`: how long it may take all in all, where no --timeout says.
template <typename Service, typename Request, typename Response>
absl::StatusOr<Response> Call(const Context& context, const std::string& target,
                              grpc::Status (Service::StubInterface::*method)(grpc::ClientContext*, const Request&,
                                                                             Response*),
                              const Request& request,
                              const std::function<void(const grpc::ClientContext&)>& answered = {},
                              absl::Duration unbounded = absl::Seconds(30)) {
  absl::StatusOr<Retrier> retrier = context.MakeRetrier(unbounded);
  if (!retrier.ok()) return retrier.status();
  Response response;
  absl::Status status = retrier->Run([&](SteadyTime deadline) {
    std::unique_ptr<typename Service::StubInterface> stub =
        Service::NewStub(rpc::MakeChannel(target, rpc::Pings::kRare, context.credentials()));
    grpc::ClientContext call;
    Prepare(call, context, deadline);
    response.Clear();
    absl::Status answer = rpc::FromGrpcStatus((stub.get()->*method)(&call, request, &response));
    if (answer.ok() && answered) answered(call);
    return answer;
  });
  if (!status.ok()) return status;
  return response;
}

// Calls a List method page after page until `limit` items are there; 0: all. `more`: whether there are others.
template <typename Item, typename Request, typename ListPage>
absl::StatusOr<std::vector<Item>> CallPages(Request request, size_t limit, bool& more, ListPage list_page) {
  constexpr size_t kPageMax = 500;
  std::vector<Item> items;
  do {
    size_t wanted = limit == 0 ? kPageMax : std::min(limit - items.size(), kPageMax);
    request.set_page_size(static_cast<int32_t>(wanted));
    std::string next;
    absl::Status status = list_page(request, items, next);
    if (!status.ok()) return status;
    request.set_page_token(next);
    more = !next.empty();
  } while (more && (limit == 0 || items.size() < limit));
  return items;
}

// One line, with the field names of the contract. 64-bit integers are strings, as proto3's JSON mapping has them.
inline std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  (void)google::protobuf::util::MessageToJsonString(message, &text, options);  // fails for Any only
  return text;
}

inline absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

inline google::protobuf::Timestamp FromTime(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  int64_t seconds = absl::ToUnixSeconds(time);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return timestamp;
}

}  // namespace waybill::cli
