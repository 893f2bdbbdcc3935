//===- Report.h - Prints faults and other messages --------------*- C++ -*-===//
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

#include "runtime/vlm.h"
#include "tools/vlmc/Fault.h"
#include "llvm/Support/Error.h"

#include <optional>
#include <string>

namespace vlmc::tool {

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
