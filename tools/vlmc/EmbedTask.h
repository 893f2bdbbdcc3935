//===- EmbedTask.h - Dual encoders: pictures and texts ----------*- C++ -*-===//
//
// The task `embed`: preprocesses pictures, tokenises texts, runs the towers and
// keeps every named value on the way. `classify` is built on it as well.
//
//   EmbedTask task(model.get());
//   std::optional<Fault> fault = task.addImages(paths);
//   if (!fault)
//     fault = task.addTexts(texts);
//   if (!fault)
//     fault = task.run();
//   write(task.values());   // image_embeds, text_embeds, pixel_values, ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_EMBEDTASK_H
#define VLMC_TOOLS_VLMC_EMBEDTASK_H

#include "tools/vlmc/Tensors.h"

#include <functional>
#include <memory>

namespace vlmc::tool {

/// The taps that are named values of the task.
const std::vector<std::string> &embedTaps();

/// A decoded picture.
using Image = std::unique_ptr<vlm_image_t, decltype(&vlm_image_destroy)>;
/// Errors: those of the runtime, which name the file.
Outcome<Image> decodeImage(const std::string &path);

/// Decodes and preprocesses picture files into [N, 3, H, W], or, where pictures
/// become rows of patches, [N, M, P * P * 3] with zeros behind those that there
/// are; `progress` is told of each.
/// Errors: those of the runtime; pictures that come out in different sizes.
Outcome<HostTensor>
preprocessPictures(const vlm_model_t *model,
                   const std::vector<std::string> &paths,
                   const std::function<void(size_t done)> &progress = {});

/// Whether the model's pictures become rows of patches, each with lines and
/// columns of its own.
bool becomesPatchRows(const vlm_model_t *model);

/// A tokenizer of the runtime.
using Tokenizer =
    std::unique_ptr<vlm_tokenizer_t, decltype(&vlm_tokenizer_destroy)>;

/// One request to a dual encoder.
class EmbedTask {
public:
  explicit EmbedTask(const vlm_model_t *model) : model(model) {}

  /// Decodes and preprocesses picture files; `progress` is told of each.
  std::optional<Fault>
  addImages(const std::vector<std::string> &paths,
            const std::function<void(size_t done)> &progress = {});
  /// Tokenises; texts are padded on the right to the longest. One that is
  /// longer than the model takes is cut, with a warning.
  std::optional<Fault> addTexts(const std::vector<std::string> &texts);
  /// Takes an input ready made, such as pixel_values or input_ids.
  void addInput(const std::string &name, HostTensor tensor);

  /// Computes all outputs whose inputs are there.
  /// Errors: those of the runtime; grids of more patches than there are rows.
  std::optional<Fault> run();

  /// Inputs and outputs by name.
  const TensorMap &values() const { return tensors; }
  /// The same as `vlmc run` writes them: masks are bytes.
  TensorMap writtenValues() const;
  /// The taps that this model lacks though their inputs are there.
  std::vector<std::string> missingTaps() const;

private:
  void addGrids(const std::vector<int64_t> &sides);
  std::optional<Fault> checkGrids() const;
  std::optional<Fault> encode(const std::string &entry,
                              const std::string &doing,
                              const std::vector<std::string> &inputs);

  const vlm_model_t *model;
  TensorMap tensors;
};

/// Writes what `vlmc run` writes for a case of that name; values that the model
/// lacks are told on standard error.
std::optional<Fault> dumpValues(OutputFile &file, const std::string &caseName,
                                const EmbedTask &task);

/// Turns rows of logits into probabilities, as the model was trained.
void toProbabilities(const vlm_model_t *model, HostTensor &logits);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_EMBEDTASK_H
