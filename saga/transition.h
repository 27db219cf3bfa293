// The table that is the saga's program: (state, event) -> (next state, command). What is not in it cannot happen.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "saga/state.h"

namespace waybill::saga {

struct Transition {
  State from;
  Event event;
  State to;
  Command command;
};

std::span<const Transition> TransitionTable();

// The row for (state, event); nothing when the event is not possible in that state.
std::optional<Transition> FindTransition(State state, Event event);

// The table as a Mermaid state diagram, for docs/life-of-an-order.md.
std::string TransitionDiagram();

}  // namespace waybill::saga
