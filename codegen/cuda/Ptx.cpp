//===-- Ptx.cpp - kernels of the kernels border as PTX --------------------===//
#include "codegen/cuda/Ptx.h"
#include "codegen/cuda/Elements.h"
#include "codegen/cuda/Kernels.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "runtime/abi/vlm_abi.h"
#include "llvm/Bitcode/BitcodeWriter.h"

using namespace mlir;
using namespace vlmc;

//===-- Kernels to gpu.func -----------------------------------------------===//

static void loadDialects(MLIRContext &context) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  context.appendDialectRegistry(registry);
  context.loadDialect<arith::ArithDialect, gpu::GPUDialect, LLVM::LLVMDialect,
                      math::MathDialect, NVVM::NVVMDialect, scf::SCFDialect,
                      vector::VectorDialect, vlm::VlmDialect>();
}

/// Operands, the result, temporaries.
static size_t countBuffers(vlm::KernelOp kernel) {
  DictionaryAttr tiles = kernel.getTilesAttr();
  auto temps = tiles ? tiles.getAs<ArrayAttr>("temps") : ArrayAttr();
  return kernel.getArgumentTypes().size() + kernel.getResultTypes().size() +
         (temps ? temps.size() : 0);
}

/// Writes a part of the kernel by its strategy.
static void emitBody(cpu::Emitter &e, vlm::KernelOp kernel,
                     const cuda::KernelFunction &made, ValueRange arguments) {
  cuda::Part part = made.part;
  size_t buffers = countBuffers(kernel);
  ValueRange maps = arguments.take_front(static_cast<size_t>(made.maps));
  arguments = arguments.drop_front(maps.size());
  cpu::KernelFrame frame(e, kernel, arguments.take_front(buffers),
                         arguments.drop_front(buffers));
  cuda::KernelPlan plan = cuda::planKernel(kernel);
  switch (plan.strategy) {
  case cuda::Strategy::Gemm:
    return part == cuda::Part::FewRows ? cuda::emitSkinny(e, frame, plan)
           : part == cuda::Part::Norm  ? cuda::emitNormPass(e, frame, plan)
           : made.maps ? cuda::emitWgmma(e, frame, plan, maps)
                       : cuda::emitGemm(e, frame, plan);
  case cuda::Strategy::Attention:
    return cuda::emitAttention(e, frame, plan);
  case cuda::Strategy::CachedAttention:
    return part == cuda::Part::Append
               ? cuda::emitCacheAppend(e, frame, plan)
               : cuda::emitCachedAttention(e, frame, plan);
  case cuda::Strategy::Rows:
    return cuda::emitRows(e, frame, plan);
  case cuda::Strategy::Moments:
    return cuda::emitMoments(e, frame, plan);
  case cuda::Strategy::Elements:
    return cuda::emitElements(e, frame, plan);
  }
}

/// What hinders a kernel, or "".
static std::string whyNotAtAll(vlm::KernelOp kernel, const Target &target) {
  cuda::KernelPlan plan = cuda::planKernel(kernel);
  if (plan.strategy == cuda::Strategy::Elements)
    return cuda::whyNot(kernel);
  int64_t most = cuda::maxSharedBytes(target.cpu);
  if (plan.sharedBytes > most)
    return ("its blocks take " + Twine(plan.sharedBytes) +
            " bytes of shared memory, but " + target.cpu + " has " +
            Twine(most))
        .str();
  return "";
}

/// Of a function: how many of its first arguments are tensor maps.
static constexpr llvm::StringLiteral mapsName = "vlmc.maps";

/// Makes those arguments the 128 bytes themselves, as a copy of tiles wants.
static void passMapsByValue(ModuleOp gpu) {
  gpu.walk([](LLVM::LLVMFuncOp function) {
    auto maps = function->getAttrOfType<IntegerAttr>(mapsName);
    if (!maps)
      return;
    Builder b(function.getContext());
    auto bytes = LLVM::LLVMArrayType::get(b.getI8Type(), 128);
    for (unsigned i = 0; i < maps.getInt(); ++i) {
      function.setArgAttr(i, LLVM::LLVMDialect::getByValAttrName(),
                          TypeAttr::get(bytes));
      function.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(),
                          b.getI64IntegerAttr(64));
      function.setArgAttr(i, NVVM::NVVMDialect::getGridConstantAttrName(),
                          b.getUnitAttr());
    }
    // Without a number of blocks ptxas does not let groups trade registers.
    function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                      b.getI32IntegerAttr(1));
    function->removeAttr(mapsName);
  });
}

