//===- OpenModel.cpp - A model on the command line ------------------------===//
#include "tools/vlmc/OpenModel.h"

#include "frontend/Frontend.h"
#include "runtime/abi/vlm_abi.h"
#include "tools/vlmc/Report.h"

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <filesystem>
#include <map>

namespace vlmc::tool {

namespace fs = std::filesystem;

CLI::Option *addCacheFolder(CLI::App &app, std::string &folder) {
  return app
      .add_option("--cache-dir", folder,
                  "where checkpoints are compiled to (default: "
                  "$VLMC_CACHE_DIR, else vlmc/models in the user's cache)")
      ->type_name("DIR");
}

CLI::Option *addSize(CLI::App &app, const std::string &name, uint64_t &bytes,
                     const std::string &description) {
  // CLI11 alone takes a negative number for a very large one.
  CLI::Validator toBytes(
      [](std::string &text) {
        if (text.empty() || text.front() < '0' || text.front() > '9')
          return "expected a size such as 500M or 20G, found '" + text + "'";
        return CLI::AsSizeValue(/*kb_is_1000=*/false)(text);
      },
      "");
  return app.add_option(name, bytes, description)
      ->transform(toBytes)
      ->type_name("SIZE");
}

CLI::Option *addCacheSize(CLI::App &app, uint64_t &bytes) {
  return addSize(app, "--cache-size", bytes,
                 "how much the cache may hold, 500M or 20G; beyond it the "
                 "least recently used models are removed (default: 64G)")
      ->envname("VLMC_CACHE_SIZE");
}

void addVisionTower(CLI::App &app, std::string &folder) {
  app.add_option("--vision-tower", folder,
                 "the folder of the vision tower, of checkpoints that only "
                 "name it (default: that of its name, below or beside the "
                 "checkpoint)")
      ->type_name("DIR");
}

void addModelOptions(CLI::App &app, ModelOptions &options) {
  app.add_option("--threads", options.threads,
                 "threads to work with; 0: as many as there are")
      ->check(CLI::Range(0, 1024))
      ->type_name("N");
  addCacheFolder(app, options.cache);
  addCacheSize(app, options.cacheBytes);
  app.add_option("--isa", options.isa,
                 "the instruction-set level to run, one that the model has "
                 "(default: the best one for this machine)")
      ->envname("VLMC_ISA")
      ->type_name("LEVEL");
  app.add_option("--cuda-driver", options.cudaDriver,
                 "the CUDA driver's library, for models with code for GPUs "
                 "(default: libcuda.so.1)")
      ->envname("VLMC_CUDA_DRIVER")
      ->type_name("FILE");
  app.add_option("--cublaslt", options.cublasLt,
                 "NVIDIA's library of products, taken on a GPU where it is "
                 "faster; 'none' (default: libcublasLt.so of CUDA 13 or 12)")
      ->envname("VLMC_CUBLASLT")
      ->type_name("FILE");
  app.add_flag("--reference", options.reference,
               "compile a checkpoint to plain kernels, one for each op: slow, "
               "a second opinion");
  addVisionTower(app, options.visionTower);
}

void addImageBackend(CLI::App &app, ModelOptions &options) {
  static const std::map<std::string, vlm_image_backend_t> backends = {
      {"pil", VLM_IMAGE_BACKEND_PIL},
      {"torchvision", VLM_IMAGE_BACKEND_TORCHVISION}};
  // Not CLI11's transformer, which would print and take the numbers too.
  app.add_option_function<std::string>(
         "--image-backend",
         [&options](const std::string &name) {
           options.imageBackend = backends.at(name);
         },
         "whose arithmetic pictures are resized with: pil (Pillow) or "
         "torchvision (default: torchvision, and pil where the checkpoint's "
         "image_processor_type ends in Pil)")
      ->check(CLI::IsMember({"pil", "torchvision"}))
      ->type_name("BACKEND");
}

bool isPackage(const std::string &path) {
  std::error_code ignored;
  fs::path folder(path);
  if (!folder.has_filename())
    folder = folder.parent_path(); // "NAME.vlm/"
  return fs::is_directory(folder, ignored) && !isCheckpoint(folder.string()) &&
         (fs::exists(folder / "manifest.textproto", ignored) ||
          folder.extension() == ".vlm");
}

/// That a path names a checkpoint folder.
static std::optional<Fault> checkCheckpoint(const std::string &path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    return Fault(path + ": no such file or folder; give a compiled model "
                        "(NAME.vlm) or a checkpoint folder");
  if (!fs::is_directory(path, ignored))
    return Fault(path + ": expected a compiled model (NAME.vlm) or a "
                        "checkpoint folder, found a file; compile it with "
                        "'vlmc compile' first");
  if (!isCheckpoint(path))
    return Fault(path + ": expected a compiled model (with "
                        "manifest.textproto) or a checkpoint folder (with "
                        "config.json), found neither file in it; give "
                        "another folder or complete this one");
  return std::nullopt;
}

std::optional<Fault> OpenModel::load(const std::string &package,
                                     vlm_code_t &code) {
  vlm_load_options_t options{sizeof(vlm_load_options_t), pool.get(),
                             imageBackend, isa.empty() ? nullptr : isa.c_str()};
  if (!cudaDriver.empty())
    options.cuda_driver = cudaDriver.c_str();
  vlm_model_t *loaded = nullptr;
  vlm_status_t *status = vlm_model_load(package.c_str(), &options, &loaded);
  code = vlm_status_code(status);
  if (std::optional<Fault> fault = check(status))
    return fault;
  model.reset(loaded);
  folder = package;
  // Told where a GPU was hoped for.
  std::string_view device = vlm_model_device(loaded);
  if (device.starts_with("CPU, since"))
    note("the model runs on the " + std::string(device));
  return std::nullopt;
}

Outcome<OpenModel> openModel(const ModelOptions &options,
                             const std::vector<std::string> &taps) {
  OpenModel result;
  vlm_pool_t *pool = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_pool_create(options.threads, &pool)))
    return *fault;
  result.pool.reset(pool);
  result.imageBackend = options.imageBackend;
  result.isa = options.isa;
  result.cudaDriver = options.cudaDriver;
  // The runtime is told by the variable alone.
  if (!options.cublasLt.empty())
    setenv("VLMC_CUBLASLT", options.cublasLt.c_str(), 1);
  vlm_code_t code = VLM_OK;
  if (isPackage(options.path)) {
    if (std::optional<Fault> fault = result.load(options.path, code))
      return *fault;
    if (options.reference && !vlm_model_abi(result.get())->reference)
      return Fault(options.path +
                   ": --reference: this model was compiled without it; give "
                   "the checkpoint, or compile it with 'vlmc compile "
                   "--reference'");
    return result;
  }
  if (std::optional<Fault> fault = checkCheckpoint(options.path))
    return *fault;
  Outcome<std::string> cache = cacheFolder(options.cache);
  if (!cache)
    return cache.takeFault();
  CacheOptions cacheOptions{*cache, options.cacheBytes};
  Variant variant{options.reference, taps, {options.visionTower}};
  for (bool isDamaged : {false, true}) {
    Outcome<CachedModel> cached =
        findOrCompile(options.path, variant, cacheOptions, isDamaged);
    if (!cached)
      return cached.takeFault();
    std::optional<Fault> fault = result.load(cached->package, code);
    if (!fault) {
      result.lock = std::move(cached->lock);
      break;
    }
    // What lies in the cache may have been damaged; it can be made again.
    // But not for a level that was asked for and is not there.
    bool canMend = code == VLM_CORRUPT ||
                   (options.isa.empty() &&
                    (code == VLM_NOT_FOUND || code == VLM_INCOMPATIBLE));
    if (isDamaged || !canMend)
      return *fault;
    warn(cached->package + ": damaged (" + fault->message +
         "); compiling it again");
  }
  return result;
}

} // namespace vlmc::tool
