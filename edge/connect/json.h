// Messages as JSON and as bytes, by protobuf's own JSON mapping: names in camelCase going out and either way coming in,
// 64-bit integers as strings, defaults left out. Fields that are not known are passed over, as in bytes; a value of an
// enum that is not known, or null in a list, is refused: protobuf would drop it, and a filter would be empty.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/type.pb.h"
#include "google/protobuf/util/type_resolver.h"

namespace waybill::connect {

// Of the messages that were added; thread-safe once all are. protobuf's own resolver describes a type anew for each
// message it meets, which takes longer than all else.
class Json {
 public:
  Json();
  ~Json();
  Json(const Json&) = delete;
  Json& operator=(const Json&) = delete;

  void Add(const google::protobuf::Descriptor& message);  // and all it consists of

  // INVALID_ARGUMENT: MALFORMED_REQUEST, with protobuf's words for what is wrong where, or BAD_REQUEST, which names it.
  absl::StatusOr<std::string> ToBytes(const google::protobuf::Descriptor& message, std::string_view json) const;
  // INTERNAL: no such message.
  absl::StatusOr<std::string> FromBytes(const google::protobuf::Descriptor& message, const std::string& bytes) const;

 private:
  class Resolver;

  std::unique_ptr<Resolver> resolver_;
};

}  // namespace waybill::connect
