//===- OpenModel.h - A model on the command line ----------------*- C++ -*-===//
//
// What a command's MODEL names, a compiled model or a checkpoint folder, loaded
// with a pool of the threads that --threads asks for.
//
//   addModelOptions(app, options);          // in declare()
//   Outcome<OpenModel> model = openModel(options);
//   vlm_entry_run(..., model->get(), ...);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_OPENMODEL_H
#define VLMC_TOOLS_VLMC_OPENMODEL_H

#include "tools/vlmc/ModelCache.h"

#include <memory>

namespace CLI {
class App;
class Option;
} // namespace CLI

namespace vlmc::tool {

struct ModelOptions {
  std::string path;
  std::string cache;
  uint64_t cacheBytes = CacheOptions::defaultBytes;
  int threads = 0;
  std::string isa; ///< the level to run; "": the best
  std::string cudaDriver; ///< a library; "": libcuda.so.1
  std::string cublasLt;   ///< a library, "none"; "": libcublasLt.so of CUDA
  bool reference = false;
  std::string visionTower; ///< as in CompileRequest
  vlm_image_backend_t imageBackend = VLM_IMAGE_BACKEND_DEFAULT;
};

/// Adds --threads, --cache-dir, --cache-size, --isa, --reference and
/// --vision-tower.
void addModelOptions(CLI::App &app, ModelOptions &options);

/// Adds --vision-tower.
void addVisionTower(CLI::App &app, std::string &folder);
/// Adds --cache-dir.
CLI::Option *addCacheFolder(CLI::App &app, std::string &folder);
/// Adds an option that takes a number of bytes, 500M or 20G.
CLI::Option *addSize(CLI::App &app, const std::string &name, uint64_t &bytes,
                     const std::string &description);
/// Adds --cache-size.
CLI::Option *addCacheSize(CLI::App &app, uint64_t &bytes);

/// Adds --image-backend, for commands that read pictures.
void addImageBackend(CLI::App &app, ModelOptions &options);

/// A loaded model and its threads.
class OpenModel {
public:
  vlm_model_t *get() const { return model.get(); }
  vlm_pool_t *threads() const { return pool.get(); }
  /// The folder NAME.vlm.
  const std::string &package() const { return folder; }

private:
  friend Outcome<OpenModel> openModel(const ModelOptions &options,
                                      const std::vector<std::string> &taps);
  std::optional<Fault> load(const std::string &package, vlm_code_t &code);

  vlm_image_backend_t imageBackend = VLM_IMAGE_BACKEND_DEFAULT;
  std::string isa;
  std::string cudaDriver;
  std::string folder;
  /// Of a model in the cache.
  std::optional<EntryLock> lock;
  std::unique_ptr<vlm_pool_t, decltype(&vlm_pool_destroy)> pool{
      nullptr, vlm_pool_destroy};
  std::unique_ptr<vlm_model_t, decltype(&vlm_model_destroy)> model{
      nullptr, vlm_model_destroy};
};

/// Whether a path names a compiled model.
bool isPackage(const std::string &path);

/// Opens the model; a checkpoint is compiled with those of `taps` that it has.
/// Errors: a path that is neither; those of compiling and loading.
Outcome<OpenModel> openModel(const ModelOptions &options,
                             const std::vector<std::string> &taps = {});

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_OPENMODEL_H
