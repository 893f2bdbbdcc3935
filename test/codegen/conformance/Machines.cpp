//===-- Machines.cpp - where the kernels of a target run ------------------===//
#include "test/codegen/conformance/Machines.h"
#include "codegen/cuda/Ptx.h"
#include "codegen/package/Link.h"
#include "ir/Vlm/VlmOps.h"
#include "runtime/abi/vlm_abi.h"
#include "runtime/core/Cpu.h"
#include "test/codegen/package/Support.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/Support/Program.h"
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>

using namespace llvm;
using namespace vlmc;
using namespace vlmc::test;

/// The memory of a job, aligned; what was written comes back with restore().
namespace {
class Memory {
public:
  explicit Memory(Job &job) : job(job) {
    for (std::vector<uint8_t> &bytes : job.buffers)
      pointers.push_back(place(bytes));
    scratch = place(job.scratch);
  }
  void restore() {
    for (auto [bytes, pointer] : zip_equal(job.buffers, pointers))
      copyBack(bytes, pointer);
    copyBack(job.scratch, scratch);
  }
  std::vector<void *> pointers;
  void *scratch;

private:
  void *place(const std::vector<uint8_t> &bytes) {
    storage.push_back(std::make_unique<uint8_t[]>(bytes.size() + 64));
    auto at = (reinterpret_cast<uintptr_t>(storage.back().get()) + 63) / 64;
    auto *pointer = reinterpret_cast<uint8_t *>(at * 64);
    std::copy(bytes.begin(), bytes.end(), pointer);
    return pointer;
  }
  static void copyBack(std::vector<uint8_t> &bytes, void *pointer) {
    std::copy_n(static_cast<uint8_t *>(pointer), bytes.size(), bytes.begin());
  }
  Job &job;
  std::vector<std::unique_ptr<uint8_t[]>> storage;
};

//===-- In this process ---------------------------------------------------===//

class HostMachine : public Machine {
public:
  HostMachine(std::unique_ptr<Module> module,
              std::unique_ptr<LLVMContext> context)
      : jit(cantFail(orc::LLJITBuilder().create())) {
    cantFail(jit->addIRModule(
        orc::ThreadSafeModule(std::move(module), std::move(context))));
  }
  void run(std::vector<Job> &jobs) override {
    for (Job &job : jobs) {
      Memory memory(job);
      vlm_kernel_args args{memory.pointers.data(), job.dims.data(),
                           memory.scratch};
      for (const KernelCode::Phase &phase : code.phases) {
        auto call = find<vlm_phase_fn>(phase.run);
        int64_t tasks = find<vlm_tasks_fn>(phase.tasks)(job.dims.data());
        // Of no rows there is nothing to do.
        EXPECT_EQ(tasks > 0, !llvm::is_contained(job.dims, 0));
        for (int64_t begin = 0; begin < tasks; begin += job.grain)
          call(&args, begin, std::min(begin + job.grain, tasks));
      }
      memory.restore();
    }
  }

protected:
  template <typename T> T find(const std::string &name) {
    return cantFail(jit->lookup(name)).toPtr<T>();
  }
  std::unique_ptr<orc::LLJIT> jit;
};

//===-- Thread by thread --------------------------------------------------===//

/// A GPU's own LLVM IR, compiled for this machine: special registers become
/// arguments, and a loop calls the kernel for every thread of a grid.
class GpuMachine : public HostMachine {
public:
  using HostMachine::HostMachine;
  bool isGpu() const override { return true; }
  void run(std::vector<Job> &jobs) override {
    auto call = find<void (*)(void **, const int64_t *, int32_t)>("launch");
    for (Job &job : jobs) {
      Memory memory(job);
      // Past the last element there is nothing to do.
      int64_t threads = static_cast<int64_t>(job.buffers.back().size()) / 4;
      for (int64_t thread = 0; thread < threads; ++thread)
        call(memory.pointers.data(), job.dims.data(),
             static_cast<int32_t>(thread));
      memory.restore();
    }
  }
  /// Makes `launch(buffers, dims, thread)` of the module's only kernel.
  static void prepare(Module &module, size_t buffers);
};
} // namespace

