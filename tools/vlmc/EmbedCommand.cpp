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
  app.add_option("--dump", dump,
                 "also write every named value, as 'vlmc run' does for a case "
                 "named 'embed'")
      ->type_name("FILE.safetensors");
  addImageBackend(app, options);
  addModelOptions(app, options);
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
  return writeTensors(output, embeddings);
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
