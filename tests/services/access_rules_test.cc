// Every method of every service, by every kind of caller: who is let in stands in the table of docs/access.md, and
// nowhere else does a method come by a rule. Requests are no messages, so that whoever is let in is told that, and no
// handler is reached.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/server.h"
#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "services/ingest/grpc_location_service.h"
#include "services/ingest/served_methods.h"
#include "services/ledger/grpc_ledger_admin.h"
#include "services/ledger/grpc_ledger_service.h"
#include "services/ledger/served_methods.h"
#include "services/ledger/wallet_gateway.h"
#include "services/order/fleet_api.h"
#include "services/order/grpc_access_admin.h"
#include "services/order/grpc_audit_admin.h"
#include "services/order/grpc_dead_letter_admin.h"
#include "services/order/grpc_fleet_service.h"
#include "services/order/grpc_gateway_admin.h"
#include "services/order/grpc_order_service.h"
#include "services/order/grpc_payment_service.h"
#include "services/order/grpc_payout_service.h"
#include "services/order/grpc_reconciliation_service.h"
#include "services/order/grpc_risk_admin.h"
#include "services/order/grpc_saga_admin.h"
#include "services/order/grpc_webhook_inbox_admin.h"
#include "services/order/grpc_webhook_service.h"
#include "services/order/served_methods.h"
#include "storage/postgres/webhook_store.h"
#include "storage/testing/fake_driver_store.h"
#include "storage/testing/fake_payment_store.h"
#include "storage/testing/fake_risk_store.h"
#include "storage/testing/memory_payout_book.h"
#include "tests/edge/access/key_world.h"
#include "tests/services/ingest/ingest_world.h"
#include "tests/services/ledger/mock_ledger_store.h"
#include "tests/services/order/order_world.h"

namespace waybill {
namespace {

namespace fs = std::filesystem;
using domain::Scope;

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.good()) << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// "waybill.order.v1.OrderService/GetOrder", … of all protos. What participants alone serve (payout gateways,
// dispatchers) asks for their own keys, and the sandbox is a double of these.
std::vector<std::string> MethodsInProtos() {
  std::vector<std::string> methods;
  const std::regex line(R"((?:^|\n)\s*(package|service|rpc)\s+([\w.]+))");
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(WAYBILL_SOURCE_DIR) / "proto/waybill")) {
    const std::string folder = entry.path().parent_path().parent_path().filename();
    if (entry.path().extension() != ".proto" || folder == "payout" || folder == "dispatch" || folder == "sandbox") {
      continue;
    }
    const std::string text = ReadFile(entry.path());
    std::string package, service;
    for (std::sregex_iterator it(text.begin(), text.end(), line), end; it != end; ++it) {
      const std::string what = (*it)[1], name = (*it)[2];
      if (what == "package") package = name;
      if (what == "service") service = name;
      if (what == "rpc") methods.push_back(fmt::format("{}.{}/{}", package, service, name));
    }
  }
  std::sort(methods.begin(), methods.end());
  return methods;
}

// The table in docs/access.md.
std::map<std::string, Scope> RulesInDocs() {
  std::map<std::string, Scope> rules;
  const std::string text = ReadFile(fs::path(WAYBILL_SOURCE_DIR) / "docs/access.md");
  const std::regex row(R"(\n\| `([\w.]+/\w+)` \| `([\w:]+)` \|)");
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it) {
    const std::optional<Scope> scope = domain::ParseScope((*it)[2].str());
    EXPECT_TRUE(scope.has_value()) << (*it)[0];
    if (scope) rules[(*it)[1]] = *scope;
  }
  return rules;
}

// No handler comes to it.
class NoGatewayStore final : public storage::GatewayStore {
 public:
  absl::StatusOr<std::vector<storage::GatewaySetting>> Settings() override { return absl::UnimplementedError(""); }
  absl::Status SetDrained(const std::string&, bool, const domain::Deed&) override {
    return absl::UnimplementedError("");
  }
  absl::Status SetWeight(const std::string&, int, const domain::Deed&) override { return absl::UnimplementedError(""); }
};

