//===- ClassifyCommand.cpp - Zero-shot classification ---------------------===//
//
// `vlmc classify M --image F... --labels "a,b"`: which of the labels fits a
// picture, by the model's own probabilities.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "tools/vlmc/Command.h"
#include "tools/vlmc/EmbedTask.h"
#include "tools/vlmc/OpenModel.h"
#include "tools/vlmc/Progress.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <numeric>

using namespace vlmc::tool;

namespace {
class ClassifyCommand : public Command {
public:
  const char *name() const override { return "classify"; }
  const char *summary() const override {
    return "tells which of some labels fits a picture";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  std::optional<Fault> readLabels();
  std::optional<Fault> classify(const vlm_model_t *model, Progress &progress,
                                OutputFile *dumped);
  void print(const vlm_model_t *model, size_t first,
             const HostTensor &logits) const;
  void printTable(const std::string &image, const float *probabilities) const;
  void printJson(const std::string &image, const float *logits,
                 const float *probabilities) const;

  ModelOptions options;
  std::vector<std::string> images, labels;
  std::string labelList, dump;
  bool json = false;
};
} // namespace

void ClassifyCommand::declare(CLI::App &app) {
  app.add_option("MODEL", options.path,
                 "a compiled model, or a checkpoint folder")
      ->required();
  app.add_option("--image", images, "picture files: PNG, JPEG, WebP or GIF")
      ->required()
      ->type_name("FILE...");
  app.add_option("--labels", labelList,
                 "the labels, separated by commas: \"a cat,a dog\"")
      ->required()
      ->type_name("LABEL,...");
  app.add_flag("--json", json, "print one JSON object for each picture");
  app.add_option("--dump", dump,
                 "also write every named value, as 'vlmc run' does for a case "
                 "named 'classify'")
      ->type_name("FILE.safetensors");
  addImageBackend(app, options);
  addModelOptions(app, options);
}

/// Splits at commas; spaces around a label do not count.
std::optional<Fault> ClassifyCommand::readLabels() {
  for (size_t begin = 0; begin <= labelList.size();) {
    size_t end = std::min(labelList.find(',', begin), labelList.size());
    std::string label = labelList.substr(begin, end - begin);
    size_t first = label.find_first_not_of(" \t\n");
    size_t last = label.find_last_not_of(" \t\n");
    labels.push_back(
        first == label.npos ? "" : label.substr(first, last - first + 1));
    begin = end + 1;
  }
  bool isEmpty = std::ranges::all_of(labels, &std::string::empty);
  if (isEmpty)
    return Fault("--labels: expected at least one label, found none; give "
                 "them separated by commas: --labels \"a cat,a dog\"");
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i].empty())
      return Fault("--labels: label " + std::to_string(i + 1) + " of " +
                   std::to_string(labels.size()) +
                   " is empty; remove the comma beside it");
  return std::nullopt;
}

void ClassifyCommand::printTable(const std::string &image,
                                 const float *probabilities) const {
  std::vector<size_t> order(labels.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    return probabilities[a] > probabilities[b];
  });
  size_t width = 0;
  for (const std::string &label : labels)
    width = std::max(width, label.size());
  std::printf("%s\n", image.c_str());
  for (size_t i : order)
    std::printf("  %-*s  %7.2f %%\n", int(width), labels[i].c_str(),
                double(probabilities[i]) * 100);
}

void ClassifyCommand::printJson(const std::string &image, const float *logits,
                                const float *probabilities) const {
  nlohmann::ordered_json line;
  line["image"] = image;
  line["labels"] = nlohmann::ordered_json::array();
  for (size_t i = 0; i < labels.size(); ++i)
    line["labels"].push_back({{"label", labels[i]},
                              {"probability", probabilities[i]},
                              {"logit", logits[i]}});
  std::printf(
      "%s\n",
      line.dump(-1, ' ', false, vlmc::Json::error_handler_t::replace).c_str());
}

/// Prints the pictures from number `first` on.
void ClassifyCommand::print(const vlm_model_t *model, size_t first,
                            const HostTensor &logits) const {
  HostTensor probabilities = logits;
  toProbabilities(model, probabilities);
  Progress::clear();
  for (size_t i = 0; i < size_t(logits.rows()); ++i) {
    const float *row = probabilities.data<float>() + i * labels.size();
    if (json)
      printJson(images[first + i], logits.data<float>() + i * labels.size(),
                row);
    else
      printTable(images[first + i], row);
  }
  std::fflush(stdout);
}

std::optional<Fault> ClassifyCommand::classify(const vlm_model_t *model,
                                               Progress &progress,
                                               OutputFile *dumped) {
  // A dump holds all pictures; otherwise some at a time are enough.
  constexpr size_t batch = 32;
  size_t step = dumped ? images.size() : batch;
  HostTensor textEmbeds;
  for (size_t first = 0; first < images.size(); first += step) {
    size_t count = std::min(step, images.size() - first);
    std::vector<std::string> some(images.begin() + ptrdiff_t(first),
                                  images.begin() + ptrdiff_t(first + count));
    EmbedTask task(model);
    std::optional<Fault> fault = task.addImages(some, [&](size_t done) {
      progress.show("classifying pictures", first + done, images.size());
    });
    if (first > 0)
      task.addInput("text_embeds", textEmbeds);
    else if (!fault)
      fault = task.addTexts(labels);
    if (!fault)
      fault = task.run();
    if (fault)
      return fault;
    textEmbeds = task.values().at("text_embeds");
    if (dumped)
      if ((fault = dumpValues(*dumped, "classify", task)))
        return fault;
    print(model, first, task.values().at("logits_per_image"));
  }
  return std::nullopt;
}

ExitCode ClassifyCommand::run() {
  if (std::optional<Fault> fault = readLabels())
    return report(*fault);
  Outcome<std::optional<OutputFile>> dumped = openOptional(dump);
  if (!dumped)
    return report(dumped.takeFault());
  Outcome<OpenModel> model = openModel(
      options, dump.empty() ? std::vector<std::string>() : embedTaps());
  if (!model)
    return report(model.takeFault());
  Progress progress;
  if (std::optional<Fault> fault =
          classify(model->get(), progress, *dumped ? &**dumped : nullptr))
    return report(*fault);
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeClassifyCommand() {
  return std::make_unique<ClassifyCommand>();
}