static LogicalResult addKernel(cpu::Emitter &e, gpu::GPUModuleOp module,
                               vlm::KernelOp kernel) {
  std::string hindrance = whyNotAtAll(kernel, e.target);
  if (!hindrance.empty())
    return kernel.emitOpError()
           << "of kind '" << stringifyAnchorKind(kernel.getAnchor())
           << "' cannot be written for a GPU yet: " << hindrance
           << "; compile for CPUs alone";
  SmallVector<Type> operands(countBuffers(kernel), e.ptr);
  for (Type type : kernel.getArgumentTypes())
    operands.append(cast<RankedTensorType>(type).getNumDynamicDims(), e.i64);
  OpBuilder::InsertionGuard guard(e.b);
  for (const cuda::KernelFunction &made :
       cuda::functionsOf(kernel, cuda::planKernel(kernel))) {
    e.b.setInsertionPointToEnd(module.getBody());
    SmallVector<Type> types(static_cast<size_t>(made.maps), e.ptr);
    types.append(operands);
    auto function = gpu::GPUFuncOp::create(e.b, e.loc, made.name,
                                           e.b.getFunctionType(types, {}));
    function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(),
                      e.b.getUnitAttr());
    if (made.maps) {
      function->setAttr(mapsName, e.b.getI64IntegerAttr(made.maps));
      // Groups of warps trade registers, whose number follows from this.
      function.setKnownBlockSize(
          ArrayRef<int32_t>{static_cast<int32_t>(made.threads), 1, 1});
    }
    e.b.setInsertionPointToStart(&function.getBody().front());
    emitBody(e, kernel, made, function.getArguments());
    gpu::ReturnOp::create(e.b, e.loc);
  }
  return success();
}

FailureOr<OwningOpRef<ModuleOp>> cuda::lowerToGpu(ModuleOp kernels,
                                                  const Target &target) {
  loadDialects(*kernels.getContext());
  OwningOpRef<ModuleOp> result = ModuleOp::create(kernels.getLoc());
  cpu::Emitter e(*result, target);
  e.b.setInsertionPointToEnd(result->getBody());
  auto module = gpu::GPUModuleOp::create(e.b, e.loc, "kernels");
  cuda::Gpu::declareShared(e, module);
  for (auto kernel : kernels.getOps<vlm::KernelOp>())
    if (failed(addKernel(e, module, kernel)))
      return failure();
  if (failed(verify(*result)))
    return emitError(kernels.getLoc(),
                     "internal: the generated kernel code does not verify"),
           failure();
  return std::move(result);
}

//===-- To NVVM, to PTX ---------------------------------------------------===//

/// Replaces ops of a kind by an intrinsic of LLVM.
template <typename Op>
static void keepIntrinsic(ModuleOp gpu, StringRef intrinsic) {
  gpu.walk([&](Op op) {
    OpBuilder b(op);
    auto call = LLVM::CallIntrinsicOp::create(b, op.getLoc(), op.getType(),
                                              b.getStringAttr(intrinsic),
                                              op.getOperand());
    op.replaceAllUsesWith(call->getResult(0));
    op.erase();
  });
}

LogicalResult cuda::lowerToNvvm(ModuleOp gpu) {
  // The GPU's conversion would call libdevice for what PTX has itself.
  keepIntrinsic<math::SqrtOp>(gpu, "llvm.sqrt");
  keepIntrinsic<math::RoundEvenOp>(gpu, "llvm.roundeven");
  PassManager pm(gpu.getContext());
  OpPassManager &inner = pm.nest<gpu::GPUModuleOp>();
  inner.addPass(createCanonicalizerPass());
  inner.addPass(createCSEPass());
  inner.addPass(createSCFToControlFlowPass());
  inner.addPass(createConvertMathToLLVMPass());
  ConvertGpuOpsToNVVMOpsOptions options;
  options.useBarePtrCallConv = true;
  inner.addPass(createConvertGpuOpsToNVVMOps(options));
  inner.addPass(createConvertVectorToLLVMPass());
  inner.addPass(createCanonicalizerPass());
  inner.addPass(createCSEPass());
  inner.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  OpPassManager &last = pm.nest<gpu::GPUModuleOp>();
  last.addPass(createReconcileUnrealizedCastsPass());
  last.addPass(createConvertNVVMToLLVMPass());
  if (failed(pm.run(gpu)))
    return failure();
  passMapsByValue(gpu);
  return success();
}

FailureOr<std::unique_ptr<llvm::Module>>
cuda::lowerToLlvm(ModuleOp kernels, const Target &target,
                  llvm::LLVMContext &context) {
  FailureOr<OwningOpRef<ModuleOp>> gpu = lowerToGpu(kernels, target);
  if (failed(gpu) || failed(lowerToNvvm(**gpu)))
    return failure();
  auto inner = *(*gpu)->getOps<gpu::GPUModuleOp>().begin();
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(inner, context, "kernels");
  if (!module)
    return emitError(kernels.getLoc(),
                     "internal: the generated kernel code does not translate "
                     "to LLVM IR"),
           failure();
  return std::move(module);
}

