// Today's binaries on what an earlier build left behind: orders in every state that it could write, and the books of
// the gateway and dispatcher that it spoke to. data/*.sql say how they were made.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "storage/redis/redis_fleet.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

constexpr absl::Duration kRollMax = absl::Seconds(60);

struct OldBuild {
  const char* name;
  const char* file;
  bool remote_dispatch;
  std::set<std::string> stages;  // every one that it could write: state, step, attempt, and "!" for needs_attention
};

void PrintTo(const OldBuild& build, std::ostream* out) { *out << build.name; }

// Of the old build's orders, by their keys. All others that it had begun succeed, and all that it was undoing are
// refunded.
const std::set<std::string> kTurnedBackByThen = {
    "killed-charge.after_receive-declined",  // the gateway had declined it, which was not booked
    "killed-assign.after_pick-none",         // the same of the dispatcher, who had nobody
};
const std::set<std::string> kNeverCharged = {"declined", "never-charged", "undo-of-nothing",
                                             "killed-charge.after_receive-declined"};

// What the old build knew of: without the columns that were added since.
constexpr char kOldRows[] =
    "SELECT 'saga ' || (to_jsonb(s) - '{write_id,waits_for,wakes_at,version,branches,due_at,payer}'::text[])::text "
    "FROM order_sagas s WHERE idempotency_key = ANY($1::text[]) "
    "UNION ALL SELECT 'payment ' || (to_jsonb(p) - '{parts,parts_minor,summed}'::text[])::text FROM payments p "
    "JOIN order_sagas s USING (order_id) WHERE idempotency_key = ANY($1::text[]) "
    "UNION ALL SELECT 'driver ' || (to_jsonb(a) - '{crowded,off_duty}'::text[])::text FROM order_assignments a "
    "JOIN order_sagas s USING (order_id) WHERE idempotency_key = ANY($1::text[]) "
    "UNION ALL SELECT 'log ' || to_jsonb(l)::text FROM order_saga_steps l JOIN order_sagas s USING (order_id) "
    "WHERE idempotency_key = ANY($1::text[]) ORDER BY 1";
constexpr char kOldLog[] = "SELECT to_jsonb(l)::text FROM order_saga_steps l ORDER BY order_id, seq";

class EarlierBuild : public ::testing::TestWithParam<OldBuild> {
 protected:
  struct Before {
    std::string order_id, state;
  };

  void SetUp() override {
    Load();
    StartSandbox();
    // Under the name of an old process, and under a new one: both migrate, and take orders up beside each other.
    namesake_ = NewReplica("old-own");
    other_ = NewReplica("new");
    if (!GetParam().remote_dispatch) PutFleet();
  }

