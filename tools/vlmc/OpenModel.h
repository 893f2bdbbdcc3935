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
} // namespace CLI

namespace vlmc::tool {

struct ModelOptions {
  std::string path;
  std::string cache;
  int threads = 0;
  bool reference = false;
  vlm_image_backend_t imageBackend = VLM_IMAGE_BACKEND_DEFAULT;
};

/// Adds --threads, --cache-dir and --reference.
void addModelOptions(CLI::App &app, ModelOptions &options);

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

  std::string folder;
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
