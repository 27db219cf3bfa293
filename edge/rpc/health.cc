#include "edge/rpc/health.h"

#include <utility>
#include <vector>

#include "edge/rpc/queue.h"
#include "fmt/format.h"

namespace waybill::rpc {

void Health::Set(const std::string& service, bool serving) {
  {
    std::lock_guard lock(mutex_);
    serving_[service] = serving;
  }
  PumpAll();
}

void Health::SetAll(bool serving) {
  {
    std::lock_guard lock(mutex_);
    for (auto& [service, value] : serving_) value = serving;
  }
  PumpAll();
}

void Health::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  PumpAll();
}

void Health::Check(UnaryCall<Request, Response>::Ptr call) {
  {
    std::lock_guard lock(mutex_);
    call->response().set_status(StatusOf(call->request().service()));
  }
  if (call->response().status() == Response::SERVICE_UNKNOWN) {
    call->Finish(absl::NotFoundError(fmt::format("unknown service '{}'", call->request().service())));
  } else {
    call->Finish(absl::OkStatus());
  }
}

void Health::Watch(ServerStreamCall<Request, Response>::Ptr call) {
  auto watcher = std::make_shared<Watcher>();
  watcher->service = call->request().service();
  watcher->call = std::move(call);
  {
    std::lock_guard lock(mutex_);
    watchers_.insert(watcher);
  }
  watcher->call->OnCancelled([this, weak = std::weak_ptr<Watcher>(watcher)] {
    if (auto gone = weak.lock()) Remove(gone, absl::CancelledError("the watcher is gone"));
  });
  Pump(watcher);
}

Health::Response::ServingStatus Health::StatusOf(const std::string& service) const {
  auto it = serving_.find(service);
  if (it == serving_.end()) return Response::SERVICE_UNKNOWN;
  return it->second && !stopped_ ? Response::SERVING : Response::NOT_SERVING;
}

void Health::Pump(const std::shared_ptr<Watcher>& watcher) {
  Response response;
  bool end = false;
  {
    std::lock_guard lock(mutex_);
    if (watcher->writing) return;
    response.set_status(StatusOf(watcher->service));
    if (watcher->sent != response.status()) {
      watcher->sent = response.status();
      watcher->writing = true;
    } else if (stopped_) {
      end = true;
    } else {
      return;
    }
  }
  if (end) {
    Remove(watcher, ShuttingDownError());
    return;
  }
  watcher->call->Write(response, [this, watcher](bool ok) {
    {
      std::lock_guard lock(mutex_);
      watcher->writing = false;
    }
    if (ok) {
      Pump(watcher);
    } else {
      Remove(watcher, absl::CancelledError("the watcher is gone"));
    }
  });
}

void Health::PumpAll() {
  std::vector<std::shared_ptr<Watcher>> watchers;
  {
    std::lock_guard lock(mutex_);
    watchers.assign(watchers_.begin(), watchers_.end());
  }
  for (const auto& watcher : watchers) Pump(watcher);
}

void Health::Remove(const std::shared_ptr<Watcher>& watcher, const absl::Status& status) {
  {
    std::lock_guard lock(mutex_);
    watchers_.erase(watcher);
  }
  watcher->call->Finish(status);
}

}  // namespace waybill::rpc
