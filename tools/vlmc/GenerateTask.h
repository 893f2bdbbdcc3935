//===- GenerateTask.h - Language models: prompts to text --------*- C++ -*-===//
//
// The task `generate`, on ready-made inputs or on words and pictures: runs the
// tower, puts its features
// in the place of the picture tokens, runs the prompts through the decoder and
// goes on greedily, with the next tokens of all prompts in one run. Keeps every named value on the way.
//
//   GenerateTask task(model.get());
//   task.addInput("input_ids", std::move(ids));
//   if (std::optional<Fault> fault = task.run(/*maxNewTokens=*/16)) ...
//   write(task.values());   // logits, generated_ids, image_features, ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_GENERATETASK_H
#define VLMC_TOOLS_VLMC_GENERATETASK_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/tasks/BeamSearch.h"
#include "tools/vlmc/BeamFields.h"
#include "tools/vlmc/PromptInputs.h"
#include "tools/vlmc/SeenPictures.h"
#include "tools/vlmc/Tiles.h"

#include <memory>

namespace vlmc::tool {

/// The taps that are named values of the task.
const std::vector<std::string> &generateTaps();

/// Whether the model generates text.
bool canGenerate(const vlm_model_t *model);

class GenerateTask {
public:
  explicit GenerateTask(const vlm_model_t *model);

  /// Takes pixel_values, input_ids or attention_mask.
  void addInput(const std::string &name, HostTensor tensor);

  /// Takes words and pictures: a placeholder of the prompts becomes the tokens
  /// of the next picture; several prompts are padded. Then the text of what was
  /// generated is kept as well.
  /// Errors: pictures or placeholders that lack a partner; those of the
  /// runtime.
  std::optional<Fault> addPrompts(const PromptRequest &request);

  /// How the answer is searched; the model's own way where nobody says it.
  void setBeams(const BeamFields &fields);

  /// Runs all prompts; a request's `maxNewTokens` of 0 stands for the model's
  /// own number, or 20 where it has none, as in transformers.
  std::optional<Fault> run(int64_t maxNewTokens);

  /// Inputs and results by name; masks are bytes.
  TensorMap writtenValues() const;

private:
  /// One row of the batch.
  struct Prompt {
    std::vector<int64_t> ids;     ///< without padding
    std::vector<int64_t> columns; ///< where they stand in input_ids
    std::vector<int32_t> features;
    SeenRows seen;      ///< where layers attend to pictures
    int64_t mutual = 0; ///< so many tokens see each other
    /// Or each token of a picture sees those before this one.
    std::vector<int32_t> pictureEnds;
    /// Where an encoder reads the ids: what the decoder begins with.
    std::vector<int64_t> beginning;
    std::vector<int64_t> generated;
    std::vector<float> logits; ///< behind the last token that was run
  };
  /// Tokens of a run: the first ones of a sequence, or next ones of several.
  struct Run {
    std::vector<int64_t> ids;
    std::vector<int32_t> features; ///< their rows, -1: none
    SeenRows seen;
    std::vector<int32_t> sequences, places;
    HostTensor fresh;   ///< features that are attended to from now on
    int64_t mutual = 0; ///< so many see each other
    std::vector<int32_t> pictureEnds; ///< as the prompt's
  };

  std::optional<Fault> encodePictures();
  std::optional<Fault> encodePlaced(PlacedPictures placed,
                                    const std::string &name);
  std::optional<Fault> keepPieces();
  std::optional<Fault> encodeSeen();
  void widenTokenIds();
  std::optional<Fault> readPrompts();
  std::optional<Fault> readMutual();
  void readPictureEnds(Prompt &prompt, const int64_t *types) const;
  std::optional<Fault> placeFeatures();
  std::optional<Fault> readBeginnings();
  std::optional<Fault> openCaches(int64_t most);
  std::optional<Fault> encode(size_t number, HostTensor &rows);
  std::optional<Fault> prefill(size_t number);
  std::optional<Fault> generate(int64_t most);
  std::optional<Fault> search(size_t number, int64_t most);
  std::optional<Fault> carryOn(size_t number, const rt::BeamSearch &search,
                               std::vector<std::vector<float>> &logits);
  std::optional<Fault> reorder(size_t number, const rt::BeamSearch &search);
  void addToken(Run &run, size_t number, int64_t id, int64_t place,
                int32_t sequence) const;
  std::optional<Fault> runTokens(Run &run,
                                 std::vector<std::vector<float>> &logits);
  std::vector<int64_t> beforeAnswer(size_t number) const;
  /// How many tokens the decoder's cache holds before the answer.
  int64_t heldTokens(size_t number) const {
    const Prompt &prompt = prompts[number];
    return int64_t((encodes ? prompt.beginning : prompt.ids).size());
  }
  std::optional<Fault> decode(Run &run, TensorMap &results);
  std::optional<Fault> addSeen(Run &run, TensorMap &inputs);
  HostTensor featuresOf(size_t number) const;
  void keepRows(const std::string &name, const HostTensor &rows,
                const Prompt &prompt, size_t number);
  void keepBeginning(const std::string &name, const HostTensor &rows,
                     size_t number);
  void keepLastLogits(size_t number);
  void keepGenerated();
  std::optional<Fault> keepText();
  bool isEnd(int64_t id) const;

  const vlm_model_t *model;
  const vlm_abi_generation &facts;
  const bool encodes; ///< an encoder reads the prompt
  rt::BeamOptions beams;
  TensorMap tensors;
  HostTensor features;              ///< [M, D]
  std::vector<int32_t> featureRows; ///< of the placeholders in their order
  std::vector<int32_t> videoRows;   ///< of those of videos
  Tokenizer tokenizer{nullptr, vlm_tokenizer_destroy}; ///< of `addPrompts`
  std::vector<Prompt> prompts;
  using Cache = std::unique_ptr<vlm_cache_t, decltype(&vlm_cache_destroy)>;
  Cache cache{nullptr, vlm_cache_destroy};
  Cache featureCache{nullptr, vlm_cache_destroy};
  int64_t rowsPerPicture = 0; ///< where layers attend to pictures
  int64_t heldRows = 0;       ///< of them, those that the prompt in work has
  rt::TiledTower tower;       ///< if it takes all tiles of a picture at once
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_GENERATETASK_H
