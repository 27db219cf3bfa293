// Numbers for property tests that are drawn evenly, the last of a range as often as the first. rc::gen::inRange alone
// grows its range with the case: the last of twelve comes in 0.4 % of the draws, and in the first cases none but the
// first.
#pragma once

#include "rapidcheck.h"

namespace waybill::testing {

// From `from` up to, but not including, `end`.
template <typename T>
rc::Gen<T> Within(T from, T end) {
  return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<T>(from, end));
}

// From 0 up to, but not including, `end`.
template <typename T>
rc::Gen<T> Below(T end) {
  return Within<T>(0, end);
}

}  // namespace waybill::testing
