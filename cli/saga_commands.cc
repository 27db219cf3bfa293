// waybill saga list | show | retry | resolve | signal
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "cli/context.h"
#include "cli/remote.h"
#include "cli/story.h"
#include "cli/values.h"
#include "services/process/flags.h"
#include "waybill/ops/v1/ops.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace ops_v1 = waybill::ops::v1;
using Sagas = ops_v1::SagaAdmin::StubInterface;

SagaView ToView(const ops_v1::Saga& saga) {
  SagaView view;
  view.id = saga.saga_id();
  view.kind = saga.kind();
  view.version = saga.version();
  view.state = ops_v1::SagaState_Name(saga.state());
  view.step = saga.step();
  view.attempt = saga.attempt();
  view.failure_reason = saga.failure_reason();
  view.failure_detail = saga.failure_detail();
  view.needs_attention = saga.needs_attention();
  view.owner = saga.owner();
  view.epoch = saga.epoch();
  if (saga.has_lease_until()) view.lease_until = ToTime(saga.lease_until());
  view.created = ToTime(saga.create_time());
  view.updated = ToTime(saga.update_time());
  view.traceparent = saga.traceparent();
  for (const ops_v1::SagaWait& wait : saga.waits()) {
    view.waits.push_back({wait.step(), absl::AsciiStrToLower(ops_v1::SagaAction_Name(wait.action())), wait.token(),
                          ToTime(wait.until())});
  }
  for (const ops_v1::SagaLogEntry& entry : saga.log()) {
    view.log.push_back({entry.sequence(), entry.step(), entry.attempt(), entry.outcome(), entry.detail(),
                        ops_v1::SagaState_Name(entry.state()), ToTime(entry.time())});
  }
  return view;
}

ExitCode ShowSaga(const Context& context, const absl::StatusOr<ops_v1::Saga>& saga) {
  if (!saga.ok()) return FailServer(context, saga.status());
  if (context.json) {
    context.PrintLine(ToJson(*saga));
  } else {
    context.Print(RenderSaga(ToView(*saga), context.clock.Now(), context.out));
  }
  return ExitCode::kOk;
}

struct ListSagasArgs {
  std::string kind;
  std::vector<std::string> states;
  std::string older_than;
  bool needs_attention = false;
  bool waiting = false;
  size_t limit = 50;
};