// Nothing of what is asked here reaches it.
class NoReconciliation final : public storage::ReconciliationStore {
 public:
  absl::StatusOr<storage::Settlement> Begin(const storage::NewSettlement&) override { return Unreached(); }
  absl::Status AddLines(int64_t, const std::vector<storage::SettlementLine>&) override { return Unreached(); }
  absl::StatusOr<storage::Settlement> Reconcile(int64_t, int64_t, const domain::Deed&) override { return Unreached(); }
  absl::StatusOr<std::vector<storage::Settlement>> List(const std::string&, int64_t, int) override {
    return Unreached();
  }
  absl::StatusOr<storage::Settlement> Get(int64_t) override { return Unreached(); }
  absl::StatusOr<std::vector<storage::SettlementTotals>> Totals(int64_t) override { return Unreached(); }
  absl::StatusOr<std::vector<storage::ReconciliationCase>> ListCases(const storage::CaseQuery&) override {
    return Unreached();
  }
  absl::StatusOr<storage::ReconciliationCase> CloseCase(int64_t, const std::string&, const domain::Deed&) override {
    return Unreached();
  }
  absl::StatusOr<std::vector<Open>> CountOpen() override { return Unreached(); }

 private:
  static absl::Status Unreached() { return absl::InternalError("a handler was reached"); }
};

class NoDeadLetters final : public storage::DeadLetterStore {
 public:
  absl::StatusOr<std::vector<storage::DeadLetter>> List(const storage::DeadLetterFilter&,
                                                        const std::optional<std::pair<absl::Time, std::string>>&,
                                                        int) override {
    return Unreached();
  }
  absl::StatusOr<std::vector<storage::DeadLetterCount>> Count(const storage::DeadLetterFilter&, int64_t) override {
    return Unreached();
  }
  absl::StatusOr<int> Redrive(const storage::DeadLetterFilter&, int, absl::Duration, const domain::Deed&) override {
    return Unreached();
  }
  absl::StatusOr<int> Discard(const storage::DeadLetterFilter&, int, const std::string&, const domain::Deed&) override {
    return Unreached();
  }

 private:
  static absl::Status Unreached() { return absl::InternalError("a handler was reached"); }
};
class NoPaymentSummary final : public storage::PaymentSummaryStore {
 public:
  absl::StatusOr<std::vector<storage::PaymentTotals>> Summarize(const storage::SummaryQuery&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<Unsummed> CountUnsummed() override { return absl::UnimplementedError(""); }
  absl::StatusOr<bool> Fold() override { return absl::UnimplementedError(""); }
};

class NoInbox final : public storage::WebhookInboxView {
 public:
  absl::StatusOr<std::vector<storage::KeptWebhook>> List(const storage::InboxQuery&) override { return Unreached(); }
  absl::StatusOr<storage::KeptWebhook> Show(const std::string&, const std::string&, const domain::Deed&) override {
    return Unreached();
  }

 private:
  static absl::Status Unreached() { return absl::InternalError("a handler was reached"); }
};

// All services in one server.
class AllServices {
 public:
  explicit AllServices(const access::Gate* gate)
      : server_(Options(gate, "127.0.0.1:0"), metrics_), within_server_(Options(gate, ""), metrics_) {
    for (rpc::Server* server : {&server_, &within_server_}) {
      AddOrderService(*server, orders_.api, orders_.refunds, orders_.watches);
      order::AddPaymentService(*server, payments_);
      order::AddPayoutService(*server, payouts_);
      AddSagaAdmin(*server, orders_.sagas, {});
      AddFleetService(*server, fleet_api_);
      order::AddAuditAdmin(*server, order_world_.audit, orders_.workers);
      order::AddGatewayAdmin(*server, nullptr, gateway_store_, orders_.workers);
      order::AddReconciliationService(*server, reconciliation_, payment_sums_, nullptr, false, orders_.workers,
                                      orders_.workers, orders_.workers);
      order::AddAccessAdmin(*server, keys.admin, orders_.workers);
      order::AddWebhookService(*server, webhooks_, orders_.workers);
      order::AddDeadLetterAdmin(*server, dead_letters_, orders_.workers);
      order::AddRiskAdmin(*server, risk_, order_world_.time, orders_.workers);
      order::AddWebhookInboxAdmin(*server, inbox_, orders_.workers);
      ledger::AddLedgerService(*server, ledger_service_);
      ledger::AddLedgerAdmin(*server, ledger_store_, verifier_, orders_.workers, order_world_.time);
      ledger::AddWalletGateway(*server, wallets_, orders_.workers);
      AddLocationService(*server, locations_.ingest, locations_.streams, location_api_, location_watches_);
      EXPECT_TRUE(server->Start().ok());
    }
    remote_ = rpc::MakeChannel("127.0.0.1:" + std::to_string(server_.port()));
    within_ = within_server_.InProcessChannel();
    within_server_.expected().Begin();
  }
  ~AllServices() {
    locations_.streams.Drain();
    server_.Drain(SteadyTime::InfinitePast());
    within_server_.Drain(SteadyTime::InfinitePast());
  }

