#include "edge/rpc/request.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "runtime/status.h"

namespace waybill::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text) {
  size_t i = 0;
  auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u; };
  while (i < text.size()) {
    unsigned lead = byte(i);
    unsigned low = 0x80;  // bounds of the second byte
    unsigned high = 0xbf;
    size_t length;
    if (lead < 0x80) {
      ++i;
      continue;
    } else if (lead >= 0xc2 && lead <= 0xdf) {
      length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      length = 3;
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      length = 4;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    if (byte(i + 1) < low || byte(i + 1) > high) return false;
    for (size_t k = 2; k < length; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

// Looks at the bytes themselves: a failed parse leaves a message with some of its fields, and without the map entry
// that was wrong.
void FindBadText(const UnknownFieldSet& fields, const Descriptor& type, const std::string& prefix,
                 ErrorDetail& detail) {
  std::map<int, int> seen;
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& field = fields.field(i);
    const FieldDescriptor* declared = type.FindFieldByNumber(field.number());
    if (declared == nullptr || field.type() != UnknownField::TYPE_LENGTH_DELIMITED) continue;
    const std::string& bytes = field.length_delimited();
    std::string path = prefix + declared->name();
    UnknownFieldSet inner;
    if (declared->type() == FieldDescriptor::TYPE_STRING) {
      if (declared->is_repeated()) path += fmt::format("[{}]", seen[field.number()]++);
      if (!IsUtf8(bytes)) detail.violations.emplace_back(std::move(path), "is not valid UTF-8");
    } else if (declared->type() == FieldDescriptor::TYPE_MESSAGE && inner.ParseFromString(bytes)) {
      if (declared->is_repeated()) path += fmt::format("[{}]", seen[field.number()]++);
      FindBadText(inner, *declared->message_type(), path + ".", detail);
    }
  }
}

}  // namespace

absl::Status ParseRequest(grpc::ByteBuffer& payload, Message& request) {
  grpc::ProtoBufferReader reader(&payload);
  if (request.ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  ErrorDetail detail;
  grpc::ProtoBufferReader again(&payload);
  UnknownFieldSet fields;
  if (fields.ParseFromZeroCopyStream(&again)) FindBadText(fields, *request.GetDescriptor(), "", detail);
  std::string message = fmt::format("the request is not a valid {}", request.GetTypeName());
  if (!detail.violations.empty()) message += fmt::format(": {} is not valid UTF-8", detail.violations[0].first);
  return domain::ReasonError("MALFORMED_REQUEST", message, std::move(detail));
}

}  // namespace waybill::rpc
