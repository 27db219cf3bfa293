// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"

namespace waybill::payments {
namespace {

const std::vector<std::string> kSeeds = {
    "",
    "v1,++j9cl4iSapOZ4r4fylb98KJYBWrvBS2JU/hOsFnf0I=\n{\"type\":\"a\",\"data\":{\"token\":\"t\",\"amount_minor\":1250,"
    "\"currency\":\"EUR\"}}",
    "t=1764374400,v1=f436627e8f14015c21277e83a5db77c64aafc3d53e02e4476db97ebbbd3438d7\n{\"id\":\"e\",\"data\":{"
    "\"object\":"
    "{\"id\":\"pi\",\"amount\":7,\"currency\":\"isk\",\"metadata\":{\"idempotency_key\":\"k\"}}}}",
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n{\"data\":[1,2,{\"token\":\"\\u0000\"}]}",
    "1764374400\n{\"notificationItems\":[{\"NotificationRequestItem\":{\"additionalData\":{\"hmacSignature\":"
    "\"coqCmt/"
    "IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=\"},\"amount\":{\"currency\":\"EUR\",\"value\":1130},\"eventCode\":\"A\","
    "\"pspReference\":\"7\",\"success\":\"true\"}}]}",
    "\n{\"type\":\"PAYMENT_SUCCESS_WEBHOOK\",\"data\":{\"order\":{\"order_id\":\"o\",\"order_amount\":12.50,"
    "\"order_currency\":\"INR\"}}}",
    "[[gateway]]\nname = \"a\"\nscheme = \"standard\"\nsecrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n"
    "event_id = [\"/a~1b\", \"/0\"]\nexponents = {ISK = 2}\n",
};

TEST(WebhookFuzz, TakesSeeds) {
  for (const std::string& seed : kSeeds) testing::RunTarget(seed);
}

TEST(WebhookFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(kSeeds, 5'000, 20'261'129); }

}  // namespace
}  // namespace waybill::payments