  std::vector<std::string> methods() const {
    std::vector<std::string> names;
    for (const google::protobuf::MethodDescriptor* method : server_.methods()) {
      if (method->service()->full_name().starts_with("grpc.")) continue;  // health, for probes
      names.push_back(fmt::format("{}/{}", method->service()->full_name(), method->name()));
    }
    return names;
  }

  using Headers = std::vector<std::pair<std::string, std::string>>;
  absl::Status Call(const std::string& method, const Headers& headers, bool within = false) {
    grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(within ? within_ : remote_);
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    for (const auto& [key, value] : headers) context.AddMetadata(key, value);
    auto stream = stub.PrepareCall(&context, "/" + method, &queue);
    void* tag;
    bool ok;
    stream->StartCall(nullptr);
    queue.Next(&tag, &ok);
    grpc::Slice no_message("\xff");
    stream->WriteLast(grpc::ByteBuffer(&no_message, 1), {}, nullptr);
    queue.Next(&tag, &ok);
    grpc::Status status;
    stream->Finish(&status, nullptr);
    queue.Next(&tag, &ok);
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
    return rpc::FromGrpcStatus(status);
  }

  access::KeyWorld keys;

 private:
  rpc::ServerOptions Options(const access::Gate* gate, const std::string& address) const {
    rpc::ServerOptions options;
    options.address = address;
    options.gate = gate == nullptr ? &keys.required : gate;
    return options;
  }