ExitCode ListSagas(const Context& context, const ListSagasArgs& args) {
  ops_v1::ListSagasRequest request;
  for (const std::string& name : args.states) {
    ops_v1::SagaState state;
    if (!ops_v1::SagaState_Parse(name, &state))
      return context.Fail(absl::InvalidArgumentError("--state: unknown " + name));
    request.add_states(state);
  }
  if (!args.older_than.empty()) {
    absl::StatusOr<absl::Duration> age = ForOption("--older-than", ParseDuration(args.older_than));
    if (!age.ok()) return context.Fail(age.status());
    request.mutable_min_age()->set_seconds(absl::ToInt64Seconds(*age));
    request.mutable_min_age()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(*age % absl::Seconds(1))));
  }
  request.set_kind(args.kind);
  request.set_needs_attention(args.needs_attention);
  request.set_waiting(args.waiting);
  bool more = false;
  absl::StatusOr<std::vector<ops_v1::Saga>> found = CallPages<ops_v1::Saga>(
      request, args.limit, more,
      [&](const ops_v1::ListSagasRequest& page, std::vector<ops_v1::Saga>& items, std::string& next) {
        absl::StatusOr<ops_v1::ListSagasResponse> response =
            Call<ops_v1::SagaAdmin>(context, context.server, &Sagas::ListSagas, page);
        if (!response.ok()) return response.status();
        for (ops_v1::Saga& saga : *response->mutable_sagas()) items.push_back(std::move(saga));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailServer(context, found.status());
  std::vector<SagaView> views;
  for (const ops_v1::Saga& saga : *found) {
    if (context.json) {
      context.PrintLine(ToJson(saga));
    } else {
      views.push_back(ToView(saga));
    }
  }
  if (!views.empty()) context.Print(RenderSagas(views, context.clock.Now(), context.out));
  if (found->empty()) context.Note("no such sagas");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

ExitCode GetSaga(const Context& context, const std::string& id) {
  ops_v1::GetSagaRequest request;
  request.set_saga_id(id);
  return ShowSaga(context, Call<ops_v1::SagaAdmin>(context, context.server, &Sagas::GetSaga, request));
}

ExitCode Retry(const Context& context, const std::string& id) {
  ops_v1::RetrySagaRequest request;
  request.set_saga_id(id);
  return ShowSaga(context, Call<ops_v1::SagaAdmin>(context, context.server, &Sagas::RetrySaga, request));
}

ExitCode Resolve(const Context& context, const std::string& id, const std::string& reason, const std::string& who) {
  ops_v1::ResolveSagaRequest request;
  request.set_saga_id(id);
  request.set_reason(reason);
  request.set_operator_(who);
  return ShowSaga(context, Call<ops_v1::SagaAdmin>(context, context.server, &Sagas::ResolveSaga, request));
}

struct SignalArgs {
  std::string id, step, action = "DO", token, outcome, reason, detail, who;
};

std::string_view Explain(ops_v1::SignalSagaResponse::Result result) {
  switch (result) {
    case ops_v1::SignalSagaResponse::WOKEN:
      return "it waited for this, and goes on";
    case ops_v1::SignalSagaResponse::KEPT:
      return "it does not wait for this now; what you said is kept until it does";
    case ops_v1::SignalSagaResponse::REPEATED:
      return "something was said about this before, and that counts";
    case ops_v1::SignalSagaResponse::LATE:
      return "it has ended; nothing was kept";
    default:
      return "this version of waybill does not know what that means";
  }
}

ExitCode Signal(const Context& context, const SignalArgs& args) {
  ops_v1::SignalSagaRequest request;
  request.set_saga_id(args.id);
  request.set_step(args.step);
  request.set_token(args.token);
  ops_v1::SagaAction action;
  if (!ops_v1::SagaAction_Parse(args.action, &action))
    return context.Fail(absl::InvalidArgumentError("--action: unknown " + args.action));
  request.set_action(action);
  ops_v1::SignalSagaRequest::Outcome outcome;
  if (!ops_v1::SignalSagaRequest::Outcome_Parse(args.outcome, &outcome))
    return context.Fail(absl::InvalidArgumentError("--outcome: unknown " + args.outcome));
  request.set_outcome(outcome);
  request.set_reason(args.reason);
  request.set_detail(args.detail);
  request.set_operator_(args.who);
  absl::StatusOr<ops_v1::SignalSagaResponse> answer =
      Call<ops_v1::SagaAdmin>(context, context.server, &Sagas::SignalSaga, request);
  if (!answer.ok()) return FailServer(context, answer.status());
  if (context.json) {
    context.PrintLine(ToJson(*answer));
    return ExitCode::kOk;
  }
  const std::string& result = ops_v1::SignalSagaResponse::Result_Name(answer->result());
  context.Print(fmt::format("{}: {}\n", result, Explain(answer->result())));
  if (answer->has_saga()) {
    context.Print("\n" + RenderSaga(ToView(answer->saga()), context.clock.Now(), context.out));
  } else {
    context.Note("the saga could not be read any more; `waybill saga show` tries again");
  }
  return ExitCode::kOk;
}

void AddListSagas(CLI::App& group, Context& context) {
  auto args = std::make_shared<ListSagasArgs>();
  CLI::App* command = group.add_subcommand("list", "List sagas, oldest first; without --state the unfinished ones");
  command->add_option("--kind", args->kind, "Only of this kind, such as place_order; default: of all")
      ->type_name("KIND");
  command->add_option("--state", args->states, "Only in this state; may be given many times")
      ->allow_extra_args(false)
      ->transform(CLI::IsMember(
          {"RUNNING", "SUCCEEDED", "CLOSING", "CLOSED", "COMPENSATING", "COMPENSATED", "RESOLVED"}, CLI::ignore_case));
  command->add_option("--older-than", args->older_than, "Only if created longer ago")->type_name("DURATION");
  command->add_flag("--needs-attention", args->needs_attention, "Only those that do not come to an end by themselves");
  command->add_flag("--waiting", args->waiting, "Only those that wait for a signal");
  process::AddInteger(*command, "--limit", args->limit, "At most so many; 0: all")
      ->capture_default_str()
      ->type_name("N");
  command->footer(
      "Examples:\n"
      "  waybill saga list --needs-attention\n"
      "  waybill saga list --waiting --older-than 1d\n"
      "  waybill saga list --state compensating --older-than 5m");
  command->callback([&context, args] { context.run = [&context, args] { return ListSagas(context, *args); }; });
}

void AddResolve(CLI::App& group, Context& context) {
  struct Args {
    std::string id, reason, who;
  };
  auto args = std::make_shared<Args>();
  CLI::App* command =
      group.add_subcommand("resolve", "End a stuck saga by hand; Waybill undoes nothing further for it");
  command->add_option("id", args->id, "The saga; an order's has the order's id")->required()->type_name("ID");
  command->add_option("--reason", args->reason, "Why, for whoever reads its log later")->required()->type_name("TEXT");
  command->add_option("--operator", args->who, "Who decides")->required()->envname("USER")->type_name("NAME");
  command->footer(
      "Example:\n"
      "  waybill saga resolve 01939f6e-0000-7000-8000-000000000001 --reason \"refunded at the bank, ticket 812\"\n"
      "\n"
      "Only a saga that is compensating or closing, and needs attention, can be resolved; any other is refused (exit "
      "code 4).");
  command->callback([&context, args] {
    context.run = [&context, args] { return Resolve(context, args->id, args->reason, args->who); };
  });
}

void AddSignal(CLI::App& group, Context& context) {
  auto args = std::make_shared<SignalArgs>();
  CLI::App* command = group.add_subcommand("signal", "Say by hand what became of a step that waits");
  command->add_option("id", args->id, "The saga; an order's has the order's id")->required()->type_name("ID");
  command->add_option("--step", args->step, "The step that waits, as `waybill saga show` says")
      ->required()
      ->type_name("STEP");
  command->add_option("--action", args->action, "Which action of the step waits, as `waybill saga show` says")
      ->capture_default_str()
      ->transform(CLI::IsMember({"DO", "UNDO", "CLOSE"}, CLI::ignore_case));
  command->add_option("--token", args->token, "Which wait of that step, as `waybill saga show` says")
      ->required()
      ->type_name("TOKEN");
  command->add_option("--outcome", args->outcome, "What became of it; unknown: nobody will ever know")
      ->required()
      ->transform(CLI::IsMember({"SUCCEEDED", "REJECTED", "UNKNOWN"}, CLI::ignore_case));
  command->add_option("--reason", args->reason, "Machine-readable; needed for rejected and unknown")
      ->type_name("REASON");
  command->add_option("--detail", args->detail, "More, for whoever reads its log later")->type_name("TEXT");
  command->add_option("--operator", args->who, "Who says it")->required()->envname("USER")->type_name("NAME");
  command->footer(
      "Examples:\n"
      "  waybill saga signal 01939f6e-0000-7000-8000-000000000001 --step charge_payment --token pi_1234 \\\n"
      "    --outcome succeeded --detail \"seen in the gateway's console, ticket 812\"\n"
      "  waybill saga signal 01939f6e-0000-7000-8000-000000000001 --step charge_payment --token pi_1234 \\\n"
      "    --outcome rejected --reason PAYMENT_DECLINED\n"
      "\n"
      "It may come before the saga waits, twice, or too late. The first that is said under a saga, step, action and "
      "token counts until it is acted on.\n"
      "The answer is WOKEN, KEPT, REPEATED or LATE, with exit code 0; docs/operations.md says what each means.");
  command->callback([&context, args] { context.run = [&context, args] { return Signal(context, *args); }; });
}

}  // namespace

void AddSagaCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("saga", "For operators: look at sagas, and repair the stuck ones");
  group->require_subcommand(1);
  group->footer("`waybill saga COMMAND --help` explains each command with examples.");
  AddListSagas(*group, context);
  auto id = std::make_shared<std::string>();
  CLI::App* show = group->add_subcommand("show", "Show a saga with its lease, its epoch and its log");
  show->add_option("id", *id, "The saga; an order's has the order's id")->required()->type_name("ID");
  show->footer("Example:\n  waybill saga show 01939f6e-0000-7000-8000-000000000001");
  show->callback([&context, id] { context.run = [&context, id] { return GetSaga(context, *id); }; });

  CLI::App* retry = group->add_subcommand("retry", "Try a saga's current step now instead of after its backoff");
  retry->add_option("id", *id, "The saga; an order's has the order's id")->required()->type_name("ID");
  retry->footer(
      "Example:\n  waybill saga retry 01939f6e-0000-7000-8000-000000000001\n\n"
      "Takes the saga over from another process if need be; that one's late writes are fenced by the epoch.");
  retry->callback([&context, id] { context.run = [&context, id] { return Retry(context, *id); }; });
  AddResolve(*group, context);
  AddSignal(*group, context);
}

}  // namespace waybill::cli
