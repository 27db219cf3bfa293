// Any bytes where the Connect protocol reads some: they are refused or taken within every bound, what is taken is what
// it was, and nothing crashes. The first byte chooses the reader. Run by libFuzzer (preset fuzz), and over a seeded
// corpus by connect_fuzz_test.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "edge/connect/gzip.h"
#include "edge/connect/json.h"
#include "edge/connect/protocol.h"
#include "google/protobuf/stubs/logging.h"
#include "waybill/order/v1/order.pb.h"

namespace waybill::connect {
namespace {

constexpr size_t kUnpackedMax = 64 << 10;

void Expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void ReadJson(std::string_view text) {
  using Message = order::v1::CreateOrderRequest;
  static const Json* const json = [] {
    auto* made = new Json;
    made->Add(*Message::descriptor());
    return made;
  }();
  const auto bytes = json->ToBytes(*Message::descriptor(), text);
  if (!bytes.ok()) {
    Expect(bytes.status().code() == absl::StatusCode::kInvalidArgument, "a refusal is INVALID_ARGUMENT");
    return;
  }
  Message message;
  if (!message.ParseFromString(*bytes)) return;  // text that is no UTF-8: the server refuses it by name
  const auto printed = json->FromBytes(*Message::descriptor(), *bytes);
  Expect(printed.ok(), "what was taken can be printed");
  const auto again = json->ToBytes(*Message::descriptor(), *printed);
  Message same;
  Expect(again.ok() && same.ParseFromString(*again), "what was printed can be taken");
  Expect(same.amount().minor_units() == message.amount().minor_units() && same.user_id() == message.user_id(),
         "nothing changes on the way");
}

void ReadEnvelope(std::string_view body) {
  const auto envelope = OnlyEnvelope(body);
  if (envelope.ok()) Expect(Envelope(envelope->flags, envelope->message) == body, "an envelope is all of its body");
}

void ReadFields(std::string_view text) {
  http::Request request;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos) request.fields.emplace_back(line.substr(0, colon), line.substr(colon + 1));
  }
  const auto metadata = MetadataOf(request);
  if (!metadata.ok()) return;
  for (const auto& [name, value] : *metadata) {
    Expect(name != "waybill-certificate-name", "nobody says which certificate was shown");
    for (char c : value) Expect(c >= ' ' && c <= '~', "metadata is what gRPC can carry");
  }
}

}  // namespace
}  // namespace waybill::connect

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace waybill::connect;  // NOLINT(google-build-using-namespace): the only function outside it
  google::protobuf::SetLogHandler(nullptr);
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 6) {
    case 0:
      ReadJson(input);
      break;
    case 1:
      ReadEnvelope(input);
      break;
    case 2:
      if (auto plain = Gunzip(input, kUnpackedMax); plain.ok()) Expect(plain->size() <= kUnpackedMax, "the bound");
      break;
    case 3:
      if (auto timeout = Timeout(input); timeout.ok())
        Expect(*timeout >= absl::ZeroDuration(), "no time runs backwards");
      break;
    case 4:
      ReadFields(input);
      break;
    default:
      Accepts(input, "gzip");
      if (ParseOrigins(input).ok()) Expect(input.find(' ') == std::string_view::npos, "an origin has no blank");
      waybill::http::QueryParameter(input, "message");
  }
  return 0;
}