  void Load() {
    std::ifstream in(std::string(WAYBILL_E2E_SOURCES) + "/data/" + GetParam().file);
    ASSERT_TRUE(in.good());
    std::ofstream books(directory_.path() / "books");
    constexpr std::string_view kBooks = "-- books: ";
    std::string dump;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with(kBooks)) {
        books << line.substr(kBooks.size()) << '\n';
      } else {
        dump += line + '\n';
      }
    }
    books.close();
    sql_.Exec(dump);
    // The leases in the dump are of the time when it was made; their processes died long ago.
    sql_.Exec("UPDATE order_sagas SET lease_until = now() - interval '1 hour' WHERE lease_until IS NOT NULL");
    std::string finished;
    for (const auto& row : sql_.Rows("SELECT idempotency_key, order_id, state FROM order_sagas")) {
      before_[row[0]] = {row[1], row[2]};
      const bool is_finished = row[2] != "running" && row[2] != "compensating";
      if (is_finished) finished += (finished.empty() ? "" : ",") + row[0];
    }
    finished_ = "{" + finished + "}";
    finished_rows_ = sql_.Rows(kOldRows, {finished_});
    log_ = sql_.Rows(kOldLog);
  }

  // Some are held by processes that died a moment ago. Of one the name comes back; the others' end by themselves.
  void LeaseSome() {
    leases_ = sql_.Rows(
        "UPDATE order_sagas SET lease_until = now() + CASE WHEN idempotency_key LIKE '%-own' THEN interval '50 s' "
        "ELSE interval '1500 ms' END WHERE idempotency_key LIKE '%-own' OR idempotency_key LIKE '%-leased' "
        "RETURNING order_id, lease_until, idempotency_key LIKE '%-own'");
  }

  // The sandbox has its books from the old build's: each charge, refund, driver and refusal stands under its key, and
  // asking again for what was done is answered with what was done. So whatever the service does twice, or forgets,
  // shows.
  void StartSandbox() {
    const std::string ports = directory_.path() / "sandbox.ports";
    ProcessOptions options;
    options.args = {"--listen",    "127.0.0.1:0", "--side-listen", "127.0.0.1:0", "--log", directory_.path() / "books",
                    "--port-file", ports};
    auto started = Process::Start(WAYBILL_SANDBOX_BINARY, options);
    ASSERT_TRUE(started.ok()) << started.status();
    sandbox_ = *std::move(started);
    ASSERT_TRUE(Eventually(kRollMax, [&] { return ReadPortFile(ports).contains("grpc"); })) << sandbox_->Output();
    sandbox_port_ = ReadPortFile(ports)["grpc"];
  }

  std::unique_ptr<OrderReplica> NewReplica(const std::string& instance) {
    const std::filesystem::path directory = directory_.path() / instance;
    std::filesystem::create_directory(directory);
    const std::string sandbox = fmt::format("grpc://127.0.0.1:{}", sandbox_port_);
    const std::vector<std::string> args = {
        "--instance",    instance,      "--database-url",
        database_.url(), "--redis-url", redis_.url(),
        "--migrate",     "--lease",     "20s",
        "--backoff",     "20ms",        "--payment-gateway",
        sandbox,         "--dispatch",  GetParam().remote_dispatch ? sandbox : "builtin"};
    return std::make_unique<OrderReplica>(WAYBILL_ORDER_BINARY, args, directory);
  }

  void PutFleet() {
    auto url = storage::RedisUrl::Parse(redis_.url());
    ASSERT_TRUE(url.ok()) << url.status();
    std::vector<domain::DriverPosition> positions;
    for (int i = 1; i <= 60; ++i) {  // among them all who have an order already
      domain::DriverPosition position;
      position.driver_id = fmt::format("driver-{}", i);
      position.point = {52.52 + 0.0001 * i, 13.40};
      position.recorded_at = absl::Now();
      positions.push_back(position);
    }
    const absl::Status put = storage::RedisFleet(*url, {}, ThreadLoops()).Put(positions, absl::Hours(1));
    ASSERT_TRUE(put.ok()) << put;
  }

  void StartBothAndSettle() {
    namesake_->StartWithoutWaiting({});
    other_->Start();
    ASSERT_TRUE(namesake_->WaitForPorts()) << namesake_->process().Output();
    EXPECT_TRUE(Eventually(kRollMax, [&] { return Unsettled().empty(); })) << fmt::format("{}", Unsettled().size());
  }

  // Keys of those that are not; all of them before the first replica has migrated.
  std::vector<std::string> Unsettled() {
    std::vector<std::string> keys;
    for (const auto& row : sql_.Rows("SELECT idempotency_key FROM order_sagas WHERE lease_until IS NOT NULL OR "
                                     "to_jsonb(order_sagas) ->> 'wakes_at' IS NOT NULL OR needs_attention")) {
      keys.push_back(row[0]);
    }
    return keys;
  }

  sandbox::v1::Books::Entry Entry(const std::string& key) {
    sandbox::v1::Books books;
    auto context = Deadline(absl::Seconds(30));
    const grpc::Status status =
        sandbox::v1::SandboxAdmin::NewStub(ConnectTo(sandbox_port_))->GetBooks(context.get(), {}, &books);
    EXPECT_TRUE(status.ok()) << status.error_message();
    for (const auto& entry : books.entries()) {
      if (entry.idempotency_key() == key) return entry;
    }
    return {};
  }
  // The whole of an order, ours and theirs, in one line.
  std::string Fate(const std::string& order_id) {
    const auto rows = sql_.Rows(
        "SELECT s.state, count(p.order_id), coalesce(sum(p.amount_minor) = min(s.amount_minor), false), "
        "count(p.refund_minor), coalesce(sum(p.refund_minor) = min(s.amount_minor), false), "
        "count(a.order_id) FILTER (WHERE a.released_at IS NULL), "
        "min(a.driver_id) FILTER (WHERE a.released_at IS NULL), "
        "s.amount_minor FROM order_sagas s LEFT JOIN payments p USING (order_id) "
        "LEFT JOIN order_assignments a USING (order_id) WHERE order_id = $1 GROUP BY s.order_id",
        {order_id});
    if (rows.size() != 1) return "is not there";
    const auto& row = rows[0];
    const sandbox::v1::Books::Entry gateway = Entry(order_id + "/charge_payment");
    const int64_t amount = std::atoll(row[7].c_str());
    std::string fate = row[0] + fmt::format(": charged {}, refunded {}", gateway.charges(), gateway.refunds());
    if (gateway.charged_minor() != gateway.charges() * amount ||
        gateway.refunded_minor() != gateway.refunds() * amount) {
      fate += ", of another amount";
    }
    if (row[1] != std::to_string(gateway.charges()) || (row[1] != "0") != (row[2] == "t")) fate += ", booked otherwise";
    if (row[3] != std::to_string(gateway.refunds()) || (row[3] != "0") != (row[4] == "t"))
      fate += ", refund booked otherwise";
    fate += fmt::format(", drivers {}", row[5]);
    if (GetParam().remote_dispatch) {
      const std::string theirs = Entry(order_id + "/assign_driver").driver_id();
      if (theirs != (row[6] == "NULL" ? "" : row[6])) fate += ", the dispatcher says " + theirs;
    }
    return fate;
  }

  static std::string FateThatIsRight(const std::string& key, const std::string& state_before) {
    if (state_before == "closed") return "closed: charged 1, refunded 0, drivers 0";
    if (state_before == "resolved") return "resolved: charged 1, refunded 0, drivers 0";
    const bool turned_back = state_before.starts_with("compensat") || kTurnedBackByThen.contains(key);
    if (!turned_back) return "succeeded: charged 1, refunded 0, drivers 1";
    if (kNeverCharged.contains(key)) return "compensated: charged 0, refunded 0, drivers 0";
    return "compensated: charged 1, refunded 1, drivers 0";
  }

  void ExpectWholeLogs() {
    EXPECT_EQ(sql_.Rows("SELECT order_id FROM order_sagas s WHERE (SELECT array_agg(seq ORDER BY seq) FROM "
                        "order_saga_steps l WHERE l.order_id = s.order_id) IS DISTINCT FROM "
                        "(SELECT array_agg(n) FROM generate_series(1, s.seq) n)"),
              std::vector<std::vector<std::string>>());
  }

  TestDatabase database_;
  TestRedis redis_;
  TempDirectory directory_;
  Sql sql_{database_.url()};
  std::unique_ptr<Process> sandbox_;
  int sandbox_port_ = 0;
  std::unique_ptr<OrderReplica> namesake_, other_;

  std::map<std::string, Before> before_;  // by idempotency key
  std::string finished_;                  // their keys, as an array of SQL
  std::vector<std::vector<std::string>> finished_rows_, log_, leases_;
};