void GpuMachine::prepare(Module &module, size_t buffers) {
  LLVMContext &context = module.getContext();
  Type *i32 = Type::getInt32Ty(context), *i64 = Type::getInt64Ty(context);
  Type *ptr = PointerType::get(context, 0);
  auto *current =
      new GlobalVariable(module, i32, false, GlobalValue::InternalLinkage,
                         ConstantInt::get(i32, 0), "thread");
  Function *kernel = nullptr;
  for (Function &function : make_early_inc_range(module)) {
    if (!function.isDeclaration()) {
      kernel = &function;
      continue;
    }
    for (User *user : make_early_inc_range(function.users())) {
      auto *call = cast<CallInst>(user);
      IRBuilder<> b(call);
      Value *value = ConstantInt::get(i32, 0);
      if (function.getIntrinsicID() == Intrinsic::nvvm_read_ptx_sreg_tid_x)
        value = b.CreateLoad(i32, current);
      else if (function.getIntrinsicID() ==
               Intrinsic::nvvm_read_ptx_sreg_ntid_x)
        value = ConstantInt::get(i32, 1 << 30);
      else if (function.getIntrinsicID() !=
               Intrinsic::nvvm_read_ptx_sreg_ctaid_x)
        continue;
      call->replaceAllUsesWith(value);
      call->eraseFromParent();
    }
  }
  ASSERT_TRUE(kernel);
  kernel->setCallingConv(CallingConv::C);
  auto *launch = Function::Create(
      FunctionType::get(Type::getVoidTy(context), {ptr, ptr, i32}, false),
      GlobalValue::ExternalLinkage, "launch", module);
  IRBuilder<> b(BasicBlock::Create(context, "", launch));
  b.CreateStore(launch->getArg(2), current);
  SmallVector<Value *> arguments;
  for (size_t i = 0; i < kernel->arg_size(); ++i) {
    bool isBuffer = i < buffers;
    Type *type = isBuffer ? ptr : i64;
    Value *base = launch->getArg(isBuffer ? 0 : 1);
    arguments.push_back(b.CreateLoad(
        type, b.CreateConstGEP1_64(type, base, isBuffer ? i : i - buffers)));
  }
  b.CreateCall(kernel, arguments);
  b.CreateRetVoid();
}

//===-- Under qemu-user ---------------------------------------------------===//

#ifdef VLMC_AARCH64_RUNNER
namespace {
/// A library and a file of jobs for the program KernelRunner.
class EmulatedMachine : public Machine {
public:
  explicit EmulatedMachine(std::string object) : object(std::move(object)) {}
  void run(std::vector<Job> &jobs) override;

private:
  void write(const std::string &path, const std::vector<Job> &jobs);
  std::string object;
};
} // namespace

static void put(std::ofstream &file, int64_t value) {
  file.write(reinterpret_cast<const char *>(&value), sizeof value);
}
static void put(std::ofstream &file, const void *data, size_t bytes) {
  put(file, static_cast<int64_t>(bytes));
  file.write(static_cast<const char *>(data),
             static_cast<std::streamsize>(bytes));
}

void EmulatedMachine::write(const std::string &path,
                            const std::vector<Job> &jobs) {
  std::ofstream file(path, std::ios::binary);
  put(file, static_cast<int64_t>(code.phases.size()));
  for (const KernelCode::Phase &phase : code.phases)
    for (const std::string &name : {phase.run, phase.tasks})
      put(file, name.data(), name.size());
  put(file, static_cast<int64_t>(jobs.size()));
  for (const Job &job : jobs) {
    put(file, job.grain);
    put(file, job.dims.data(), job.dims.size() * sizeof(int64_t));
    put(file, job.scratch.data(), job.scratch.size());
    put(file, static_cast<int64_t>(job.buffers.size()));
    for (const std::vector<uint8_t> &bytes : job.buffers)
      put(file, bytes.data(), bytes.size());
  }
}

