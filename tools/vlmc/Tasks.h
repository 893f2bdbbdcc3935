//===- Tasks.h - The tasks of `vlmc run` ------------------------*- C++ -*-===//
//
// Runs cases of a file of requests against one model, which is opened when the
// first case needs it.
//
//   CaseRunner runner(options, requests->isTensors);
//   TensorMap values;
//   if (std::optional<Fault> fault = runner.run(request, values)) ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_TASKS_H
#define VLMC_TOOLS_VLMC_TASKS_H

#include "tools/vlmc/EmbedTask.h"
#include "tools/vlmc/GenerateTask.h"
#include "tools/vlmc/OpenModel.h"
#include "tools/vlmc/Requests.h"

#include <set>

namespace vlmc::tool {

class CaseRunner {
public:
  CaseRunner(ModelOptions options, bool isTensors)
      : options(std::move(options)), isTensors(isTensors) {}

  /// Computes what the case's task names, without the case's name in front.
  std::optional<Fault> run(const RequestCase &request, TensorMap &values);
  /// Values that the model does not hold, as "NAME (CASE)".
  const std::set<std::string> &missing() const { return missingValues; }

private:
  std::optional<Fault> openModelOnce();
  std::optional<Fault> embed(const RequestCase &request, TensorMap &values);
  std::optional<Fault> generate(const RequestCase &request, TensorMap &values);
  std::optional<Fault> match(const RequestCase &request, TensorMap &values);
  std::optional<Fault> tokenize(const RequestCase &request, TensorMap &values);
  static std::optional<Fault> decode(const RequestCase &request,
                                     TensorMap &values);

  ModelOptions options;
  bool isTensors;
  std::optional<OpenModel> model;
  std::optional<Fault> modelFault;
  std::set<std::string> missingValues;
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_TASKS_H
