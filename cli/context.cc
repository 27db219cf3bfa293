#include "cli/context.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "cli/values.h"
#include "edge/access/key.h"
#include "edge/rpc/credentials.h"
#include "fmt/format.h"
#include "runtime/local_address.h"

namespace waybill::cli {

absl::Status Context::PrepareCalls() {
  credentials_ = grpc::InsecureChannelCredentials();
  if (!tls && tls_files.empty()) return absl::OkStatus();
  if (tls_files.certificate.empty() != tls_files.key.empty()) {
    return absl::InvalidArgumentError("--tls-certificate and --tls-key come together or not at all");
  }
  absl::StatusOr<tls::Credentials> read = tls::ReadCredentials(tls_files);
  if (!read.ok()) return read.status();
  credentials_ = rpc::MakeChannelCredentials(*read);
  return absl::OkStatus();
}

absl::StatusOr<Retrier> Context::MakeRetrier(absl::Duration unbounded,
                                             std::function<void(absl::Duration)> sleep) const {
  RetryBudget budget;
  budget.retries = retries;
  budget.timeout = unbounded;
  if (bounded()) {
    absl::StatusOr<absl::Duration> parsed = ParseDuration(timeout);
    if (!parsed.ok())
      return absl::InvalidArgumentError(fmt::format("--timeout: {}", std::string(parsed.status().message())));
    budget.timeout = *parsed;
  }
  auto on_retry = [this](const absl::Status& failed, absl::Duration pause) {
    Note(fmt::format("{}: trying again in {}", absl::StatusCodeToString(failed.code()), ShowDuration(pause)));
  };
  return Retrier(budget, {clock, random, std::move(sleep), on_retry});
}

absl::Status Context::ReadKey() {
  if (!key_file.empty()) {
    absl::StatusOr<std::string> read = access::ReadSecretFile(key_file);
    if (!read.ok())
      return absl::InvalidArgumentError(fmt::format("--key-file: {}", std::string(read.status().message())));
    key = *std::move(read);
  } else if (const char* given = std::getenv("WAYBILL_KEY"); given != nullptr && *given != '\0') {
    if (!access::ParseSecret(given)) return absl::InvalidArgumentError("WAYBILL_KEY is no key: one begins with wb_");
    key = given;
  }
  if (key.empty() || tls || !tls_files.empty() || key_over_plain) return absl::OkStatus();
  for (const auto& [option, address] : {std::pair("--server", &server), std::pair("--ingest", &ingest)}) {
    if (IsLocal(*address)) continue;
    return absl::InvalidArgumentError(fmt::format(
        "{} {} is another machine, and the key would be readable on the way: add --tls, or --key-over-plain "
        "where nobody else reads it",
        option, *address));
  }
  return absl::OkStatus();
}

void Context::Print(std::string_view text) const { std::fwrite(text.data(), 1, text.size(), stdout); }

void Context::PrintLine(std::string_view text) const {
  Print(text);
  Print("\n");
  std::fflush(stdout);
}

void Context::Note(std::string_view text) const {
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", Paint(Printable(text), Style::kFaint, err));
}

ExitCode Context::Fail(const absl::Status& status, std::string_view hint) const {
  std::fflush(stdout);
  if (json) {
    fmt::print(stderr, "{}\n", RenderErrorJson(status, hint));
  } else {
    fmt::print(stderr, "{} {}\n", Paint("waybill:", Style::kBad, err), RenderError(status, hint));
  }
  return ExitCodeOf(status);
}

}  // namespace waybill::cli
