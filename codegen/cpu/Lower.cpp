//===-- Lower.cpp - from planned kernels to LLVM IR, and from there to objects ------------------------------------------------------------===//
#include "codegen/Codegen.h"
#include "codegen/cpu/Generators.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/ConvertToLLVM/ToLLVMPass.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/TensorInferTypeOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <mutex>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

//===-- Kernels to LLVM dialect -----------------------------------------------------------------------------------------------------------===//

static void loadDialects(MLIRContext &context) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  arith::registerConvertArithToLLVMInterface(registry);
  cf::registerConvertControlFlowToLLVMInterface(registry);
  registerConvertFuncToLLVMInterface(registry);
  registerConvertMathToLLVMInterface(registry);
  vector::registerConvertVectorToLLVMInterface(registry);
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerInferTypeOpInterfaceExternalModels(registry);
  context.appendDialectRegistry(registry);
  context.loadDialect<arith::ArithDialect, bufferization::BufferizationDialect, cf::ControlFlowDialect, func::FuncDialect, linalg::LinalgDialect,
                      LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect, scf::SCFDialect, tensor::TensorDialect, ub::UBDialect,
                      vector::VectorDialect, vlm::VlmDialect>();
}

/// Generates one kernel by its strategy.
static LogicalResult generate(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) {
  StringRef strategy = kernel.getStrategy().value_or("");
  if (strategy == "reference")
    return generateReference(e, kernel, prefix, code);
  if (strategy == "gemm")
    generateGemm(e, kernel, prefix, code);
  else if (strategy == "winograd")
    generateWinograd(e, kernel, prefix, code);
  else if (strategy == "attention")
    generateAttention(e, kernel, prefix, code);
  else if (strategy == "cached_attention")
    generateCachedAttention(e, kernel, prefix, code);
  else if (strategy == "rope_table")
    generateRopeTable(e, kernel, prefix, code);
  else if (strategy == "rows")
    generateRows(e, kernel, prefix, code);
  else if (strategy == "depthwise")
    generateDepthwise(e, kernel, prefix, code);
  else if (strategy == "token_pool")
    generateTokenPool(e, kernel, prefix, code);
  else if (strategy == "token_index")
    generateTokenIndex(e, kernel, prefix, code);
  else if (strategy == "contrast")
    generateContrast(e, kernel, prefix, code);
  else
    return kernel.emitOpError() << "has strategy '" << strategy
                                << "', which no generator makes; there are gemm, winograd, attention, cached_attention, rope_table, rows, depthwise, token_pool, token_index, contrast and reference";
  return success();
}

static int64_t countDims(vlm::KernelOp kernel) {
  int64_t count = 0;
  for (Type type : kernel.getArgumentTypes())
    count += cast<RankedTensorType>(type).getNumDynamicDims();
  return count;
}

