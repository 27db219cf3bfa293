// HTTP calls over kept connections and what is due at some time, all on the thread that runs the loop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "bench/http_caller.h"
#include "bench/pacer.h"

namespace waybill::bench {

class HttpLoop {
 public:
  struct Answer {
    int code = 0;  // 0: there is none, as nothing listens, the connection ended or the time was over
    std::string body;
    absl::Duration took;  // from the call to the answer's last byte

    bool expected() const { return code >= 200 && code < 400; }
  };
  using Done = std::function<void(const Answer& answer)>;
  using Task = std::function<void()>;

  // One call at a time over one connection, which is made when it is first needed, and again after it ended; further
  // calls wait for their turn, and their time begins with it. Outlives the loop's runs.
  class Caller {
   public:
    Caller(HttpLoop& loop, std::string target) : loop_(loop), target_(std::move(target)) {}  // host:port
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

    // `head`: "POST /payments", and header lines after it, each with "\r\n" before. `done` runs once, in Run.
    void Call(const std::string& head, const std::string& body, absl::Duration timeout, Done done);

   private:
    friend class HttpLoop;
    struct Pending {
      std::string request;
      absl::Duration timeout;
      Done done;
    };
    void Begin();  // the first that is pending
    void Disconnect();
    void Readable();
    void End(int code);

    HttpLoop& loop_;
    const std::string target_;
    std::optional<HttpCaller> http_;
    std::deque<Pending> pending_;  // the first is under way
    absl::Duration began_;
    int64_t calls_ = 0;
  };

  explicit HttpLoop(const Timer& timer);  // which outlives it
  ~HttpLoop();
  HttpLoop(const HttpLoop&) = delete;
  HttpLoop& operator=(const HttpLoop&) = delete;

  absl::Duration Now() const { return timer_.Now(); }
  // Runs it in Run, once `when` has come.
  void At(absl::Duration when, Task task) { tasks_.emplace(when, std::move(task)); }
  // Until `ended` says so, which is asked after all that happens.
  void Run(const std::function<bool()>& ended);

 private:
  const Timer& timer_;
  const int epoll_;
  std::multimap<absl::Duration, Task> tasks_;  // those for the same time in the order they came
};

}  // namespace waybill::bench
