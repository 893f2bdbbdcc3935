//===-- Compile.cpp - from a checkpoint to a compiled model ---------------===//
#include "tools/driver/Compile.h"
#include "codegen/Codegen.h"
#include "codegen/cuda/Ptx.h"
#include "codegen/halide/Halide.h"
#include "codegen/package/Error.h"
#include "codegen/package/Files.h"
#include "codegen/package/Package.h"
#include "frontend/families/ImageSpec.h"
#include "frontend/spec/Spec.h"
#include "frontend/text/TokenizerTables.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Pipelines.h"
#include "tools/driver/CompileInput.h"
#include "tools/driver/Explain.h"
#include "tools/driver/OutputFile.h"
#include "tools/driver/Predict.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/TargetParser/Host.h"
#include <map>

using namespace llvm;

namespace vlmc {

//===-- Stages ------------------------------------------------------------===//

static constexpr StringLiteral stageNames[] = {
    "spec", "graph", "kernels", "planned", "llvm", "asm", "obj", "ptx"};

std::vector<std::string> emitStageNames() {
  return {std::begin(stageNames), std::end(stageNames)};
}

std::optional<EmitStage> findEmitStage(StringRef name) {
  for (auto [index, stage] : enumerate(stageNames))
    if (stage == name)
      return static_cast<EmitStage>(index);
  return std::nullopt;
}

//===-- Targets -----------------------------------------------------------===//

/// The targets asked for, or all base levels of this machine's architecture, of
/// which a printed stage takes the best; best first.
static Expected<std::vector<const Target *>>
findTargets(const CompileRequest &request) {
  std::vector<const Target *> targets;
  for (const std::string &name : request.targets) {
    Expected<const Target *> target = parseTarget(name);
    if (!target)
      return userError(toString(target.takeError()));
    if (is_contained(targets, *target))
      return userError("target '" + name + "' is given twice");
    targets.push_back(*target);
  }
  if (targets.empty()) {
    targets = hostTargets();
    // A printed stage is for one target.
    if (request.stage != EmitStage::Package && targets.size() > 1)
      targets.resize(1);
  }
  if (targets.empty())
    return userError("vlmc has no target for this machine's architecture (" +
                     sys::getProcessTriple() + "); give --target, one of " +
                     join(targetNames(), ", "));
  sortBestFirst(targets);
  return targets;
}

/// The name of a GPU's architecture.
static constexpr StringLiteral cudaArch = "cuda";

/// The best target of this machine's architecture, as an example.
static std::string hostName() {
  std::vector<const Target *> host = hostTargets();
  return host.empty() ? targetNames().front() : host.back()->name;
}

/// Whether the targets have the stage that is asked for.
static Error checkStage(const CompileRequest &request,
                        ArrayRef<const Target *> targets) {
  for (const Target *target : targets) {
    bool isCuda = target->arch == cudaArch;
    if (isCuda && request.stage > EmitStage::Planned &&
        request.stage < EmitStage::Ptx)
      return userError("target '" + target->name +
                       "' has the stages graph, kernels, planned and ptx only; "
                       "give one of them with --emit, or the target of a CPU");
    if (!isCuda && request.stage == EmitStage::Ptx)
      return userError("target '" + target->name +
                       "' has no stage ptx; give --target cuda:sm_80 or "
                       "another GPU's");
  }
  if (request.stage == EmitStage::Package &&
      all_of(targets, [](const Target *t) { return t->arch == cudaArch; }))
    return userError("target '" + targets.front()->name +
                     "' needs a CPU's beside it, for pictures and for machines "
                     "without a GPU; give --target " +
                     hostName() + "," + targets.front()->name);
  if (request.stage == EmitStage::Package ||
      request.stage <= EmitStage::Graph || targets.size() == 1)
    return Error::success();
  std::vector<std::string> names;
  for (const Target *target : targets)
    names.push_back(target->name);
  return userError("a printed stage is for one target, not for " +
                   join(names, ", ") + "; give one with --target");
}

//===-- The compilation ---------------------------------------------------===//

namespace {
/// The code of a level on its way to an object.
struct LevelCode {
  const Target *target = nullptr;
  mlir::OwningOpRef<mlir::ModuleOp> code;
  std::vector<KernelCode> kernels;
  std::string object;
};

/// One request on its way.
class Compilation {
public:
  explicit Compilation(const CompileRequest &request)
      : request(request), log(context, request) {}
  Error run();

private:
  void report(const Twine &what, uint64_t done = 0, uint64_t total = 0) {
    if (request.progress)
      request.progress(what.str(), done, total);
  }
  void warn(const Twine &message) {
    if (request.warn)
      request.warn(message.str());
  }
  /// The errors that passes and generators reported: on a module that the user
  /// handed in they are the user's.
  Error takeErrors(const Twine &doing);
  Error openPrinted();
  Error print(function_ref<void(raw_ostream &)> write);
  Error printModule(mlir::ModuleOp module);
  Error printCode(const Target &target);
  Error printPtx(const Target &target);
  Expected<mlir::ModuleOp> formKernels(const Target &target);
  Expected<mlir::OwningOpRef<mlir::ModuleOp>> runPasses(const Target &target);
  Expected<mlir::OwningOpRef<mlir::ModuleOp>>
  generate(mlir::ModuleOp planned, const Target &target,
           std::vector<KernelCode> &kernels);
  Error addLevels(PackageInputs &inputs);
  Error addDevices(PackageInputs &inputs);
  Error addDeviceCode(mlir::ModuleOp planned, const Target &target,
                      PackageDevice &device);
  Error explainDevice(const cuda::DeviceModule &device, const Target &target);
  Error emitLevels(MutableArrayRef<LevelCode> levels);
  Error addImage(const Target &target, PackageInputs &inputs);
  Error addTokenizer();
  Error addPictureWords();
  Error package();