/// Optimises a module and writes it as PTX.
static FailureOr<std::string> writePtx(llvm::Module &module,
                                       const Target &target, Location loc) {
  if (llvm::Error error = optimizeModule(module, target))
    return emitError(loc, "internal: ") << llvm::toString(std::move(error)),
           failure();
  auto text = emitObject(module, target, /*assembly=*/true);
  if (!text)
    return emitError(loc, "internal: ") << llvm::toString(text.takeError()),
           failure();
  return std::string(text->data(), text->size());
}

FailureOr<std::string> cuda::emitPtx(ModuleOp kernels, const Target &target) {
  llvm::LLVMContext context;
  auto module = lowerToLlvm(kernels, target, context);
  if (failed(module))
    return failure();
  return writePtx(**module, target, kernels.getLoc());
}

//===-- What a package holds ----------------------------------------------===//

static int64_t countDims(vlm::KernelOp kernel) {
  int64_t count = 0;
  for (Type type : kernel.getArgumentTypes())
    count += cast<RankedTensorType>(type).getNumDynamicDims();
  return count;
}

/// How sm_90a makes a product, and why so; "": there is no choice.
static std::string describeProduct(const cuda::KernelPlan &plan) {
  const cuda::WgmmaTile &tile = plan.wgmma;
  if (!plan.whyNoWgmma.empty())
    return "mma.sync, since " + plan.whyNoWgmma;
  if (!tile.columns)
    return "";
  return ("wgmma, tiles of " + Twine(tile.rows) + " x " + Twine(tile.columns) +
          ", " + Twine(tile.stages) + " stages; the epilogue takes " +
          Twine(tile.piece) + (tile.piece == 1 ? " column" : " columns") +
          " at once")
      .str();
}

/// The kernels of a module, and what is known of their use before assembly.
static void listKernels(ModuleOp planned, cuda::DeviceModule &device) {
  for (auto kernel : planned.getOps<vlm::KernelOp>()) {
    cuda::KernelPlan plan = cuda::planKernel(kernel);
    KernelCode &code = device.kernels.emplace_back();
    code.kernel = kernel.getSymName().str();
    code.strategy = cuda::strategyName(plan.strategy).str();
    code.buffers = static_cast<uint32_t>(countBuffers(kernel));
    code.dims = static_cast<uint32_t>(countDims(kernel));
    for (cuda::KernelFunction &function : cuda::functionsOf(kernel, plan)) {
      cuda::KernelUse &use = device.uses.emplace_back();
      use.kernel = std::move(function.name);
      use.strategy = function.maps ? "wgmma" : code.strategy;
      if (function.part == cuda::Part::Whole)
        use.note = describeProduct(plan);
      use.threads = function.threads;
      use.dynamicShared = function.sharedBytes;
    }
  }
}

/// Adds the chip's code, and what ptxas says of each kernel.
static LogicalResult addCode(cuda::DeviceModule &device, StringRef ptx,
                             StringRef ptxas, StringRef chip, Location loc) {
  llvm::Expected<cuda::Assembled> made = cuda::assemble(ptxas, ptx, chip);
  if (!made)
    return emitError(loc, "internal: ") << llvm::toString(made.takeError());
  device.codes.push_back({VLM_ABI_CODE_CUBIN, std::move(made->cubin)});
  device.warnings = std::move(made->warnings);
  for (cuda::KernelUse &use : device.uses)
    for (const cuda::KernelUse &said : made->kernels)
      if (said.kernel == use.kernel) {
        use.registers = said.registers;
        use.spilledBytes = said.spilledBytes;
        use.stackBytes = said.stackBytes;
        use.staticShared = said.staticShared;
      }
  return success();
}

FailureOr<cuda::DeviceModule>
cuda::emitDevice(ModuleOp planned, const Target &target, StringRef ptxas) {
  DeviceModule device;
  listKernels(planned, device);
  llvm::LLVMContext context;
  auto module = lowerToLlvm(planned, target, context);
  if (failed(module))
    return failure();
  std::string bitcode;
  if (llvm::is_contained(target.extras, "emulator")) {
    llvm::raw_string_ostream os(bitcode);
    llvm::WriteBitcodeToFile(**module, os);
  }
  auto ptx = writePtx(**module, target, planned.getLoc());
  if (failed(ptx))
    return failure();
  llvm::StringMap<int64_t> tensorOps = countTensorOps(*ptx);
  for (KernelUse &use : device.uses)
    use.tensorOps = tensorOps.lookup(use.kernel);
  if (!ptxas.empty() &&
      failed(addCode(device, *ptx, ptxas, target.cpu, planned.getLoc())))
    return failure();
  ptx->push_back('\0');
  device.codes.push_back({VLM_ABI_CODE_PTX, std::move(*ptx)});
  if (!bitcode.empty())
    device.codes.push_back({VLM_ABI_CODE_BITCODE, std::move(bitcode)});
  return device;
}