/// From func, scf, arith, math and vector ops to the LLVM dialect, in as few
/// walks as there can be: most of the time that they take is the conversions'
/// bookkeeping.
static void addLoweringPasses(OpPassManager &pm) {
  pm.addPass(createCSEPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

/// The same, and what the reference lowering adds: memref, affine and ub ops,
/// functions of libm.
static void addReferenceLoweringPasses(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(arith::createArithExpandOpsPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

/// On modules of code that reference kernels are in.
static constexpr StringLiteral referenceName = "vlm.reference";

static void addPasses(OpPassManager &pm, bool hasReference) { hasReference ? addReferenceLoweringPasses(pm) : addLoweringPasses(pm); }

FailureOr<OwningOpRef<ModuleOp>> vlmc::generateKernels(ModuleOp planned, const Target &target, StringRef prefix,
                                                       std::vector<KernelCode> &kernels) {
  MLIRContext &context = *planned.getContext();
  loadDialects(context);
  OwningOpRef<ModuleOp> code = ModuleOp::create(planned.getLoc(), (prefix + "kernels").str());
  Emitter e(*code, target);
  for (auto kernel : planned.getOps<vlm::KernelOp>()) {
    KernelCode entry;
    entry.kernel = kernel.getSymName().str();
    entry.strategy = kernel.getStrategy().value_or("").str();
    entry.dims = countDims(kernel);
    entry.buffers = kernel.getArgumentTypes().size() + kernel.getResultTypes().size();
    if (DictionaryAttr tiles = kernel.getTilesAttr())
      if (auto temps = tiles.getAs<ArrayAttr>("temps"))
        entry.buffers += temps.size();
    if (failed(generate(e, kernel, prefix, entry)))
      return failure();
    kernels.push_back(std::move(entry));
  }
  if (failed(verify(*code)))
    return planned.emitError("internal: the generated kernel code does not verify"), failure();
  // The passes' dialects are loaded here, where there is one thread.
  bool hasReference = llvm::any_of(kernels, [](const KernelCode &kernel) { return kernel.strategy == "reference"; });
  OwningOpRef<ModuleOp> empty = ModuleOp::create(planned.getLoc());
  PassManager pm(&context);
  addPasses(pm, hasReference);
  if (failed(pm.run(*empty)))
    return failure();
  if (hasReference)
    (*code)->setAttr(referenceName, UnitAttr::get(&context));
  return code;
}

FailureOr<std::unique_ptr<llvm::Module>> vlmc::translateKernels(ModuleOp code, const Target &target, llvm::LLVMContext &context) {
  llvm::StringSet<> privates;
  for (auto function : code.getOps<func::FuncOp>())
    if (function.isPrivate())
      privates.insert(function.getName());
  PassManager pm(code.getContext());
  addPasses(pm, bool(code->removeAttr(referenceName)));
  if (failed(pm.run(code)))
    return failure();
  std::unique_ptr<llvm::Module> module = translateModuleToLLVMIR(code, context, code.getSymName().value_or("kernels"));
  if (!module)
    return code.emitError("internal: the generated kernel code does not translate to LLVM IR"), failure();
  for (llvm::Function &function : *module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("target-features", target.features);
    function.addFnAttr("prefer-vector-width", std::to_string(target.vectorBits));
    function.addFnAttr(llvm::Attribute::NoUnwind);
    // Micro-kernels stay functions of their own: inlined, the register allocator would see all tiles at once.
    if (privates.contains(function.getName())) {
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
      function.addFnAttr(llvm::Attribute::NoInline);
    }
  }
  return module;
}

FailureOr<std::unique_ptr<llvm::Module>> vlmc::lowerKernels(ModuleOp planned, const Target &target, StringRef prefix,
                                                            llvm::LLVMContext &context, std::vector<KernelCode> &kernels) {
  auto code = generateKernels(planned, target, prefix, kernels);
  if (failed(code))
    return failure();
  return translateKernels(**code, target, context);
}

//===-- LLVM IR to objects ------------------------------------------------------------------------------------------------------------===//

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>> makeMachine(const Target &target) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers();
  });
  std::string error;
  llvm::Triple triple(target.triple);
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return llvm::createStringError("LLVM has no back end for %s: %s", target.triple.c_str(), error.c_str());
  llvm::TargetOptions options;
  std::unique_ptr<llvm::TargetMachine> machine(backend->createTargetMachine(triple, target.cpu, target.features, options, llvm::Reloc::PIC_,
                                                                            std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return llvm::createStringError("LLVM cannot make a machine for %s", target.name.c_str());
  return machine;
}

/// What generated code needs: its addresses and conditions cleaned up and taken
/// out of loops. The rest of O2 finds nothing to inline or to unroll in it, and
/// takes three times as long.
static constexpr StringLiteral cleanUp = "function(sroa<modify-cfg>,simplifycfg,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,"
                                         "loop-mssa(loop-rotate,licm),gvn,instcombine<no-verify-fixpoint>,simplifycfg,adce),globaldce";

llvm::Error vlmc::optimizeModule(llvm::Module &module, const Target &target) {
  auto machine = makeMachine(target);
  if (!machine)
    return machine.takeError();
  module.setTargetTriple(llvm::Triple(target.triple));
  module.setDataLayout((*machine)->createDataLayout());
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager cgscc;
  llvm::ModuleAnalysisManager modules;
  // The generators have unrolled and vectorised what is worth it.
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  llvm::PassBuilder builder(machine->get(), tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(cgscc);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, cgscc, modules);
  llvm::ModulePassManager passes;
  if (llvm::Error error = builder.parsePassPipeline(passes, target.arch == "cuda" ? "default<O2>" : cleanUp))
    return error;
  passes.run(module, modules);
  return llvm::Error::success();
}

llvm::Expected<llvm::SmallVector<char, 0>> vlmc::emitObject(llvm::Module &module, const Target &target, bool assembly) {
  auto machine = makeMachine(target);
  if (!machine)
    return machine.takeError();
  module.setTargetTriple(llvm::Triple(target.triple));
  module.setDataLayout((*machine)->createDataLayout());
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  auto kind = assembly ? llvm::CodeGenFileType::AssemblyFile : llvm::CodeGenFileType::ObjectFile;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, kind))
    return llvm::createStringError("LLVM cannot emit this kind of file for %s", target.name.c_str());
  passes.run(module);
  return bytes;
}