  NoReconciliation reconciliation_;
  NoPaymentSummary payment_sums_;
  order::SharedWorld order_world_;
  order::Replica orders_{order_world_};
  storage::testing::FakePaymentStore payment_store_{order_world_.book};
  order::PaymentApi payments_{orders_.runner,    payment_store_, orders_.workers, order_world_.time,
                              order_world_.time, orders_.ids,    nullptr,         order::OrderApiOptions()};
  storage::testing::MemoryPayouts payout_accounts_{order_world_.book};
  storage::testing::FakePayoutStore payout_store_{order_world_.book, payout_accounts_};
  order::PayoutApi payouts_{orders_.runner,          payout_store_,     orders_.workers, orders_.workers,
                            order_world_.time,       order_world_.time, orders_.ids,     false,
                            order::OrderApiOptions()};
  NoGatewayStore gateway_store_;
  storage::testing::FakeDriverStore drivers_{order_world_.book};
  order::FleetApi fleet_api_{order_world_.fleet, drivers_, orders_.workers, orders_.workers, order_world_.time};
  // Of a server that is nowhere, for nobody comes as far.
  storage::Pool pool_{"postgresql://127.0.0.1:1/none", {}, {}};
  storage::PostgresWebhookStore webhook_store_{pool_, pool_};
  storage::WebhookInterest webhook_interest_{order_world_.time};
  SeededRandom webhook_random_{1};
  IdGenerator webhook_ids_{order_world_.time, webhook_random_};
  order::WebhookApi webhooks_{webhook_store_,    webhook_interest_, access::SystemEntropy,
                              order_world_.time, webhook_ids_,      false};
  NoInbox inbox_;
  storage::testing::FakeRiskStore risk_store_{order_world_.time};
  order::RiskApi risk_{risk_store_, orders_.store, orders_.runner};
  NoDeadLetters letter_store_;
  order::DeadLetterApi dead_letters_{letter_store_, orders_.sagas, order_world_.time};
  ::testing::StrictMock<ledger::MockLedgerStore> ledger_store_;
  Metrics ledger_registry_;
  ledger::LedgerMetrics ledger_metrics_{ledger_registry_};
  ledger::Counterparts counterparts_{ledger_store_};
  ledger::LedgerService ledger_service_{ledger_store_, orders_.workers, counterparts_, ledger_metrics_,
                                        order_world_.time};
  ledger::WalletGateway wallets_{ledger_store_, counterparts_, {"shop"}};
  ledger::Verifier verifier_{ledger_store_, orders_.workers, ledger_metrics_, order_world_.time};
  ingest::World locations_;
  storage::testing::FakeFleet fleet_{locations_.time};
  ingest::LocationApi location_api_{fleet_,          fleet_,          locations_.store, locations_.feeder,
                                    orders_.workers, orders_.workers, locations_.time};
  ingest::LocationWatches location_watches_{fleet_, orders_.workers, locations_.metrics, ingest::WatchOptions()};
  Metrics metrics_;
  rpc::Server server_, within_server_;
  std::shared_ptr<grpc::Channel> remote_, within_;
};

std::string ReasonOf(const absl::Status& status) { return GetErrorDetail(status).reason; }

TEST(AccessRules, EveryMethodIsInTheTable) {
  std::vector<std::string> methods;
  for (const auto& [method, scope] : RulesInDocs()) methods.push_back(method);
  EXPECT_EQ(methods, MethodsInProtos());
  EXPECT_GT(methods.size(), 20u);
}

// What a limit can be about is what is served: no more, and no less.
TEST(AccessRules, LimitsKnowEveryMethodThatIsServed) {
  AllServices services(nullptr);
  std::vector<std::string> known = order::ServedMethods();
  for (std::string& method : ingest::ServedMethods()) known.push_back(std::move(method));
  for (std::string& method : ledger::ServedMethods()) known.push_back(std::move(method));
  EXPECT_THAT(known, ::testing::UnorderedElementsAreArray(services.methods()));
}

TEST(AccessRules, LetInWhoHasTheScopeAndNobodyElse) {
  AllServices services(nullptr);
  access::KeyWorld& keys = services.keys;
  const auto bearer = [](const std::string& secret) {
    return AllServices::Headers{{"authorization", access::KeyWorld::Bearer(secret)}};
  };
  const auto soon = keys.time.Now() + absl::Seconds(1);
  const access::KeyAdmin::Made expired = keys.Make("late", {"admin"}, {}, soon), revoked = keys.Make("gone", {"admin"});
  ASSERT_TRUE(keys.admin.Revoke(revoked.key.id, {"admin"}).ok());
  keys.time.Advance(absl::Seconds(1));
  ASSERT_TRUE(keys.ring.Refresh().ok());

  struct Nobody {
    const char* what;
    AllServices::Headers headers;
    bool within = false;
    const char* reason;
  };
  const std::vector<Nobody> nobodies = {
      {"no header", {}, false, "NO_IDENTITY"},
      {"a name alone", {{"waybill-client", "admin"}}, false, "NO_IDENTITY"},
      {"another scheme", {{"authorization", "Basic YWRtaW46YWRtaW4="}}, false, "NO_IDENTITY"},
      {"no secret", {{"authorization", "Bearer"}}, false, "NO_IDENTITY"},
      {"half a secret", {{"authorization", "Bearer wb_admin_"}}, false, "NO_IDENTITY"},
      {"an unknown key", bearer(access::MakeSecret("nobody", access::SystemEntropy)), false, "KEY_UNKNOWN"},
      {"a guess", bearer(access::MakeSecret(revoked.key.id, access::SystemEntropy)), false, "KEY_UNKNOWN"},
      {"an expired key", bearer(expired.secret), false, "KEY_EXPIRED"},
      {"a revoked key", bearer(revoked.secret), false, "KEY_REVOKED"},
      {"an unknown certificate", {{rpc::kCertificateNameKey, "x.internal"}}, true, "KEY_UNKNOWN"},
      {"a certificate's name from afar", {{rpc::kCertificateNameKey, "admin.internal"}}, false, "NO_IDENTITY"},
  };
  std::map<Scope, std::string> secrets, names;
  for (const Scope scope : domain::kScopes) {
    const std::string name(domain::Name(scope));
    secrets[scope] = keys.Make("c-" + name, {name}).secret;
    names[scope] = name + ".internal";
    keys.Make("c-" + name, {name}, {}, absl::InfiniteFuture(), names[scope]);
  }

  for (const auto& [method, wanted] : RulesInDocs()) {
    for (const Nobody& nobody : nobodies) {
      const absl::Status refused = services.Call(method, nobody.headers, nobody.within);
      EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated) << method << ", " << nobody.what << ": " << refused;
      EXPECT_EQ(ReasonOf(refused), nobody.reason) << method << ", " << nobody.what;
    }
    for (const Scope given : domain::kScopes) {
      for (const bool by_certificate : {false, true}) {
        const absl::Status status =
            by_certificate ? services.Call(method, {{rpc::kCertificateNameKey, names[given]}}, /*within=*/true)
                           : services.Call(method, bearer(secrets[given]));
        const bool has = domain::Scopes{given}.Has(wanted);
        EXPECT_EQ(ReasonOf(status), has ? "MALFORMED_REQUEST" : "SCOPE_MISSING")
            << method << " with " << domain::Name(given) << ": " << status;
        if (!has) {
          EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
        }
      }
    }
    EXPECT_EQ(ReasonOf(services.Call(method, bearer(keys.admin_secret))), "MALFORMED_REQUEST") << method;
  }
}

TEST(AccessRules, OpenLetsInAllButToKeys) {
  const access::Gate open;
  AllServices services(&open);
  for (const auto& [method, wanted] : RulesInDocs()) {
    EXPECT_EQ(ReasonOf(services.Call(method, {})), wanted == Scope::kAdmin ? "NO_IDENTITY" : "MALFORMED_REQUEST")
        << method;
  }
}

}  // namespace
}  // namespace waybill
