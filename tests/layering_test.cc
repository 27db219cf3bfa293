// Holds the layering of the house by reading its #include lines:
//
//   services, cli, bench, examples → edge → tracks, payments → storage → webhooks, risk → saga, ledger
//   → domain → runtime
//   (a folder includes itself and what stands to its right)
//
// The rules are in Faults(); the tests below first show that each rule bites, then apply them to the tree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"

namespace waybill {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

// "services/order/main.cc" → {"services", "order", "main.cc"}
std::vector<std::string> Parts(std::string_view path) {
  std::vector<std::string> parts;
  for (size_t start = 0; start <= path.size();) {
    const size_t slash = std::min(path.find('/', start), path.size());
    parts.emplace_back(path.substr(start, slash - start));
    start = slash + 1;
  }
  return parts;
}

// How high a top folder stands; -1: not a folder of ours.
int Layer(const std::string& folder) {
  if (folder == "runtime") return 0;
  if (folder == "domain") return 1;
  if (folder == "saga" || folder == "ledger") return 2;
  if (folder == "webhooks" || folder == "risk") return 3;
  if (folder == "storage") return 4;
  if (folder == "tracks" || folder == "payments") return 5;
  if (folder == "edge") return 6;
  if (folder == "services" || folder == "cli" || folder == "bench" || folder == "examples") return 7;
  if (folder == "tests") return 8;
  return -1;
}

struct Include {
  std::string target;
  int line;
};

std::vector<Include> Includes(const std::string& text) {
  std::vector<Include> includes;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line[hash] != '#') continue;
    const size_t word = line.find_first_not_of(" \t", hash + 1);
    if (word == std::string::npos || line.compare(word, 7, "include") != 0) continue;
    const size_t open = line.find_first_of("\"<", word);
    if (open == std::string::npos) continue;
    const size_t close = line.find_first_of("\">", open + 1);
    includes.push_back({line.substr(open + 1, close - open - 1), number});
  }
  return includes;
}

bool IsGrpcOrProtobuf(std::string_view include) {
  return StartsWith(include, "grpc/") || StartsWith(include, "grpcpp/") || StartsWith(include, "grpc++/") ||
         StartsWith(include, "google/") || EndsWith(include, ".pb.h");
}

bool IsLibpq(std::string_view include) {
  return StartsWith(include, "libpq") || include.find("/libpq") != std::string_view::npos ||
         EndsWith(include, "postgres_ext.h");
}

bool IsHiredis(std::string_view include) { return include.find("hiredis") != std::string_view::npos; }

bool IsLibrabbitmq(std::string_view include) {
  return StartsWith(include, "amqp") || StartsWith(include, "rabbitmq-c/");
}

// What is wrong with including `include` in `path`; "" when nothing is.
std::string FaultOfInclude(const std::string& path, const std::string& include) {
  const std::vector<std::string> from = Parts(path);
  const std::vector<std::string> to = Parts(include);
  const int layer = Layer(from[0]);
  const bool source = EndsWith(path, ".cc");

  if (layer < Layer("edge") && IsGrpcOrProtobuf(include)) {
    return "gRPC and protobuf headers belong to edge/, services/, cli/ and bench/";
  }
  if (from[0] == "tests") return "";
  if (from[0] == "examples" && IsGrpcOrProtobuf(include)) {
    return "examples show the saga library, which needs no gRPC";
  }
  if (IsLibpq(include) && !(source && StartsWith(path, "storage/postgres/"))) {
    return "libpq belongs to storage/postgres/*.cc";
  }
  if (IsHiredis(include) && !(source && StartsWith(path, "storage/redis/"))) {
    return "hiredis belongs to storage/redis/*.cc";
  }
  if (IsLibrabbitmq(include) && !(source && StartsWith(path, "edge/amqp/"))) {
    return "librabbitmq belongs to edge/amqp/*.cc";
  }
  const bool starts_threads = from[0] == "runtime" || from[0] == "edge" || from[0] == "cli" || from[0] == "bench";
  if (include == "thread" && !starts_threads) {
    return "threads come from the executors that main hands in (runtime/executor.h); the edge's servers have their own";
  }
  if (StartsWith(include, "../") || StartsWith(include, "./") || include.find("/../") != std::string::npos) {
    return "includes are written from the root of the tree";
  }
  if (to.size() < 2 || Layer(to[0]) < 0) return "";  // the standard library and other packages

  if (to[0] == "tests") return "only tests include tests/";
  if (Layer(to[0]) > layer) return fmt::format("{}/ stands below {}/ and may not include it", from[0], to[0]);
  const bool from_doubles = path.find("/testing/") != std::string::npos || from[0] == "examples";
  if (include.find("/testing/") != std::string::npos && !from_doubles) return "what ships includes no test doubles";
  if (to[0] == "edge" && from[0] == "examples") return "examples show the saga library, which needs no edge";
  if (Layer(to[0]) == Layer("services")) {
    const bool shared = (include == "services/process/flags.h" && from[0] != "examples") ||
                        (StartsWith(include, "services/process/") && from[0] == "services");
    const bool own = from[0] == to[0] && (from[0] != "services" || from[1] == to[1]);
    if (!own && !shared)
      return "services, cli, bench and examples stand side by side; they share only "
             "services/process/flags.h (services all of services/process/)";
  }
  if (layer == 2 && Layer(to[0]) == 2 && from[0] != to[0]) return "saga and ledger stand side by side";
  if (layer == 5 && Layer(to[0]) == 5 && from[0] != to[0]) return "tracks and payments stand side by side";
  if (layer == 3 && Layer(to[0]) == 3 && from[0] != to[0]) return "webhooks and risk stand side by side";
  if (from[0] == "storage" && to[0] == "storage") {
    const bool to_store = to[1] == "postgres" || to[1] == "redis";
    if (to_store && from[1] != to[1]) return fmt::format("storage/{}/ is used from above, not by its siblings", to[1]);
  }
  return "";
}

