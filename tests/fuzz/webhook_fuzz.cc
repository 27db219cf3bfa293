// Webhooks of any bytes: the first line is what stands in each header, the rest the body. None is taken for signed, and
// an event is read of any body all the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "payments/webhooks/event.h"
#include "runtime/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace payments = waybill::payments;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view line = input.substr(0, input.find('\n'));
  const std::string_view body = line.size() == input.size() ? std::string_view() : input.substr(line.size() + 1);
  const payments::HeaderOf header = [line](std::string_view) { return line; };
  const std::vector<std::string> secrets = {"a secret that nobody knows", "another one of them"};
  const absl::Time now = absl::FromUnixSeconds(1'764'374'400);
  for (const payments::Scheme scheme : payments::kSchemes) {
    if (!payments::Verify(scheme, header, body, secrets, now)) std::abort();
    const payments::Event event = payments::ReadEvent(payments::DefaultsOf(scheme), header, body);
    if (event.id.empty() || event.id.size() > 255) std::abort();
    for (const std::string* text : {&event.id, &event.type, &event.key, &event.token, &event.currency}) {
      if (waybill::CleanText(*text, 255) != *text) std::abort();
    }
  }
  const auto gateways = payments::ParseWebhookGateways(input, "hooks.toml");
  if (!gateways.ok() && gateways.status().message().find('\n') != gateways.status().message().npos) std::abort();
  return 0;
}
