#include "services/order/grpc_audit_admin.h"

#include <string>
#include <utility>

#include "edge/rpc/on_worker.h"
#include "edge/rpc/proto_time.h"
#include "services/order/requests.h"
#include "waybill/ops/v1/ops.pb.h"

namespace waybill::order {
namespace {

namespace audit_pb = waybill::ops::v1;
using ListEntriesCall = rpc::UnaryCall<audit_pb::ListEntriesRequest, audit_pb::ListEntriesResponse>;

void FillEntry(const storage::AuditEntry& entry, audit_pb::AuditEntry& out) {
  out.set_sequence(entry.sequence);
  rpc::SetTime(entry.at, *out.mutable_time());
  out.set_client(entry.by.client);
  out.set_key_id(entry.by.key_id);
  out.set_operator_(entry.by.operator_name);
  out.set_action(entry.action);
  out.set_subject_kind(entry.subject_kind);
  out.set_subject(entry.subject);
  out.set_detail(entry.detail);
  out.set_previous_hash(entry.previous_hash);
  out.set_hash(entry.hash);
}

absl::Status ListEntries(storage::AuditLog& audit, ListEntriesCall& call) {
  absl::StatusOr<storage::AuditQuery> query = TakeQuery(call.request());
  if (!query.ok()) return query.status();
  const size_t size = static_cast<size_t>(query->limit);
  ++query->limit;  // one more says whether there is another page
  // Before the entries: those of a list to its end then reach it, or beyond.
  absl::StatusOr<storage::AuditHead> head = audit.Head();
  if (!head.ok()) return head.status();
  absl::StatusOr<std::vector<storage::AuditEntry>> found = audit.List(*query);
  if (!found.ok()) return found.status();
  audit_pb::ListEntriesResponse& response = call.response();
  if (found->size() > size) {
    found->resize(size);
    response.set_next_page_token(MakeAuditToken(found->back().sequence, call.request()));
  }
  for (const storage::AuditEntry& entry : *found) FillEntry(entry, *response.add_entries());
  response.set_head_sequence(head->sequence);
  response.set_head_hash(head->hash);
  return absl::OkStatus();
}

}  // namespace

void AddAuditAdmin(rpc::Server& server, storage::AuditLog& audit, Executor& workers) {
  rpc::UnaryOnWorker<audit_pb::ListEntriesRequest, audit_pb::ListEntriesResponse>(
      server, "waybill.ops.v1.AuditAdmin/ListEntries", domain::Scope::kOps, workers,
      [&audit](ListEntriesCall& call) { return ListEntries(audit, call); });
}

}  // namespace waybill::order