std::vector<std::string> Faults(const std::string& path, const std::string& text) {
  std::vector<std::string> faults;
  const std::vector<std::string> parts = Parts(path);
  if (Layer(parts[0]) < 0) faults.push_back(fmt::format("{}: no layer is named for this folder", path));
  constexpr std::array<std::string_view, 5> kDumpingGrounds = {"util", "utils", "common", "helpers", "misc"};
  for (const std::string& part : parts) {
    const std::string_view stem = std::string_view(part).substr(0, part.find('.'));
    if (std::find(kDumpingGrounds.begin(), kDumpingGrounds.end(), stem) != kDumpingGrounds.end()) {
      faults.push_back(fmt::format("{}: \"{}\" names nothing; say what is inside", path, stem));
    }
  }
  if (EndsWith(path, ".h") && text.find("#pragma once\n") == std::string::npos) {
    faults.push_back(fmt::format("{}: a header needs #pragma once", path));
  }
  for (const Include& include : Includes(text)) {
    const std::string fault = FaultOfInclude(path, include.target);
    if (!fault.empty())
      faults.push_back(fmt::format("{}:{}: includes {}: {}", path, include.line, include.target, fault));
  }
  return faults;
}

struct Case {
  std::string path;
  std::string include;
  std::string fault;  // part of the message; "": allowed
};

class LayeringRule : public ::testing::TestWithParam<Case> {};

