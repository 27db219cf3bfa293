// Debian's Prometheus and Alertmanager beside running services, with the rules and dashboards of deploy/: every query
// finds something, and an alert comes with its cause and goes with it.
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/crash_story.h"
#include "tests/e2e/fleet_client.h"
#include "tests/e2e/ingest_stack.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"
#include "waybill/ledger/v1/ledger.grpc.pb.h"

namespace waybill::testing {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Optional;

constexpr absl::Duration kAlertWait = absl::Seconds(40);

std::string ReadDeployed(const std::string& name) {
  std::ifstream file(WAYBILL_SOURCE_DIR "/deploy/" + name);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string Replaced(const std::string& text, const std::string& pattern, const std::string& by) {
  const std::string replaced = std::regex_replace(text, std::regex(pattern), by);
  EXPECT_NE(replaced, text) << pattern;
  return replaced;
}

std::string PercentEncoded(const std::string& text) {
  std::string encoded;
  for (const unsigned char c : text) encoded += std::isalnum(c) ? std::string(1, char(c)) : fmt::format("%{:02X}", c);
  return encoded;
}

// The data of an API's answer; null while it does not answer.
json GetJson(int port, const std::string& path) {
  const std::string answer = HttpGet(port, path);
  const size_t body = answer.find("\r\n\r\n");
  if (body == std::string::npos) return nullptr;
  return json::parse(answer.substr(body + 4), nullptr, /*allow_exceptions=*/false);
}

// Prometheus with deploy/'s configuration and rules, scraping these services, and an Alertmanager that it tells.
class Monitoring {
 public:
  // `hurried`: what rules wait and look back is seconds instead of minutes.
  Monitoring(const ServiceProcess& order, const ServiceProcess& ingest, const ServiceProcess& ledger,
             const ServiceProcess& realtime, bool hurried) {
    std::string rules = ReadDeployed("alerts.yml");
    std::string config = ReadDeployed("prometheus.yml");
    if (hurried) {
      rules = Replaced(Replaced(rules, "for: [0-9]+m", "for: 1s"), "\\[[0-9]+[mh]\\]", "[5s]");
    }
    config = Replaced(config, "(scrape|evaluation)_interval: 15s", "$1_interval: 500ms");
    config = Replaced(config, "scrape_timeout: 10s", "scrape_timeout: 500ms");
    config = Replaced(config, "waybill-order:[0-9]+", fmt::format("127.0.0.1:{}", order.side_port()));
    config = Replaced(config, "waybill-ingest:[0-9]+", fmt::format("127.0.0.1:{}", ingest.side_port()));
    config = Replaced(config, "waybill-ledger:[0-9]+", fmt::format("127.0.0.1:{}", ledger.side_port()));
    config = Replaced(config, "waybill-realtime:[0-9]+", fmt::format("127.0.0.1:{}", realtime.side_port()));
    config += fmt::format("alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"127.0.0.1:{}\"]}}]}}]}}\n",
                          alertmanager_port_);
    Write("alerts.yml", rules);
    Write("prometheus.yml", config);
    Write("alertmanager.yml", "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n");
    Start(prometheus_, "prometheus",
          {"--config.file=" + Path("prometheus.yml"), "--storage.tsdb.path=" + Path("series"), "--log.level=warn",
           fmt::format("--web.listen-address=127.0.0.1:{}", prometheus_port_)});
    Start(alertmanager_, "prometheus-alertmanager",
          {"--config.file=" + Path("alertmanager.yml"), "--storage.path=" + Path("silences"), "--log.level=warn",
           "--cluster.listen-address=", fmt::format("--web.listen-address=127.0.0.1:{}", alertmanager_port_)});
  }

  // Each rule's expression by its alert.
  std::map<std::string, std::string> Rules() const {
    std::map<std::string, std::string> rules;
    const json answer = GetJson(prometheus_port_, "/api/v1/rules");
    if (!answer.is_object()) return rules;
    for (const json& group : answer["data"]["groups"]) {
      for (const json& rule : group["rules"]) rules[rule["name"]] = rule["query"];
    }
    return rules;
  }

  // Whether it has an answer that is a number, and not NaN.
  bool HasData(const std::string& query) const {
    const json answer = GetJson(prometheus_port_, "/api/v1/query?query=" + PercentEncoded(query));
    if (!answer.is_object() || answer.value("status", "") != "success") return false;
    if (answer["data"].value("resultType", "") == "scalar") return true;
    for (const json& series : answer["data"]["result"]) {
      if (series["value"][1] != "NaN") return true;
    }
    return false;
  }

  // "WaybillDown waybill-ingest": what the Alertmanager would tell somebody now. Nothing while it does not answer.
  std::optional<std::set<std::string>> Active() const {
    const json alerts = GetJson(alertmanager_port_, "/api/v2/alerts?active=true");
    if (!alerts.is_array()) return std::nullopt;
    std::set<std::string> active;
    for (const json& alert : alerts) {
      active.insert(fmt::format("{} {}", alert["labels"].value("alertname", ""), alert["labels"].value("job", "")));
    }
    return active;
  }
  void ExpectFires(const std::string& alert) const { Expect(alert, true); }
  void ExpectEnds(const std::string& alert) const { Expect(alert, false); }

  std::string Path(const std::string& name) const { return folder_.path() / name; }

 private:
  void Expect(const std::string& alert, bool fires) const {
    EXPECT_TRUE(Eventually(kAlertWait,
                           [&] {
                             const auto active = Active();
                             return active && active->contains(alert) == fires;
                           }))
        << alert << (fires ? " does not fire" : " does not end")
        << "; active: " << fmt::format("{}", fmt::join(Active().value_or(std::set<std::string>{"no answer"}), ", "))
        << "\n"
        << prometheus_->Output() << alertmanager_->Output();
  }
  void Write(const std::string& name, const std::string& text) { std::ofstream(Path(name)) << text; }

  static void Start(std::unique_ptr<Process>& process, const std::string& program, std::vector<std::string> args) {
    auto started = Process::Start("/usr/bin/" + program, {.args = std::move(args)});
    ASSERT_TRUE(started.ok()) << "Debian's package " << program << " is needed: " << started.status();
    process = *std::move(started);
  }

  TempDirectory folder_;
  const int prometheus_port_ = FreePort(), alertmanager_port_ = FreePort();
  std::unique_ptr<Process> prometheus_, alertmanager_;
};

class MonitoringTest : public ::testing::Test {
 protected:
  // `all`: with everything that a file is needed for.
  void Start(PostgresServer* postgres = nullptr, RedisServer* redis = nullptr, bool all = false) {
    StackOptions options;
    options.order_args = StoryArgs();
    const std::string gateways = folder_.path() / "gateways.toml", hooks = folder_.path() / "hooks.toml";
    if (all) {
      options.order_args.insert(options.order_args.end(),
                                {"--gateways-file", gateways, "--gateway-webhooks-file", hooks});
    }
    options.postgres = postgres;
    options.redis = redis;
    stack_.emplace(options);
    std::ofstream(gateways) << fmt::format("[[gateway]]\nname = \"north\"\naddress = \"grpc://127.0.0.1:{}\"\n",
                                           stack_->sandbox_port());
    std::ofstream(hooks) << "[[gateway]]\nname = \"north\"\nscheme = \"standard\"\n"
                            "secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n";
    order_ = &stack_->AddReplica("a");
    order_->Start();
    ingest_stack_.emplace(
        IngestStackOptions{.args = {}, .database_url = stack_->database_url(), .redis_url = stack_->redis_url()});
    ingest_ = &ingest_stack_->AddReplica("i");
    ingest_->Start();
    const std::string directory = folder_.path() / "ledger";
    std::filesystem::create_directory(directory);
    std::vector<std::string> ledger_args = {"--database-url", stack_->database_url(), "--redis-url",
                                            stack_->redis_url(), "--migrate"};
    // Its metrics are there, whether RabbitMQ is or not.
    if (all) ledger_args.insert(ledger_args.end(), {"--amqp-url", "amqp://127.0.0.1:1/"});
    ledger_.emplace(WAYBILL_LEDGER_BINARY, ledger_args, directory);
    ledger_->Start();
    const std::string keys = folder_.path() / "keys.toml", realtime_directory = folder_.path() / "realtime";
    std::ofstream(keys) << "[[key]]\nid = \"e2e\"\nalgorithm = \"HS256\"\n"
                           "secret = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"\n";
    std::filesystem::create_directories(realtime_directory);
    realtime_.emplace(WAYBILL_REALTIME_BINARY,
                      std::vector<std::string>{"--database-url", stack_->database_url(), "--token-keys-file", keys},
                      realtime_directory);
    realtime_->Start();
  }

  // Whatever becomes of it.
  void Create(const std::string& key) {
    order::v1::Order response;
    auto context = Deadline(absl::Seconds(10));
    const grpc::Status status = order_->Orders()->CreateOrder(context.get(), OrderRequestFor(key), &response);
    EXPECT_NE(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  }
  void AskForDriver() {
    location::v1::GetDriverRequest request;
    request.set_driver_id("driver-0-0");
    location::v1::DriverLocation response;
    auto context = Deadline(absl::Seconds(10));
    static_cast<void>(ingest_->Locations()->GetDriver(context.get(), request, &response));
  }
  void Transfer(const std::string& id) {
    const auto stub = ledger::v1::LedgerService::NewStub(ledger_->Channel());
    ledger::v1::CreditRequest request;
    request.set_transfer_id(id);
    request.set_account_id("wallet");
    request.set_amount_minor(1);
    request.set_currency("EUR");
    ledger::v1::NewAccount wallet;
    wallet.set_account_id("wallet");
    wallet.set_currency("EUR");
    wallet.set_kind("wallet");
    wallet.set_code(1);
    ledger::v1::Account account;
    ledger::v1::Posting response;
    EXPECT_TRUE(stub->CreateAccount(Deadline(absl::Seconds(10)).get(), wallet, &account).ok());
    EXPECT_TRUE(stub->Credit(Deadline(absl::Seconds(10)).get(), request, &response).ok());
  }
  void Misbehave(const std::function<void(sandbox::v1::Behaviour&)>& how) {
    sandbox::v1::Behaviour behaviour;
    how(behaviour);
    stack_->SetBehaviour(behaviour);
  }

  TempDirectory folder_;
  std::optional<Stack> stack_;
  std::optional<IngestStack> ingest_stack_;
  OrderReplica* order_ = nullptr;
  IngestReplica* ingest_ = nullptr;
  std::optional<ServiceProcess> ledger_, realtime_;
};

// What a rule compares: each side of each comparison that is no number.
std::vector<std::string> ComparedBy(const std::string& rule) {
  static const std::regex between(" (and|or|unless)( on \\([^)]*\\))? | (==|!=|>=|<=|>|<) "), number("[0-9.]+");
  std::vector<std::string> sides;
  for (std::sregex_token_iterator side(rule.begin(), rule.end(), between, -1), end; side != end; ++side) {
    if (!std::regex_match(side->str(), number)) sides.push_back(*side);
  }
  return sides;
}

std::map<std::string, std::string> PanelsOf(const std::string& service) {
  std::map<std::string, std::string> queries;
  const json dashboard = json::parse(ReadDeployed(fmt::format("grafana/waybill-{}.json", service)));
  for (const json& panel : dashboard["panels"]) {
    for (const json& target : panel.value("targets", json::array())) {
      std::string query = target["expr"];
      for (const auto& [variable, value] : std::map<std::string, std::string>{
               {"\\$job", "waybill-" + service}, {"\\$instance", ".*"}, {"\\$__rate_interval", "1m"}}) {
        query = std::regex_replace(query, std::regex(variable), value);
      }
      queries[fmt::format("{}, {} ({})", service, std::string(panel["title"]), target.value("refId", ""))] = query;
    }
  }
  return queries;
}

TEST_F(MonitoringTest, EveryQueryOfRulesAndDashboardsFindsSomething) {
  Start(nullptr, nullptr, /*all=*/true);
  stack_->sql().Exec(
      "INSERT INTO reconciliation_cases (gateway, kind, about, reference, currency, settlement_id) "
      "VALUES ('north', 'missing_here', 'charge', 'ch_1', 'EUR', 1)");
  stack_->PutDrivers(20);
  const Monitoring monitoring(*order_, *ingest_, *ledger_, *realtime_, /*hurried=*/false);
  ASSERT_TRUE(Eventually(kAlertWait, [&] { return !monitoring.Rules().empty(); }));
  std::map<std::string, std::string> missing = PanelsOf("order");
  missing.merge(PanelsOf("ingest"));
  missing.merge(PanelsOf("ledger"));
  missing.merge(PanelsOf("realtime"));
  const size_t panels = missing.size();
  for (const auto& [alert, query] : monitoring.Rules()) {
    for (const std::string& side : ComparedBy(query)) missing[fmt::format("alert {}: {}", alert, side)] = side;
  }
  // Without TLS there are no certificates; tls_e2etest has these metrics.
  std::erase_if(missing,
                [](const auto& query) { return query.second.find("waybill_certificate_") != std::string::npos; });
  EXPECT_GT(panels, 50u);
  EXPECT_GT(missing.size(), panels + 20);

  // Ordinary days: until every query has seen one.
  FleetLoad fleet(*ingest_, {.clients = 1, .batch = 2, .pause = absl::Milliseconds(20)});
  int orders = 0;
  EXPECT_TRUE(Eventually(kAlertWait,
                         [&] {
                           Create(fmt::format("order-{}", ++orders));
                           Transfer(fmt::format("transfer-{}", orders));
                           AskForDriver();
                           std::erase_if(missing, [&](const auto& query) { return monitoring.HasData(query.second); });
                           return missing.empty();
                         }))
      << orders << " orders";
  EXPECT_THAT(missing, IsEmpty());
  EXPECT_TRUE(fleet.Finish(kAlertWait));
}

TEST_F(MonitoringTest, PromtoolHasNothingToSayOfOurMetrics) {
  Start();
  TempDirectory folder;
  for (const ServiceProcess* service :
       {static_cast<ServiceProcess*>(order_), static_cast<ServiceProcess*>(ingest_), &*ledger_, &*realtime_}) {
    const std::string answer = service->Http("/metrics"), file = folder.path() / "metrics";
    std::ofstream(file) << answer.substr(answer.find("\r\n\r\n") + 4);
    auto promtool = Process::Start("/bin/sh", {.args = {"-c", "promtool check metrics <" + file}});
    ASSERT_TRUE(promtool.ok());
    EXPECT_EQ((*promtool)->Wait(kAlertWait), 0);
    EXPECT_EQ((*promtool)->Output(), "");
  }
}

class AlertTest : public MonitoringTest {
 protected:
  AlertTest() {
    Start(postgres_.get(), redis_.get());
    monitoring_.emplace(*order_, *ingest_, *ledger_, *realtime_, /*hurried=*/true);
    EXPECT_TRUE(Eventually(kAlertWait, [&] { return monitoring_->HasData("waybill_ready == 1"); }));
  }
  ~AlertTest() override {
    monitoring_.reset();
    realtime_.reset();
    ledger_.reset();
    ingest_stack_.reset();
    stack_.reset();
  }

  std::unique_ptr<PostgresServer> postgres_ = PostgresServer::Start().value();
  std::unique_ptr<RedisServer> redis_ = RedisServer::Start().value();
  std::optional<Monitoring> monitoring_;
};

TEST_F(AlertTest, AServiceThatIsGone) {
  ingest_->Kill();
  monitoring_->ExpectFires("WaybillDown waybill-ingest");
  EXPECT_THAT(monitoring_->Active(), Optional(Not(Contains("WaybillDown waybill-order"))));
  ingest_->Start();
  monitoring_->ExpectEnds("WaybillDown waybill-ingest");
}

TEST_F(AlertTest, Postgres) {
  postgres_->Stop(PostgresServer::StopMode::kImmediate);
  monitoring_->ExpectFires("WaybillNotReady waybill-order");
  monitoring_->ExpectFires("WaybillNotReady waybill-ingest");
  order::v1::GetOrderRequest request;
  request.set_order_id("01a3185c-6baa-714f-95d4-08cc3a7429bc");
  order::v1::Order response;
  auto context = Deadline(absl::Seconds(10));
  EXPECT_EQ(order_->Orders()->GetOrder(context.get(), request, &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  monitoring_->ExpectFires("WaybillErrorRateHigh waybill-order");
  ASSERT_TRUE(postgres_->StartAgain().ok());
  monitoring_->ExpectEnds("WaybillNotReady waybill-order");
  monitoring_->ExpectEnds("WaybillNotReady waybill-ingest");
  monitoring_->ExpectEnds("WaybillErrorRateHigh waybill-order");
}

// Two connections set what is said of drivers; somebody has locked the table, and goes home.
TEST_F(AlertTest, APoolThatSomethingHolds) {
  Sql other(stack_->database_url());
  other.Exec("BEGIN");
  other.Exec("LOCK TABLE drivers");
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([this] {
      fleet::v1::SetDutyRequest request;
      request.set_driver_id("ann");
      request.set_duty(fleet::v1::OFF_DUTY);
      fleet::v1::Driver response;
      auto context = Deadline(absl::Seconds(20));
      static_cast<void>(order_->Fleet()->SetDuty(context.get(), request, &response));
    });
  }
  monitoring_->ExpectFires("WaybillPoolExhausted waybill-order");
  other.Exec("COMMIT");
  for (std::thread& caller : callers) caller.join();
  monitoring_->ExpectEnds("WaybillPoolExhausted waybill-order");
}

TEST_F(AlertTest, Redis) {
  redis_->Kill();
  monitoring_->ExpectFires("WaybillDegraded waybill-order");
  monitoring_->ExpectFires("WaybillHotViewNotFed waybill-ingest");
  ASSERT_TRUE(redis_->StartAgain().ok());
  monitoring_->ExpectEnds("WaybillDegraded waybill-order");
  monitoring_->ExpectEnds("WaybillHotViewNotFed waybill-ingest");
}

TEST_F(AlertTest, MoneyThatCannotBeGivenBack) {
  Misbehave([](sandbox::v1::Behaviour& behaviour) {
    behaviour.set_unavailable_rate(1);
    behaviour.add_methods("Refund");
  });
  Create("no-driver-is-there");
  monitoring_->ExpectFires("WaybillSagaNeedsAttention waybill-order");
  Misbehave([](sandbox::v1::Behaviour&) {});
  monitoring_->ExpectEnds("WaybillSagaNeedsAttention waybill-order");
}

}  // namespace
}  // namespace waybill::testing
