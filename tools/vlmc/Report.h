//===- Report.h - Faults, exit codes, messages ------------------*- C++ -*-===//
//
// What goes wrong travels as a Fault up to the command, which prints it and
// ends with the fault's exit code.
//
//   Outcome<OpenModel> model = openModel(options);
//   if (!model)
//     return report(model.takeFault());
//   if (std::optional<Fault> fault = check(vlm_entry_run(...)))
//     return report(*fault);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_REPORT_H
#define VLMC_TOOLS_VLMC_REPORT_H

#include "frontend/support/Result.h"
#include "runtime/vlm.h"
#include "llvm/Support/Error.h"

#include <optional>
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

/// The fault of a status of the runtime, which is freed; nothing for NULL.
std::optional<Fault> check(vlm_status_t *status);
/// The fault of an error of the compiler; nothing for success.
std::optional<Fault> check(llvm::Error error);

/// Prints "vlmc: error: ..." to standard error, line by line, and returns the
/// fault's code.
ExitCode report(const Fault &fault);
/// Prints "vlmc: warning: ..." to standard error.
void warn(const std::string &message);
/// Prints "vlmc: note: ..." to standard error.
void note(const std::string &message);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_REPORT_H