TEST_P(LayeringRule, Bites) {
  const auto& [path, include, fault] = GetParam();
  const std::vector<std::string> faults = Faults(path, fmt::format("#pragma once\n#include \"{}\"\n", include));
  if (fault.empty()) {
    EXPECT_THAT(faults, IsEmpty());
  } else {
    EXPECT_THAT(faults, ElementsAre(HasSubstr(fault)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Examples, LayeringRule,
    ::testing::Values(
        // Down is allowed, up is not.
        Case{"services/order/main.cc", "storage/postgres/pool.h", ""},
        Case{"storage/order_record.h", "saga/record.h", ""}, Case{"saga/runner.cc", "runtime/clock.h", ""},
        Case{"saga/runner.cc", "saga/definition.h", ""},
        Case{"runtime/ids.h", "saga/definition.h", "runtime/ stands below saga/"},
        Case{"saga/runner.h", "domain/reasons.h", ""}, Case{"domain/reasons.h", "runtime/status.h", ""},
        Case{"runtime/status.h", "domain/reasons.h", "runtime/ stands below domain/"},
        Case{"domain/order.h", "saga/record.h", "domain/ stands below saga/"},
        Case{"domain/reasons.cc", "storage/fleet.h", "domain/ stands below storage/"},
        Case{"saga/runner.h", "storage/fleet.h", "saga/ stands below storage/"},
        Case{"storage/fleet.h", "edge/rpc/status.h", "storage/ stands below edge/"},
        Case{"storage/fleet.h", "cli/table.h", "storage/ stands below cli/"},
        Case{"tracks/downsample.cc", "domain/geo.h", ""}, Case{"tracks/city_fleet.h", "runtime/random.h", ""},
        Case{"services/ingest/history.cc", "tracks/downsample.h", ""}, Case{"cli/track.cc", "tracks/track_file.h", ""},
        Case{"storage/fleet.cc", "tracks/downsample.h", "storage/ stands below tracks/"},
        Case{"tracks/track_file.h", "edge/rpc/status.h", "tracks/ stands below edge/"},
        Case{"payments/router.h", "storage/gateway_store.h", ""},
        Case{"services/order/main.cc", "payments/router.h", ""},
        Case{"storage/gateway_store.h", "payments/router.h", "storage/ stands below payments/"},
        Case{"payments/router.cc", "edge/rpc/client.h", "payments/ stands below edge/"},
        Case{"payments/router.cc", "grpcpp/grpcpp.h", "gRPC and protobuf"},
        Case{"runtime/ids.h", "tests/support/process.h", "only tests include tests/"},
        Case{"cli/main.cc", "tests/support/process.h", "only tests include tests/"},
        Case{"storage/risk_store.h", "risk/assess.h", ""}, Case{"risk/assess.h", "domain/geo.h", ""},
        Case{"risk/assess.h", "webhooks/url.h", "webhooks and risk stand side by side"},
        Case{"risk/assess.cc", "storage/order_store.h", "risk/ stands below storage/"},
        Case{"payments/webhooks/event.cc", "domain/currency.h", ""},
        Case{"services/order/webhooks.cc", "payments/webhooks/event.h", ""},
        Case{"storage/fleet.h", "payments/webhooks/event.h", "storage/ stands below payments/"},
        Case{"payments/webhooks/event.h", "edge/rpc/status.h", "payments/ stands below edge/"},
        Case{"payments/webhooks/event.h", "grpcpp/grpcpp.h", "gRPC and protobuf"},
        Case{"ledger/apply.h", "domain/currency.h", ""}, Case{"storage/ledger_store.h", "ledger/transfer.h", ""},
        Case{"ledger/apply.h", "storage/ledger_store.h", "ledger/ stands below storage/"},
        Case{"ledger/apply.cc", "grpcpp/grpcpp.h", "gRPC and protobuf"},
        // Side by side.
        Case{"saga/runner.h", "ledger/transfer.h", "stand side by side"},
        Case{"ledger/apply.cc", "saga/record.h", "stand side by side"},
        Case{"tracks/track_file.h", "payments/webhooks/event.h", "stand side by side"},
        Case{"services/order/service.cc", "edge/rpc/status.h", ""}, Case{"cli/main.cc", "edge/rpc/client.h", ""},
        Case{"cli/main.cc", "services/process/flags.h", ""},
        Case{"cli/main.cc", "services/process/startup.h", "side by side"},
        Case{"services/order/service.cc", "services/order/intake.h", ""}, Case{"bench/a.cc", "bench/b.h", ""},
        Case{"services/order/service.cc", "services/sandbox/log.h", "side by side"},
        Case{"edge/rpc/server.cc", "services/order/service.h", "edge/ stands below services/"},
        Case{"cli/main.cc", "services/order/service.h", "side by side"},
        Case{"bench/main.cc", "cli/table.h", "side by side"}, Case{"examples/a.cc", "edge/rpc/call.h", "needs no edge"},
        Case{"storage/fleet.cc", "storage/postgres/pool.h", "not by its siblings"},
        Case{"storage/redis/fleet.cc", "storage/postgres/pool.h", "not by its siblings"},
        Case{"storage/testing/fake.cc", "storage/redis/fleet.h", "not by its siblings"},
        Case{"storage/postgres/pool.cc", "storage/postgres/connection.h", ""},
        // gRPC and protobuf.
        Case{"cli/main.cc", "grpcpp/grpcpp.h", ""}, Case{"bench/load.cc", "waybill/order/v1/order.pb.h", ""},
        Case{"tests/services/order_test.cc", "grpcpp/grpcpp.h", ""},
        Case{"storage/fleet.h", "grpcpp/grpcpp.h", "gRPC and protobuf"},
        Case{"domain/order.cc", "grpcpp/grpcpp.h", "gRPC and protobuf"},
        Case{"saga/runner.cc", "grpc/grpc.h", "gRPC and protobuf"},
        Case{"runtime/status.cc", "google/rpc/status.pb.h", "gRPC and protobuf"},
        Case{"runtime/status.cc", "google/protobuf/message.h", "gRPC and protobuf"},
        Case{"storage/fleet.cc", "waybill/order/v1/order.pb.h", "gRPC and protobuf"},
        Case{"tracks/track_file.cc", "grpcpp/grpcpp.h", "gRPC and protobuf"},
        Case{"examples/trip/main.cc", "grpcpp/grpcpp.h", "needs no gRPC"},
        // Clients of the stores.
        Case{"storage/postgres/pool.cc", "libpq-fe.h", ""}, Case{"storage/redis/fleet.cc", "hiredis/hiredis.h", ""},
        Case{"tests/support/postgres.cc", "libpq-fe.h", ""},
        Case{"storage/postgres/pool.h", "libpq-fe.h", "libpq belongs"},
        Case{"bench/ceiling.cc", "libpq-fe.h", "libpq belongs"},
        Case{"storage/redis/fleet.cc", "postgresql/libpq-fe.h", "libpq belongs"},
        Case{"storage/redis/fleet.h", "hiredis/hiredis.h", "hiredis belongs"},
        Case{"domain/driver.cc", "libpq-fe.h", "libpq belongs"}, Case{"edge/amqp/connection.cc", "amqp.h", ""},
        Case{"edge/amqp/connection.h", "amqp.h", "librabbitmq belongs"},
        Case{"services/ledger/broker.cc", "amqp_tcp_socket.h", "librabbitmq belongs"},
        Case{"storage/postgres/pool.cc", "hiredis.h", "hiredis belongs"},
        // Doubles stay out of what ships.
        Case{"storage/testing/fake.h", "saga/testing/memory_journal.h", ""},
        Case{"examples/trip/main.cc", "saga/testing/memory_journal.h", ""},
        Case{"tests/saga/runner_test.cc", "saga/testing/memory_journal.h", ""},
        Case{"services/order/main.cc", "storage/testing/fake.h", "no test doubles"},
        Case{"saga/runner.cc", "runtime/testing/manual_time.h", "no test doubles"},
        // Threads.
        Case{"runtime/executor.cc", "thread", ""}, Case{"edge/rpc/queue.h", "thread", ""},
        Case{"tests/saga/runner_test.cc", "thread", ""}, Case{"saga/runner.cc", "thread", "threads come from"},
        Case{"services/ingest/location_watches.h", "thread", "threads come from"},
        Case{"storage/redis/fleet.cc", "thread", "threads come from"},
        // How they are written.
        Case{"saga/runner.cc", "../runtime/clock.h", "from the root"}, Case{"runtime/clock.h", "absl/time/time.h", ""},
        Case{"runtime/clock.h", "string", ""}));

TEST(LayeringRule, ReadsIncludesHoweverTheyAreWritten) {
  EXPECT_THAT(Faults("saga/a.cc", "// first\n  #  include <libpq-fe.h>  // why\n"),
              ElementsAre(HasSubstr("saga/a.cc:2:")));
  EXPECT_THAT(Faults("saga/a.cc", "// #include <libpq-fe.h>\n"), IsEmpty());
}

TEST(LayeringRule, WantsNamesThatSaySomething) {
  EXPECT_THAT(Faults("runtime/util/strings.cc", ""), ElementsAre(HasSubstr("\"util\" names nothing")));
  EXPECT_THAT(Faults("storage/common.cc", ""), ElementsAre(HasSubstr("\"common\" names nothing")));
  EXPECT_THAT(Faults("storage/commonly_used_name.cc", ""), IsEmpty());
  EXPECT_THAT(Faults("library/strings.cc", ""), ElementsAre(HasSubstr("no layer is named")));
}

TEST(LayeringRule, WantsPragmaOnceInHeaders) {
  EXPECT_THAT(Faults("runtime/a.h", "// #pragma missing\n"), ElementsAre(HasSubstr("needs #pragma once")));
  EXPECT_THAT(Faults("runtime/a.cc", ""), IsEmpty());
}

TEST(Layering, IsKeptByTheTree) {
  namespace fs = std::filesystem;
  const fs::path root = WAYBILL_SOURCE_DIR;
  int files = 0;
  std::vector<std::string> faults;
  for (auto entry = fs::recursive_directory_iterator(root); entry != fs::recursive_directory_iterator(); ++entry) {
    const fs::path relative = entry->path().lexically_relative(root);
    const std::string name = relative.filename();
    if (entry->is_directory()) {
      // Build output, and hidden folders such as .git; tests/package is a project of its own.
      if (name[0] == '.' || StartsWith(name, "build") || relative == "tests/package") entry.disable_recursion_pending();
      continue;
    }
    if (relative.extension() != ".h" && relative.extension() != ".cc") continue;
    ++files;
    std::ifstream file(entry->path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    for (std::string& fault : Faults(relative, text)) faults.push_back(std::move(fault));
  }
  EXPECT_GT(files, 50) << "where is the tree? " << root;
  for (const std::string& fault : faults) ADD_FAILURE() << fault;
}

}  // namespace
}  // namespace waybill
