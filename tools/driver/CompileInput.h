//===-- CompileInput.h - what a compilation starts from -------------------===//
//
// Opens what a request names: a checkpoint folder, a spec or a printed stage,
// and the weights that go with it.
//
//   auto input = openInput(request, context);
//   if (input->border == EmitStage::Graph)
//     run(passes, *input->module);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_DRIVER_COMPILEINPUT_H
#define VLMC_TOOLS_DRIVER_COMPILEINPUT_H

#include "frontend/spec/model_spec.pb.h"
#include "ir/WeightSource.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "tools/driver/Compile.h"
#include <memory>

namespace vlmc {

/// Collects the errors that MLIR reports and passes warnings on.
class DiagnosticLog {
public:
  DiagnosticLog(mlir::MLIRContext &context, const CompileRequest &request);
  /// All errors so far, a line each, and forgets them.
  std::string take();

private:
  std::string errors;
  mlir::ScopedDiagnosticHandler handler;
};

struct CompileInput {
  spec::ModelSpec spec;
  /// The checkpoint; "" for none.
  std::string folder;
  /// Null where no weights are named.
  std::unique_ptr<WeightSource> weights;
  /// The module, once there is one, and the border at which it stands.
  mlir::OwningOpRef<mlir::ModuleOp> module;
  EmitStage border = EmitStage::Spec;
  /// The module was read from a file, so the user may be at fault for it.
  bool isResumed = false;
};

/// Opens the input and builds or reads its module; for EmitStage::Spec there is
/// none.
llvm::Expected<CompileInput> openInput(const CompileRequest &request,
                                       mlir::MLIRContext &context,
                                       DiagnosticLog &log);

/// Notes the spec in a module that is to be printed, so that it can be read
/// back without its checkpoint.
void noteSpec(mlir::ModuleOp module, const spec::ModelSpec &spec);

} // namespace vlmc

#endif // VLMC_TOOLS_DRIVER_COMPILEINPUT_H