void EmulatedMachine::run(std::vector<Job> &jobs) {
  TemporaryFolder folder;
  LinkRequest request;
  request.objects = {{"kernel", object}};
  request.output = folder.file("libkernel.so");
  request.soname = "libkernel.so";
  for (const KernelCode::Phase &phase : code.phases)
    append_range(request.exports,
                 std::vector<std::string>{phase.run, phase.tasks});
  ASSERT_EQ(messageOf(linkSharedLibrary(request, folder.file("link"))), "");
  std::string in = folder.file("jobs"), out = folder.file("results");
  write(in, jobs);
  std::string error;
  int result =
      sys::ExecuteAndWait(VLMC_QEMU_AARCH64,
                          {VLMC_QEMU_AARCH64, "-L", VLMC_AARCH64_ROOT,
                           VLMC_AARCH64_RUNNER, request.output, in, out},
                          std::nullopt, {}, 0, 0, &error);
  ASSERT_EQ(result, 0) << error;
  // The same buffers, one behind the other.
  std::string bytes = readFile(out);
  const char *at = bytes.data();
  auto take = [&](std::vector<uint8_t> &to) {
    ASSERT_LE(at + to.size(), bytes.data() + bytes.size());
    std::memcpy(to.data(), at, to.size());
    at += to.size();
  };
  for (Job &job : jobs) {
    take(job.scratch);
    for (std::vector<uint8_t> &buffer : job.buffers)
      take(buffer);
  }
  EXPECT_EQ(at, bytes.data() + bytes.size());
}
#endif

//===-- Which one ---------------------------------------------------------===//

std::vector<std::string> test::runnableTargets() {
  std::vector<std::string> names;
  for (const char *name :
       {"x86-64-v3", "x86-64-v4", "x86-64-v4+as-v3", "aarch64", "cuda:sm_80"}) {
    bool runs = rt::supportsIsa(findTarget(name)->isa);
#ifdef VLMC_AARCH64_RUNNER
    runs |= findTarget(name)->arch == "aarch64";
#endif
    if (runs || findTarget(name)->arch == "cuda")
      names.push_back(name);
  }
  return names;
}

static std::unique_ptr<Machine> makeGpu(const vlmc::Target &target,
                                        mlir::ModuleOp module) {
  auto context = std::make_unique<LLVMContext>();
  auto ir = cuda::lowerToLlvm(module, target, *context);
  if (failed(ir))
    return nullptr;
  auto kernel = *module.getOps<vlm::KernelOp>().begin();
  GpuMachine::prepare(**ir, kernel.getArgumentTypes().size() + 1);
  cantFail(optimizeModule(**ir, *findTarget("x86-64-v3")));
  return std::make_unique<GpuMachine>(std::move(*ir), std::move(context));
}

std::unique_ptr<Machine> test::makeMachine(const vlmc::Target &target,
                                           mlir::ModuleOp module) {
  if (target.arch == "cuda")
    return makeGpu(target, module);
  auto context = std::make_unique<LLVMContext>();
  std::vector<KernelCode> codes;
  auto ir = lowerKernels(module, target, "t_", *context, codes);
  if (failed(ir))
    return nullptr;
  cantFail(optimizeModule(**ir, target));
  std::unique_ptr<Machine> machine;
  if (rt::supportsIsa(target.isa)) {
    machine = std::make_unique<HostMachine>(std::move(*ir), std::move(context));
  } else {
#ifdef VLMC_AARCH64_RUNNER
    auto object = cantFail(emitObject(**ir, target));
    machine = std::make_unique<EmulatedMachine>(
        std::string(object.data(), object.size()));
#else
    return nullptr;
#endif
  }
  machine->code = codes.at(0);
  return machine;
}
