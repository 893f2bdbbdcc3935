//===-- Ptx.cpp - kernels of the kernels border as PTX --------------------===//
#include "codegen/cuda/Ptx.h"
#include "codegen/Codegen.h"
#include "codegen/cuda/Elements.h"
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

/// The number of this thread among all of the grid.
static Value emitThread(cpu::Emitter &e) {
  Value block = gpu::BlockIdOp::create(e.b, e.loc, gpu::Dimension::x);
  Value size = gpu::BlockDimOp::create(e.b, e.loc, gpu::Dimension::x);
  Value thread = gpu::ThreadIdOp::create(e.b, e.loc, gpu::Dimension::x);
  auto wide = [&](Value x) -> Value {
    return arith::IndexCastOp::create(e.b, e.loc, e.i64, x);
  };
  return e.add(e.mul(wide(block), wide(size)), wide(thread));
}

static void emitBody(cpu::Emitter &e, vlm::KernelOp kernel,
                     ValueRange arguments) {
  size_t buffers = kernel.getArgumentTypes().size() + 1;
  cpu::KernelFrame frame(e, kernel, arguments.take_front(buffers),
                         arguments.drop_front(buffers));
  Value yielded = kernel.getYielded()[0];
  Value features = frame.dims.dim(
      yielded, cast<RankedTensorType>(yielded.getType()).getRank() - 1);
  Value thread = emitThread(e);
  Value count = e.mul(frame.dims.rows(e, yielded), features);
  e.ifThen(e.less(thread, count), [&] {
    Value element = cuda::emitElement(e, frame, e.div(thread, features),
                                      e.rem(thread, features));
    e.store(element, e.at(frame.result(0), thread, element.getType()));
  });
}

static LogicalResult addKernel(cpu::Emitter &e, gpu::GPUModuleOp module,
                               vlm::KernelOp kernel) {
  std::string hindrance = cuda::whyNot(kernel);
  if (!hindrance.empty())
    return kernel.emitOpError()
           << "cannot be written for a GPU yet: " << hindrance;
  SmallVector<Type> types(kernel.getArgumentTypes().size() + 1, e.ptr);
  for (Type type : kernel.getArgumentTypes())
    types.append(cast<RankedTensorType>(type).getNumDynamicDims(), e.i64);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToEnd(module.getBody());
  auto function = gpu::GPUFuncOp::create(e.b, e.loc, kernel.getSymName(),
                                         e.b.getFunctionType(types, {}));
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(),
                    e.b.getUnitAttr());
  e.b.setInsertionPointToStart(&function.getBody().front());
  emitBody(e, kernel, function.getArguments());
  gpu::ReturnOp::create(e.b, e.loc);
  return success();
}

FailureOr<OwningOpRef<ModuleOp>> cuda::lowerToGpu(ModuleOp kernels,
                                                  const Target &target) {
  loadDialects(*kernels.getContext());
  OwningOpRef<ModuleOp> result = ModuleOp::create(kernels.getLoc());
  cpu::Emitter e(*result, target);
  e.b.setInsertionPointToEnd(result->getBody());
  auto module = gpu::GPUModuleOp::create(e.b, e.loc, "kernels");
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

/// The GPU's conversion would call libdevice for roots, which PTX has itself.
static void keepRoots(ModuleOp gpu) {
  gpu.walk([](math::SqrtOp op) {
    OpBuilder b(op);
    auto root = LLVM::CallIntrinsicOp::create(b, op.getLoc(), op.getType(),
                                              b.getStringAttr("llvm.sqrt"),
                                              op.getOperand());
    op.replaceAllUsesWith(root->getResult(0));
    op.erase();
  });
}

LogicalResult cuda::lowerToNvvm(ModuleOp gpu) {
  keepRoots(gpu);
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
  return pm.run(gpu);
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

FailureOr<std::string> cuda::emitPtx(ModuleOp kernels, const Target &target) {
  llvm::LLVMContext context;
  auto module = lowerToLlvm(kernels, target, context);
  if (failed(module))
    return failure();
  if (llvm::Error error = optimizeModule(**module, target))
    return emitError(kernels.getLoc(), "internal: ")
               << llvm::toString(std::move(error)),
           failure();
  auto text = emitObject(**module, target, /*assembly=*/true);
  if (!text)
    return emitError(kernels.getLoc(), "internal: ")
               << llvm::toString(text.takeError()),
           failure();
  return std::string(text->data(), text->size());
}
