//===-- Module.cpp - kernels compiled when first launched, and launched ---===//
#include "test/emulator/Emulator.h"
#include "test/emulator/HostSymbols.h"
#include "test/emulator/Lower.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/IPO/GlobalDCE.h"
#include "llvm/Transforms/Utils/Cloning.h"
#include <algorithm>
#include <shared_mutex>
#include <thread>

using namespace vlmc::emulator;
using namespace llvm::orc;

using Entry = void (*)(void *const *);

struct vlmc::emulator::Module::Impl {
  Options options;
  Lowered lowered;
  std::unique_ptr<llvm::TargetMachine> machine;
  ThreadSafeContext context;
  std::unique_ptr<llvm::Module> module;
  std::unique_ptr<LLJIT> jit;
  std::map<std::string, Entry> entries;
  std::map<std::string, std::pair<void *, size_t>> globals;

  llvm::Error prepare();
  llvm::Error addGlobals();
  void optimise(llvm::Module &module);
  llvm::Expected<Entry> compile(const std::string &kernel);
  llvm::Error lookUpGlobals();
};

//===-- Memory that kernels may touch -------------------------------------===//

static std::shared_mutex bufferMutex;
static std::map<uintptr_t, size_t> buffers;

void Buffers::add(const void *data, size_t bytes) {
  std::unique_lock lock(bufferMutex);
  buffers[reinterpret_cast<uintptr_t>(data)] = bytes;
}

void Buffers::remove(const void *data) {
  std::unique_lock lock(bufferMutex);
  buffers.erase(reinterpret_cast<uintptr_t>(data));
}

static std::vector<Grid::Range> listBuffers() {
  std::shared_lock lock(bufferMutex);
  std::vector<Grid::Range> ranges;
  ranges.reserve(buffers.size());
  for (auto [begin, bytes] : buffers)
    ranges.push_back({begin, begin + bytes});
  return ranges;
}

//===-- Loading -----------------------------------------------------------===//

/// Variables lie in a module of their own, which all kernels share.
llvm::Error Module::Impl::addGlobals() {
  unsigned count = 0;
  for (llvm::GlobalVariable &global : module->globals()) {
    if (global.isDeclaration())
      continue;
    if (!global.hasName() || global.hasLocalLinkage())
      global.setName("vlmc.global." + llvm::Twine(count++) + "." +
                     global.getName());
    global.setLinkage(llvm::GlobalValue::ExternalLinkage);
    global.setVisibility(llvm::GlobalValue::DefaultVisibility);
  }
  llvm::ValueToValueMapTy map;
  auto variables =
      llvm::CloneModule(*module, map, [](const llvm::GlobalValue *value) {
        return llvm::isa<llvm::GlobalVariable>(value);
      });
  return jit->addIRModule(ThreadSafeModule(std::move(variables), context));
}

llvm::Error Module::Impl::lookUpGlobals() {
  for (llvm::GlobalVariable &global : module->globals()) {
    auto symbol = jit->lookup(global.getName());
    if (!symbol)
      return symbol.takeError();
    size_t bytes =
        module->getDataLayout().getTypeAllocSize(global.getValueType());
    globals[global.getName().str()] = {symbol->toPtr<void *>(), bytes};
  }
  return llvm::Error::success();
}

llvm::Error Module::Impl::prepare() {
  auto builder = JITTargetMachineBuilder::detectHost();
  if (!builder)
    return builder.takeError();
  builder->setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
  auto created = builder->createTargetMachine();
  if (!created)
    return created.takeError();
  machine = std::move(*created);
  auto made = LLJITBuilder().setJITTargetMachineBuilder(*builder).create();
  if (!made)
    return made.takeError();
  jit = std::move(*made);
  auto process = DynamicLibrarySearchGenerator::GetForCurrentProcess(
      jit->getDataLayout().getGlobalPrefix());
  if (!process)
    return process.takeError();
  JITDylib &library = jit->getMainJITDylib();
  SymbolMap symbols;
  for (auto [name, address] : hostSymbols())
    symbols[jit->mangleAndIntern(name)] = {ExecutorAddr::fromPtr(address),
                                           llvm::JITSymbolFlags::Exported};
  if (auto error = library.define(absoluteSymbols(std::move(symbols))))
    return error;
  library.addGenerator(std::move(*process));
  return llvm::Error::success();
}

