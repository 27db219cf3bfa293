// Load on waybill.ledger.v1.LedgerService: accounts with money, and CreateTransfers between them in a closed loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bench/histogram.h"
#include "bench/open_loop.h"
#include "bench/pacer.h"

namespace waybill::bench {

inline constexpr char kLedgerCurrency[] = "EUR";
inline constexpr int64_t kLedgerFunds = 1'000'000'000'000;  // minor units that each account begins with

struct LedgerLoadOptions {
  std::string target;         // host:port
  std::string run;            // prefix of the transfers' ids: others for each load of a database
  int callers = 256;          // calls in flight
  int batch = 1;              // transfers of a call
  int64_t accounts = 10'000;  // at least 2; numbered from 0, opened by OpenAccounts
  double hot = 0;             // share of the transfers that credit account 0; the others go between any two
  absl::Duration warm_up = absl::ZeroDuration();
  absl::Duration duration = absl::Seconds(10);  // of the measured window, which follows the warm-up
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration call_deadline = absl::Seconds(30);
};

struct LedgerLoadResult {
  // What became of all transfers, warm-up and drain included: the result's name ("CREATED"), or the call's code.
  std::map<std::string, int64_t> outcomes;
  int64_t created() const;
  int64_t calls = 0;

  // The measured window: calls answered in it, and their transfers that were created.
  Histogram latency;
  int64_t transfers = 0;
  absl::Duration window = absl::ZeroDuration();
  double PerSecond() const { return static_cast<double>(transfers) / absl::ToDoubleSeconds(window); }

  // Another round of the same load: its calls and its window come to these.
  void Merge(const LedgerLoadResult& round);
};

// "a-17".
std::string LedgerAccount(int64_t number);
// Opens accounts 0 to `accounts` - 1, which cannot be overdrawn, and gives each kLedgerFunds from one that can. Answers
// the first error, of a call or of a single account or transfer.
absl::Status OpenAccounts(const std::string& target, int64_t accounts);
// How many transfers that takes.
inline int64_t FundingTransfers(int64_t accounts) { return accounts; }

// Reads of balances, in an open loop.
struct BalanceLoadOptions {
  std::string target;         // host:port
  int64_t accounts = 10'000;  // read in turn
  bool from_cache = true;  // each answer has to come from the cache, however long it was there; else none need say so
  OpenLoopOptions loop;
};
QueryResult AskBalances(const BalanceLoadOptions& options, Timer& timer);
// Each once, so that the cache holds them; the first error.
absl::Status ReadBalances(const std::string& target, int64_t accounts);

class LedgerLoad {
 public:
  struct Hooks {
    std::function<void()> window_starts = [] {};
    std::function<void()> window_ends = [] {};  // load is still on
    // About once a second: transfers created so far.
    std::function<void(absl::Duration elapsed, int64_t created)> progress = [](absl::Duration, int64_t) {};
  };

  LedgerLoad(LedgerLoadOptions options, Timer& timer) : options_(std::move(options)), timer_(timer) {}

  // Blocks until the window is over and every call has ended (its deadline bounds that). Once an object. Hooks run on
  // the calling thread.
  LedgerLoadResult Run(const Hooks& hooks);

 private:
  class Worker;

  const LedgerLoadOptions options_;
  Timer& timer_;
  std::atomic<bool> stopped_{false};
  std::atomic<int64_t> created_{0};
};

}  // namespace waybill::bench
