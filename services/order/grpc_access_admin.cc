#include "services/order/grpc_access_admin.h"

#include <string>
#include <utility>

#include "edge/rpc/on_worker.h"
#include "edge/rpc/proto_time.h"
#include "services/order/intake.h"
#include "waybill/access/v1/access.pb.h"

namespace waybill::order {
namespace {

namespace access_pb = waybill::access::v1;
using access::KeyAdmin;
using domain::Scope;
using storage::AccessKey;

using CreateKeyCall = rpc::UnaryCall<access_pb::CreateKeyRequest, access_pb::CreateKeyResponse>;
using ListKeysCall = rpc::UnaryCall<access_pb::ListKeysRequest, access_pb::ListKeysResponse>;
using RotateKeyCall = rpc::UnaryCall<access_pb::RotateKeyRequest, access_pb::RotateKeyResponse>;
using RevokeKeyCall = rpc::UnaryCall<access_pb::RevokeKeyRequest, access_pb::Key>;

void Fill(const AccessKey& key, access_pb::Key& out) {
  out.set_key_id(key.id);
  out.set_name(key.name);
  out.set_client(key.client);
  for (const std::string& scope : key.scopes.Names()) out.add_scopes(scope);
  for (const std::string& pattern : key.drivers) out.add_drivers(pattern);
  out.set_certificate(key.certificate);
  rpc::SetTime(key.created_at, *out.mutable_create_time());
  out.set_created_by(key.created_by);
  if (key.expires_at != absl::InfiniteFuture()) rpc::SetTime(key.expires_at, *out.mutable_expire_time());
  if (key.revoked_at != absl::InfiniteFuture()) rpc::SetTime(key.revoked_at, *out.mutable_revoke_time());
  if (key.used_at) rpc::SetTime(*key.used_at, *out.mutable_last_use_time());
}

// InfiniteFuture where there is none.
template <typename Request>
absl::StatusOr<absl::Time> TakeExpiry(const Request& request) {
  if (!request.has_expire_time()) return absl::InfiniteFuture();
  const std::optional<absl::Time> time = rpc::TakeTime(request.expire_time());
  if (!time) return domain::BadField("expire_time", "is not a valid timestamp");
  return *time;
}

absl::Status CreateKey(KeyAdmin& keys, CreateKeyCall& call) {
  const access_pb::CreateKeyRequest& request = call.request();
  absl::StatusOr<absl::Time> expires_at = TakeExpiry(request);
  if (!expires_at.ok()) return expires_at.status();
  KeyAdmin::Wanted wanted;
  wanted.name = request.name();
  wanted.client = request.client();
  wanted.scopes.assign(request.scopes().begin(), request.scopes().end());
  wanted.drivers.assign(request.drivers().begin(), request.drivers().end());
  wanted.certificate = request.certificate();
  wanted.expires_at = *expires_at;
  absl::StatusOr<KeyAdmin::Made> made = keys.Create(wanted, access::ActorOf(*call.caller()));
  if (!made.ok()) return made.status();
  Fill(made->key, *call.response().mutable_key());
  call.response().set_secret(made->secret);
  return absl::OkStatus();
}

absl::Status ListKeys(KeyAdmin& keys, ListKeysCall& call) {
  Violations violations;
  const int size = TakePageSize(call.request().page_size(), violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  // One more says whether there is another page.
  absl::StatusOr<std::vector<AccessKey>> found = keys.List(call.request().page_token(), size + 1);
  if (!found.ok()) return found.status();
  if (found->size() > static_cast<size_t>(size)) {
    found->resize(static_cast<size_t>(size));
    call.response().set_next_page_token(found->back().id);
  }
  for (const AccessKey& key : *found) Fill(key, *call.response().add_keys());
  return absl::OkStatus();
}

absl::Status RotateKey(KeyAdmin& keys, RotateKeyCall& call) {
  const access_pb::RotateKeyRequest& request = call.request();
  absl::StatusOr<absl::Time> expires_at = TakeExpiry(request);
  if (!expires_at.ok()) return expires_at.status();
  const absl::Duration overlap =
      absl::Seconds(request.overlap().seconds()) + absl::Nanoseconds(request.overlap().nanos());
  absl::StatusOr<KeyAdmin::Made> made =
      keys.Rotate(request.key_id(), overlap, *expires_at, access::ActorOf(*call.caller()));
  if (!made.ok()) return made.status();
  Fill(made->key, *call.response().mutable_key());
  call.response().set_secret(made->secret);
  return absl::OkStatus();
}

absl::Status RevokeKey(KeyAdmin& keys, RevokeKeyCall& call) {
  absl::StatusOr<AccessKey> revoked = keys.Revoke(call.request().key_id(), access::ActorOf(*call.caller()));
  if (revoked.ok()) Fill(*revoked, call.response());
  return revoked.status();
}

}  // namespace

void AddAccessAdmin(rpc::Server& server, KeyAdmin& keys, Executor& workers) {
  const std::string service = "waybill.access.v1.AccessAdmin/";
  rpc::UnaryOnWorker<access_pb::CreateKeyRequest, access_pb::CreateKeyResponse>(
      server, service + "CreateKey", Scope::kAdmin, workers,
      [&keys](CreateKeyCall& call) { return CreateKey(keys, call); });
  rpc::UnaryOnWorker<access_pb::ListKeysRequest, access_pb::ListKeysResponse>(
      server, service + "ListKeys", Scope::kAdmin, workers,
      [&keys](ListKeysCall& call) { return ListKeys(keys, call); });
  rpc::UnaryOnWorker<access_pb::RotateKeyRequest, access_pb::RotateKeyResponse>(
      server, service + "RotateKey", Scope::kAdmin, workers,
      [&keys](RotateKeyCall& call) { return RotateKey(keys, call); });
  rpc::UnaryOnWorker<access_pb::RevokeKeyRequest, access_pb::Key>(
      server, service + "RevokeKey", Scope::kAdmin, workers,
      [&keys](RevokeKeyCall& call) { return RevokeKey(keys, call); });
}

}  // namespace waybill::order
