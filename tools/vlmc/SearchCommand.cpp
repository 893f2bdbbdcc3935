//===- SearchCommand.cpp - Pictures of a folder by words ------------------===//
//
// `vlmc search DIR WORDS --model M`: which pictures of a folder fit words, or
// are like another picture. The embeddings are kept in a file, so that a second
// search reads only what has changed.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "tools/vlmc/Command.h"
#include "tools/vlmc/ContactSheet.h"
#include "tools/vlmc/EmbedTask.h"
#include "tools/vlmc/OpenModel.h"
#include "tools/vlmc/Progress.h"
#include "tools/vlmc/SearchIndex.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>

using namespace vlmc::tool;

namespace {
class SearchCommand : public Command {
public:
  const char *name() const override { return "search"; }
  const char *summary() const override {
    return "finds pictures of a folder by words or by a picture";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  /// The contact sheets, opened before the work.
  struct Outputs {
    std::optional<OutputFile> html, png;
  };
  std::optional<Fault> search(const vlm_model_t *model, Outputs &outputs);
  Outcome<std::vector<float>> embedQuery(const vlm_model_t *model) const;
  std::optional<Fault> writeSheets(const std::vector<SheetPicture> &found,
                                   Outputs &outputs) const;
  void print(const SearchIndex &index,
             const std::vector<SearchIndex::Hit> &hits) const;
  std::string pathOf(const std::string &picture) const {
    return (std::filesystem::path(folder) / picture).string();
  }

  ModelOptions options;
  std::string folder, words, image, indexPath, html, png;
  size_t most = 10;
  bool json = false;
};
} // namespace

void SearchCommand::declare(CLI::App &app) {
  app.add_option("DIR", folder, "a folder; pictures in folders below it count")
      ->required();
  app.add_option("WORDS", words, "what is looked for: \"a red car\"");
  app.add_option("--model", options.path,
                 "a compiled model, or a checkpoint folder, of a dual encoder")
      ->required()
      ->type_name("MODEL");
  app.add_option("--image", image, "a picture to find others like it")
      ->type_name("FILE");
  app.add_option("--top", most, "how many pictures are told (default: 10)")
      ->check(CLI::Range(size_t(1), size_t(1) << 20))
      ->type_name("N");
  app.add_option("--index", indexPath,
                 "where the embeddings are kept (default: "
                 "DIR/.vlmc-search.safetensors)")
      ->type_name("FILE");
  app.add_option("--html", html, "write the pictures found as a page")
      ->type_name("OUT.html");
  app.add_option("--png", png, "write the pictures found as one picture")
      ->type_name("OUT.png");
  app.add_flag("--json", json, "print one JSON object");
  addImageBackend(app, options);
  addModelOptions(app, options);
}

Outcome<std::vector<float>>
SearchCommand::embedQuery(const vlm_model_t *model) const {
  EmbedTask task(model);
  std::optional<Fault> fault =
      image.empty() ? task.addTexts({words}) : task.addImages({image});
  if (!fault)
    fault = task.run();
  if (fault)
    return *fault;
  Outcome<std::vector<std::vector<float>>> rows = embeddingsOf(
      task.values(), image.empty() ? "text_embeds" : "image_embeds");
  if (!rows)
    return rows.takeFault();
  return std::move(rows->front());
}

static std::optional<Fault> writeWhole(OutputFile &file, const void *data,
                                       size_t bytes) {
  if (std::optional<Fault> fault = check(file.write(data, bytes)))
    return fault;
  return check(file.commit());
}

std::optional<Fault>
SearchCommand::writeSheets(const std::vector<SheetPicture> &found,
                           Outputs &outputs) const {
  if (outputs.html) {
    const std::string page =
        sheetPage(image.empty() ? words : image, found, html);
    if (std::optional<Fault> fault =
            writeWhole(*outputs.html, page.data(), page.size()))
      return fault;
  }
  if (!outputs.png)
    return std::nullopt;
  Outcome<std::vector<uint8_t>> sheet = sheetPng(found);
  if (!sheet)
    return sheet.takeFault();
  return writeWhole(*outputs.png, sheet->data(), sheet->size());
}

void SearchCommand::print(const SearchIndex &index,
                          const std::vector<SearchIndex::Hit> &hits) const {
  Progress::clear();
  const SearchIndex::Changes &changes = index.changes();
  if (!json) {
    for (const SearchIndex::Hit &hit : hits)
      std::printf("%8.4f  %s\n", hit.score, pathOf(hit.picture->name).c_str());
    return;
  }
  nlohmann::ordered_json result = {
      {"pictures", nlohmann::ordered_json::array()},
      {"index",
       {{"path", index.path()},
        {"pictures", index.size()},
        {"embedded", changes.embedded},
        {"kept", changes.kept},
        {"dropped", changes.dropped},
        {"unread", changes.unread}}}};
  for (const SearchIndex::Hit &hit : hits)
    result["pictures"].push_back(
        {{"path", pathOf(hit.picture->name)}, {"similarity", hit.score}});
  std::printf("%s\n",
              result.dump(-1, ' ', false, vlmc::Json::error_handler_t::replace)
                  .c_str());
}

std::optional<Fault> SearchCommand::search(const vlm_model_t *model,
                                           Outputs &outputs) {
  if (indexPath.empty())
    indexPath = pathOf(".vlmc-search.safetensors");
  SearchIndex index(model, folder, indexPath);
  if (std::optional<Fault> fault = index.load())
    return fault;
  if (index.isOfAnotherModel())
    note(indexPath + " is of another model or image back end and is made anew");
  // What is asked comes first: its faults are told before a long work.
  Outcome<std::vector<float>> query = embedQuery(model);
  if (!query)
    return query.takeFault();
  {
    Progress progress;
    std::optional<Fault> fault = index.update([&](size_t done, size_t total) {
      progress.show("embedding pictures", done, total);
    });
    if (fault)
      return fault;
  }
  if (index.size() == 0)
    return Fault(folder + ": expected pictures (.png, .jpg, .jpeg, .webp, "
                          ".gif), found none that can be read");
  std::vector<SearchIndex::Hit> hits = index.rank(*query, most);
  print(index, hits);
  std::vector<SheetPicture> found;
  for (const SearchIndex::Hit &hit : hits)
    found.push_back({pathOf(hit.picture->name), hit.picture->name, hit.score});
  return writeSheets(found, outputs);
}

ExitCode SearchCommand::run() {
  if (words.empty() == image.empty())
    return report(Fault("expected words or a picture to look for, found " +
                            std::string(words.empty() ? "neither" : "both") +
                            "; give \"WORDS\" or --image FILE",
                        ExitCode::Usage));
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error))
    return report(
        Fault(folder + ": expected a folder of pictures, found " +
              (std::filesystem::exists(folder, error) ? "a file" : "nothing")));
  Outcome<std::optional<OutputFile>> page = openOptional(html);
  if (!page)
    return report(page.takeFault());
  Outcome<std::optional<OutputFile>> sheet = openOptional(png);
  if (!sheet)
    return report(sheet.takeFault());
  Outputs outputs = {std::move(*page), std::move(*sheet)};
  Outcome<OpenModel> model = openModel(options);
  if (!model)
    return report(model.takeFault());
  if (std::optional<Fault> fault = search(model->get(), outputs))
    return report(*fault);
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeSearchCommand() {
  return std::make_unique<SearchCommand>();
}