Module::Module() : impl(std::make_unique<Impl>()) {}
Module::~Module() = default;

std::unique_ptr<Module>
Module::load(std::string_view ir, const Options &options, std::string &error) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  std::unique_ptr<Module> loaded(new Module());
  Impl &impl = *loaded->impl;
  impl.options = options;
  if (auto failed = impl.prepare()) {
    error = llvm::toString(std::move(failed));
    return nullptr;
  }
  auto context = std::make_unique<llvm::LLVMContext>();
  llvm::SMDiagnostic diagnostic;
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy(
      llvm::StringRef(ir.data(), ir.size()), "kernels");
  impl.module = llvm::parseIR(buffer->getMemBufferRef(), diagnostic, *context);
  if (!impl.module) {
    llvm::raw_string_ostream os(error);
    diagnostic.print("", os, /*ShowColors=*/false);
    return nullptr;
  }
  impl.context = ThreadSafeContext(std::move(context));
  if (!lowerToHost(*impl.module, impl.machine->createDataLayout(),
                   impl.machine->getTargetTriple(), options.check, impl.lowered,
                   error))
    return nullptr;
  auto failed = impl.addGlobals();
  if (!failed)
    failed = impl.lookUpGlobals();
  if (failed) {
    error = llvm::toString(std::move(failed));
    return nullptr;
  }
  return loaded;
}

void Module::Impl::optimise(llvm::Module &kernel) {
  for (llvm::Function &function : kernel) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine->getTargetCPU());
    function.addFnAttr("target-features", machine->getTargetFeatureString());
  }
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(machine.get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  auto passes =
      builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O1);
  passes.run(kernel, modules);
}

/// One kernel with the functions that it calls, as a module of its own.
llvm::Expected<Entry> Module::Impl::compile(const std::string &kernel) {
  std::string entryName = (entryPrefix + kernel).str();
  llvm::ValueToValueMapTy map;
  auto own =
      llvm::CloneModule(*module, map, [&](const llvm::GlobalValue *value) {
        llvm::StringRef name = value->getName();
        bool isOther = lowered.kernels.count(name.str()) && name != kernel;
        bool isOtherEntry = name.starts_with(entryPrefix) && name != entryName;
        return llvm::isa<llvm::Function>(value) && !isOther && !isOtherEntry;
      });
  for (llvm::Function &function : *own)
    if (!function.isDeclaration() && function.getName() != entryName)
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  for (llvm::GlobalVariable &global : own->globals())
    global.setLinkage(llvm::GlobalValue::ExternalLinkage);
  optimise(*own);
  if (auto error = jit->addIRModule(ThreadSafeModule(std::move(own), context)))
    return error;
  auto symbol = jit->lookup(entryName);
  if (!symbol)
    return symbol.takeError();
  return symbol->toPtr<Entry>();
}

//===-- What a module has -------------------------------------------------===//

std::vector<std::string> Module::kernels() const {
  std::vector<std::string> names;
  for (const auto &[name, kernel] : impl->lowered.kernels)
    names.push_back(name);
  return names;
}

bool Module::hasKernel(const std::string &kernel) const {
  return impl->lowered.kernels.count(kernel) != 0;
}

const std::vector<size_t> &
Module::argumentBytes(const std::string &kernel) const {
  return impl->lowered.kernels.at(kernel).argumentBytes;
}

void *Module::global(const std::string &name, size_t &bytes) const {
  auto found = impl->globals.find(name);
  if (found == impl->globals.end())
    return nullptr;
  bytes = found->second.second;
  return found->second.first;
}

//===-- Launching ---------------------------------------------------------===//

