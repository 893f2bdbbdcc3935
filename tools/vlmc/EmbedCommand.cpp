//===- EmbedCommand.cpp - Embeddings of pictures and texts ----------------===//
#include "tools/vlmc/Command.h"
#include "tools/vlmc/EmbedTask.h"
#include "tools/vlmc/OpenModel.h"
#include "tools/vlmc/Progress.h"

#include <CLI/CLI.hpp>

using namespace vlmc::tool;

namespace {
class EmbedCommand : public Command {
public:
  const char *name() const override { return "embed"; }
  const char *summary() const override {
    return "writes the embeddings of pictures or texts";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  std::optional<Fault> embed(const vlm_model_t *model, OutputFile &output,
                             OutputFile *dumped);

  ModelOptions options;
  std::vector<std::string> images, texts;
  std::string outputs, dump;
  bool similarity = false;
};
} // namespace

void EmbedCommand::declare(CLI::App &app) {
  app.add_option("MODEL", options.path,
                 "a compiled model, or a checkpoint folder")
      ->required();
  app.add_option("--image", images, "picture files: PNG, JPEG, WebP or GIF")
      ->type_name("FILE...");
  app.add_option("--text", texts, "texts")->type_name("TEXT...");
  app.add_option("-o,--output", outputs,
                 "where image_embeds and text_embeds are written, a row for "
                 "each picture and text")
      ->required()
      ->type_name("OUT.safetensors");
  app.add_flag("--similarity", similarity,
               "also write how alike they are, as cosines: image_image, "
               "text_text and text_image, a row for each of the first kind");
  app.add_option("--dump", dump,
                 "also write every named value, as 'vlmc run' does for a case "
                 "named 'embed'")
      ->type_name("FILE.safetensors");
  addImageBackend(app, options);
  addModelOptions(app, options);
}

/// The cosines of two sets of rows of length 1.
static HostTensor cosines(const HostTensor &lhs, const HostTensor &rhs) {
  HostTensor result = HostTensor::zeros(VLM_F32, {lhs.rows(), rhs.rows()});
  const size_t width = lhs.rowBytes() / sizeof(float);
  for (int64_t i = 0; i < lhs.rows(); ++i)
    for (int64_t j = 0; j < rhs.rows(); ++j) {
      double sum = 0;
      for (size_t k = 0; k < width; ++k)
        sum += double(lhs.data<float>()[size_t(i) * width + k]) *
               rhs.data<float>()[size_t(j) * width + k];
      result.data<float>()[i * rhs.rows() + j] = static_cast<float>(sum);
    }
  return result;
}

static std::optional<Fault> addSimilarities(TensorMap &embeddings) {
  const TensorMap rows = embeddings;
  for (const auto &[name, tensor] : rows)
    if (tensor.shape.size() != 2)
      return Fault("--similarity: the model gives several rows of " + name +
                   " for each; leave it out");
  for (auto [name, lhs, rhs] :
       {std::tuple("image_image", "image_embeds", "image_embeds"),
        std::tuple("text_text", "text_embeds", "text_embeds"),
        std::tuple("text_image", "text_embeds", "image_embeds")})
    if (rows.count(lhs) && rows.count(rhs))
      embeddings[name] = cosines(rows.at(lhs), rows.at(rhs));
  return std::nullopt;
}

std::optional<Fault> EmbedCommand::embed(const vlm_model_t *model,
                                         OutputFile &output,
                                         OutputFile *dumped) {
  Progress progress;
  EmbedTask task(model);
  std::optional<Fault> fault = task.addImages(images, [&](size_t done) {
    progress.show("reading pictures", done, images.size());
  });
  if (!fault)
    fault = task.addTexts(texts);
  if (!fault)
    fault = task.run();
  if (!fault && dumped)
    fault = dumpValues(*dumped, "embed", task);
  if (fault)
    return fault;
  TensorMap embeddings;
  for (const char *name : {"image_embeds", "text_embeds"})
    if (auto found = task.values().find(name); found != task.values().end())
      embeddings.insert(*found);
  if (similarity)
    fault = addSimilarities(embeddings);
  return fault ? fault : writeTensors(output, embeddings);
}

ExitCode EmbedCommand::run() {
  if (images.empty() && texts.empty())
    return report(Fault("expected pictures or texts, found neither; give "
                        "--image FILE or --text TEXT",
                        ExitCode::Usage));
  Outcome<OutputFile> output = openOutput(outputs);
  if (!output)
    return report(output.takeFault());
  Outcome<std::optional<OutputFile>> dumped = openOptional(dump);
  if (!dumped)
    return report(dumped.takeFault());
  Outcome<OpenModel> model = openModel(
      options, dump.empty() ? std::vector<std::string>() : embedTaps());
  if (!model)
    return report(model.takeFault());
  if (std::optional<Fault> fault =
          embed(model->get(), *output, *dumped ? &**dumped : nullptr))
    return report(*fault);
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeEmbedCommand() {
  return std::make_unique<EmbedCommand>();
}
