//===-- CompileInput.cpp - what a compilation starts from -----------------===//
#include "tools/driver/CompileInput.h"
#include "codegen/package/Error.h"
#include "frontend/Frontend.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"

using namespace llvm;

namespace vlmc {

/// On a printed module: its spec, as text.
static constexpr StringLiteral specAttribute = "vlm.spec";

//===-- Diagnostics -------------------------------------------------------===//

DiagnosticLog::DiagnosticLog(mlir::MLIRContext &context,
                             const CompileRequest &request)
    : handler(&context, [this, &request](mlir::Diagnostic &diagnostic) {
        std::string text;
        raw_string_ostream os(text);
        if (auto place =
                dyn_cast<mlir::FileLineColLoc>(diagnostic.getLocation()))
          os << place.getFilename().getValue() << ":" << place.getLine() << ":"
             << place.getColumn() << ": ";
        os << diagnostic;
        for (mlir::Diagnostic &note : diagnostic.getNotes())
          os << "\n  note: " << note;
        if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error)
          errors += (errors.empty() ? "" : "\n") + text;
        else if (diagnostic.getSeverity() ==
                     mlir::DiagnosticSeverity::Warning &&
                 request.warn)
          request.warn(text);
      }) {}

std::string DiagnosticLog::take() {
  return std::exchange(errors, std::string());
}

//===-- Specs -------------------------------------------------------------===//

template <typename T>
static Expected<T> toExpected(Result<T> result, const CompileRequest &request,
                              std::vector<std::string> &warnings) {
  if (request.warn)
    for (const std::string &warning : warnings)
      request.warn(warning);
  warnings.clear();
  if (!result)
    return userError(result.message());
  return std::move(*result);
}

static bool isModule(StringRef path) { return path.ends_with(".mlir"); }
static bool isSpec(StringRef path) { return path.ends_with(".textproto"); }

/// The spec of a folder or a .textproto file.
static Error openSpec(const CompileRequest &request, CompileInput &input) {
  std::vector<std::string> warnings;
  auto spec = toExpected(
      isSpec(request.model)
          ? readSpec(request.model)
          : importCheckpoint(request.model, warnings, {request.visionTower}),
      request, warnings);
  if (!spec)
    return spec.takeError();
  input.spec = std::move(*spec);
  if (std::optional<Failure> fault = checkSpec(input.spec))
    return userError(request.model + ": " + fault->message);
  return Error::success();
}

static Error openWeightsOf(const CompileRequest &request, CompileInput &input) {
  if (request.randomSeed && !request.checkpoint.empty())
    return userError("weights are either a checkpoint's (" +
                     request.checkpoint + ") or random (seed " +
                     Twine(*request.randomSeed) + "), not both");
  if (!isModule(request.model) && !isSpec(request.model))
    input.folder = request.model;
  if (!request.checkpoint.empty())
    input.folder = request.checkpoint;
  if (request.randomSeed) {
    input.weights = makeRandomWeights(input.spec, *request.randomSeed);
    return Error::success();
  }
  if (input.folder.empty())
    return Error::success();
  std::vector<std::string> warnings;
  auto weights = toExpected(
      openWeights(input.spec, input.folder, warnings, {request.visionTower}),
      request, warnings);
  if (!weights)
    return weights.takeError();
  input.weights = std::move(*weights);
  return Error::success();
}

//===-- Printed stages ----------------------------------------------------===//

void noteSpec(mlir::ModuleOp module, const spec::ModelSpec &spec) {
  module->setAttr(specAttribute,
                  mlir::StringAttr::get(module.getContext(), printSpec(spec)));
}

/// The border at which a module stands: what it holds tells.
static EmitStage findBorder(mlir::ModuleOp module) {
  for (auto entry : module.getOps<mlir::func::FuncOp>())
    if (entry->hasAttr(vlm::names::slots))
      return EmitStage::Planned;
  return module.getOps<vlm::KernelOp>().empty() ? EmitStage::Graph
                                                : EmitStage::Kernels;
}

static Error readModule(const CompileRequest &request,
                        mlir::MLIRContext &context, DiagnosticLog &log,
                        CompileInput &input) {
  if (!sys::fs::exists(request.model))
    return userError(request.model + ": no such file; check the path");
  context.loadDialect<vlm::VlmDialect, mlir::func::FuncDialect,
                      mlir::arith::ArithDialect>();
  input.module = mlir::parseSourceFile<mlir::ModuleOp>(request.model, &context);
  if (!input.module)
    return userError(log.take() +
                     "\n  note: print the stage again with vlmc compile "
                     "--emit");
  if (!request.taps.empty())
    return userError(request.model + ": taps are chosen when the graph is "
                                     "made; give them with --emit graph");
  input.border = findBorder(*input.module);
  input.isResumed = true;
  auto text = (*input.module)->getAttrOfType<mlir::StringAttr>(specAttribute);
  if (!text)
    return userError(request.model +
                     ": expected the module attribute 'vlm.spec', found none; "
                     "print the stage with vlmc compile --emit");
  (*input.module)->removeAttr(specAttribute);
  Result<spec::ModelSpec> spec =
      parseSpec(text.getValue(), request.model + ": vlm.spec");
  if (!spec)
    return userError(spec.message());
  input.spec = std::move(*spec);
  return Error::success();
}

//===-- All of it ---------------------------------------------------------===//

Expected<CompileInput> openInput(const CompileRequest &request,
                                 mlir::MLIRContext &context,
                                 DiagnosticLog &log) {
  CompileInput input;
  if (Error error = isModule(request.model)
                        ? readModule(request, context, log, input)
                        : openSpec(request, input))
    return std::move(error);
  if (Error error = openWeightsOf(request, input))
    return std::move(error);
  if (request.stage == EmitStage::Package && !input.weights)
    return userError(request.model +
                     " has no weights; give --checkpoint DIR or "
                     "--random-weights SEED");
  if (input.isResumed || request.stage == EmitStage::Spec)
    return std::move(input);

  GraphOptions options;
  options.taps.insert(request.taps.begin(), request.taps.end());
  auto module = buildGraph(input.spec, input.weights.get(), options, context);
  if (failed(module))
    return userError(log.take());
  input.module = std::move(*module);
  input.border = EmitStage::Graph;
  return std::move(input);
}

} // namespace vlmc
