#include "tests/e2e/under_load.h"

#include <iostream>
#include <utility>

#include "fmt/format.h"
#include "tests/support/eventually.h"

namespace waybill::testing {

void UnderLoad::StartUnderLoad(StackOptions options) {
  options.order_args.insert(options.order_args.end(), {"--undo-backoff-max", "200ms"});
  stack_.emplace(std::move(options));
  replica_ = &stack_->AddReplica("a");
  replica_->Start();
  stack_->PutDrivers(kDrivers);
  sandbox::v1::Behaviour behaviour;
  behaviour.set_latency_ms_p50(15);
  behaviour.set_latency_ms_p99(60);
  stack_->SetBehaviour(behaviour);
  load_.emplace(*replica_, kClients);
  ExpectWork();
}

void UnderLoad::ExpectWork(absl::Duration within) {
  const int64_t before = load_->confirmed();
  EXPECT_TRUE(Eventually(within, [&] { return load_->confirmed() >= before + 5 * kClients; }))
      << load_->confirmed() - before << " orders " << Log();
}

void UnderLoad::ExpectReady() {
  EXPECT_TRUE(Eventually(kLongEnough, [&] {
    const std::string answer = replica_->Http("/readyz");
    return answer.find(" 200 ") != std::string::npos && answer.find("degraded") == std::string::npos;
  })) << replica_->Http("/readyz?verbose");
}

void UnderLoad::ExpectNotReadyFor(const std::string& dependency) {
  std::string answer;
  EXPECT_TRUE(Eventually(kLongEnough, [&] {
    answer = replica_->Http("/readyz");
    return answer.find(" 503 ") != std::string::npos && answer.find(dependency) != std::string::npos;
  })) << answer;
  EXPECT_NE(replica_->Http("/livez").find(" 200 "), std::string::npos);
}

void UnderLoad::ExpectDegradedBy(const std::string& dependency) {
  std::string answer;
  EXPECT_TRUE(Eventually(kLongEnough, [&] {
    answer = replica_->Http("/readyz");
    return answer.find(" 200 ") != std::string::npos && answer.find("degraded: " + dependency) != std::string::npos;
  })) << answer;
}

void UnderLoad::ExpectNothingLost() {
  load_->Stop();
  EXPECT_TRUE(stack_->WaitUntilAllSettled(kLongEnough)) << stack_->Unfinished() << " unfinished " << Log();
  EXPECT_EQ(load_->Complaints(stack_->sql()), std::vector<std::string>());
  EXPECT_EQ(stack_->WrongInTheBooks(), std::vector<std::string>());
  EXPECT_EQ(stack_->sql().Value("SELECT count(*) FROM order_assignments WHERE released_at IS NULL"), "0");
  EXPECT_EQ(replica_->Stop(), 0);
}

void UnderLoad::Print(const std::string& what, absl::Duration took) {
  std::cout << fmt::format("[ MEASURED ] {}: {:.2f} s", what, absl::ToDoubleSeconds(took)) << std::endl;
}

}  // namespace waybill::testing