static std::string sizes(Dim3 x) {
  return std::to_string(x.x) + " x " + std::to_string(x.y) + " x " +
         std::to_string(x.z);
}

/// What a driver refuses.
static std::string checkLaunch(const Grid &grid, uint64_t maxThreads) {
  const Launch &launch = grid.launch;
  std::string kernel = "kernel @" + grid.kernel + ": ";
  if (!launch.grid.count() || !launch.block.count() ||
      launch.block.count() > 1024)
    return kernel + "a grid of " + sizes(launch.grid) + " blocks of " +
           sizes(launch.block) +
           " threads, where a block has 1 to 1024 and no side is 0";
  if (launch.block.count() > maxThreads)
    return kernel + "blocks of " + sizes(launch.block) +
           " threads, where it is compiled for up to " +
           std::to_string(maxThreads);
  if (grid.sharedBytes() > grid.options.maxSharedBytes)
    return kernel + std::to_string(grid.sharedBytes()) +
           " bytes of shared memory, where a block has up to " +
           std::to_string(grid.options.maxSharedBytes);
  return "";
}

/// Runs blocks until none is left.
static void runBlocks(Grid &grid) {
  Block block(grid);
  uint64_t count = grid.launch.grid.count();
  if (!block.isValid()) {
    std::lock_guard<std::mutex> lock(grid.mutex);
    grid.fault = "kernel @" + grid.kernel + ": no memory for its threads";
    grid.kind = FaultKind::Launch;
    grid.hasFault = true;
    return;
  }
  const Dim3 &size = grid.launch.grid;
  for (uint64_t i = grid.nextBlock++; i < count; i = grid.nextBlock++) {
    Dim3 index = {static_cast<uint32_t>(i % size.x),
                  static_cast<uint32_t>(i / size.x % size.y),
                  static_cast<uint32_t>(i / size.x / size.y)};
    if (!block.run(index))
      break;
  }
  std::lock_guard<std::mutex> lock(grid.mutex);
  grid.stats.warpOps += block.stats().warpOps;
  grid.stats.barriers += block.stats().barriers;
  grid.stats.switches += block.stats().switches;
}

bool Module::launch(const std::string &kernel, const Launch &launch,
                    void *const *arguments, std::string &error,
                    FaultKind *kind) {
  if (kind)
    *kind = FaultKind::Launch;
  auto known = impl->lowered.kernels.find(kernel);
  if (known == impl->lowered.kernels.end()) {
    error = "the module has no kernel @" + kernel;
    return false;
  }
  Grid grid;
  grid.kernel = kernel;
  grid.launch = launch;
  grid.options = impl->options;
  grid.arguments = arguments;
  grid.staticShared = impl->lowered.staticShared;
  grid.granule = impl->lowered.granule;
  error = checkLaunch(grid, known->second.maxThreads);
  if (!error.empty())
    return false;
  Entry &entry = impl->entries[kernel];
  if (!entry) {
    auto compiled = impl->compile(kernel);
    if (!compiled) {
      error = llvm::toString(compiled.takeError());
      return false;
    }
    entry = *compiled;
  }
  grid.entry = entry;
  grid.buffers = listBuffers();
  for (const auto &[name, range] : impl->globals) {
    auto begin = reinterpret_cast<uintptr_t>(range.first);
    grid.buffers.push_back({begin, begin + range.second});
  }
  std::sort(grid.buffers.begin(), grid.buffers.end(),
            [](auto &a, auto &b) { return a.begin < b.begin; });
  std::vector<std::thread> others;
  auto count =
      std::min<uint64_t>(impl->options.hostThreads, launch.grid.count());
  for (uint64_t i = 1; i < count; ++i)
    others.emplace_back([&] { runBlocks(grid); });
  runBlocks(grid);
  for (std::thread &other : others)
    other.join();
  if (launch.stats)
    *launch.stats = grid.stats;
  error = grid.fault;
  if (kind)
    *kind = grid.kind;
  return !grid.hasFault;
}