TEST_P(EarlierBuild, WhatItLeftIsMigratedAndSettled) {
  std::set<std::string> stages;
  for (const auto& row :
       sql_.Rows("SELECT DISTINCT CASE WHEN lease_until IS NULL THEN state::text ELSE concat(state, ' ', step, "
                 "CASE WHEN attempt > 1 THEN ' again' END, CASE WHEN needs_attention THEN ' !' END) END "
                 "FROM order_sagas")) {
    stages.insert(row[0]);
  }
  ASSERT_EQ(stages, GetParam().stages);
  LeaseSome();
  ASSERT_GE(leases_.size(), 3u);

  StartBothAndSettle();

  for (const auto& [key, before] : before_) {
    EXPECT_EQ(Fate(before.order_id), FateThatIsRight(key, before.state)) << key << ", which was " << before.state;
  }
  EXPECT_EQ(sql_.Value("SELECT count(*) FROM order_sagas"), std::to_string(before_.size()));
  EXPECT_EQ(sql_.Rows("SELECT driver_id, slot FROM order_assignments WHERE released_at IS NULL "
                      "GROUP BY 1, 2 HAVING count(*) > 1"),
            std::vector<std::vector<std::string>>());
  ExpectWholeLogs();

  EXPECT_EQ(sql_.Rows(kOldRows, {finished_}), finished_rows_) << "what was finished was changed";
  const auto log = sql_.Rows(kOldLog);
  const std::set<std::vector<std::string>> now(log.begin(), log.end());
  for (const auto& line : log_) EXPECT_TRUE(now.contains(line)) << "changed in the log: " << line[0];

  // Only who has the name of the dead process may be quicker than its lease.
  for (const auto& lease : leases_) {
    EXPECT_EQ(sql_.Value("SELECT min(at) < $2::timestamptz FROM order_saga_steps WHERE order_id = $1 AND outcome = "
                         "'recovered'",
                         {lease[0], lease[1]}),
              lease[2])
        << lease[0];
  }
}

