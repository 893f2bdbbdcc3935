//===- Fault.h - What goes wrong in a command -------------------*- C++ -*-===//
//
// A fault is a message and what the program ends with; Report.h prints it.
//
//   Outcome<RequestFile> requests = readRequests(path);
//   if (!requests)
//     return requests.takeFault();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_FAULT_H
#define VLMC_TOOLS_VLMC_FAULT_H

#include "frontend/support/Result.h"

#include <string>
#include <utility>
#include <variant>

namespace vlmc::tool {

/// What the program ends with.
enum class ExitCode : int {
  Done = 0,
  Input = 1,    ///< the user's input is at fault
  Usage = 2,    ///< the command line is
  Internal = 3, ///< vlmc is
};

/// Why something was not done.
struct Fault {
  std::string message;
  ExitCode code = ExitCode::Input;

  Fault(std::string message, ExitCode code = ExitCode::Input)
      : message(std::move(message)), code(code) {}
  Fault(Failure failure) : message(std::move(failure.message)) {}
};

/// A `T`, or the fault that prevented it.
template <class T> class [[nodiscard]] Outcome {
public:
  Outcome(T value) : state(std::in_place_index<0>, std::move(value)) {}
  Outcome(Fault fault) : state(std::in_place_index<1>, std::move(fault)) {}

  explicit operator bool() const { return state.index() == 0; }
  T &operator*() { return *std::get_if<0>(&state); }
  T *operator->() { return std::get_if<0>(&state); }
  /// Only where there is no value.
  Fault takeFault() { return std::move(*std::get_if<1>(&state)); }

private:
  std::variant<T, Fault> state;
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_FAULT_H
