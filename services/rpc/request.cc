#include "services/rpc/request.h"

#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "runtime/status.h"

namespace waybill::rpc {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

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

// A failed parse leaves what it had read so far in the message, the bad text included.
void FindBadText(const Message& message, const std::string& prefix, ErrorDetail& detail) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      std::string path = prefix + field->name() + (field->is_repeated() ? fmt::format("[{}]", i) : "");
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        const Message& child = field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                                    : reflection.GetMessage(message, field);
        FindBadText(child, path + ".", detail);
      } else if (field->type() == FieldDescriptor::TYPE_STRING) {
        std::string scratch;
        const std::string& text = field->is_repeated()
                                      ? reflection.GetRepeatedStringReference(message, field, i, &scratch)
                                      : reflection.GetStringReference(message, field, &scratch);
        if (!IsUtf8(text)) detail.violations.emplace_back(path, "is not valid UTF-8");
      }
    }
  }
}

}  // namespace

absl::Status ParseRequest(grpc::ByteBuffer& payload, Message& request) {
  grpc::ProtoBufferReader reader(&payload);
  if (request.ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  ErrorDetail detail;
  detail.reason = "MALFORMED_REQUEST";
  FindBadText(request, "", detail);
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      fmt::format("the request is not a valid {}{}", request.GetTypeName(),
                  detail.violations.empty() ? "" : ": " + detail.violations[0].first + " is not valid UTF-8"),
      detail);
}

}  // namespace waybill::rpc