TEST_P(EarlierBuild, ItsClientsGoOn) {
  StartBothAndSettle();

  // The same request under the same key is the same order: the fingerprints of both builds agree.
  for (const auto& [key, before] : before_) {
    order::v1::GetOrderRequest get;
    get.set_order_id(before.order_id);
    order::v1::Order order, again;
    grpc::Status status = other_->Orders()->GetOrder(Deadline(absl::Seconds(20)).get(), get, &order);
    ASSERT_TRUE(status.ok()) << key << ": " << status.error_message();
    EXPECT_EQ(order.transitions(order.transitions_size() - 1).sequence(), order.transitions_size() - 1) << key;
    order::v1::CreateOrderRequest create;
    create.set_idempotency_key(key);
    create.set_user_id(order.user_id());
    *create.mutable_amount() = order.amount();
    if (order.has_pickup()) *create.mutable_pickup() = order.pickup();
    *create.mutable_metadata() = order.metadata();
    status = other_->Orders()->CreateOrder(Deadline(absl::Seconds(20)).get(), create, &again);
    ASSERT_TRUE(status.ok()) << key << ": " << status.error_message();
    EXPECT_EQ(again.order_id(), before.order_id) << key;
    EXPECT_EQ(again.status(), order.status()) << key;
  }

  order::v1::Order order;
  order::v1::CancelOrderRequest cancel;
  cancel.set_order_id(before_["succeeded-to-cancel"].order_id);
  grpc::Status status = other_->Orders()->CancelOrder(Deadline(absl::Seconds(20)).get(), cancel, &order);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Fate(cancel.order_id()), "compensated: charged 1, refunded 1, drivers 0");
  order::v1::CompleteOrderRequest complete;
  complete.set_order_id(before_["succeeded-to-complete"].order_id);
  status = namesake_->Orders()->CompleteOrder(Deadline(absl::Seconds(20)).get(), complete, &order);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(Eventually(kRollMax, [&] { return Unsettled().empty(); }));  // the dispatcher is told after that
  EXPECT_EQ(Fate(complete.order_id()), "closed: charged 1, refunded 0, drivers 0");
  EXPECT_EQ(sql_.Value("SELECT count(*) FROM order_sagas"), std::to_string(before_.size()));
  ExpectWholeLogs();
}

INSTANTIATE_TEST_SUITE_P(
    Rolling, EarlierBuild,
    ::testing::Values(
        OldBuild{"remote_dispatch",
                 "written_by_b33b7f4.sql",
                 true,
                 {"running 0", "running 0 again", "running 1", "running 1 again", "compensating 0",
                  "compensating 0 again", "compensating 0 again !", "compensating 1", "compensating 1 again",
                  "compensating 1 again !", "succeeded", "closed", "compensated", "resolved"}},
        // It commits a claim together with the charge, and a release together with what follows it, so of those stages
        // only that of a fleet which nobody can see is ever written.
        OldBuild{"builtin_dispatch",
                 "written_by_b33b7f4_builtin_dispatch.sql",
                 false,
                 {"running 0", "running 0 again", "running 1 again", "compensating 0", "compensating 0 again",
                  "compensating 0 again !", "succeeded", "closed", "compensated", "resolved"}}),
    [](const auto& build) { return build.param.name; });

}  // namespace
}  // namespace waybill::testing
