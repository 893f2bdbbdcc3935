//===- Spec.cpp - ModelSpec as text ---------------------------------------===//
#include "frontend/spec/Spec.h"

#include "frontend/support/MappedFile.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <cctype>

namespace vlmc {

namespace {
/// Gathers protobuf's messages in this house's form.
class Collector : public google::protobuf::io::ErrorCollector {
public:
  explicit Collector(const std::string &file) : file(file) {}

  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string &message) override {
    add(line, column, message);
  }
  // A warning (a deprecated field) is a fault of the spec as well.
  void AddWarning(int line, google::protobuf::io::ColumnNumber column,
                  const std::string &message) override {
    add(line, column, message);
  }

  std::string text;

private:
  void add(int line, int column, std::string message) {
    if (message.ends_with('.'))
      message.pop_back();
    if (message.ends_with("got: "))
      message += "the end of the file";
    if (!message.empty())
      message[0] = static_cast<char>(std::tolower(message[0]));
    if (!text.empty())
      text += "\n";
    text += file;
    // A message without a place, such as about a missing field, has line -1.
    if (line >= 0)
      text += ":" + std::to_string(line + 1) + ":" + std::to_string(column + 1);
    text += ": " + message;
  }
  const std::string &file;
};
} // namespace

Result<spec::ModelSpec> parseSpec(std::string_view text,
                                  const std::string &file) {
  Collector collector(file);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&collector);
  spec::ModelSpec model;
  if (parser.ParseFromString(std::string(text), &model))
    return model;
  return Failure{collector.text +
                 "; the fields are those of frontend/spec/model_spec.proto"};
}

Result<spec::ModelSpec> readSpec(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeFailure();
  return parseSpec(file->text(), path);
}

std::string printSpec(const spec::ModelSpec &model) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseShortRepeatedPrimitives(true);
  std::string text;
  printer.PrintToString(model, &text);
  return text;
}

} // namespace vlmc
