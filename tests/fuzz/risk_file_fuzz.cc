// A file of risk rules of any bytes: rules by which an order can be assessed, or one line that says what is wrong.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "risk/assess.h"
#include "risk/rules_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace waybill::risk;  // NOLINT(google-build-using-namespace): all of it is about that
  const auto rules = ParseRules({reinterpret_cast<const char*>(data), size}, "risk.toml");
  if (!rules.ok()) {
    const std::string told(rules.status().message());
    if (told.starts_with("risk.toml") && told.find('\n') == std::string::npos) return 0;
    std::fprintf(stderr, "told: %s\n", told.c_str());
    std::abort();
  }
  Facts facts;
  facts.client = "shop";
  facts.traits = {"u", "c", "", "a"};
  facts.amount_minor = 1'250;
  facts.currency = "EUR";
  facts.position = waybill::domain::GeoPoint{52.5, 13.4};
  History history;
  history.windows.resize(QuestionsOf(*rules, facts).windows.size(), Sum{2, 2'500});
  const Assessment assessment = Assess(*rules, facts, history, absl::UnixEpoch() + absl::Hours(1));
  const bool holds = !rules->version.empty() && rules->review_at >= 1 && rules->deny_at >= rules->review_at &&
                     rules->after_review != Decision::kReview && assessment.verdict.score <= assessment.shadow.score &&
                     assessment.reasons.size() <= rules->rules.size() && !Describe(*rules).empty();
  if (!holds) std::abort();
  return 0;
}
