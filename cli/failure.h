// What the command line says and answers when something did not work.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace waybill::cli {

// Documented in `waybill --help`; scripts depend on the numbers.
enum class ExitCode {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,  // the command line or a field is wrong; nothing was done
  kNotFound = 3,
  kRefused = 4,      // the state of things does not allow it
  kUnavailable = 5,  // no answer, or not in time, or not decided yet; a retry may help
  kTurnedBack = 6,   // the order was created, and did not go through
  kPartly = 7,       // done, but some of what was given was not taken
};

ExitCode ExitCodeOf(const absl::Status& status);

// A field of the contract, and the option or argument that fills it: {"debit_account_id", "--from"}.
using OptionOfField = std::pair<std::string_view, std::string_view>;
using OptionsOfFields = std::initializer_list<OptionOfField>;

// The same error with fields named as the command line has them; those that are not in the list stay.
absl::Status NameOptions(const absl::Status& status, OptionsOfFields options);

// One line without its end: code, reason, message, bad fields, metadata, what to do next, and when to retry.
// `hint` says what to do next where the reason is not one of the table's (domain/reasons.h); it may be empty.
std::string RenderError(const absl::Status& status, std::string_view hint);

// The same for scripts, as one line of JSON:
// {"error":{"code":…,"reason":…,"message":…,"fields":[{"field":…,"problem":…}],
// "metadata":{…},"what_to_do":…,"retry_after_ms":…}}. Keys that have nothing to say are left out, except code and
// message.
std::string RenderErrorJson(const absl::Status& status, std::string_view hint);

}  // namespace waybill::cli