  const CompileRequest &request;
  mlir::MLIRContext context;
  DiagnosticLog log;
  CompileInput input;
  std::vector<const Target *> targets;
  std::optional<tool::OutputFile> printed; ///< where a stage is printed to
  std::map<std::string, mlir::OwningOpRef<mlir::ModuleOp>> kernelsBorder;
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> planned;
  std::vector<uint8_t> tokenizer, pictureWords;
};
} // namespace

Error Compilation::takeErrors(const Twine &doing) {
  std::string errors = log.take();
  if (input.isResumed)
    return userError(request.model + ": " + errors);
  return internalError(doing + ": " +
                       (errors.empty() ? "failed without a message" : errors));
}

//===-- Printing ----------------------------------------------------------===//

Error Compilation::openPrinted() {
  if (request.output.empty() || request.output == "-") {
    printed.emplace(tool::OutputFile::standardOutput());
    return Error::success();
  }
  Expected<tool::OutputFile> file = tool::OutputFile::open(request.output);
  if (!file)
    return file.takeError();
  printed.emplace(std::move(*file));
  return Error::success();
}

Error Compilation::print(function_ref<void(raw_ostream &)> write) {
  std::string text;
  raw_string_ostream os(text);
  write(os);
  if (Error error = printed->write(text.data(), text.size()))
    return error;
  return printed->commit();
}

Error Compilation::printModule(mlir::ModuleOp module) {
  noteSpec(module, input.spec);
  return print([&](raw_ostream &os) {
    module.print(os);
    os << "\n";
  });
}

//===-- Passes and code ---------------------------------------------------===//

/// The kernels border of an architecture, which its levels share.
Expected<mlir::ModuleOp> Compilation::formKernels(const Target &target) {
  mlir::OwningOpRef<mlir::ModuleOp> &module = kernelsBorder[target.arch];
  if (module)
    return *module;
  module = input.module->clone();
  if (input.border == EmitStage::Graph) {
    mlir::PassManager passes(&context);
    buildKernelsPipeline(passes, PipelineOptions(target), request.reference);
    report("optimising for " + target.arch);
    if (failed(passes.run(*module)))
      return takeErrors("optimising for " + target.arch);
  }
  return *module;
}

/// The module as far as the request's stage, at most planned.
Expected<mlir::OwningOpRef<mlir::ModuleOp>>
Compilation::runPasses(const Target &target) {
  Expected<mlir::ModuleOp> kernels = formKernels(target);
  if (!kernels)
    return kernels.takeError();
  mlir::OwningOpRef<mlir::ModuleOp> module(kernels->clone());
  if (request.weights != "auto" && input.border == EmitStage::Planned)
    return userError(request.model +
                     ": its weights are laid out already, so "
                     "that --weights " +
                     request.weights +
                     " changes nothing; "
                     "leave it out, or compile from a stage before 'planned'");
  if (input.border == EmitStage::Planned || request.stage == EmitStage::Kernels)
    return std::move(module);
  if (request.explain && target.arch != cudaArch)
    request.explain(describeTarget(target));
  mlir::PassManager passes(&context);
  PipelineOptions options(target);
  options.weights = request.weights;
  buildPlannedPipeline(passes, options, request.reference);
  report("planning for " + target.name);
  if (failed(passes.run(*module)))
    return takeErrors("planning for " + target.name);
  return std::move(module);
}

/// Tells how much code there is: it grows with what differs, not with depth.
static std::string describeCode(mlir::ModuleOp planned, mlir::ModuleOp code,
                                const Target &target, size_t kernels) {
  size_t calls = 0, functions = range_size(code.getOps<mlir::func::FuncOp>());
  planned.walk([&](vlm::CallOp) { ++calls; });
  return formatv("{0}: {1} distinct kernels for {2} calls, {3} functions",
                 target.name, kernels, calls, functions);
}

Expected<mlir::OwningOpRef<mlir::ModuleOp>>
Compilation::generate(mlir::ModuleOp planned, const Target &target,
                      std::vector<KernelCode> &kernels) {
  report("generating code for " + target.name);
  std::string prefix = request.stage == EmitStage::Package
                           ? getPackageName(request.output)
                           : toIdentifier(input.spec.name());
  auto code = generateKernels(
      planned, target, prefix + "_" + toIdentifier(target.name) + "_", kernels);
  if (failed(code))
    return takeErrors("generating code for " + target.name);
  if (request.explain) {
    request.explain(describeCode(planned, **code, target, kernels.size()));
    predictTimes(planned, target, request.explain);
  }
  return std::move(*code);
}

/// Prints a stage behind the planned one.
Error Compilation::printCode(const Target &target) {
  auto module = runPasses(target);
  if (!module)
    return module.takeError();
  LLVMContext llvmContext;
  std::vector<KernelCode> kernels;
  auto generated = generate(**module, target, kernels);
  if (!generated)
    return generated.takeError();
  auto code = translateKernels(**generated, target, llvmContext);
  if (failed(code))
    return takeErrors("generating code for " + target.name);
  if (Error error = optimizeModule(**code, target))
    return error;
  if (request.stage == EmitStage::Llvm)
    return print([&](raw_ostream &os) { (*code)->print(os, nullptr); });
  auto object = emitObject(**code, target, request.stage == EmitStage::Asm);
  if (!object)
    return object.takeError();
  return print([&](raw_ostream &os) { os << *object; });
}

Error Compilation::printPtx(const Target &target) {
  auto module = runPasses(target);
  if (!module)
    return module.takeError();
  report("generating code for " + target.name);
  auto text = cuda::emitPtx(**module, target);
  if (failed(text))
    return takeErrors("generating code for " + target.name);
  if (request.explain) {
    PackageDevice device;
    if (Error error = addDeviceCode(**module, target, device))
      return error;
  }
  return print([&](raw_ostream &os) { os << *text; });
}

//===-- Packages ----------------------------------------------------------===//

/// Turns the code of one level into its object.
static Error emitLevel(LevelCode &level) {
  LLVMContext llvmContext;
  auto module = translateKernels(*level.code, *level.target, llvmContext);
  level.code = nullptr;
  if (failed(module))
    return createStringError("generating code for %s failed",
                             level.target->name.c_str());
  if (Error error = optimizeModule(**module, *level.target))
    return error;
  auto object = emitObject(**module, *level.target);
  if (!object)
    return object.takeError();
  level.object.assign(object->data(), object->size());
  return Error::success();
}

/// This takes most of the time, and levels are worked on side by side.
Error Compilation::emitLevels(MutableArrayRef<LevelCode> levels) {
  std::vector<std::string> problems(levels.size());
  {
    // Explained, the context is of one thread.
    bool isParallel = context.isMultithreadingEnabled();
    DefaultThreadPool pool(hardware_concurrency(isParallel ? request.jobs : 1));
    for (auto [level, problem] : zip_equal(levels, problems))
      pool.async([&level, &problem] {
        if (Error error = emitLevel(level))
          problem = toString(std::move(error));
      });
  }
  std::string errors = log.take();
  for (const std::string &problem : problems)
    if (!problem.empty())
      return internalError(errors.empty() ? problem : problem + ": " + errors);
  return Error::success();
}

//===-- GPUs --------------------------------------------------------------===//

/// Tells what each kernel takes; what cannot run well is a defect, which
/// stops those who ask.
Error Compilation::explainDevice(const cuda::DeviceModule &device,
                                 const Target &target) {
  for (const std::string &line : cuda::describeUses(device.uses, target.cpu))
    request.explain(line);
  if (!device.warnings.empty())
    return internalError("ptxas warns for " + target.name + ": " +
                         device.warnings);
  for (const cuda::KernelUse &use : device.uses)
    if (std::string wrong = cuda::checkUse(use, target.cpu); !wrong.empty())
      return internalError(wrong);
  return Error::success();
}

/// Makes the code of one GPU level.
Error Compilation::addDeviceCode(mlir::ModuleOp planned, const Target &target,
                                 PackageDevice &device) {
  Expected<std::string> ptxas = cuda::findPtxas(request.ptxas);
  if (!ptxas)
    return userError(toString(ptxas.takeError()));
  report("generating code for " + target.name);
  auto made = cuda::emitDevice(planned, target, *ptxas);
  if (failed(made))
    return takeErrors("generating code for " + target.name);
  if (ptxas->empty())
    warn("there is no ptxas, so that the code for " + target.name +
         " is PTX, which the driver assembles when the model is loaded; "
         "install a CUDA toolkit, or give --ptxas");
  if (request.explain)
    if (Error error = explainDevice(*made, target))
      return error;
  device.target = &target;
  device.planned = planned;
  device.kernels = std::move(made->kernels);
  device.table.codes = std::move(made->codes);
  StringRef number = StringRef(target.cpu).drop_front(strlen("sm_"));
  device.table.isExact = number.consume_back("a");
  int value = 0;
  number.getAsInteger(10, value);
  device.table.major = value / 10;
  device.table.minor = value % 10;
  return Error::success();
}

Error Compilation::addDevices(PackageInputs &inputs) {
  for (const Target *target : targets) {
    if (target->arch != cudaArch)
      continue;
    auto module = runPasses(*target);
    if (!module)
      return module.takeError();
    planned.push_back(std::move(*module));
    PackageDevice device;
    if (Error error = addDeviceCode(*planned.back(), *target, device))
      return error;
    inputs.devices.push_back(std::move(device));
  }
  return Error::success();
}

//===-- Levels of CPUs ----------------------------------------------------===//

Error Compilation::addLevels(PackageInputs &inputs) {
  std::vector<LevelCode> levels;
  for (const Target *target : targets) {
    if (target->arch == cudaArch)
      continue;
    auto module = runPasses(*target);
    if (!module)
      return module.takeError();
    LevelCode &level = levels.emplace_back();
    level.target = target;
    auto code = generate(**module, *target, level.kernels);
    if (!code)
      return code.takeError();
    level.code = std::move(*code);
    planned.push_back(std::move(*module));
  }
  if (Error error = emitLevels(levels))
    return error;
  for (auto [level, module] : zip_equal(levels, planned)) {
    inputs.reference = !level.kernels.empty() &&
                       all_of(level.kernels, [](const KernelCode &kernel) {
                         return kernel.strategy == "reference";
                       });
    inputs.levels.push_back(
        {level.target,
         *module,
         std::move(level.kernels),
         {"kernels." + level.target->name, std::move(level.object)}});
  }
  return Error::success();
}

Error Compilation::addImage(const Target &target, PackageInputs &inputs) {
  report("generating image pipelines for " + target.name);
  Result<ImageProcessing> image = fromSpec(input.spec.image());
  if (!image)
    return userError(request.model + ": " + image.message());
  NormalisationTable pil = makeNormalisationTable(*image, ImageBackend::Pil);
  NormalisationTable torchvision =
      makeNormalisationTable(*image, ImageBackend::Torchvision);
  inputs.pilTable.assign(pil.begin(), pil.end());
  inputs.torchvisionTable.assign(torchvision.begin(), torchvision.end());
  if (input.spec.has_video()) {
    Result<ImageProcessing> video = fromSpec(input.spec.video());
    if (!video)
      return userError(request.model + ": of a video: " + video.message());
    NormalisationTable frames =
        makeNormalisationTable(*video, ImageBackend::Torchvision);
    inputs.videoTable.assign(frames.begin(), frames.end());
  }

  Expected<ScratchDirectory> folder = ScratchDirectory::create();
  if (!folder)
    return folder.takeError();
  auto paths = generateImagePipelines(
      target.isa, inputs.name, folder->path(),
      request.vlmcHalide.empty() ? findVlmcHalide() : request.vlmcHalide);
  if (!paths)
    return paths.takeError();
  ImagePipelineSymbols symbols = imagePipelineSymbols(inputs.name);
  PackageImage code{target.arch,
                    symbols.resizeRows,
                    symbols.resizeColumns,
                    symbols.finish,
                    {}};
  for (const std::string &path : *paths) {
    auto buffer = MemoryBuffer::getFile(path);
    if (!buffer)
      return userError("cannot read '" + path +
                       "': " + buffer.getError().message());
    code.objects.push_back(
        {sys::path::stem(path).str(), (*buffer)->getBuffer().str()});
  }
  inputs.images.push_back(std::move(code));
  return Error::success();
}

Error Compilation::addTokenizer() {
  if (!input.spec.has_text() || input.folder.empty())
    return Error::success();
  if (!hasTokenizer(input.folder)) {
    warn(input.folder +
         ": it has neither tokenizer.json nor vocab.json nor "
         "spiece.model, so the compiled model takes token ids but no text");
    return Error::success();
  }
  report("reading the tokenizer");
  Result<TokenizerTables> tables = readTokenizer(input.folder);
  if (!tables)
    return userError(tables.message());
  for (const std::string &warning : tables->warnings)
    warn(warning);
  tokenizer = std::move(tables->blob);
  return Error::success();
}

/// The tokenizer of a Q-Former that reads words beside a picture.
Error Compilation::addPictureWords() {
  bool isRead = any_of(input.spec.components(), [](const auto &component) {
    return component.q_former().vocabulary_size() > 0 &&
           !component.q_former().retrieval();
  });
  if (!isRead || input.folder.empty())
    return Error::success();
  SmallString<128> folder(input.folder);
  sys::path::append(folder, "qformer_tokenizer");
  if (!hasTokenizer(folder.str().str())) {
    warn(folder.str() +
         ": there is no tokenizer, so the compiled model takes ids for the "
         "words beside a picture but no text");
    return Error::success();
  }
  Result<TokenizerTables> tables = readTokenizer(folder.str().str());
  if (!tables)
    return userError(tables.message());
  for (const std::string &warning : tables->warnings)
    warn(warning);
  pictureWords = std::move(tables->blob);
  return Error::success();
}

/// What the manifest says of the options: all that changes the result, and no
/// path of this machine.
static std::vector<std::string>
describeOptions(const CompileRequest &request,
                ArrayRef<const Target *> targets) {
  std::vector<std::string> options;
  for (const Target *target : targets)
    options.push_back("--target=" + target->name);
  if (request.randomSeed)
    options.push_back("--random-weights=" +
                      std::to_string(*request.randomSeed));
  if (request.weights != "auto")
    options.push_back("--weights=" + request.weights);
  if (request.reference)
    options.emplace_back("--reference");
  if (request.isStatic)
    options.emplace_back("--static");
  return options;
}

Error Compilation::package() {
  PackageInputs inputs;
  inputs.output = request.output;
  inputs.name = getPackageName(request.output);
  inputs.spec = &input.spec;
  inputs.weights = input.weights.get();
  inputs.taps = request.taps;
  inputs.options = describeOptions(request, targets);
  inputs.jobs = request.jobs;
  inputs.isStatic = request.isStatic;
  inputs.progress = [&](uint64_t done, uint64_t total) {
    report("writing weights", done, total);
  };
  if (Error error = addTokenizer())
    return error;
  if (Error error = addPictureWords())
    return error;
  inputs.tokenizer = tokenizer;
  inputs.pictureWords = pictureWords;
  if (Error error = addLevels(inputs))
    return error;
  if (Error error = addDevices(inputs))
    return error;
  for (auto [i, target] : enumerate(targets)) {
    if (target->arch == cudaArch)
      continue;
    // The pipelines of an architecture's last level run on all of its levels.
    bool isLast =
        i + 1 == targets.size() || targets[i + 1]->arch != target->arch;
    if (isLast && input.spec.has_image())
      if (Error error = addImage(*target, inputs))
        return error;
  }
  return writePackage(inputs);
}

//===-- All of it ---------------------------------------------------------===//

Error Compilation::run() {
  auto found = findTargets(request);
  if (!found)
    return found.takeError();
  targets = std::move(*found);
  if (Error error = checkStage(request, targets))
    return error;
  if (request.stage == EmitStage::Package) {
    if (request.output.empty())
      return userError("no output is named; give -o NAME.vlm");
    if (Error error = checkPackageOutput(request.output))
      return error;
  } else if (Error error = openPrinted()) {
    return error;
  }
  if (request.explain)
    explainRemarks(context, request.explain);

  report("reading " + request.model);
  auto opened = openInput(request, context, log);
  if (!opened)
    return opened.takeError();
  input = std::move(*opened);
  if (input.border > request.stage)
    return userError(request.model + " is at stage '" +
                     stageNames[static_cast<size_t>(input.border)] +
                     "', behind '" +
                     stageNames[static_cast<size_t>(request.stage)] +
                     "'; start from an earlier stage");
  if (request.stage == EmitStage::Spec)
    return print([&](raw_ostream &os) { os << printSpec(input.spec); });
  if (request.stage == EmitStage::Graph)
    return printModule(*input.module);
  if (request.stage == EmitStage::Package)
    return package();
  if (request.stage == EmitStage::Ptx)
    return printPtx(*targets.front());
  if (request.stage > EmitStage::Planned)
    return printCode(*targets.front());
  auto module = runPasses(*targets.front());
  if (!module)
    return module.takeError();
  return printModule(**module);
}

Error compileModel(const CompileRequest &request) {
  return Compilation(request).run();
}

} // namespace vlmc
