// Clients that create orders without a pause, whatever breaks under them.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "tests/e2e/stack.h"

namespace waybill::testing {

// Each client creates an order, repeats the call under its key until it gets a definite answer, completes the order if
// it was confirmed, and goes on with the next. Every second order has a pickup point.
class Load {
 public:
  // `name` begins the keys: of several loads on one database each needs its own.
  Load(OrderReplica& replica, int clients, std::string name = "client");
  ~Load() { Stop(); }

  int64_t confirmed() const { return confirmed_; }
  int64_t turned_back() const { return turned_back_; }
  int64_t repeated() const { return repeated_; }  // calls whose answer was not definite
  // The longest time in which no order was confirmed, since the start or the last call of this; one that still lasts
  // counts as well.
  absl::Duration LongestPause();

  // Every client gets the answer to its last order, then ends.
  void Stop();

  // After Stop: what the clients could complain about, asked of the database. An answer that was refused or never came;
  // an order they were told of that is not there exactly once, or that stands otherwise than they were told.
  std::vector<std::string> Complaints(Sql& sql) const;

 private:
  struct Told {
    std::string order_id;
    std::string state;  // as in order_sagas
  };

  void Run(int client);
  void NoteConfirmed();
  // False when no definite answer came in time.
  template <typename Call>
  bool Persist(const std::string& what, Call call);

  OrderReplica& replica_;
  const std::string name_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> confirmed_ = 0, turned_back_ = 0, repeated_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, Told> told_;     // by key; guarded by mutex_
  std::vector<std::string> complaints_;  // guarded by mutex_
  absl::Time last_confirmed_;            // guarded by mutex_
  absl::Duration longest_pause_;         // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace waybill::testing
